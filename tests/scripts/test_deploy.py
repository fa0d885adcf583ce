"""The deployment script, with a stand-in for the CLI that notes how it was called."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

STEPS = ["bundle validate", "bundle deploy", "bundle run medallion", "bundle run check_ledger"]
TOKEN = {"TOKEN": "dapi-private", "DATABRICKS_CLIENT_ID": "of-oidc"}
OIDC = {"TOKEN": "", "DATABRICKS_CLIENT_ID": "of-oidc"}
REPORT = "Run `r` is whole and balances.\n\n| table |\n"
CLI = """#!/bin/sh
echo "$*; $DATABRICKS_AUTH_TYPE token=$DATABRICKS_TOKEN client=$DATABRICKS_CLIENT_ID" >> calls
case "$*" in "$FAIL"*) echo "Error: $FAIL" >&2; exit 1;; esac
case "$*" in *check_ledger*) cat "$OUTPUT";; esac
"""


class Deployment:
    """A call of the script in a folder of its own."""

    def __init__(self, folder: Path, logs: object, **variables: str) -> None:
        cli = folder / "bin/databricks"
        cli.parent.mkdir()
        cli.write_text(CLI)
        cli.chmod(0o755)
        output = json.dumps({"task_outputs": [{"TaskKey": "check_ledger", "Output": logs}]})
        (folder / "output").write_text(f"Run URL: ...\n{output}")
        path = os.pathsep.join([str(cli.parent), str(Path(sys.executable).parent)])
        self.done = subprocess.run(
            ["bash", str(REPOSITORY / "scripts/deploy.sh"), "staging"],  # noqa: S607
            cwd=folder, capture_output=True, text=True, check=False,
            env={
                "PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "FAIL": "nothing",
                "OUTPUT": "output",
                "DATABRICKS_HOST": "https://example.com", "BUNDLE_VAR_git_sha": "c0ffee",
                "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2",
                "GITHUB_STEP_SUMMARY": str(folder / "summary"),
                "GITHUB_OUTPUT": str(folder / "outputs"), **variables,
            },
        )  # fmt: skip
        self.calls = self._read(folder / "calls").splitlines()
        self.summary = self._read(folder / "summary")
        self.outputs = self._read(folder / "outputs")

    @staticmethod
    def _read(file: Path) -> str:
        return file.read_text() if file.exists() else ""


def test_run_that_balances_gives_its_commit_and_its_ledger(tmp_path: Path) -> None:
    made = Deployment(tmp_path, {"logs": f"noise\n{REPORT}"}, **TOKEN)

    assert made.done.returncode == 0, made.done.stderr
    assert [call.partition(" --")[0] for call in made.calls] == STEPS
    assert all(" --target staging" in call for call in made.calls)
    (run_id,) = {call.partition("run_id=")[2].split(",")[0].split()[0] for call in made.calls[2:]}
    assert run_id.rstrip(";").endswith("Z-7-2")
    assert ",git_sha=c0ffee;" in made.calls[2]
    assert made.outputs == "balanced-commit=c0ffee\n"
    assert made.summary.startswith("## staging\n\nCommit `c0ffee`, run `")
    assert made.summary.endswith(f"\n\n{REPORT}\n")


@pytest.mark.parametrize("logs", [None, {"result": ""}])
def test_summary_says_so_where_the_workspace_gives_no_log(tmp_path: Path, logs: object) -> None:
    made = Deployment(tmp_path, logs, **TOKEN)

    assert made.outputs == "balanced-commit=c0ffee\n"
    assert "whole and balances. The workspace gave no log of the check.\n" in made.summary


@pytest.mark.parametrize(
    ("variables", "used"),
    [
        (TOKEN, "pat token=dapi-private client="),
        (OIDC, "github-oidc token= client=of-oidc"),
    ],
)
def test_workflow_signs_in_by_itself_only_where_there_is_no_token(
    tmp_path: Path, variables: dict[str, str], used: str
) -> None:
    made = Deployment(tmp_path, {"logs": REPORT}, **variables)

    assert {call.partition("; ")[2] for call in made.calls} == {used}
    assert "dapi-private" not in made.done.stdout + made.done.stderr + made.summary + made.outputs


@pytest.mark.parametrize("step", STEPS)
def test_failure_ends_the_deployment_and_names_no_commit(tmp_path: Path, step: str) -> None:
    made = Deployment(tmp_path, {"logs": REPORT}, FAIL=step, **TOKEN)

    assert made.done.returncode == 1
    assert made.done.stderr == f"Error: {step}\n"
    assert len(made.calls) == STEPS.index(step) + 1
    assert made.outputs == ""
    assert "**Failed.**" in made.summary
    assert "balances" not in made.summary


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({**TOKEN, "DATABRICKS_HOST": ""}, "set the secret or variable DATABRICKS_HOST_STAGING"),
        ({}, "set DATABRICKS_TOKEN_STAGING, or DATABRICKS_CLIENT_ID_STAGING for OIDC"),
    ],
)
def test_what_is_not_set_is_named_before_anything_is_done(
    tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    made = Deployment(tmp_path, {"logs": REPORT}, **variables)

    assert made.done.returncode != 0
    assert message in made.done.stderr
    assert made.calls == []
    assert "**Failed.**" in made.summary


def test_check_without_a_result_names_no_commit(tmp_path: Path) -> None:
    # So the CLI ends, with exit code 0, where a run's state is one that it does not know.
    made = Deployment(tmp_path, {"logs": REPORT}, OUTPUT="/dev/null", **TOKEN)

    assert made.done.returncode != 0
    assert made.outputs == ""
