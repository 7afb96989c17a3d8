"""Draw the diagrams of README.md and the documentation, each for a light and for a dark page.

    python docs/pictures/draw.py

Writes docs/pictures/NAME-light.svg and NAME-dark.svg for every diagram in `DIAGRAMS`. The files
need no font, script or file from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, 'SFMono-Regular', 'Liberation Mono', 'DejaVu Sans Mono', monospace"

Theme = dict[str, str]
THEMES: dict[str, Theme] = {
    "light": {
        "ink": "#1f2328",
        "soft": "#59636e",
        "line": "#6e7781",
        "plain": "#f6f8fa",
        "plain-edge": "#c4ccd5",
        "model": "#e1edf8",
        "model-edge": "#4a87ba",
        "cnn": "#e8e5f6",
        "cnn-edge": "#6257b5",
        "result": "#fcf0d8",
        "result-edge": "#d18f00",
        "Non-Memo": "#6b6b6b",
        "Guess": "#b87f00",
        "Recall": "#453899",
        "wrong": "#c0392b",
        "cell": "#4a87ba",
        "deep": "#24417a",
    },
    "dark": {
        "ink": "#e6edf3",
        "soft": "#a0a9b4",
        "line": "#8b949e",
        "plain": "#232830",
        "plain-edge": "#4b545f",
        "model": "#16304a",
        "model-edge": "#5b9bd0",
        "cnn": "#2a2450",
        "cnn-edge": "#9d93e6",
        "result": "#42330f",
        "result-edge": "#e6a117",
        "Non-Memo": "#a8b0b9",
        "Guess": "#f0b33a",
        "Recall": "#b3aaf2",
        "wrong": "#ff8a7a",
        "cell": "#5b9bd0",
        "deep": "#cfe3f6",
    },
}


def text(
    x: float,
    y: float,
    words: str,
    color: str,
    size: float = 14,
    *,
    bold: bool = False,
    anchor: str = "middle",
    mono: bool = False,
) -> str:
    """Return one line of text whose baseline is at y."""
    weight = ' font-weight="600"' if bold else ""
    family = f' font-family="{MONO}"' if mono else ""
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{color}" font-size="{size:g}" text-anchor="{anchor}"'
        f"{weight}{family}>{escape(words)}</text>"
    )


def box(
    x: float, y: float, width: float, height: float, fill: str, edge: str, radius: float = 8
) -> str:
    """Return a rectangle with round corners."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"'
        f' fill="{fill}" stroke="{edge}" stroke-width="1.5"/>'
    )


