"""What a user can cause, from the command line: one message, exit code 1, tables as they were."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import REPOSITORY
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.cli.utils import find_run_command
from kedro.framework.startup import bootstrap_project

KEDRO = str(Path(sys.executable).with_name("kedro"))


class Command:
    """Kedro's command line, with a landing folder and a lakehouse root of its own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = patch
        landing = folder / "landing"
        landing.mkdir()
        (landing / "a.csv").write_text("customer_id,amount\n1,2.50\n")
        self.root = folder / "lakehouse"
        patch.setenv("RAW_SALES_PATH", str(landing))
        patch.setenv("LAKEHOUSE_ROOT", str(self.root))

    def __call__(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `kedro ...` in the repository, in a process of its own."""
        return subprocess.run(
            [KEDRO, *arguments],
            cwd=REPOSITORY, env=os.environ | environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def inside(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`kedro ...` in the repository, in this process."""
        bootstrap_project(REPOSITORY)
        self.patch.chdir(REPOSITORY)
        ended = CliRunner().invoke(KedroCLI(REPOSITORY), arguments)
        return subprocess.CompletedProcess(
            arguments, ended.exit_code, stdout=ended.stdout, stderr=ended.stderr
        )

    def refused(self, *arguments: str, **environment: str) -> str:
        """`kedro run ...` in this process, a user's mistake: its message; no table was touched."""
        for name, value in environment.items():
            self.patch.setenv(name, value)
        bootstrap_project(REPOSITORY)
        self.patch.chdir(REPOSITORY)
        ended = CliRunner().invoke(find_run_command("nbx_medallion"), arguments)
        return self.message(ended.exit_code, ended.stdout, ended.stderr)

    def message(self, code: int, out: str, err: str) -> str:
        """The one message of a command that was refused."""
        assert code == 1, err
        assert "Traceback" not in err
        assert out == ""
        logs = self.root.glob("*/*/*/_delta_log")
        assert [log.parent.name for log in logs if log.parents[1].name != "ops"] == []
        assert err.startswith("Error: ")
        return err.removeprefix("Error: ").rstrip("\n")

    def conf(self) -> Path:
        """A copy of the configuration, to be changed."""
        return shutil.copytree(REPOSITORY / "conf", self.folder / "conf")


@pytest.fixture
def kedro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Kedro's command line."""
    return Command(tmp_path, monkeypatch)


# In a process of their own.


def without_java(folder: Path) -> dict[str, str]:
    """An environment with the tools that are needed, but no Java."""
    return {"PATH": str(folder), "JAVA_HOME": ""}


def test_a_run_ends_with_a_summary_and_needs_no_java(kedro: Command) -> None:
    ended = kedro("run", **without_java(kedro.folder))

    assert ended.returncode == 0, ended.stderr
    assert "bronze.sales_raw" in ended.stdout
    assert "Traceback" not in ended.stderr
    summary = json.loads((kedro.root / "local" / "run_summary.json").read_text())
    assert summary["environment"] == "local"
    assert [row["table_name"] for row in summary["rows"]][:2] == [
        "bronze.sales_raw", "silver.sales_quarantine"
    ]  # fmt: skip


@pytest.mark.parametrize("command", [("registry", "list"), ("catalog", "describe-datasets")])
def test_commands_that_run_no_node_start_no_engine(
    kedro: Command, command: tuple[str, ...]
) -> None:
    ended = kedro(*command, **without_java(kedro.folder), KEDRO_ENV="staging")

    assert ended.returncode == 0, ended.stderr
    assert not kedro.root.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_one_line(kedro: Command, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [KEDRO, "run"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    while "writing bronze.sales_raw" not in process.stderr.readline():
        assert process.poll() is None

    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=15)

    assert process.returncode == 1
    [told] = [line for line in err.splitlines() if " writing " not in line]
    assert told.startswith("Interrupted. ")
    assert out == ""
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert kedro("run").returncode == 0


def test_overrides_of_one_user_name_no_known_engine(kedro: Command) -> None:
    conf = kedro.conf()
    (conf / "local" / "globals.yml").write_text("engine: warp\n")

    ended = kedro("run", "--conf-source", str(conf))

    message = kedro.message(ended.returncode, ended.stdout, ended.stderr)
    assert "engines.yml: engine: expected one of: sail, spark; found 'warp'" in message
    assert "globals.yml" in message


def test_sail_that_is_not_installed(kedro: Command) -> None:
    (kedro.folder / "pysail.py").write_text("raise ModuleNotFoundError('hidden', name='pysail')")
    path = os.pathsep.join([str(kedro.folder), os.environ.get("PYTHONPATH", "")])

    ended = kedro("run", PYTHONPATH=path)

    message = kedro.message(ended.returncode, ended.stdout, ended.stderr)
    for part in ("The engine 'sail'", "pysail is not installed", "'nbx-medalion-pipeline[sail]'"):
        assert part in message


# In this process.


def test_bad_model_list_is_refused_before_an_engine_starts(kedro: Command) -> None:
    file = kedro.folder / "models.json"
    file.write_text('{"models": [{"model_name": "Churn", "version": true}]}')

    message = kedro.refused(PIPELINE_CONFIG_PATH=str(file))

    assert f"{file}" in message
    for path in ("models[0].model_name", "models[0].version", "models[0].source_table"):
        assert path in message


@pytest.mark.parametrize(
    ("variable", "path", "message"),
    [
        ("PIPELINE_CONFIG_PATH", "missing.json", "a JSON file with the model list, found nothing"),
        ("PIPELINE_CONFIG_PATH", ".", "a JSON file with the model list, found no file"),
        ("RAW_SALES_PATH", "missing", "RAW_SALES_PATH"),
        ("LAKEHOUSE_ROOT", "landing/a.csv", "a folder that tables can be written to, found that"),
    ],
)
def test_variable_that_names_no_fitting_path(
    kedro: Command, variable: str, path: str, message: str
) -> None:
    given = str(kedro.folder / path)

    told = kedro.refused(**{variable: given})

    for part in (variable, given, message):
        assert part in told


NAMED = "Pipeline does not contain nodes "


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("--pipelines sliver", "--pipelines: expected any of: |bronze, |silver; found 'sliver'"),
        ("--tags nope", "Pipeline contains no nodes after applying |tags=('nope',)"),
        (
            "--namespaces nope",
            NAMED + "with |'nope'|there are: churn_model_v1, clv_model_v2, sales.",
        ),
        ("--nodes nope", NAMED + "named ['nope']"),
        ("--env nope", "nope: expected an environment of |local"),
        ("--params run_id=yesterday", "run_id: expected YYYY-MM-DDTHH.MM.SS.mmmZ"),
        ("--only-missing-outputs", "--only-missing-outputs: expected it left out|--namespaces"),
        ("--load-versions a:b", "--load-versions: expected none|found a.|versionAsOf"),
        ("--runner ParallelRunner", "SequentialRunner or ThreadRunner|found 'ParallelRunner'"),
        ("--params verfy=true", "expected any of full_refresh, |'verfy'. Did you mean 'verify'?"),
        ("--params mine.own=1", "--params: expected any of |found 'mine'"),
        (
            "--runner AbstractRunner",
            "ThreadRunner|'AbstractRunner': it is no runner",
        ),
        ("--runner json.loads", "found 'json.loads': it is no runner"),
        ("--runner Nope", "--runner: expected SequentialRunner, ThreadRunner|found 'Nope'"),
    ],
)
def test_mistaken_command_line(kedro: Command, arguments: str, parts: str) -> None:
    message = kedro.refused(*arguments.split())

    for part in parts.split("|"):
        assert part in message


