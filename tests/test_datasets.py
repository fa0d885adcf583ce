"""Tables, commits and contracts as Kedro's datasets."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import config_for
from kedro.io import DatasetError
from kedro_viz.models.flowchart.node_metadata import DataNodeMetadata
from kedro_viz.models.flowchart.nodes import DataNode

from nbx_medallion.contracts.model import Contract
from nbx_medallion.datasets import ContractDataset, DeltaCommitsDataset, DeltaTableDataset
from nbx_medallion.errors import UserError
from nbx_medallion.tables.run import RunTables, Write

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

METRICS = "gold_core.customer_metrics"
COLUMNS = ["customer_id", "frequency", "total_spent", "avg_ticket"]


@pytest.fixture(autouse=True)
def contracts_of_the_repository() -> None:
    """Datasets find the contracts of this repository."""
    config_for(None)


def rows(*customers: str) -> list[dict[str, Any]]:
    """A row a customer."""
    return [
        dict(zip(COLUMNS, (customer, 2, Decimal("3.00"), 1.5), strict=True))
        for customer in customers
    ]


def test_without_a_run_the_current_version_is_read_and_commits_carry_nothing(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    dataset = DeltaTableDataset(table=METRICS, path=str(tmp_path))
    assert not dataset.exists()
    dataset.check()
    assert list(tmp_path.iterdir()) == []

    dataset.save(rows("a", "b"))
    before = dataset.load()
    dataset.save(dataset.load().where("customer_id = 'b'"))

    dataset.check()
    assert dataset.table.location == f"{tmp_path}/gold_core/customer_metrics"
    assert [row.customer_id for row in before.collect()] == ["a", "b"]
    assert [row.asDict() for row in dataset.load().collect()] == rows("b")
    assert dataset.table.commits() == []


def test_within_a_run_a_table_has_one_version_and_commits_say_what_they_are_made_from(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    dataset = DeltaTableDataset(table=METRICS, path=str(tmp_path))
    other = DeltaTableDataset(table=METRICS, path=str(tmp_path))
    dataset.save(rows("a"))
    dataset.run = RunTables(
        "run-1", "local", "abc", {METRICS: (METRICS,)}, {METRICS: ("d3f", {"rules": "1"})},
        found={METRICS: (1, 1)},
    )  # fmt: skip
    assert dataset.load().count() == 1

    dataset.save(rows("c", "d", "e"))

    assert dataset.load().count() == 3
    written = dataset.run.written.pop(METRICS)
    assert replace(written, seconds=0) == Write(before=1, after=2, rows=3)
    [commit] = DeltaCommitsDataset(table=METRICS, path=str(tmp_path), mode="append").load()
    assert (commit.version, commit.row_count) == (2, 3)
    assert commit.metadata == {
        "run_id": "run-1",
        "environment": "local",
        "git_sha": "abc",
        "table": METRICS,
        "kind": "replace",
        "made_by": "d3f",
        "defined_by": {"rules": "1"},
        "inputs": {METRICS: {"version": 1, "rows": 1}},
        "anew": False,
    }

    other.save(rows("a", "b"))
    with pytest.raises(DatasetError) as raised:
        dataset.save(rows("f"))
    assert str(raised.value.__cause__) == (
        f"{METRICS}: another run wrote the table while this one was at work; the rows of this run"
        " were not written. Run again, one run at a time."
    )
    assert other.load().count() == 2


def test_ml_dataset_carries_its_definition(engine_session: "SparkSession", tmp_path: Path) -> None:
    definition = config_for(None).declared.models[0]
    dataset = DeltaTableDataset(table=definition.table, path=str(tmp_path), mode="replace_changed")
    dataset.run = RunTables("run-1", "local", None, {})
    row = rows("a")[0]

    dataset.save([row])
    dataset.save([row])

    [commit] = dataset.table.commits()
    assert commit.metadata["definition"] == definition.to_json()
    assert commit.metadata["definition_hash"] == definition.hash


@pytest.mark.parametrize("name", ["gold_core.Customers", "gold_core.x; drop", "../x", "a b.c", "x"])
def test_names_are_validated_before_they_reach_a_path_or_sql(name: str) -> None:
    for given in ({"table": name}, {"table": name, "by_name": True, "catalog": "dev"}):
        with pytest.raises(UserError) as raised:
            DeltaTableDataset(path="/tmp", **given)  # type: ignore[arg-type]  # noqa: S108
        assert f"{name}: expected a table name of lower-case letters, digits" in str(raised.value)


def test_unknown_mode_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UserError, match="replace, replace_changed, append, append_new; found 'add'"
    ):
        DeltaTableDataset(table=METRICS, path="/tmp", mode="add")  # noqa: S108


@pytest.mark.parametrize("kind", [DeltaTableDataset, DeltaCommitsDataset])
def test_missing_table_is_named_with_what_to_run(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as raised:
        kind(table=METRICS, path=str(tmp_path)).load()
    assert str(raised.value.__cause__) == (
        f"{METRICS}: there is no such table at {tmp_path}/gold_core/customer_metrics. It is written"
        " by an earlier layer: run that first, for example with `kedro run`."
    )


def test_contracts_and_commits_are_read_only(tmp_path: Path) -> None:
    contract = ContractDataset(METRICS)

    assert isinstance(contract.load(), Contract)
    for dataset in (contract, DeltaCommitsDataset(table=METRICS, path=str(tmp_path))):
        with pytest.raises(DatasetError, match="read only"):
            dataset.save([])


def test_kedro_viz_shows_the_first_rows_as_text(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    seen = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
    row = ("sales", "received", "a.csv", "/in/a.csv", 9, seen, "f00", 2, None, "run-1", None)
    columns = [
        "source", "event", "path", "location", "size_bytes", "modified_at", "fingerprint",
        "records", "header", "batch_id", "reason",
    ]  # fmt: skip
    dataset = DeltaTableDataset(table="ops.landing_files", path=str(tmp_path))

    def shown() -> DataNodeMetadata:
        node = DataNode(
            id="1", name="n", tags=set(), layer=None, kedro_obj=dataset, modular_pipelines=set()
        )
        return DataNodeMetadata(data_node=node)

    assert shown().preview_type == "TablePreview"
    assert shown().preview == {"index": [], "columns": columns, "data": []}
    dataset.save([dict(zip(columns, row, strict=True))] * 30)
    text = ["sales", "received", "a.csv", "/in/a.csv", "9", "2026-01-31 12:30:00", "f00", "2"]
    assert shown().preview == {
        "index": list(range(20)),
        "columns": columns,
        "data": [[*text, "", "run-1", ""]] * 20,
    }


def test_writes_of_one_table_in_a_run_take_turns() -> None:
    run = RunTables("run-1", "local")
    versions = iter(range(1, 100))

    def write() -> Write:
        after = next(versions)
        time.sleep(0.001)
        return Write(after - 1 or None, after, 2 * after)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: run.save("ops.landing_files", write), range(20)))

    total = run.written["ops.landing_files"]
    assert (total.before, total.after, total.rows) == (None, 20, 40)
    assert run.found["ops.landing_files"] == (20, 40)
