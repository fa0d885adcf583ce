"""What a user can cause, from the command line: one message, exit code 1, tables as they were."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY

KEDRO = str(Path(sys.executable).with_name("kedro"))


class Command:
    """Kedro's command line, with a landing folder and a lakehouse root of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.landing = folder / "landing"
        self.landing.mkdir()
        (self.landing / "a.csv").write_text("customer_id,amount\n1,2.50\n")
        self.root = folder / "lakehouse"
        self.environment = {
            **os.environ,
            "RAW_SALES_PATH": str(self.landing),
            "LAKEHOUSE_ROOT": str(self.root),
        }

    def __call__(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `kedro ...` in the repository."""
        return subprocess.run(
            [KEDRO, *arguments],
            cwd=REPOSITORY,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def refused(self, *arguments: str, **environment: str) -> str:
        """Run, expect a user's mistake, and return the message; no table was touched."""
        ended = self(*arguments, **environment)
        assert ended.returncode == 1, ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout == ""
        assert list(self.root.glob("*/*/*/_delta_log")) == []
        assert ended.stderr.startswith("Error: ")
        return ended.stderr.removeprefix("Error: ").rstrip("\n")

    def models(self, text: str) -> str:
        """A model list; returns its path."""
        file = self.folder / "models.json"
        file.write_text(text)
        return str(file)


@pytest.fixture
def kedro(tmp_path: Path) -> Command:
    """Kedro's command line."""
    return Command(tmp_path)


def test_run_ends_with_a_summary_and_its_json(kedro: Command) -> None:
    ended = kedro("run")

    assert ended.returncode == 0, ended.stderr
    assert "bronze.sales_raw" in ended.stdout
    assert "Traceback" not in ended.stderr
    summary = json.loads((kedro.root / "local" / "run_summary.json").read_text())
    assert summary["environment"] == "local"
    assert [row["table_name"] for row in summary["rows"]][:2] == [
        "ops.landing_files", "bronze.sales_raw"
    ]  # fmt: skip


def test_bad_model_list_is_refused_before_an_engine_starts(kedro: Command) -> None:
    file = kedro.models('{"models": [{"model_name": "Churn", "version": true}]}')

    message = kedro.refused("run", PIPELINE_CONFIG_PATH=file)

    assert f"{file}" in message
    for path in ("models[0].model_name", "models[0].version", "models[0].source_table"):
        assert path in message


@pytest.mark.parametrize(
    ("given", "found"),
    [("missing.json", "nothing there"), (".", "is a directory")],
)
def test_model_list_that_cannot_be_read(kedro: Command, given: str, found: str) -> None:
    path = str(kedro.folder / given)

    assert kedro.refused("run", PIPELINE_CONFIG_PATH=path) == (
        f"PIPELINE_CONFIG_PATH={path}: expected a JSON file with the model list, found {found}"
        f" ({Path(path)}). Correct the variable, or unset it to use the project's own."
    )


def test_missing_landing_path(kedro: Command) -> None:
    message = kedro.refused("run", RAW_SALES_PATH="/no/such/folder")

    assert "/no/such/folder" in message
    assert "RAW_SALES_PATH" in message


def test_root_that_cannot_be_written(kedro: Command) -> None:
    file = kedro.folder / "file"
    file.write_text("")

    message = kedro.refused("run", LAKEHOUSE_ROOT=str(file))

    assert message == (
        f"{file}/local/bronze: expected a folder that tables can be written to, found: not a"
        " directory. Set LAKEHOUSE_ROOT to another folder, or correct its permissions."
    )


@pytest.mark.parametrize("odd", [" ", "ã", "%"])
def test_root_that_sail_would_write_beside(kedro: Command, odd: str) -> None:
    root = kedro.folder / f"a{odd}b"

    message = kedro.refused("run", LAKEHOUSE_ROOT=str(root))

    assert message == (
        f"{root}/local/bronze/sales_raw: the engine 'sail' writes tables to paths of plain letters,"
        f" digits and / \\ : _ . @ = , + ( ) - only, found {odd!r}. Set LAKEHOUSE_ROOT to a folder"
        " with such a path, or run on Spark with --env."
    )
    assert [path.name for path in kedro.folder.iterdir()] == ["landing"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pipelines", "sliver"), "Did you mean one of these instead?\n    silver"),
        (("--tags", "nope"), "Pipeline contains no nodes after applying all provided filters"),
        (("--tags", "nope"), "tags=('nope',)"),
        (("--namespaces", "nope"), "nope"),
        (("--nodes", "nope"), "nope"),
        (("--env", "nope"), "nope: expected an environment of "),
        (("--params", "run_id=yesterday"), "run_id: expected YYYY-MM-DDTHH.MM.SS.mmmZ"),
    ],
)
def test_mistaken_command_line(kedro: Command, arguments: tuple[str, ...], message: str) -> None:
    assert message in kedro.refused("run", *arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "expected UTF-8 text, found other bytes (at byte 0)"),
        (b"a: " + b"[" * 3000 + b"]" * 3000, "nested too deeply to be read. Simplify it."),
    ],
)
def test_contract_that_no_person_wrote(kedro: Command, content: bytes, message: str) -> None:
    conf = kedro.folder / "conf"
    shutil.copytree(REPOSITORY / "conf", conf)
    (conf / "base/contracts/silver/sales_clean.odcs.yaml").write_bytes(content)

    assert message in kedro.refused("run", "--conf-source", str(conf))


