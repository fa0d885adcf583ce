"""The job entry point: in Python, from a checkout, and from an installed wheel."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, command
from deltalake import DeltaTable

from nbx_medallion.databricks import (
    _parse,
    check_ledger,
    job_run_id,
    local_path,
    main,
    run_pipeline,
)
from nbx_medallion.errors import UserError

SALES = b"order_id,customer_id,amount\n1,0042,10.50\n2,,1.00\n1,0042,11.50\n"
RUN = "2026-01-31T23.59.59.500Z-42"


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """A received file: three records, of which one is rejected and one superseded."""
    file = tmp_path / "in/sales.csv"
    file.parent.mkdir()
    file.write_bytes(SALES)
    return file


@pytest.fixture
def sail(start_engine: Callable[[str], Any]) -> None:
    """The embedded engine, active."""
    start_engine("sail")


def table(root: Path, name: str, env: str = "local") -> list[dict[str, Any]]:
    """Rows of a table."""
    found = DeltaTable(str(root / env / name.replace(".", "/"))).to_pyarrow_table()
    return list(found.to_pylist())


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2026-01-31T23:59:59.500Z", RUN),
        ("2026-01-31T23:59:59.5Z", RUN),
        ("2026-01-31T23:59:59.500999Z", RUN),
        ("2026-02-01T00:59:59.500000000+01:00", RUN),
        ("2026-01-31T23:59:59", "2026-01-31T23.59.59.000Z-42"),
    ],
)
def test_run_id_is_made_from_the_job_run(start: str, expected: str) -> None:
    assert job_run_id(start, "42") == expected


def test_run_id_is_refused_where_the_job_run_is_not_known() -> None:
    with pytest.raises(UserError) as raised:
        job_run_id("{{job.start_time.iso}}", "42")
    assert str(raised.value) == (
        "--job-start-time: expected a time such as 2026-01-31T23:59:59.999Z, found"
        " '{{job.start_time.iso}}'. Pass {{job.start_time.iso_datetime}}, or --run-id instead."
    )
    with pytest.raises(UserError, match=r"^--job-run-id: expected letters, digits, - or _"):
        job_run_id("2026-01-31T23:59:59Z", "{{job.run_id}}")


def test_every_environment_variable_has_a_parameter() -> None:
    catalog = (REPOSITORY / "conf/base/catalog.yml").read_text()
    source = "\n".join(file.read_text() for file in (REPOSITORY / "src").rglob("*.py"))
    read = {
        *re.findall(r"\$\{env_path:(\w+)", catalog),
        *re.findall(r'_VARIABLE = "(\w+)"', source),
        *re.findall(r'environ(?:\.get\(|\[)"(\w+)"', source),
    }
    # Where Java is, and what pyspark asks for, is of the machine.
    read -= {"JAVA_HOME", "PYSPARK_PYTHON", "KEDRO_ENV"}
    assert read == {"LAKEHOUSE_ROOT", "PIPELINE_CONFIG_PATH"}
    options = {f"--{name.lower().replace('_', '-')}=x" for name in read} | {"--env=x"}
    given = _parse([*options, "--raw-sales-path=x", "--raw-order-returns-path="])
    names = ("env", "lakehouse_root", "pipeline_config_path", "raw_sales_path")
    assert given == dict.fromkeys(names, "x")


def test_a_path_of_no_source_is_refused(landing: Path) -> None:
    with pytest.raises(UserError) as raised:
        run_pipeline(raw_returns_path=str(landing), project_path=REPOSITORY)
    assert str(raised.value).startswith(
        "raw_returns_path: expected a path of a source, one of: raw_sales_path."
    )


@pytest.mark.usefixtures("sail")
def test_run_pipeline_writes_every_layer_and_leaves_no_trace_in_the_process(
    landing: Path, tmp_path: Path
) -> None:
    run_pipeline(
        raw_sales_path=str(landing), lakehouse_root=str(tmp_path / "lake"),
        run_id=RUN, git_sha="c0ffee", project_path=REPOSITORY,
    )  # fmt: skip

    assert [row["customer_id"] for row in table(tmp_path / "lake", "silver.sales_clean")] == [
        "0042"
    ]
    registered = table(tmp_path / "lake", "ml_registry.model_versions")
    assert {(row["run_id"], row["git_sha"]) for row in registered} == {(RUN, "c0ffee")}
    assert not {"RAW_SALES_PATH", "PIPELINE_CONFIG_PATH", "LAKEHOUSE_ROOT"} & os.environ.keys()


@pytest.mark.usefixtures("sail")
def test_layers_run_as_tasks_share_a_run_that_is_whole(
    landing: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(tmp_path / "lake"))
    common = ["--env=dev", "--git-sha=", "--run-id=", "--lakehouse-root=",
              "--job-start-time=2026-01-31T23:59:59.5Z", "--job-run-id=42"]  # fmt: skip
    # A retried task runs again under the id of the run.
    for layer in ("bronze", "bronze", "silver", "gold_core", "gold_ml"):
        main([*common, f"--pipelines={layer}", f"--raw-sales-path={landing}"], REPOSITORY)

    with pytest.raises(UserError) as raised:
        check_ledger(RUN, "dev", project_path=REPOSITORY)
    assert str(raised.value) == (
        f"Run {RUN} is not whole: the ledger has no entry for ml_registry.model_versions. Look at"
        " the tasks of the job run: one failed, or another run id was passed to it."
    )

    main([*common, "--pipelines=ml_registry"], REPOSITORY)
    capsys.readouterr()
    main(["--check-ledger", f"--run-id={RUN}", "--env=dev"], REPOSITORY)
    assert capsys.readouterr().out.splitlines()[:5] == [
        f"Run `{RUN}` is whole and balances.",
        "",
        "| table | rows in | rows out | quarantined | superseded | version |",
        "|---|--:|--:|--:|--:|--:|",
        "| bronze.sales_raw | 3 | 3 | 0 | 0 | 1 |",
    ]


@pytest.mark.usefixtures("sail")
@pytest.mark.parametrize(("packed", "env"), [(False, None), (True, None), (False, "local")])
def test_configuration_without_local_runs(
    packed: bool,
    env: str | None,
    landing: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(REPOSITORY / "conf", conf, ignore=shutil.ignore_patterns("local"))
    source = conf
    if packed:
        source = tmp_path / "conf.tar.gz"
        with tarfile.open(source, "w:gz") as archive:
            archive.add(conf, "conf")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    run_pipeline(
        raw_sales_path=str(landing), lakehouse_root=str(tmp_path / "lake"),
        pipelines=["bronze"], conf_source=str(source), env=env,
    )  # fmt: skip

    assert len(table(tmp_path / "lake", "bronze.sales_raw")) == 3


def test_configuration_that_is_not_there_is_the_users_to_mend(tmp_path: Path) -> None:
    for found in ("nothing", "another file"):
        with pytest.raises(UserError) as raised:
            run_pipeline(conf_source=str(tmp_path / "conf"))
        for part in (f"{tmp_path}/conf: ", "a folder or a .tar.gz", found, "--conf-source"):
            assert part in str(raised.value)
        (tmp_path / "conf").write_text("no archive")


def test_unknown_environment_names_the_known_ones() -> None:
    with pytest.raises(UserError) as raised:
        run_pipeline(env="production", project_path=REPOSITORY)
    known = sorted(path.name for path in (REPOSITORY / "conf").iterdir() if path.is_dir())
    assert str(raised.value) == (
        f"production: expected an environment of {REPOSITORY}/conf, one of: {', '.join(known)}."
        " Correct --env or KEDRO_ENV."
    )


def test_databricks_run_must_name_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "18.0")
    with pytest.raises(SystemExit) as raised:
        main(["--pipelines=bronze"], REPOSITORY)
    assert raised.value.code == (
        "Error: env: expected the name of an environment, found none. On Databricks it says which"
        " catalog the tables are in: pass --env dev (or staging, or prod), or set KEDRO_ENV."
    )


def test_paths_of_databricks_file_system_are_opened_as_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbx_medallion.databricks._DBFS", tmp_path)
    assert local_path("/mnt/raw/sales.csv") == f"{tmp_path}/mnt/raw/sales.csv"
    assert local_path("dbfs:/mnt/raw/sales.csv") == f"{tmp_path}/mnt/raw/sales.csv"
    assert local_path("dbfs:/Volumes/dev/landing/sales") == "/Volumes/dev/landing/sales"
    assert local_path("/Volumes/dev/landing/sales") == "/Volumes/dev/landing/sales"


def test_entry_point_of_a_checkout_honours_the_variables(landing: Path, tmp_path: Path) -> None:
    models = tmp_path / "models.json"
    models.write_text(
        (REPOSITORY / "conf/base/ml_models.json").read_text().replace("churn", "loss")
    )
    done = command(
        str(REPOSITORY / "orchestration/job_entrypoint.py"), cwd=tmp_path,
        RAW_SALES_PATH="in/sales.csv", PIPELINE_CONFIG_PATH="models.json", LAKEHOUSE_ROOT="lake",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    registered = table(tmp_path / "lake", "ml_registry.model_versions")
    assert {row["model_name"] for row in registered} == {"loss_model", "clv_model"}


def test_entry_point_finds_the_project_where_code_has_no_file(tmp_path: Path) -> None:
    # A Databricks job runs the text of the file; its name is the first argument.
    file = str(REPOSITORY / "orchestration/job_entrypoint.py")
    run = f"import sys; sys.argv = [{file!r}, '--help']; exec(open({file!r}).read())"

    done = command("-c", run, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "usage: nbx-medallion" in done.stdout


def test_refused_run_ends_with_one_message_and_exit_code_1(tmp_path: Path) -> None:
    done = command(
        str(REPOSITORY / "orchestration/job_entrypoint.py"), cwd=tmp_path,
        PIPELINE_CONFIG_PATH="none.json", LAKEHOUSE_ROOT="lake",
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == (
        "Error: PIPELINE_CONFIG_PATH=none.json: expected a JSON file with the model list, found"
        f" nothing there ({tmp_path}/none.json). Correct the variable, or unset it to use the"
        " project's own.\n"
    )
    assert not (tmp_path / "lake").exists()


def test_packaged_project_runs_elsewhere_and_ships_nothing_of_local(
    landing: Path, tmp_path: Path
) -> None:
    project, dist = tmp_path / "project", tmp_path / "project/dist"
    skipped = shutil.ignore_patterns(".*", "data", "dist", "tests")
    shutil.copytree(REPOSITORY, project, ignore=skipped)
    for name in ("globals.yml", "x.json", "secret.txt", "noending", ".env", "deep/er/key.pem"):
        private = project / "conf/local" / name
        private.parent.mkdir(parents=True, exist_ok=True)
        private.write_text("engine: private")

    done = command(str(Path(sys.executable).with_name("kedro")), "package", cwd=project)

    assert done.returncode == 0, done.stderr
    (wheel,) = dist.glob("*.whl")
    conf = dist / "conf-nbx_medallion.tar.gz"
    with tarfile.open(conf) as archive:
        shipped = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert shipped == {path.name for path in (project / "conf").iterdir()} - {"local"}
    with zipfile.ZipFile(wheel) as packed:
        shipped = {name.split("/")[0].partition("-")[0] for name in packed.namelist()}
    assert shipped == {"nbx_medallion", "nbx_medalion_pipeline"}
    site = tmp_path / "site"
    uv = str(Path(sys.executable).with_name("uv"))
    install = ["pip", "install", "--offline", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run([uv, *install], check=True, capture_output=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = command(
        str(site / "bin/nbx-medallion"), f"--conf-source={conf}", f"--raw-sales-path={landing}",
        f"--lakehouse-root={tmp_path / 'lake'}", "--pipelines=bronze",
        cwd=elsewhere, PYTHONPATH=str(site),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert len(table(tmp_path / "lake", "bronze.sales_raw")) == 3
    assert not any(elsewhere.iterdir())
