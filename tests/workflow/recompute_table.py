"""Writes the table of what reruns, recompute.json, and the page that shows it, docs/recompute.md.

    PYTHONPATH=tests/support python tests/workflow/recompute_table.py FOLDER

FOLDER holds a finished tiny study of this code, as `checkout.copy_project` makes it. The tests fail
where the table is not what Snakemake plans, and where the page is not what the table says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from changes import CONFIGS, changes
from planner import plans_beside

from engram.run.digests import PACKAGE, _closure

HERE = Path(__file__).parent
TABLE = HERE / "recompute.json"
PAGE = HERE.parents[1] / "docs/recompute.md"
BEGIN, END = "<!-- table: begin (tests/workflow/recompute_table.py) -->", "<!-- table: end -->"
PROVENANCE = "describe_run"
"""Writes run.json, which holds the config and the digests of all code."""

EVERYTHING = "study: a new name"
"""A change after which all runs."""

Plan = dict[str, int]


def module_plans(scripts: Mapping[str, Plan], folder: Path) -> dict[str, Plan]:
    """What a change of every engram module reruns: all that a change of one of the scripts does
    whose digests know the module.
    """
    closures = {script: _closure(folder / f"{script}.py") for script in scripts}
    found = {}
    for module in sorted(PACKAGE.rglob("*.py")):
        plan: Plan = {}
        for script, closure in closures.items():
            if module in closure:
                plan |= {
                    rule: max(count, plan.get(rule, 0)) for rule, count in scripts[script].items()
                }
        found[module.relative_to(PACKAGE).as_posix()] = plan
    return found


def scripts_of(table: Mapping[str, Plan]) -> dict[str, Plan]:
    """The rows of scripts, by name without `.py`."""
    return {
        name.removeprefix("scripts/").removesuffix(".py"): plan
        for name, plan in table.items()
        if name.startswith("scripts/")
    }


def shown(plan: Plan, everything: Plan) -> str:
    """A plan in words: rules in the order of the alphabet, with the number of their jobs where it
    is not one; of most rules, the others.
    """
    if len(plan) > len(everything) / 2 and plan.items() <= everything.items():
        others = sorted(everything.keys() - plan.keys())
        return (
            f"**all {len(everything)} rules{' but' if others else ''}** {', '.join(others)}".strip()
        )
    rules = [f"{rule}{f' ({count})' if count > 1 else ''}" for rule, count in sorted(plan.items())]
    return ", ".join(rules) or "nothing"


def page(table: Mapping[str, Plan], scripts: Path) -> str:
    """The tables of docs/recompute.md; equal plans share a row."""
    rows: dict[str, list[tuple[str, Plan]]] = {"config": [], "code": [], "files": []}
    for name, plan in table.items():
        rows[
            "code" if name.startswith("scripts/") else "config" if name in CONFIGS else "files"
        ].append((name, plan))
    rows["code"] += [
        (f"engram/{module}", plan)
        for module, plan in module_plans(scripts_of(table), scripts).items()
    ]
    parts = [BEGIN]
    for heading, kind in (
        ("A change of the config", "config"),
        ("A change of other files", "files"),
        ("A change of code", "code"),
    ):
        grouped: dict[str, list[str]] = {}
        for name, plan in rows[kind]:
            grouped.setdefault(shown(plan, table[EVERYTHING]), []).append(f"`{name}`")
        parts += [
            "",
            f"## {heading}",
            "",
            "| changed | rules that rerun (jobs, where there are several) |",
            "|---|---|",
        ]
        parts += [f"| {', '.join(names)} | {plan} |" for plan, names in grouped.items()]
    return "\n".join([*parts, "", END])


def write(table: Mapping[str, Plan], scripts: Path) -> None:
    """Writes the table and the page."""
    rows = [
        f"  {json.dumps(name)}: {json.dumps(dict(sorted(plan.items())))}"
        for name, plan in table.items()
    ]
    TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n")
    text = PAGE.read_text()
    PAGE.write_text(
        text[: text.index(BEGIN)] + page(table, scripts) + text[text.index(END) + len(END) :]
    )


if __name__ == "__main__":
    study = Path(sys.argv[1])
    write(plans_beside(study, changes(study), 1), HERE.parents[1] / "workflow/scripts")
