"""The guides of docs/ADDING.md, done as they say."""

import re
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import KEDRO, REPOSITORY, command
from deltalake import DeltaTable
from test_quality import GOOD, ContractedLakehouse

TEXT = (REPOSITORY / "docs/ADDING.md").read_text()
SOURCE, GOLD = TEXT.split("## Add a gold table")
RETURNS = "base/contracts/silver/returns_clean.odcs.yaml"


def blocks(text: str, language: str) -> list[str]:
    """The blocks of a language in a text."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def lakehouse(
    engine_name: str, engine_session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ContractedLakehouse:
    """A lakehouse with sales, and returns beside them by contract and folder alone."""
    made = ContractedLakehouse(tmp_path, "local" if engine_name == "sail" else "staging")
    (made.landing / "a.csv").write_bytes(GOOD)
    returns = tmp_path / "returns"
    returns.mkdir()
    (returns / "may.csv").write_text(blocks(SOURCE, "csv")[0])
    (made.conf / RETURNS).write_text(blocks(SOURCE, "yaml")[0])
    monkeypatch.setenv("RAW_SALES_PATH", str(made.landing))
    monkeypatch.setenv("RAW_RETURNS_PATH", str(returns))
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(made.root))
    return made


def test_a_source_is_a_contract_and_a_folder(lakehouse: ContractedLakehouse) -> None:
    lakehouse.run()

    assert len(lakehouse.rows("bronze.returns_raw")) == 5
    clean = ("return_id", "order_id", "refund", "reason", "_source_file", "_row_number")
    assert lakehouse.rows("silver.returns_clean", *clean) == [
        ("R-1", "10011", Decimal("12.50"), "damaged", "may.csv", 1),
        ("R-2", "10042", Decimal("1107.00"), "late", "may.csv", 3),
    ]
    superseded = ("_row_number", "_superseded_by_file", "_superseded_by_row")
    assert lakehouse.rows("silver.returns_superseded", *superseded) == [(2, "may.csv", 3)]
    assert lakehouse.rows("silver.returns_quarantine", "RMA", "_row_number", "_reasons") == [
        ("R-3", 4, ["order_id: required", "reason: enum"]),
        ("R-4", 5, ["returned_on: type", "refund_is_paid: rule"]),
    ]
    assert lakehouse.rows("ops.landing_files", "source", "path", "records") == [
        ("returns", "may.csv", 5), ("sales", "a.csv", 2)
    ]  # fmt: skip
    columns = ("rows_in", "rows_out", "rows_quarantined", "rows_superseded")
    assert lakehouse.ledger("silver.returns_clean", *columns) == [(5, 2, 2, 1)]
    assert lakehouse.ledger("silver.sales_clean", *columns) == [(2, 2, 0, 0)]
    assert lakehouse.summary["reasons"] == {
        "order_id: required": 1, "reason: enum": 1, "returned_on: type": 1,
        "refund_is_paid: rule": 1,
    }  # fmt: skip


def test_a_source_runs_and_is_replayed_alone(lakehouse: ContractedLakehouse) -> None:
    lakehouse.run(namespaces=["returns"])
    assert "silver.sales_clean" not in lakehouse.versions()
    contract = lakehouse.conf / RETURNS
    accepted = contract.read_text().replace("          - value: late\n", "")
    contract.write_text(accepted.replace("refund > 0", "refund >= 0"))

    lakehouse.run(namespaces=["returns"])

    assert lakehouse.rows("silver.returns_clean", "return_id") == [("R-1",)]
    assert lakehouse.rows("silver.returns_quarantine", "_row_number", "_reasons") == [
        (2, ["reason: enum"]),
        (3, ["reason: enum"]),
        (4, ["order_id: required", "reason: enum"]),
        (5, ["returned_on: type", "reason: enum"]),
    ]


@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
def test_a_limit_of_one_source_names_it(lakehouse: ContractedLakehouse) -> None:
    contract = lakehouse.conf / RETURNS
    limit = "    quality:\n      - {metric: invalidValues, mustBeLessThan: 2}\n    properties:\n"
    contract.write_text(contract.read_text().replace("    properties:\n", limit))

    assert lakehouse.refused().startswith("silver.returns_clean: 2 of 5 records (40.0%) of batch ")


def test_a_missing_folder_of_one_source_is_found_before_any_write(
    lakehouse: ContractedLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAW_RETURNS_PATH", "/no/such/folder")

    message = lakehouse.refused()

    assert "/no/such/folder" in message
    assert "RAW_RETURNS_PATH" in message
    assert lakehouse.versions() == {}


def test_what_follows_from_a_source_has_no_contract_file(lakehouse: ContractedLakehouse) -> None:
    file = lakehouse.conf / "base/contracts/bronze/returns_raw.odcs.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("")

    assert lakehouse.refused() == (
        "conf/base/contracts/bronze/returns_raw.odcs.yaml: expected no contract of"
        " bronze.returns_raw, whose columns follow from silver.returns_clean. Remove the file."
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which all guides have been followed."""
    made = tmp_path_factory.mktemp("copy") / "project"
    kept = subprocess.run(
        ["git", "-C", str(REPOSITORY), "ls-files", "-co", "--exclude-standard"],  # noqa: S607
        capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    for name in kept:
        if name.startswith(("src/", "conf/", "data/", "resources/")) or name in (
            "pyproject.toml",
            ".telemetry",
        ):
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, made / name)
    returns = made / "data/landing/returns"
    returns.mkdir()
    (returns / "may.csv").write_text(blocks(SOURCE, "csv")[0])
    (made / "conf" / RETURNS).write_text(blocks(SOURCE, "yaml")[0])
    function, entry = blocks(GOLD, "python")
    gold_core = made / "src/nbx_medallion/pipelines/gold_core"
    nodes, pipeline = gold_core / "nodes.py", gold_core / "pipeline.py"
    nodes.write_text(f"{nodes.read_text()}\n\n{function}")
    wiring = pipeline.read_text()
    wiring = wiring.replace(
        "import build_customer_metrics", "import build_customer_metrics, build_daily_sales"
    )
    wiring = wiring.replace("        [\n", f"        [\n{entry}", 1)
    pipeline.write_text(wiring)
    contract = made / "conf/base/contracts/gold_core/daily_sales.odcs.yaml"
    contract.write_text(blocks(GOLD, "yaml")[0])
    return made


