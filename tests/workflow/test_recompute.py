"""What reruns after a change: exactly what recompute.json lists."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from changes import changes, code_edit
from checkout import TINY, Checkout
from planner import plans_beside
from recompute_table import BOOKKEEPING, TABLE, Plan, antichains, module_plans, scripts_of

EXPECTED: dict[str, Plan] = json.loads(TABLE.read_text())
MODULES = [
    "io/artifacts",
    "windows/rouge",
    "io/packing",
    "nursery/training",
    "io/streams",
    "figures/style",
    "scores/metrics",
    "run/summary",
]
"""Modules whose plans are made as well; those of the others follow from the plans of the scripts
(tests/unit/test_recompute_table.py).
"""


NEW = "taxonomies: a new one"
SCRIPTS = scripts_of(EXPECTED)
UNUSED = [f"scripts/{script}.py" for script, plan in SCRIPTS.items() if plan.keys() == BOOKKEEPING]
"""Scripts that the tiny study does not run. One plan shows that all of them rerun nothing."""
NEXT_TO_NEW = antichains({name: plan for name, plan in SCRIPTS.items() if len(plan) > 2})
"""Groups of scripts, none of which runs after another: one plan of a group shows what each does."""


@pytest.fixture(scope="module")
def plans(finished: Checkout) -> dict[str, Plan]:
    """What Snakemake plans after each change alone, and after a change of scripts next to a new
    taxonomy.
    """
    alone = changes(finished.folder)
    wanted = {name: edits for name, edits in alone.items() if name not in UNUSED}
    wanted["unused"] = [edit for name in UNUSED for edit in alone[name]]
    for module in MODULES:
        wanted[module] = code_edit(finished.folder, f"workflow/engram/{module}.py")
    for number, group in enumerate(NEXT_TO_NEW):
        edits = [edit for script in group for edit in alone[f"scripts/{script}.py"]]
        wanted[f"{NEW}, {number}"] = alone[NEW] + edits
    plans = plans_beside(finished.folder, wanted, 2)
    return plans | dict.fromkeys(UNUSED, plans["unused"])


def test_every_change_has_a_row(finished: Checkout) -> None:
    assert changes(finished.folder).keys() == EXPECTED.keys()


@pytest.mark.parametrize(
    ("number", "script"),
    [(number, script) for number, group in enumerate(NEXT_TO_NEW) for script in group],
)
def test_a_new_taxonomy_hides_no_change_of_code(
    plans: dict[str, Plan], number: int, script: str
) -> None:
    """Extraction runs for the new taxonomy; what it does not change must still rerun."""
    both = plans[f"{NEW}, {number}"]
    assert EXPECTED[NEW].keys() | SCRIPTS[script].keys() <= both.keys()
    assert all(both[rule] >= count for rule, count in SCRIPTS[script].items())


@pytest.mark.parametrize("change", EXPECTED)
def test_the_plan_after_a_change_is_that_of_the_table(plans: dict[str, Plan], change: str) -> None:
    assert plans[change] == EXPECTED[change]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_reruns_what_the_scripts_do_that_need_it(
    plans: dict[str, Plan], finished: Checkout, module: str
) -> None:
    scripts = Path(__file__).parents[2] / "workflow/scripts"
    expected = module_plans(scripts_of(EXPECTED), scripts)[f"{module}.py"]
    # Stages of several scripts may share stamps, so their number follows from no single script.
    assert plans[module] | {"stamp": 0} == expected | {"stamp": 0}


def branch_and_back(study: Checkout) -> None:
    """Checks out a branch on which every file of code and of the base is another, and then the
    first one again.
    """

    def git(*arguments: str) -> None:
        identity = [
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@localhost",
            "-c",
            "commit.gpgsign=false",
        ]
        subprocess.run(
            ["git", *identity, *arguments], cwd=study.folder, check=True, capture_output=True
        )

    git("init", "-b", "first")
    git("add", "Snakefile", "rules", "workflow", "resources", "config.yaml")
    git("commit", "-m", "first")
    git("checkout", "-b", "second")
    for file in [
        path
        for part in ("rules", "workflow", "resources")
        for path in (study.folder / part).rglob("*")
        if path.is_file()
    ]:
        with file.open("ab") as content:
            content.write(b"\n# another branch\n")
    git("commit", "-a", "-m", "second")
    git("checkout", "first")


def moved_results(study: Checkout) -> None:
    """Moves the results to another disk, as it were, and leaves a link."""
    elsewhere = study.folder.parent / "elsewhere"
    (study.folder / "results").rename(elsewhere)
    (study.folder / "results").symlink_to(elsewhere)


def moved_checkout(study: Checkout) -> None:
    """Moves the checkout with its results."""
    moved = study.folder.parent / "moved"
    study.folder.rename(moved)
    study.folder = moved


@pytest.mark.parametrize("change", [branch_and_back, moved_results, moved_checkout])
def test_nothing_reruns_after(study: Checkout, change: Callable[[Checkout], None]) -> None:
    change(study)
    assert study.planned() == {}


def test_a_changed_study_is_finished_after_one_run(study: Checkout) -> None:
    """Other samples, one taxonomy removed and one new; Snakemake alone would leave the first
    taxonomy's CNNs to a second run.
    """
    study.configure(
        taxonomies=["Non-Memo, Guess, Others", "Non-Memo, Code, Others"],
        flow=[],
        samples={"per_class": 25, "minimum": 10},
        cnn=TINY["cnn"] | {"baselines": ["token_identity"]},
        saliency={"methods": ["guided"], "samples_per_class": 5, "checks": False},
        figures={"formats": ["svg"]},
    )
    study.snakemake()
    assert study.planned() == {}


INDEX = "results/tiny/nursery/attention/index.parquet"


def sent_through_the_model(study: Checkout) -> int:
    """Sequences that the last extraction of every shard sent through the model, by its logs."""
    logs = sorted((study.folder / "results/tiny/logs/nursery").glob("extract_attention-*.log"))
    return sum(
        int(re.search(r"(\d+) of them sent through the model", log.read_text())[1]) for log in logs
    )


def texts_in_shards(study: Checkout) -> set[bytes]:
    """The key of every text whose attention is stored, a hash of its tokens."""
    keys = set()
    for shard in sorted((study.folder / "results/tiny/nursery/attention").glob("shard-*.h5")):
        with h5py.File(shard) as file:
            keys |= {key.tobytes() for key in file["key"][:]}
    return keys


def test_a_grown_study_sends_only_new_texts_through_the_model(study: Checkout) -> None:
    """A new taxonomy, a new δ and a new ρ, which all reach extraction as new samples."""
    before = texts_in_shards(study)
    new_taxonomies = ["Non-Memo, Code, Others", "Non-Memo, Recite[40], Others"]
    study.configure(taxonomies=[*TINY["taxonomies"], *new_taxonomies], rho={"rouge_l": [0.7]})
    study.snakemake(INDEX)
    new = texts_in_shards(study) - before
    assert new, "the study did not grow; take another taxonomy"
    assert sent_through_the_model(study) == len(new) < len(before)


def test_a_second_study_on_the_same_sequences_sends_nothing_through_the_model(
    study: Checkout,
) -> None:
    before = texts_in_shards(study)
    (study.folder / "results/tiny/nursery/attention/shard-0.h5").unlink()
    study.configure(taxonomies=["Non-Memo, Guess, Others"], flow=[])
    study.snakemake(INDEX)
    assert texts_in_shards(study) < before
    assert sent_through_the_model(study) == 0