def test_catalog_without_entries(kedro: Command) -> None:
    conf = kedro.folder / "conf"
    shutil.copytree(REPOSITORY / "conf", conf)
    (conf / "base/catalog.yml").write_text("")

    assert "expected a DeltaTableDataset in the catalog, found " in kedro.refused(
        "run", "--conf-source", str(conf)
    )


def test_environment_that_is_not_text(kedro: Command) -> None:
    message = kedro.refused("run", ODD=os.fsdecode(b"\xff"))

    assert message == (
        "The engine 'sail' needs an environment of UTF-8 text, and the variable ODD has other"
        " bytes. Correct it, or unset it."
    )


def test_dataset_that_the_catalog_declares_wrongly(kedro: Command) -> None:
    conf = kedro.folder / "conf"
    shutil.copytree(REPOSITORY / "conf", conf)
    catalog = conf / "base" / "catalog.yml"
    catalog.write_text(catalog.read_text().replace("json.JSONDataset", "json.JSNDataset"))

    message = kedro.refused("run", "--conf-source", str(conf))

    assert message.startswith(
        "An exception occurred when parsing config for dataset 'run_summary':\n"
        "Dataset 'JSNDataset' not found in 'json'. Make sure the dataset name is correct."
    )


def test_sail_that_is_not_installed(kedro: Command) -> None:
    hiding = kedro.folder / "hiding"
    hiding.mkdir()
    (hiding / "pysail.py").write_text("raise ModuleNotFoundError('hidden', name='pysail')")

    message = kedro.refused("run", PYTHONPATH=str(hiding))

    assert message == (
        "The engine 'sail' needs the packages pysail and pyspark[connect], and pysail is not"
        " installed. Install them with: pip install 'nbx-medalion-pipeline[sail]'"
    )


def without_java(folder: Path) -> dict[str, str]:
    """An environment with the tools that are needed, but no Java."""
    return {"PATH": str(folder), "JAVA_HOME": ""}


def test_spark_without_java(kedro: Command) -> None:
    message = kedro.refused("run", "--env", "staging", **without_java(kedro.folder))

    assert message == (
        "The engine 'spark' needs Java 17 or later, and no java was found in PATH. Install a JDK of"
        " version 17 or later and set JAVA_HOME to its folder, or run on the engine without Java:"
        " `kedro run` without --env."
    )


def test_spark_with_old_java(kedro: Command) -> None:
    java = kedro.folder / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)

    message = kedro.refused("run", "--env", "dev", JAVA_HOME=str(kedro.folder))

    assert message.startswith(f"The engine 'spark' needs Java 17 or later, and {java} is Java 11.")


def test_main_job_needs_no_java(kedro: Command) -> None:
    assert kedro("run", **without_java(kedro.folder)).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.4, 1.2, 2.2])
def test_a_signal_ends_a_run_with_one_line(
    kedro: Command, seconds: float, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [KEDRO, "run"],
        cwd=REPOSITORY,
        env=kedro.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(seconds)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=15)

    told = [line for line in err.splitlines() if " writing " not in line]
    if process.returncode != 0:
        assert process.returncode == 1
        assert len(told) == 1, err
        assert told[0].startswith("Interrupted. ")
        assert out == ""
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert kedro("run").returncode == 0


@pytest.mark.parametrize("command", [("registry", "list"), ("catalog", "describe-datasets")])
def test_commands_that_run_no_node_start_no_engine(
    kedro: Command, command: tuple[str, ...]
) -> None:
    ended = kedro(*command, **without_java(kedro.folder), KEDRO_ENV="staging")

    assert ended.returncode == 0, ended.stderr
    assert not kedro.root.exists()


def test_runner_that_is_not_there(kedro: Command) -> None:
    assert kedro.refused("run", "--runner", "Nope") == (
        "--runner: expected SequentialRunner, ThreadRunner, or the import path of a class, found"
        " 'Nope': module 'kedro.runner' has no attribute 'Nope'"
    )


def test_overrides_of_one_user_hold_for_the_plain_run_only(kedro: Command, tmp_path: Path) -> None:
    """`conf/local` is read by a plain run, and by no other environment."""
    conf = tmp_path / "conf"
    subprocess.run(["cp", "-r", str(REPOSITORY / "conf"), str(conf)], check=True)  # noqa: S607
    (conf / "local" / "globals.yml").write_text("engine: warp\n")

    message = kedro.refused("run", "--conf-source", str(conf))

    assert message == (
        "spark.yml: engine: expected one of: sail, spark; found 'warp'. The environment 'local'"
        " sets it in its globals.yml."
    )
