"""What reruns after a change, recompute.json, as the tests expect it.

    python tests/support/recompute_table.py FOLDER

writes the table again: FOLDER holds a finished tiny study of this code, as `checkout.copy_project`
makes it. Look at the difference before you commit it: every row says which jobs a change of the
config, of a script or of another file may cost a user.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from changes import changes, rules_of
from planner import plans_beside

from engram.run.digests import PACKAGE, _closure

TABLE = Path(__file__).parents[1] / "workflow/recompute.json"
BOOKKEEPING = {"describe_run", "stamp"}
"""Rules that run after every change."""


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


def antichains(scripts: Mapping[str, Plan]) -> list[list[str]]:
    """Return the scripts in as few groups as a greedy search finds, so that no script of a group
    runs because another one of it changed: what a group's plan holds of a script's own rules, that
    script's change alone put there.
    """
    owned = {script: rules_of(script, TABLE.parents[2]) for script in scripts}
    groups: list[list[str]] = []
    for script in sorted(scripts, key=lambda script: -len(scripts[script])):
        for group in groups:
            if not any(
                owned[script] & scripts[other].keys() or owned[other] & scripts[script].keys()
                for other in group
            ):
                group.append(script)
                break
        else:
            groups.append([script])
    return groups


def write(table: Mapping[str, Plan]) -> None:
    """Write the table."""
    rows = [
        f"  {json.dumps(name)}: {json.dumps(dict(sorted(plan.items())))}"
        for name, plan in table.items()
    ]
    TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    study = Path(sys.argv[1])
    write(plans_beside(study, changes(study), 2))