CONTRACT = "contracts/silver/sales_clean.odcs.yaml"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (CONTRACT, b"\xff\xfe", "expected UTF-8 text, found other bytes (at byte 0)"),
        (CONTRACT, b"a: " + b"[" * 3000 + b"]" * 3000, "nested too deeply to be read. Simplify"),
        ("catalog.yml", b"", "expected a DeltaTableDataset in the catalog, found "),
    ],
)
def test_configuration_that_no_person_wrote(
    kedro: Command, file: str, content: bytes, message: str
) -> None:
    conf = kedro.conf()
    (conf / "base" / file).write_bytes(content)

    assert message in kedro.refused("--conf-source", str(conf))


def test_dataset_that_the_catalog_declares_wrongly(kedro: Command) -> None:
    conf = kedro.conf()
    catalog = conf / "base" / "catalog.yml"
    catalog.write_text(catalog.read_text().replace("json.JSONDataset", "json.JSNDataset"))

    message = kedro.refused("--conf-source", str(conf))

    assert message.startswith(
        "An exception occurred when parsing config for dataset 'run_summary':\n"
        "Dataset 'JSNDataset' not found in 'json'. Make sure the dataset name is correct."
    )
    assert message.endswith(" Correct run_summary in conf/base/catalog.yml.")


ODD = "列 \U0001f600"
PROXIES = [f"{kind}_proxy" for kind in ("http", "https", "grpc", "all")]