def test_a_gold_table_is_a_node_a_contract_and_an_entry(project: Path) -> None:
    checked = command(KEDRO, "contracts", "check", cwd=project)
    assert checked.returncode == 0, checked.stderr
    assert "local: 15 contracts and 2 model versions are valid." in checked.stdout

    done = command(KEDRO, "run", cwd=project)

    assert done.returncode == 0, done.stderr
    tables = project / "data/lakehouse/local"
    days = DeltaTable(str(tables / "gold_core/daily_sales")).to_pyarrow_table()
    sales = DeltaTable(str(tables / "silver/sales_clean")).to_pyarrow_table()
    dated = [row for row in sales.to_pylist() if row["order_date"]]
    assert sum(days["orders"].to_pylist()) == len(dated)
    assert sum(days["revenue"].to_pylist()) == sum(row["amount"] for row in dated)
    assert len(DeltaTable(str(tables / "silver/returns_clean")).to_pyarrow_table()) == 2


def test_what_a_gold_table_reads_is_checked_before_the_run(project: Path) -> None:
    contract = project / "conf/base/contracts/gold_core/daily_sales.odcs.yaml"
    text = contract.read_text()
    try:
        contract.write_text(
            text.replace("            order_date: date\n", "            day: date\n")
        )
        refused = command(KEDRO, "contracts", "check", cwd=project)
        contract.write_text(text.replace("silver.sales_clean:", "silver.returns_clean:"))
        elsewhere = command(KEDRO, "run", cwd=project)
    finally:
        contract.write_text(text)

    assert refused.returncode == 1
    for named in ("gold_core.daily_sales", "silver.sales_clean", "day", "date"):
        assert named in refused.stderr
    assert elsewhere.returncode == 1
    assert elsewhere.stderr.splitlines()[-1] == (
        "Error: gold_core.daily_sales: expected a node that reads silver.returns_clean, as its"
        " contract declares, found one that reads silver.sales_clean. Correct the node's inputs, or"
        " `reads` in the contract."
    )


def test_the_jobs_know_a_source(project: Path) -> None:
    code = "import resources.medallion_job as m; print(m.job_parameters('dev', ['raw_sales_path']))"
    done = command("-c", code, cwd=project, PYTHONPATH=f"{project / 'src'}:{project}")

    assert done.returncode == 0, done.stderr
    assert "'raw_returns_path': '/Volumes/${bundle.target}/landing/returns'" in done.stdout
    assert "'raw_sales_path': '${var.raw_sales_path}'" in done.stdout
