"""Look, colours and files of the figures."""

import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from engram.figures.style import (
    CLASS_COLORS,
    FigureStyle,
    class_color,
    class_colors,
    require,
    save,
    text_width,
    use,
)
from engram.io.errors import EngramError

FIGURES = [
    "attention_examples",
    "confusion",
    "delta_maps",
    "delta_peaks",
    "headline",
    "layer_profile",
    "memorization_vs_exposures",
    "nursery_training",
    "taxonomy_flow",
    "training_curves",
]
# Linear RGB as seen with the two common colour deficiencies (Machado, Oliveira & Fernandes 2009,
# severity 1).
SIGHT = {
    "full": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_equal_data_give_equal_bytes_under_any_user_settings(name, draw, tmp_path):
    style = FigureStyle(formats=("svg",))
    first = save(draw[name](style), tmp_path / "first", style)[0].read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "svg.hashsalt": "other"}):
        second = save(draw[name](style), tmp_path / "second", style)[0].read_bytes()
    assert first == second


@pytest.mark.parametrize("name", FIGURES)
def test_no_two_texts_overlap(name, draw, style, overlapping):
    assert overlapping(draw[name](style)) == []


def test_overlapping_texts_are_found(style, overlapping):
    figure = Figure()
    figure.text(0.5, 0.5, "first")
    figure.text(0.51, 0.5, "second")
    assert overlapping(figure) == [("second", "first")]


def test_every_format_is_written_with_equal_bytes(tmp_path):
    style = FigureStyle(formats=("svg", "png", "pdf"), dpi=50)
    for folder in ("first", "second"):
        figure = Figure(figsize=(1, 1))
        figure.subplots().imshow(np.eye(3))
        assert [path.name for path in save(figure, tmp_path / folder / "v1.5-map", style)] == [
            "v1.5-map.svg",
            "v1.5-map.png",
            "v1.5-map.pdf",
        ]
    for kind in style.formats:
        assert (tmp_path / "first" / f"v1.5-map.{kind}").read_bytes() == (
            tmp_path / "second" / f"v1.5-map.{kind}"
        ).read_bytes()


def test_a_failure_in_the_second_format_leaves_no_file(tmp_path, monkeypatch):
    figure = Figure(figsize=(1, 1))
    write = figure.savefig

    def fail_on_png(path, **options):
        if options["format"] == "png":
            raise OSError("disk full")
        write(path, **options)

    monkeypatch.setattr(figure, "savefig", fail_on_png)
    with pytest.raises(OSError, match="disk full"):
        save(figure, tmp_path / "figure", FigureStyle())
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_matplotlib_as_it_was(draw, style):
    before = dict(matplotlib.rcParams)
    draw["confusion"](style)
    assert dict(matplotlib.rcParams) == before


def test_font_size_is_that_of_the_style(draw):
    small, large = FigureStyle(font_size=6), FigureStyle(font_size=12)
    assert [
        draw["layer_profile"](style).axes[0].xaxis.label.get_fontsize() for style in (small, large)
    ] == [6, 12]


def test_numbers_and_later_members_of_a_class_do_not_change_its_colour(style):
    colors = {
        class_color(name, style)
        for name in ("Recite[5]", "Recite[50]", "Recite[1k]-or-Guess", "Recite[5]-or-Code")
    }
    assert colors == {CLASS_COLORS["Recite"]}


def test_palette_overrides_a_colour_and_adds_one():
    style = FigureStyle(palette={"Guess": "#123456", "Quote": "red"})
    assert [class_color(name, style) for name in ("Guess[0.7-*]", "Quote", "Code")] == [
        "#123456",
        "#ff0000",
        CLASS_COLORS["Code"],
    ]


def test_an_unknown_category_keeps_its_colour(style):
    assert class_color("Poem[3]", style) == class_color("Poem[7]-or-Code", style)


def test_classes_of_one_taxonomy_differ_in_colour(style):
    assert len(set(class_colors(["Recite[1k]", "Recite[50]", "Recite[5]", "Others"], style))) == 4


@pytest.mark.parametrize("sight", SIGHT)
def test_class_colours_are_told_apart(sight):
    seen = {
        name: _lab(np.clip(SIGHT[sight] @ _linear(color), 0, 1))
        for name, color in CLASS_COLORS.items()
    }
    nearest = min(
        itertools.combinations(seen, 2),
        key=lambda pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]),
    )
    assert np.linalg.norm(seen[nearest[0]] - seen[nearest[1]]) > 15, nearest


def test_colour_map_darkens_evenly_from_white(style):
    lightness = [_lab(_linear(style.cmap(value)[:3]))[0] for value in np.linspace(0, 1, 50)]
    assert lightness[0] > 99 and np.diff(lightness).max() < 0


@pytest.mark.parametrize("weight", ["normal", "bold"])
def test_text_width_is_that_of_the_longest_drawn_line(weight, style):
    text = "Recite[5]-or-\nReconstruct-or-\nCode"
    with use(style):
        drawn = (
            Figure(dpi=72)
            .text(0, 0, text, fontsize=10, fontweight=weight)
            .get_window_extent()
            .width
            / 72
        )
    assert text_width(["Code", text], 10, weight) == pytest.approx(drawn, rel=0.03)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"formats": ["svg", "gif"]}, r"figures\.formats\.1: 'gif' is not 'svg', 'png' or 'pdf'"),
        ({"formats": []}, r"figures\.formats: \[\] has too few items"),
        ({"colormap": "rainbows"}, r"figures\.colormap: .*rainbows"),
        ({"dpi": 0}, "figures.dpi: 0 is less than"),
        ({"palette": {"Guess": "orangeish"}}, r"figures\.palette\.Guess: .*orangeish"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(EngramError, match=message):
        FigureStyle.parse(settings, "figures")


def test_style_of_an_empty_section_is_the_default():
    assert FigureStyle.parse({}) == FigureStyle()


def test_missing_columns_and_rows_are_named():
    with pytest.raises(EngramError, match="figure flow: column new is missing; the table has old"):
        require(pd.DataFrame({"old": ["Guess"]}), ["old", "new"], "flow")
    with pytest.raises(EngramError, match="figure flow: the table has no rows"):
        require(pd.DataFrame({"old": [], "new": []}), ["old", "new"], "flow")


def _linear(color) -> np.ndarray:
    """Linear light of a colour, (3,)."""
    value = np.array(to_rgb(color))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _lab(light: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB light."""
    xyz = (
        np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
        @ light
        / np.array([0.9505, 1, 1.089])
    )
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
