"""Write the numbers of README.md and docs/ from the tables in this folder.

    python docs/results/render.py

A block begins with `<!-- results: NAME -->` and ends with `<!-- /results -->`; what lies between is
replaced by what the function of that name in `BLOCKS` returns. A test fails where a page is not
what this script writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import blocks_benchmark
import blocks_classes
import blocks_crossed
import blocks_mechanisms
import blocks_natural
import blocks_prose
from cells import HERE

ROOT = HERE.parents[1]
ENTROPY = {"entropy": blocks_crossed.MEASURED_INPUTS["entropy"]}
PAGES = (ROOT / "README.md", ROOT / "docs/index.md", ROOT / "docs/results.md")
_BLOCK = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- /results -->)", re.DOTALL)

BLOCKS: dict[str, Callable[[], str]] = {
    "findings": blocks_crossed.findings,
    "classes": blocks_classes.classes,
    "crossed-effects": partial(
        blocks_crossed.crossed_effects, "crossed", ("natural", "templates"), most=True
    ),
    "crossed-knockout": partial(blocks_crossed.crossed_knockout, "crossed"),
    "crossed-scores": partial(blocks_crossed.crossed_scores, "crossed"),
    "crossed-mechanisms": partial(
        blocks_crossed.crossed_scores, "crossed", blocks_crossed.MEASURED_INPUTS
    ),
    "crossed-entropy": partial(blocks_crossed.crossed_entropy, "crossed"),
    "crossed-transfer": partial(blocks_crossed.crossed_transfer, "crossed"),
    "smollm2-effects": partial(blocks_crossed.crossed_effects, "smollm2-crossed"),
    "smollm2-scores": partial(blocks_crossed.crossed_scores, "smollm2-crossed"),
    "smollm2-matched": partial(blocks_crossed.crossed_matched, "smollm2-crossed", "guessed"),
    "smollm2-entropy": partial(blocks_crossed.crossed_scores, "smollm2-crossed", ENTROPY),
    "smollm2-knockout": partial(blocks_crossed.crossed_knockout, "smollm2-crossed"),
    "crossed-study": blocks_prose.crossed_study,
    "crossed-question": blocks_prose.crossed_question,
    "crossed-reading": blocks_prose.crossed_reading,
    "crossed-checks": blocks_prose.crossed_checks,
    "crossed-inside": blocks_prose.crossed_inside,
    "smollm2-study": blocks_prose.smollm2_study,
    "smollm2-reading": blocks_prose.smollm2_reading,
    "smollm2-checks": blocks_prose.smollm2_checks,
    "mechanisms-study": blocks_mechanisms.study,
    "mechanisms-steering": blocks_mechanisms.steering,
    "mechanisms-steering-reading": blocks_mechanisms.steering_reading,
    "mechanisms-attack": blocks_mechanisms.attack,
    "mechanisms-attack-reading": blocks_mechanisms.attack_reading,
    "mechanisms-remind": blocks_mechanisms.remind,
    "mechanisms-remind-reading": blocks_mechanisms.remind_reading,
    "mechanisms-feed-forward": blocks_mechanisms.feed_forward,
    "mechanisms-neurons": blocks_mechanisms.neurons,
    "mechanisms-feed-forward-reading": blocks_mechanisms.feed_forward_reading,
    "mechanisms-classes": blocks_mechanisms.classes,
    "mechanisms-classes-reading": blocks_mechanisms.classes_reading,
    "mechanisms-course": blocks_mechanisms.course,
    **{
        f"natural-{name}-{part}": partial(block, name)
        for name in blocks_natural.MODELS
        for part, block in blocks_natural.PARTS.items()
    },
    "natural-recall": blocks_natural.recall,
    "natural-reading": blocks_natural.reading,
    "demo-study": blocks_prose.demo_study,
    "demo-reading": blocks_prose.demo_reading,
    "demo-effects": partial(blocks_crossed.crossed_effects, "demo"),
    "demo-scores": partial(blocks_crossed.crossed_scores, "demo"),
    "scores": blocks_classes.scores,
    "adds": blocks_classes.adds,
    "kinds": blocks_classes.kinds,
    "truth": blocks_classes.truth,
    "delta-layers": blocks_classes.delta_layers,
    "checks": blocks_classes.checks,
    "dissociation": blocks_classes.dissociation,
    "dissociation-three": blocks_classes.dissociation_three,
    "knockout-layers": blocks_classes.knockout_layers,
    "last-layer": blocks_classes.last_layer,
    "ranking": blocks_benchmark.ranking,
    "benchmark": blocks_benchmark.benchmark,
}


def render(page: str) -> str:
    """Return the text of a page with every block as the tables have it.

    Raises:
        KeyError: a block has a name that `BLOCKS` does not have.
    """
    return _BLOCK.sub(lambda match: f"{match[1]}\n{BLOCKS[match[2]]()}\n\n{match[3]}", page)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")
