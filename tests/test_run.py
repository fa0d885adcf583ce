"""The whole way, from files to the registry, on each engine with the same expectations."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import REPOSITORY
from deltalake import DeltaTable, write_deltalake
from kedro.framework.startup import bootstrap_project

from nbx_medallion.errors import UserError
from nbx_medallion.landing import source
from nbx_medallion.run.session import MedallionSession

FIRST = b"""order_id,customer_id,amount,order_date,product,channel
1,0042,10.50,2024-01-02,"Widget, big",web
2,   ,5,2024-01-02,x,web
3,77,abc,2024-02-30,x,web
1,0042,11.50,2024-01-03,w,web
4,77,-2.25,2024-01-05,y,store
5,78,12.345,2024-01-05,y,store
6,79,1
"""
SECOND = b"""customer_id,amount,order_id,note
77,3.10,9,hello
80,1,9,again
81,0.10,,
82,0.20,,
"""
FIRST_RUN = "2026-01-31T10.00.00.000Z"
OPS = {"ops.landing_files", "ops.rule_counts", "ops.run_ledger", "ops.runs"}
VOLATILE = {"_ingested_at", "_batch_id", "batch_id", "run_id", "registered_at", "seconds"}


class Lakehouse:
    """A lakehouse root of its own, runs into it, and its tables as deltalake reads them."""

    def __init__(self, folder: Path, env: str) -> None:
        self.landing = folder / "landing"
        self.landing.mkdir()
        self.root = folder / "lakehouse"
        self.env = env
        self.conf = REPOSITORY / "conf"

    def run(self, **options: Any) -> None:
        """Run the project in this process, as `kedro run` does."""
        with self.session(options.pop("runtime_params", None)) as session:
            session.run(**options)

    @contextmanager
    def session(self, runtime_params: dict[str, Any] | None = None) -> Iterator[MedallionSession]:
        """A session of the project."""
        bootstrap_project(REPOSITORY)
        session: Any = MedallionSession.create(
            REPOSITORY,
            env=None if self.env == "local" else self.env,
            runtime_params=runtime_params,
            conf_source=str(self.conf),
        )
        with session:
            yield session

    def refused(self, **options: Any) -> str:
        """Run, expect a user's mistake, and return its message."""
        with pytest.raises(UserError) as raised:
            self.run(**options)
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__
        return str(raised.value)

    def path(self, table: str) -> Path:
        """Directory of a table."""
        return self.root / self.env / table.replace(".", "/")

    def table(self, name: str) -> DeltaTable:
        """A table."""
        return DeltaTable(str(self.path(name)))

    def rows(self, name: str, *columns: str) -> list[Any]:
        """Rows of a table, sorted: tuples of columns, or all but what a run changes."""
        found = self.table(name).to_pyarrow_table().to_pylist()
        if columns:
            return sorted((tuple(row[c] for c in columns) for row in found), key=repr)
        kept = [{k: v for k, v in row.items() if k not in VOLATILE} for row in found]
        return sorted(kept, key=repr)

    def versions(self) -> dict[str, int]:
        """Delta version of each table there is."""
        logs = sorted((self.root / self.env).glob("*/*/_delta_log"))
        names = [f"{log.parent.parent.name}.{log.parent.name}" for log in logs]
        return {name: self.table(name).version() for name in names}


@pytest.fixture
def lakehouse(
    engine_name: str,
    engine_session: Any,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Lakehouse:
    """A lakehouse with two received files, on each engine; Spark's environment is staging.

    It lies where that of the test before lay: where a file is, is part of what is known of it.
    """
    folder = tmp_path_factory.getbasetemp() / "lakehouse"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    made = Lakehouse(folder, "local" if engine_name == "sail" else "staging")
    (made.landing / "a.csv").write_bytes(FIRST)
    (made.landing / "b.csv").write_bytes(SECOND)
    monkeypatch.setenv("RAW_SALES_PATH", str(made.landing))
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(made.root))
    return made


@pytest.fixture(scope="session")
def first_runs() -> dict[str, Path]:
    """Folder of the run that `finished` copies, by engine."""
    return {}


