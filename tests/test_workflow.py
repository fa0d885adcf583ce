"""The CI/CD workflow: its order, its secrets, its permissions and what it pins."""

import re
from typing import Any

import yaml
from conftest import REPOSITORY

FILE = REPOSITORY / ".github/workflows/ci-cd.yml"
ENVIRONMENTS = ["dev", "staging", "prod"]


def workflow() -> dict[str, Any]:
    """The workflow; YAML 1.1 reads its `on` as true."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


def test_environments_are_deployed_one_after_the_other() -> None:
    jobs = workflow()["jobs"]
    assert list(jobs) == ["build-test", *(f"deploy-{name}" for name in ENVIRONMENTS)]
    for before, name in zip(
        ["build-test", "deploy-dev", "deploy-staging"], ENVIRONMENTS, strict=True
    ):
        job = jobs[f"deploy-{name}"]
        assert job["needs"] == before
        assert job["environment"] == name
        assert "github.event_name == 'push' && github.ref == 'refs/heads/main'" in job["if"]
    gate = "needs.deploy-staging.outputs.balanced-commit == github.sha"
    assert gate in jobs["deploy-prod"]["if"]


def test_secrets_of_each_environment_are_its_own() -> None:
    for name in ENVIRONMENTS:
        text = yaml.safe_dump(workflow()["jobs"][f"deploy-{name}"])
        assert set(re.findall(r"secrets\.(\w+)", text)) == {
            f"DATABRICKS_HOST_{name.upper()}", f"DATABRICKS_TOKEN_{name.upper()}"
        }  # fmt: skip


def test_actions_are_pinned_and_permissions_are_least() -> None:
    used = re.findall(r"uses: (\S+)", FILE.read_text())
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used)
    assert workflow()["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow()["jobs"]["build-test"]
    for name in ENVIRONMENTS:
        granted = workflow()["jobs"][f"deploy-{name}"]["permissions"]
        assert granted == {"contents": "read", "id-token": "write"}


def test_cli_is_of_the_version_of_its_python_library() -> None:
    lock = (REPOSITORY / "requirements.txt").read_text()
    (library,) = re.findall(r"^databricks-bundles==(\S+)", lock, re.M)
    steps = [step for job in workflow()["jobs"].values() for step in job["steps"]]
    versions = {step["with"]["version"] for step in steps if "setup-cli" in step.get("uses", "")}
    assert versions == {library}


def test_deployments_find_the_cache_that_the_build_saved() -> None:
    steps = [step for job in workflow()["jobs"].values() for step in job["steps"]]
    caches = [step["with"] for step in steps if "actions/cache" in step.get("uses", "")]
    assert len(caches) == 1 + len(ENVIRONMENTS)
    # A cache is found by the list of its paths as well as by its key.
    assert len({(cache["path"], cache["key"]) for cache in caches}) == 1
