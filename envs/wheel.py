"""Puts the project's files into the wheel, where `engram.io.shipped` finds them."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIPPED = (
    *("Snakefile", "config.yaml", "envs", "profiles", "resources", "rules", "slurm", "studies"),
    *(
        f"workflow/{part}"
        for part in ("audit", "explorer", "pages", "report", "schemas", "scripts")
    ),
)


class ProjectFiles(BuildHookInterface):  # type: ignore[type-arg]
    """Adds `SHIPPED` under engram/project/; an editable installation reads the checkout itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a wheel that is to be installed elsewhere."""
        if version == "standard":
            files = {name: f"engram/project/{name}" for name in SHIPPED}
            build_data["force_include"].update(files)