@pytest.fixture
def finished(
    lakehouse: Lakehouse,
    engine_name: str,
    first_runs: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Lakehouse:
    """The lakehouse after a first run, which each engine makes once for all tests."""
    if engine_name not in first_runs:
        lakehouse.run(runtime_params={"run_id": FIRST_RUN, "git_sha": "c0ffee"})
        first_runs[engine_name] = tmp_path_factory.mktemp(engine_name) / "lakehouse"
        shutil.copytree(lakehouse.root, first_runs[engine_name])
    else:
        shutil.copytree(first_runs[engine_name], lakehouse.root)
    return lakehouse


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes a model list for the run."""

    def write(*entries: dict[str, Any]) -> None:
        file = tmp_path / "models.json"
        file.write_text(json.dumps({"models": entries}))
        monkeypatch.setenv("PIPELINE_CONFIG_PATH", str(file))

    return write


CHURN = {
    "model_name": "churn_model",
    "version": 1,
    "source_table": "gold_core.customer_metrics",
    "feature_columns": ["frequency", "total_spent"],
    "target_column": "avg_ticket",
}


def test_every_record_of_the_files_ends_in_a_table(finished: Lakehouse) -> None:
    bronze = finished.rows("bronze.sales_raw", "_source_file", "_row_number", "_corrupt_record")
    assert bronze == [("a.csv", n, "6,79,1" if n == 7 else None) for n in range(1, 8)] + [
        ("b.csv", n, None) for n in range(1, 5)
    ]
    assert finished.rows("silver.sales_clean", "order_id", "customer_id", "amount", "channel") == [
        ("1", "0042", Decimal("11.50"), "web"),
        ("4", "77", Decimal("-2.25"), "store"),
        ("9", "80", Decimal("1.00"), None),
        (None, "81", Decimal("0.10"), None),
        (None, "82", Decimal("0.20"), None),
    ]
    assert finished.rows("silver.sales_quarantine", "_source_file", "_row_number", "_reasons") == [
        ("a.csv", 2, ["customer_id: required"]),
        ("a.csv", 3, ["amount: type", "order_date: type"]),
        ("a.csv", 6, ["amount: type"]),
        ("a.csv", 7, ["record: 3 fields, header has 6"]),
    ]
    assert finished.rows("silver.sales_superseded") == [
        {
            "_source_file": file,
            "_row_number": row,
            "_superseded_by_file": file,
            "_superseded_by_row": by,
            "_superseded_by_batch": FIRST_RUN,
        }
        for file, row, by in (("a.csv", 1, 4), ("b.csv", 1, 2))
    ]
    assert finished.rows(
        "ops.landing_files", "event", "path", "location", "records", "size_bytes", "header"
    ) == [
        ("received", "a.csv", f"{finished.landing}/a.csv", 7, len(FIRST),
         "order_id,customer_id,amount,order_date,product,channel"),
        ("received", "b.csv", f"{finished.landing}/b.csv", 4, len(SECOND),
         "customer_id,amount,order_id,note"),
    ]  # fmt: skip


def test_columns_and_types_of_the_tables(finished: Lakehouse) -> None:
    def columns(name: str) -> list[tuple[str, str]]:
        fields = json.loads(finished.table(name).schema().to_json())["fields"]
        return [(field["name"], str(field["type"])) for field in fields]

    received = ["order_id", "customer_id", "amount", "order_date", "product", "channel", "note"]
    lineage = [("_source_file", "string"), ("_row_number", "long")]
    batch = [("_ingested_at", "timestamp"), ("_batch_id", "string")]
    assert columns("bronze.sales_raw") == [
        *((name, "string") for name in received),
        ("_corrupt_record", "string"),
        ("_corrupt_reason", "string"),
        *lineage,
        *batch,
    ]
    assert columns("silver.sales_clean") == [
        ("order_id", "string"),
        ("customer_id", "string"),
        ("amount", "decimal(18,2)"),
        ("order_date", "date"),
        ("product", "string"),
        ("channel", "string"),
        *lineage,
        ("_batch_id", "string"),
    ]
    assert columns("gold_core.customer_metrics") == [
        ("customer_id", "string"),
        ("frequency", "long"),
        ("total_spent", "decimal(28,2)"),
        ("avg_ticket", "double"),
    ]
    assert [name for name, _ in columns("ops.run_ledger")] == [
        "run_id", "environment", "table_name", "action", "rows_in", "rows_out",
        "rows_quarantined", "rows_superseded", "delta_version_before", "delta_version_after",
        "seconds",
    ]  # fmt: skip
    assert [name for name, _ in columns("ml_registry.model_versions")] == [
        "model_name", "version", "registered_at", "table_name", "definition", "definition_hash",
        "feature_columns", "target_column", "source_table", "source_delta_version",
        "delta_version", "row_count", "content_hash", "environment", "run_id", "git_sha",
    ]  # fmt: skip


def test_customer_metrics_equal_plain_sql(finished: Lakehouse) -> None:
    sales = finished.table("silver.sales_clean").to_pyarrow_table()  # noqa: F841 (in the query)
    expected = duckdb.sql(
        "SELECT customer_id, count(*), sum(amount)::decimal(28, 2),"
        " sum(amount)::double / count(*) FROM sales WHERE customer_id IS NOT NULL GROUP BY 1"
    ).fetchall()
    found = finished.rows(
        "gold_core.customer_metrics", "customer_id", "frequency", "total_spent", "avg_ticket"
    )
    assert found == sorted(expected, key=repr)
    assert ("0042", 1, Decimal("11.50"), 11.5) in found


def test_ml_datasets_and_registry(finished: Lakehouse) -> None:
    churn = finished.table("gold_ml.churn_model_v1").to_pyarrow_table()
    assert churn.column_names == ["customer_id", "frequency", "total_spent", "avg_ticket"]
    clv = finished.table("gold_ml.clv_model_v2").to_pyarrow_table()
    assert clv.column_names == ["customer_id", "frequency", "avg_ticket", "total_spent"]
    first, second = sorted(
        finished.table("ml_registry.model_versions").to_pyarrow_table().to_pylist(),
        key=lambda row: row["model_name"],
    )
    assert first | {"registered_at": None, "content_hash": None, "definition_hash": None} == {
        "model_name": "churn_model",
        "version": 1,
        "registered_at": None,
        "table_name": "gold_ml.churn_model_v1",
        "definition": json.dumps(
            {
                "entity_key": ["customer_id"],
                "feature_columns": ["frequency", "total_spent", "avg_ticket"],
                "source_table": "gold_core.customer_metrics",
                "target_column": "frequency",
            },
            separators=(",", ":"),
        ),
        "definition_hash": None,
        "feature_columns": ["frequency", "total_spent", "avg_ticket"],
        "target_column": "frequency",
        "source_table": "gold_core.customer_metrics",
        "source_delta_version": 1,
        "delta_version": 1,
        "row_count": 5,
        "content_hash": None,
        "environment": finished.env,
        "run_id": "2026-01-31T10.00.00.000Z",
        "git_sha": "c0ffee",
    }
    history = finished.table("gold_ml.churn_model_v1").history()
    assert first["registered_at"].timestamp() * 1000 == history[0]["timestamp"]
    assert (second["model_name"], second["version"]) == ("clv_model", 2)


def test_same_input_leaves_the_same_rows_and_registers_nothing(finished: Lakehouse) -> None:
    tables = ("bronze.sales_raw", "silver.sales_clean", "silver.sales_quarantine",
              "gold_core.customer_metrics", "gold_ml.clv_model_v2", "ops.landing_files",
              "ml_registry.model_versions")  # fmt: skip
    before = {name: finished.rows(name) for name in tables}
    versions = finished.versions()
    ingested = finished.rows("bronze.sales_raw", "_ingested_at", "_batch_id")

    finished.run(runtime_params={"run_id": "2026-02-01T10.00.00.000Z"})

    assert {name: finished.rows(name) for name in tables} == before
    assert finished.rows("bronze.sales_raw", "_ingested_at", "_batch_id") == ingested
    assert {batch for _, batch in ingested} == {"2026-01-31T10.00.00.000Z"}
    assert {str(at) for at, _ in ingested} == {"2026-01-31 10:00:00+00:00"}
    later = {"ops.run_ledger", "ops.runs"}
    after = finished.versions()
    assert {name for name in after if after[name] != versions[name]} == later
    ledger = finished.rows(
        "ops.run_ledger",
        "run_id", "table_name", "action", "delta_version_before", "delta_version_after",
    )  # fmt: skip
    assert [row for row in ledger if row[0] > FIRST_RUN] == [
        ("2026-02-01T10.00.00.000Z", name, "skip", 1, 1) for name in sorted(set(versions) - OPS)
    ]
    assert (FIRST_RUN, "gold_ml.clv_model_v2", "rebuild", None, 1) in ledger


def test_ledger_accounts_for_every_record(finished: Lakehouse) -> None:
    ledger = finished.rows(
        "ops.run_ledger",
        "table_name", "rows_in", "rows_out", "rows_quarantined", "rows_superseded",
    )  # fmt: skip
    assert ledger == [
        ("bronze.sales_raw", 11, 11, 0, 0),
        ("gold_core.customer_metrics", 5, 5, 0, 0),
        ("gold_ml.churn_model_v1", 5, 5, 0, 0),
        ("gold_ml.clv_model_v2", 5, 5, 0, 0),
        ("ml_registry.model_versions", 2, 2, 0, 0),
        ("silver.sales_clean", 11, 5, 4, 2),
        ("silver.sales_quarantine", 11, 4, 0, 0),
        ("silver.sales_superseded", 11, 2, 0, 0),
    ]


def test_new_data_is_a_new_version_and_the_old_one_stays_readable(finished: Lakehouse) -> None:
    before = finished.rows("gold_ml.clv_model_v2")
    (finished.landing / "c.csv").write_bytes(b"order_id,customer_id,amount\n100,90,7.00\n")

    finished.run()

    registered = finished.rows(
        "ml_registry.model_versions", "model_name", "delta_version", "row_count"
    )
    assert registered == [
        ("churn_model", 1, 5), ("churn_model", 2, 6), ("clv_model", 1, 5), ("clv_model", 2, 6)
    ]  # fmt: skip
    earlier = DeltaTable(str(finished.path("gold_ml.clv_model_v2")), version=1)
    assert sorted(earlier.to_pyarrow_table().to_pylist(), key=repr) == before
    batches = dict(finished.rows("bronze.sales_raw", "_source_file", "_batch_id"))
    assert batches["a.csv"] == batches["b.csv"] < batches["c.csv"]
    # What was received before was not written again.
    kinds = [
        json.loads(entry["userMetadata"])["kind"]
        for entry in finished.table("bronze.sales_raw").history()
        if "userMetadata" in entry
    ]
    assert kinds == ["append", "append"]


def test_changed_definition_is_refused_and_changes_nothing(
    finished: Lakehouse, models: Callable[..., None]
) -> None:
    before = finished.versions()
    models(CHURN, {**CHURN, "version": 4})

    assert finished.refused() == (
        "churn_model_v1 is written already, with another definition:\n"
        '  feature_columns: registered ["frequency", "total_spent", "avg_ticket"], now'
        ' ["frequency", "total_spent"]\n'
        '  target_column: registered "frequency", now "avg_ticket"\n'
        "  Versions are write-once: list the new definition as version 5 of churn_model, or take"
        " the change back.\n"
        "Nothing was written."
    )
    assert finished.versions() == before

    models({**CHURN, "version": 4})
    finished.run(pipeline_names=["gold_ml", "ml_registry"])
    assert finished.rows("ml_registry.model_versions", "model_name", "version") == [
        ("churn_model", 1), ("churn_model", 4), ("clv_model", 2)
    ]  # fmt: skip
    assert finished.versions()["gold_ml.churn_model_v1"] == 1


def test_a_definition_without_a_column_is_refused_and_so_after_the_table_is_gone(
    finished: Lakehouse, models: Callable[..., None]
) -> None:
    clv = {**CHURN, "model_name": "clv_model", "version": 2}
    models(CHURN, {**clv, "feature_columns": ["frequency"], "target_column": "total_spent"})
    for _ in range(2):
        refused = finished.refused(pipeline_names=["gold_ml"])
        assert "clv_model_v2 is written already, with another definition:" in refused
        assert "list the new definition as version 3 of clv_model" in refused
        shutil.rmtree(finished.path("gold_ml.clv_model_v2"), ignore_errors=True)


def test_dataset_written_without_registry_is_registered_by_the_next_run(
    finished: Lakehouse,
) -> None:
    (finished.landing / "c.csv").write_bytes(b"order_id,customer_id,amount\n100,90,7.00\n")
    finished.run(pipeline_names=["bronze", "silver", "gold_core"])
    finished.run(namespaces=["churn_model_v1"])
    assert finished.versions()["ml_registry.model_versions"] == 1

    finished.run(pipeline_names=["ml_registry"])
    finished.run(pipeline_names=["ml_registry"])

    assert finished.rows("ml_registry.model_versions", "model_name", "delta_version") == [
        ("churn_model", 1), ("churn_model", 2), ("clv_model", 1)
    ]  # fmt: skip


def test_dataset_that_was_removed_is_made_again_and_has_its_state(finished: Lakehouse) -> None:
    before = finished.rows("gold_ml.churn_model_v1")
    shutil.rmtree(finished.path("gold_ml.churn_model_v1"))

    finished.run(pipeline_names=["gold_ml", "ml_registry"])

    assert finished.rows("gold_ml.churn_model_v1") == before
    registered = finished.rows("ml_registry.model_versions", "model_name", "run_id")
    assert registered == [("churn_model", FIRST_RUN), ("clv_model", FIRST_RUN)]


def test_spelling_of_the_contract_wins(lakehouse: Lakehouse) -> None:
    (lakehouse.landing / "0.csv").write_bytes(b"Customer_ID,amount\n5,1\n")

    lakehouse.run(pipeline_names=["bronze", "silver"])

    assert lakehouse.rows("silver.sales_quarantine", "_source_file", "_row_number")[0] == (
        "0.csv", 1
    )  # fmt: skip
    assert len(lakehouse.rows("silver.sales_clean")) == 5


def test_run_without_a_valid_record_empties_nothing_that_people_use(finished: Lakehouse) -> None:
    before = finished.rows("gold_core.customer_metrics")
    for name in ("a.csv", "b.csv"):
        (finished.landing / name).write_bytes(b"who,what\n1,2\n3\n")

    message = finished.refused()

    assert message.startswith(
        "gold_core.customer_metrics: 0 rows, and the contract wants more than 0 rows (row_count)."
    )
    assert finished.rows("silver.sales_clean") == []
    assert finished.rows("silver.sales_quarantine", "_source_file", "_row_number", "_reasons") == [
        (name, row, reasons)
        for name in ("a.csv", "b.csv")
        for row, reasons in (
            (1, ["customer_id: required", "amount: required"]),
            (2, ["record: 1 field, header has 2"]),
        )
    ]
    assert finished.rows("gold_core.customer_metrics") == before
    assert finished.rows("ml_registry.model_versions", "model_name", "row_count") == [
        ("churn_model", 5), ("clv_model", 5)
    ]  # fmt: skip
    runs = finished.rows("ops.runs", "run_id", "status", "error")
    assert [(status, error) for _, status, error in runs] == [
        ("succeeded", None), ("failed", message.partition("\n")[0])
    ]  # fmt: skip


def test_somebodys_change_of_bronze_stops_the_run(finished: Lakehouse) -> None:
    finished.table("bronze.sales_raw").delete("_row_number = 1")
    versions = finished.versions()

    for selection in ({}, {"pipeline_names": ["silver"]}):
        message = finished.refused(**selection)

        assert message.startswith(
            "bronze.sales_raw: expected changes by this pipeline only, found DELETE by delta-rs"
        )
        assert "version 2" in message
        assert "`kedro lakehouse adopt bronze.sales_raw --why TEXT`" in message
        assert finished.versions() == versions


def test_somebodys_change_of_silver_stops_the_run_until_it_is_made_again(
    finished: Lakehouse,
) -> None:
    before = finished.rows("silver.sales_clean")
    table = finished.table("silver.sales_clean")
    write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")

    message = finished.refused(pipeline_names=["gold_core"])

    assert message.startswith(
        "silver.sales_clean: expected changes by this pipeline only, found WRITE by delta-rs"
    )
    assert message.endswith("or run with --params full_refresh=true to make it again.")
    finished.run(runtime_params={"full_refresh": True})
    assert finished.rows("silver.sales_clean") == before


@pytest.mark.parametrize(
    ("table", "lost"),
    [
        ("gold_ml.churn_model_v1", "*.parquet"),
        ("ops.landing_files", "*.parquet"),
        ("bronze.sales_raw", "_delta_log/00000000000000000000.json"),
    ],
)
def test_a_table_that_lost_a_file_is_found_before_the_run(
    finished: Lakehouse, table: str, lost: str
) -> None:
    before = finished.versions()
    folder = finished.path(table)
    files = sorted(folder.glob(lost))
    for file in files:
        file.unlink()
    shown = files[0].relative_to(folder)

    message = finished.refused()

    assert message == (
        f"{folder}: expected a whole Delta table, found that {len(files)} of its files are damaged"
        f" or gone, such as {shown}. Restore it, or move the folder"
        " away and run again."
    )
    assert {**finished.versions(), table: before[table]} == before


def test_a_lost_file_of_bronze_is_found_before_the_run(finished: Lakehouse) -> None:
    for file in finished.path("bronze.sales_raw").glob("*.parquet"):
        file.unlink()
    for selection in ({}, {"pipeline_names": ["silver"]}):
        assert "1 of its files are damaged or gone" in finished.refused(**selection)


def test_a_file_with_other_bytes_is_one_message(finished: Lakehouse) -> None:
    for file in finished.path("ml_registry.model_versions").glob("*.parquet"):
        file.write_bytes(b"x" * file.stat().st_size)
    message = finished.refused()
    assert message.startswith("A file of a table is damaged or gone: ")
    assert "model_versions" in message
    assert message.endswith("Restore it, or move the folder of its table away and run again.")


def test_a_registry_run_without_a_dataset_is_refused(finished: Lakehouse) -> None:
    shutil.rmtree(finished.path("gold_ml.churn_model_v1"))
    assert finished.refused(pipeline_names=["ml_registry"]).startswith(
        f"gold_ml.churn_model_v1: there is no such table at"
        f" {finished.path('gold_ml.churn_model_v1')}."
    )


def test_versions_of_kedros_are_refused(finished: Lakehouse) -> None:
    assert finished.refused(load_versions={"bronze_sales_raw": "2020"}) == (
        "--load-versions: expected none, since no dataset here has versions of Kedro's, found"
        " bronze_sales_raw. A Delta table has its own: read an earlier one with the option"
        " versionAsOf."
    )


def test_nothing_of_one_environment_is_visible_in_another(finished: Lakehouse) -> None:
    assert [path.name for path in finished.root.iterdir()] == [finished.env]
    finished.env = "dev"
    message = finished.refused(pipeline_names=["silver"])
    assert message.startswith(
        f"bronze.sales_raw: there is no such table at {finished.root}/dev/bronze/sales_raw."
    )


def test_tables_of_one_engine_are_read_by_the_other(
    finished: Lakehouse, engine_name: str, start_engine: Callable[[str], Any]
) -> None:
    other = start_engine("spark" if engine_name == "sail" else "sail")

    for name in finished.versions():
        read = other.read.format("delta").load(str(finished.path(name)))
        assert read.count() == finished.table(name).to_pyarrow_table().num_rows
        assert read.columns == finished.table(name).to_pyarrow_table().column_names


def test_a_file_that_changes_while_it_is_read_is_not_received(
    finished: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = finished.landing / "new\n'file'.csv"
    file.write_bytes(SECOND)
    noted, bronze = finished.rows("ops.landing_files"), finished.rows("bronze.sales_raw")
    real = source.landing_records

    def disturbed(*args: Any, **options: Any) -> Any:
        file.write_bytes(SECOND + b"83,1,,\n")
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(source, "landing_records", disturbed)
        message = finished.refused()

    size = len(SECOND)
    assert message == (
        f"{file}: the file changed while it was being read: it has {size + 7} bytes where {size}"
        " were listed. Nothing new of it was written. Run again when the file is complete."
    )
    assert finished.rows("ops.landing_files") == noted
    assert finished.rows("bronze.sales_raw") == bronze
    finished.run()
    assert len(finished.rows("bronze.sales_raw")) == len(bronze) + 5


@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
def test_columns_of_one_value_only(lakehouse: Lakehouse) -> None:
    """Sail 0.7.2 ends where a hash is asked of such columns alone."""
    row = b"A1,c1,2.50,2024-01-02,pen,web\n"
    header = b"order_id,customer_id,amount,order_date,product,channel\n"
    (lakehouse.landing / "a.csv").write_bytes(header + row * 1000)
    (lakehouse.landing / "b.csv").unlink()
    lakehouse.run()
    assert lakehouse.table("silver.sales_superseded").count() == 999
    metrics = lakehouse.rows("gold_core.customer_metrics", "frequency", "total_spent")
    assert metrics == [(1, Decimal("2.50"))]
