"""`databricks.yml`: targets, paths, variables, and what is deployed."""

import json
import subprocess
import sys
from typing import Any, Literal

import pytest
from conftest import REPOSITORY, config_for
from loaded_bundle import TARGETS, bundle, load_jobs
from pydantic import BaseModel, Field


def test_targets_are_the_environments_and_their_workspace_paths() -> None:
    assert list(bundle()["targets"]) == TARGETS
    for name, target in bundle()["targets"].items():
        assert target["workspace"] == {"root_path": f"/Workspace/Shared/pipeline-medalion-{name}"}
        assert (REPOSITORY / "conf" / name).is_dir()
    modes = {name: target.get("mode") for name, target in bundle()["targets"].items()}
    assert modes["dev"] is None
    assert modes["staging"] == modes["prod"] == "production"


def test_no_workspace_and_no_secret_is_named() -> None:
    text = (REPOSITORY / "databricks.yml").read_text()
    assert "host:" not in text
    assert "token" not in text.lower()


def test_each_variable_is_used_and_of_its_type() -> None:
    made, _ = load_jobs("dev")
    used = (REPOSITORY / "resources/medallion_job.py").read_text() + json.dumps(made)
    for name, variable in bundle()["variables"].items():
        assert f"var.{name}}}" in used or f'variables["{name}"]' in used, name
        # A list or a mapping is refused by the CLI where it is not said to be complex.
        assert isinstance(variable["default"], list | dict) == (variable.get("type") == "complex")


def test_configuration_is_deployed_without_a_users_own() -> None:
    assert {"conf", "orchestration", "src", "notebooks"} <= set(bundle()["sync"]["paths"])
    assert bundle()["sync"]["exclude"] == ["conf/local/**"]


class Part(BaseModel, extra="forbid", strict=True):
    """A mapping of `databricks.yml`: the keys that the project uses, of those that the CLI has."""


class Settings(Part):
    name: str
    databricks_cli_version: str


class Python(Part):
    resources: list[str]


class Source(Part):
    source: str


class Artifact(Part):
    type: Literal["whl"]
    dynamic_version: bool
    files: list[Source]


class Sync(Part):
    paths: list[str]
    exclude: list[str]


class Variable(Part):
    description: str = Field(min_length=1)
    default: Any
    type: Literal["complex"] | None = None


class Workspace(Part):
    root_path: str


class Target(Part):
    default: bool = False
    mode: Literal["development", "production"] = "production"
    workspace: Workspace
    variables: dict[str, Any] = {}


class DatabricksYml(Part):
    bundle: Settings
    python: Python
    artifacts: dict[str, Artifact]
    sync: Sync
    variables: dict[str, Variable]
    targets: dict[str, Target]


def test_file_has_known_keys_of_the_right_types() -> None:
    read = DatabricksYml.model_validate(bundle())
    for target in read.targets.values():
        assert target.variables.keys() <= read.variables.keys()


@pytest.mark.parametrize(
    ("schema", "errors"),
    [
        ({"properties": {"bundle": {"required": ["name"]}}}, ""),
        (
            {"properties": {"bundle": {"required": ["uuid"]}}},
            "databricks.yml: $.bundle: 'uuid' is a required property\n",
        ),
    ],
)
def test_file_is_held_against_the_schema_that_the_cli_prints(
    schema: dict[str, Any], errors: str
) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/check_bundle.py"], cwd=REPOSITORY, input=json.dumps(schema),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1 if errors else 0, errors)


# What the environments may differ in: engine, catalog, sizes.
MAY_DIFFER = {"engine", "catalog", "memory", "parallelism"}


def test_environments_differ_in_allowed_leaves_only() -> None:
    def resolved(env: str | None) -> dict[str, Any]:
        config = config_for(env)
        found = {kind: config[kind] for kind in ("catalog", "globals", "parameters", "engines")}
        found["parameters"].pop("run_id")
        root, catalog = f"lakehouse/{env or 'local'}", found["globals"]["catalog"]
        text = json.dumps(found["catalog"]).replace(root, "lakehouse/<environment>")
        text = text.replace(f'"catalog": "{catalog}"', '"catalog": "<catalog>"')
        found["catalog"] = json.loads(text)
        return found

    expected = resolved(None)
    for env in TARGETS:
        assert set(config_for(env)["globals"]) - set(expected["globals"]) == set()
        found = resolved(env)
        assert found["catalog"] == expected["catalog"], env
        assert found["parameters"] == expected["parameters"], env
        assert found["globals"].keys() == expected["globals"].keys(), env
        same = {key for key in found["globals"] if key not in MAY_DIFFER}
        assert all(found["globals"][key] == expected["globals"][key] for key in same), env
        assert _may_not_differ(found["engines"]) == _may_not_differ(expected["engines"]), env


def _may_not_differ(spark: dict[str, Any]) -> dict[str, Any]:
    """Settings of the engines, but for the values of those that `MAY_DIFFER` sets."""
    sized = dict.fromkeys(("spark.driver.memory", "spark.sql.shuffle.partitions"))
    return {**spark, "engine": None, "spark": {**spark["spark"], **sized}}
