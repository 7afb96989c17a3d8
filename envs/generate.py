"""Writes envs/constraints.txt (pip) and envs/engram.yaml (conda): the versions that are installed
here, of the packages that pyproject.toml names.

pyproject.toml gives ranges; the pins are these files alone.
"""

import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ENVS = Path(__file__).parent
PROJECT = tomllib.loads((ENVS.parent / "pyproject.toml").read_text())["project"]
LOCAL = {"engram"}


def closure(names: list[str]) -> dict[str, str]:
    """Return the installed versions of distributions and of everything that they need here."""
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


def pinned(requirements: list[str], versions: dict[str, str]) -> list[str]:
    """Return the installed version of every requirement, as a pin, sorted.

    Raises:
        SystemExit: one is installed in a version outside its range.
    """
    pins = []
    for text in requirements:
        need = Requirement(text)
        version = versions[need.name.lower().replace("_", "-")]
        if version not in need.specifier:
            raise SystemExit(f"{need.name} {version} is installed, pyproject.toml asks for {text}")
        pins.append(f"{need.name}=={version}")
    return sorted(pins)


def main() -> None:
    """Write both files."""
    head = "# Written by `make envs` from pyproject.toml; do not edit.\n"
    extras = PROJECT["optional-dependencies"].values()
    versions = closure([*PROJECT["dependencies"], *(name for extra in extras for name in extra)])
    pins = "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))
    (ENVS / "constraints.txt").write_text(head + pins)
    conda = head + "channels: [conda-forge]\ndependencies:\n  - python >=3.11\n  - pip\n  - pip:\n"
    conda += "".join(f"      - {pin}\n" for pin in pinned(PROJECT["dependencies"], versions))
    (ENVS / "engram.yaml").write_text(conda)


if __name__ == "__main__":
    main()