def test_a_run_behind_a_proxy_whose_output_cannot_show_a_character(kedro: Command) -> None:
    (kedro.folder / f"landing/{ODD}.csv").write_text(f"customer_id,amount,{ODD}\n1,2,3\n4,5\n")
    proxy = "http://127.0.0.1:9"
    proxies = {spelt: proxy for name in PROXIES for spelt in (name, name.upper())}

    ended = kedro("run", PYTHONIOENCODING="cp1252", no_proxy="example.com", **proxies)

    assert ended.returncode == 0, ended.stderr
    assert "\\u5217 \\U0001f600" in ended.stdout
    assert "silver.sales_clean" in ended.stdout


@pytest.mark.parametrize("output", [">&- 2>&- <&-", ">/dev/full 2>/dev/full", "| true"])
def test_a_run_whose_output_nobody_gets(kedro: Command, output: str) -> None:
    line = f"set -o pipefail; {KEDRO} run {output}"

    ended = subprocess.run(["/bin/bash", "-c", line], cwd=REPOSITORY, check=False)

    assert ended.returncode == 0
    summary = json.loads((kedro.root / "local" / "run_summary.json").read_text())
    assert summary["rows"][-1]["table_name"] == "ml_registry.model_versions"


@pytest.mark.parametrize(
    ("arguments", "code"), [("lakehouse plan", 0), ("contracts check", 0), ("run --env nope", 1)]
)
@pytest.mark.parametrize("output", [">&- 2>&-", "2>/dev/full | true"])
def test_a_command_whose_output_nobody_gets(
    kedro: Command, arguments: str, code: int, output: str
) -> None:
    line = f"set -o pipefail; {KEDRO} {arguments} {output}"
    assert subprocess.run(["/bin/bash", "-c", line], cwd=REPOSITORY, check=False).returncode == code


def test_a_file_that_grows_while_a_run_reads_it(kedro: Command) -> None:
    file = kedro.folder / "landing/a.csv"
    file.write_text("customer_id,amount\n" + "1,2.50\n" * 1_000_000)
    process = subprocess.Popen(
        [KEDRO, "run"], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "writing bronze.sales_raw" not in process.stderr.readline():
        assert process.poll() is None

    with file.open("a") as growing:
        growing.write("1,3.50\n")
    out, err = process.communicate(timeout=60)

    message = kedro.message(process.returncode, out, err)
    assert message == (
        f"{file}: the file changed while it was being read: it has 7,000,026 bytes where 7,000,019"
        " were listed. Nothing new of it was written. Run again when the file is complete."
    )
