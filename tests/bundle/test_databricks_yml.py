"""`databricks.yml`: targets, paths, variables, and what is deployed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, config_for
from loaded_bundle import TARGETS, bundle


def test_targets_are_the_environments_and_their_workspace_paths() -> None:
    assert list(bundle()["targets"]) == TARGETS
    for name, target in bundle()["targets"].items():
        assert target["workspace"] == {"root_path": f"/Workspace/Shared/pipeline-medalion-{name}"}
        assert (REPOSITORY / "conf" / name).is_dir()
    modes = [target.get("mode") for target in bundle()["targets"].values()]
    assert modes == [None, "production", "production"]


def test_no_workspace_and_no_secret_is_named() -> None:
    text = (REPOSITORY / "databricks.yml").read_text()
    assert "host:" not in text
    assert "token" not in text.lower()


def test_each_variable_is_used_and_described() -> None:
    used = (REPOSITORY / "resources/medallion_job.py").read_text()
    for name, variable in bundle()["variables"].items():
        assert f"var.{name}}}" in used or f'variables["{name}"]' in used, name
        assert variable["description"]
        assert "default" in variable


def test_configuration_is_deployed_without_a_users_own() -> None:
    assert {"conf", "orchestration", "src", "notebooks"} <= set(bundle()["sync"]["paths"])
    assert bundle()["sync"]["exclude"] == ["conf/local/**"]


def test_file_follows_the_schema_of_the_cli() -> None:
    """With the Databricks CLI, or BUNDLE_SCHEMA naming what its `bundle schema` printed."""
    named, cli = os.environ.get("BUNDLE_SCHEMA"), shutil.which("databricks")
    if named:
        schema = json.loads(Path(named).read_text())
    elif cli:
        printed = subprocess.run([cli, "bundle", "schema"], capture_output=True, check=True)
        schema = json.loads(printed.stdout)
    else:
        pytest.skip("needs the Databricks CLI, whose schema it is; CI has it")
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(bundle())] == []


# What the environments may differ in: engine, catalog, sizes.
MAY_DIFFER = {"engine", "catalog", "memory", "parallelism"}


def test_environments_differ_in_allowed_leaves_only() -> None:
    def resolved(env: str | None) -> dict[str, Any]:
        config = config_for(env)
        found = {kind: config[kind] for kind in ("catalog", "globals", "parameters", "spark")}
        found["parameters"].pop("run_id")
        root, catalog = f"lakehouse/{env or 'local'}", found["globals"]["catalog"]
        text = json.dumps(found["catalog"]).replace(root, "lakehouse/<environment>")
        found["catalog"] = json.loads(text.replace(f'"table": "{catalog}.', '"table": "<catalog>.'))
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
    environments = [config_for(env) for env in (None, *TARGETS)]
    for section in ("sail", "spark"):
        variants = [config["spark"][section] for config in environments]
        differing = {
            key for key in variants[0] if len({str(found.get(key)) for found in variants}) > 1
        }
        assert differing <= {"spark.driver.memory", "spark.sql.shuffle.partitions"}
        assert all(found.keys() == variants[0].keys() for found in variants)
