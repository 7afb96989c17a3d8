"""Writes envs/constraints.txt (pip) and envs/engram.yaml (conda) from pyproject.toml and the
installed environment.
"""

import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ENVS = Path(__file__).parent
PROJECT = tomllib.loads((ENVS.parent / "pyproject.toml").read_text())["project"]
LOCAL = {"engram"}


def closure(names: list[str]) -> dict[str, str]:
    """Installed versions of the named distributions and of everything that they need here."""
    versions: dict[str, str] = {}
    waiting = [(Requirement(name).name, Requirement(name).extras) for name in names]
    while waiting:
        name, extras = waiting.pop()
        found = distribution(name)
        key = found.metadata["Name"].lower().replace("_", "-")
        if key in versions or key in LOCAL:
            continue
        # A local build tag (torch's +cpu) is a matter of the machine.
        versions[key] = found.version.split("+")[0]
        for text in found.requires or []:
            need = Requirement(text)
            if need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in (*extras, "")
            ):
                waiting.append((need.name, need.extras))
    return versions


def main() -> None:
    """Writes both files."""
    head = "# Written by `make envs` from pyproject.toml; do not edit.\n"
    versions = closure([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]])
    pins = "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))
    (ENVS / "constraints.txt").write_text(head + pins)
    conda = head + "channels: [conda-forge]\ndependencies:\n  - python >=3.11\n  - pip\n  - pip:\n"
    conda += "".join(f"      - {requirement}\n" for requirement in sorted(PROJECT["dependencies"]))
    (ENVS / "engram.yaml").write_text(conda)


if __name__ == "__main__":
    main()