def arrow(points: Iterable[tuple[float, float]], color: str, *, dashed: bool = False) -> str:
    """Return a polyline that ends in an arrowhead."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.6"{dash}'
        f' stroke-linejoin="round" marker-end="url(#head)"/>'
    )


def picture(width: int, height: int, title: str, theme: Theme, parts: Iterable[str]) -> str:
    """Return a whole SVG file."""
    head = (
        '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"'
        f' orient="auto-start-reverse"><path d="M0,1 L9,5 L0,9 z" fill="{theme["line"]}"/></marker>'
    )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="{FONT}" role="img" aria-label="{escape(title)}">\n'
        f"<title>{escape(title)}</title>\n<defs>{head}</defs>\n{body}\n</svg>\n"
    )


def pipeline(theme: Theme) -> str:
    """Draw the stages of a study and what each passes on."""
    width, height = 148, 66
    step = 172
    ink, soft, line = theme["ink"], theme["soft"], theme["line"]

    def stage(column: float, y: float, kind: str, name: str, *about: str) -> str:
        x = 8 + column * step
        middle = x + width / 2
        return "".join(
            [
                box(x, y, width, height, theme[kind], theme[f"{kind}-edge"]),
                text(middle, y + 24, name, ink, 15, bold=True),
                *(
                    text(middle, y + 41 + 15 * i, words, soft, 11.5)
                    for i, words in enumerate(about)
                ),
            ]
        )

    def right_of(column: float) -> float:
        return 8 + column * step + width

    top, bottom = 34, 150
    middle_top, middle_bottom = top + height / 2, bottom + height / 2
    parts = [
        stage(0, top, "plain", "candidates", "windows of text:", "prefix + suffix"),
        stage(1, top, "plain", "labels", "memorized? copied?", "how often seen?"),
        stage(2, top, "plain", "sample lists", "equal n per class,", "split by content"),
        stage(3, top, "model", "attention", "one pass a sequence,", "pooled over heads"),
        stage(4, top, "cnn", "CNNs", "predict the class", "from attention"),
        stage(5, top, "result", "tables, figures", "scores with intervals,", "controls, report"),
        stage(2, bottom, "model", "continuations", "what the model writes", "where it fails"),
        stage(4, bottom, "cnn", "saliency Δ", "which layers and", "cells the CNNs use"),
        stage(5, bottom, "model", "knock-out", "does the model", "need them?"),
    ]
    parts += [
        arrow([(right_of(i), middle_top), (right_of(i) + step - width, middle_top)], line)
        for i in range(5)
    ]
    in_attention = 8 + 3 * step + width / 2
    parts += [
        arrow([(8 + 2.43 * step, top + height), (8 + 2.43 * step, bottom)], line),
        arrow(
            [
                (right_of(2), middle_bottom),
                (in_attention, middle_bottom),
                (in_attention, top + height),
            ],
            line,
        ),
        arrow([(8 + 4.43 * step, top + height), (8 + 4.43 * step, bottom)], line),
        arrow([(right_of(4), middle_bottom), (8 + 5 * step, middle_bottom)], line),
        arrow([(8 + 5.43 * step, bottom), (8 + 5.43 * step, top + height)], line),
    ]
    for x, kind, words in (
        (8, "plain", "text and labels"),
        (148, "model", "language model (GPU, if there is one)"),
        (408, "cnn", "small CNNs"),
        (518, "result", "what you read"),
    ):
        parts += [
            box(x, 8, 12, 12, theme[kind], theme[f"{kind}-edge"], 3),
            text(x + 18, 18.5, words, soft, 12, anchor="start"),
        ]
    title = (
        "Pipeline: candidates, labels, sample lists, attention and CNNs lead to tables and figures;"
        " saliency and knock-out branch off the CNNs"
    )
    return picture(1024, 228, title, theme, parts)


def classes(theme: Theme) -> str:
    """Draw a window of each class: prefix, suffix, and the model's continuation."""
    ink, soft = theme["ink"], theme["soft"]
    rows = (
        (
            "Guess",
            "1, 2, 3, 4,",
            "5, 6, 7, 8,",
            "5, 6, 7, 8,",
            "The suffix follows from the prefix: a model that has never seen it can write it.",
        ),
        (
            "Recall",
            "def _parse_isoformat_",
            "date(dtstr):",
            "date(dtstr):",
            "Nothing in the prefix gives the suffix away: the model has to have seen it.",
        ),
        (
            "Non-Memo",
            "raise ValueError(",
            "f'bad magic {head!r}')",
            "'invalid header')",
            "The model goes on in its own words, and they are what it is studied on.",
        ),
    )
    parts = [
        text(140, 20, "prefix, shown to the model", soft, 13, anchor="start"),
        text(398, 20, "suffix in the training text", soft, 13, anchor="start"),
        text(646, 20, "what the model writes", soft, 13, anchor="start"),
    ]
    for i, (name, prefix, suffix, written, about) in enumerate(rows):
        y = 34 + 92 * i
        color = theme[name]
        wrong = suffix != written
        parts += [
            f'<rect x="8" y="{y}" width="5" height="64" rx="2.5" fill="{color}"/>',
            text(24, y + 26, name, color, 16, bold=True, anchor="start"),
            box(140, y, 240, 38, theme["plain"], theme["plain-edge"], 5),
            text(152, y + 24, prefix, ink, 14, anchor="start", mono=True),
            box(398, y, 230, 38, theme["plain"], theme["plain-edge"], 5),
            text(410, y + 24, suffix, ink, 14, anchor="start", mono=True),
            box(646, y, 230, 38, theme["plain"], theme["wrong"] if wrong else color, 5),
            text(
                658,
                y + 24,
                written,
                theme["wrong"] if wrong else ink,
                14,
                anchor="start",
                mono=True,
            ),
            text(
                886,
                y + 25,
                "✗" if wrong else "✓",
                theme["wrong"] if wrong else color,
                18,
                anchor="start",
            ),
            text(140, y + 59, about, soft, 13, anchor="start"),
        ]
    return picture(910, 300, "A window of each class: Guess, Recall, Non-Memo", theme, parts)


