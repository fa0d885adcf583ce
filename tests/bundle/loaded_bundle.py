"""The bundle as the Databricks CLI loads it, without the CLI."""

import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from conftest import REPOSITORY

TARGETS = ["dev", "staging", "prod"]


@cache
def bundle() -> dict[str, Any]:
    """`databricks.yml`."""
    loaded: dict[str, Any] = yaml.safe_load((REPOSITORY / "databricks.yml").read_text())
    return loaded


def load_jobs(target: str, **variables: Any) -> tuple[dict[str, Any], list[str]]:
    """Load the jobs of a target with the CLI's own command, variables resolved as it does.

    Args:
        target: The target.
        variables: As given with ``--var``.

    Returns:
        The jobs, and the problems that were reported.
    """
    return json.loads(_load(target, json.dumps(variables)))


@cache
def _load(target: str, variables: str) -> str:
    declared = bundle()["variables"]
    values = {name: entry["default"] for name, entry in declared.items()}
    values |= bundle()["targets"][target].get("variables", {}) | json.loads(variables)
    given = {
        "bundle": {"name": bundle()["bundle"]["name"], "target": target},
        "python": bundle()["python"],
        "variables": {name: {**declared[name], "value": values[name]} for name in values},
        "resources": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, name) for name in ("input", "output", "diagnostics")}
        files["input"].write_text(json.dumps(given))
        options = [part for name, file in files.items() for part in (f"--{name}", str(file))]
        command = [sys.executable, "-m", "databricks.bundles.build", "--phase", "load_resources"]
        done = subprocess.run(
            [*command, *options], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        if not files["diagnostics"].exists():
            raise RuntimeError(done.stderr)
        reported = map(json.loads, files["diagnostics"].read_text().splitlines())
        problems = [entry["summary"] for entry in reported if entry]
        if problems:
            return json.dumps([{}, problems])
        return json.dumps([json.loads(files["output"].read_text())["resources"]["jobs"], []])
