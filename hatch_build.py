"""What a development install has beyond the package: an interrupt handler from Python's start."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DevelopmentInstall(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the start-up file to editable installs only."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file where Python looks for it."""
        if version == "editable":
            build_data["force_include_editable"]["_nbx_medallion.pth"] = "_0_nbx_medallion.pth"