def taxonomy(theme: Theme) -> str:
    """Draw how a taxonomy sorts windows into classes: the first rule that holds decides."""
    ink, soft, line = theme["ink"], theme["soft"], theme["line"]
    steps = (
        (8, 210, "Extracted exactly?", "32 of 32 suffix tokens", "no", "Non-Memo"),
        (
            296,
            310,
            "Can it be copied or continued?",
            "copied in part, repeats, counts",
            "yes",
            "Guess",
        ),
        (684, 200, "The rest", "of what is memorized", "", "Others"),
    )
    parts = []
    for x, width, question, about, answer, name in steps:
        color = theme["Recall" if name == "Others" else name]
        middle = x + width / 2
        parts += [
            box(x, 8, width, 58, theme["plain"], theme["plain-edge"]),
            text(middle, 33, question, ink, 15, bold=True),
            text(middle, 53, about, soft, 12.5),
            arrow([(middle, 66), (middle, 116)], line),
            box(middle - 80, 117, 160, 40, "none", color, 20),
            text(middle, 142, name, color, 16, bold=True),
            text(middle + 10, 96, answer, soft, 13, anchor="start"),
        ]
        if name != "Others":
            after = x + width
            parts += [
                arrow([(after, 37), (after + 78, 37)], line),
                text(after + 36, 29, "yes" if name == "Non-Memo" else "no", soft, 13),
            ]
    parts.append(text(784, 178, "what the rule calls recall", soft, 12.5))
    title = "The taxonomy Non-Memo, Guess, Others as a chain of questions"
    return picture(892, 190, title, theme, parts)


def attention_map(theme: Theme) -> str:
    """Draw one causal attention map with the parts that captions and tables name."""
    ink, soft, line = theme["ink"], theme["soft"], theme["line"]
    x, y, side = 96, 30, 300
    half = side / 2
    parts = [
        f'<path d="M{x},{y} V{y + side} H{x + side} z" fill="{theme["plain"]}"'
        f' stroke="{theme["plain-edge"]}" stroke-width="1.5"/>',
        # A key that all queries attend to, the neighbouring tokens, and a constant distance.
        f'<rect x="{x + 1}" y="{y + 8}" width="9" height="{side - 9}" fill="{theme["cell"]}"'
        ' fill-opacity="0.55"/>',
        f'<path d="M{x + 6},{y + 18} L{x + side - 12},{y + side}" stroke="{theme["deep"]}"'
        ' stroke-width="6" stroke-opacity="0.9" fill="none"/>',
        f'<path d="M{x + 14},{y + 134} L{x + 180},{y + side}" stroke="{theme["Guess"]}"'
        ' stroke-width="8" stroke-opacity="0.75" fill="none"/>',
        f'<path d="M{x},{y + half} H{x + half} V{y + side}" stroke="{ink}" stroke-width="1.3"'
        ' stroke-dasharray="5 4" fill="none"/>',
        text(x + half / 2, y + side + 20, "prefix", soft, 13),
        text(x + 1.5 * half, y + side + 20, "suffix", soft, 13),
        text(x + half, y + side + 40, "key: the token attended to →", ink, 13.5),
        f'<g transform="translate({x - 48},{y + half}) rotate(-90)">'
        + text(0, 0, "← query: the token that attends", ink, 13.5)
        + "</g>",
        f'<g transform="translate({x - 16},{y + half / 2}) rotate(-90)">'
        + text(0, 0, "prefix", soft, 13)
        + "</g>",
        f'<g transform="translate({x - 16},{y + 1.5 * half}) rotate(-90)">'
        + text(0, 0, "suffix", soft, 13)
        + "</g>",
    ]
    notes = (
        (
            46,
            (x + 42, y + 50),
            theme["deep"],
            "Just below the diagonal",
            "attention to the token before",
        ),
        (
            126,
            (x + 60, y + 176),
            theme["Guess"],
            "A line at a constant distance",
            "each token looks back equally far, as in copying",
        ),
        (
            206,
            (x + half - 12, y + half + 14),
            ink,
            "The dashed square",
            "suffix tokens looking back at the prefix",
        ),
        (
            286,
            (x + 6, y + side - 28),
            theme["cell"],
            "The first column",
            "attention that rests on the first token",
        ),
    )
    for at, (to_x, to_y), color, name, about in notes:
        parts += [
            f'<path d="M452,{at - 5} L{to_x},{to_y}" stroke="{line}" stroke-width="1"'
            ' stroke-opacity="0.75"/>',
            f'<circle cx="{to_x}" cy="{to_y}" r="3.5" fill="{color}" stroke="{line}"/>',
            text(460, at, name, color, 15, bold=True, anchor="start"),
            text(460, at + 19, about, soft, 13, anchor="start"),
        ]
    return picture(800, 390, "How to read an attention map", theme, parts)


def nursery(theme: Theme) -> str:
    """Draw the nursery: a base, its drilled copy, and what the two together prove."""
    ink, soft, line = theme["ink"], theme["soft"], theme["line"]
    parts = [
        box(8, 44, 210, 70, theme["model"], theme["model-edge"]),
        text(113, 74, "base", ink, 16, bold=True),
        text(113, 95, "the twin: saw no window", soft, 12),
        arrow([(218, 79), (338, 79)], line),
        text(276, 66, "drilling", ink, 13.5, bold=True),
        text(276, 99, "1, 2, 4 … 128", soft, 12),
        text(276, 115, "exposures", soft, 12),
        box(338, 44, 210, 70, theme["model"], theme["model-edge"]),
        text(443, 74, "drilled model", ink, 16, bold=True),
        text(443, 95, "the one that is studied", soft, 12),
        text(608, 26, "twin", soft, 13),
        text(676, 26, "drilled", soft, 13),
    ]
    rows = (
        ("✓", "✓", "Guess", "guessed"),
        ("✗", "✓", "Recall", "recalled"),
        ("", "✗", "Non-Memo", "not memorized"),
    )
    for i, (twin, drilled, key, verdict) in enumerate(rows):
        y = 36 + 34 * i
        parts += [
            box(578, y, 290, 28, theme["plain"], theme["plain-edge"], 5),
            text(608, y + 20, twin or "any", soft if not twin else ink, 15 if twin else 13),
            text(676, y + 20, drilled, ink, 15),
            text(724, y + 19.5, verdict, theme[key], 14.5, bold=True, anchor="start"),
        ]
    title = "The nursery: what twin and drilled model extract says how a window was reproduced"
    return picture(876, 146, title, theme, parts)


def logo(theme: Theme) -> str:
    """Draw the sign of the project: a small causal map."""
    cells = []
    strong = {(1, 0), (2, 1), (3, 2), (4, 3), (3, 0), (4, 1)}
    for query in range(5):
        for key in range(query + 1):
            shade = "0.95" if (query, key) in strong else "0.32"
            cells.append(
                f'<rect x="{2 + 9 * key}" y="{2 + 9 * query}" width="8" height="8" rx="1.6"'
                f' fill="#ffffff" fill-opacity="{shade}"/>'
            )
    return picture(48, 48, "Engram", theme, cells)


DIAGRAMS: dict[str, Callable[[Theme], str]] = {
    "pipeline": pipeline,
    "classes": classes,
    "taxonomy": taxonomy,
    "attention-map": attention_map,
    "nursery": nursery,
}


def files() -> dict[Path, str]:
    """Return the content of every file that this script writes."""
    drawn = {
        HERE / f"{name}-{mode}.svg": draw(theme)
        for name, draw in DIAGRAMS.items()
        for mode, theme in THEMES.items()
    }
    return drawn | {HERE / "logo.svg": logo(THEMES["dark"])}


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content, encoding="utf-8")
