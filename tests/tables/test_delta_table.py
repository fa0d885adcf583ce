"""The Delta table dataset, on each engine, with tables on disk."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from kedro.io import DatasetError
from pyspark.sql import functions as F

from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.datasets.commits import DeltaCommitsDataset
from nbx_medallion.datasets.delta_table import DeltaTableDataset, Write
from nbx_medallion.errors import UserError
from nbx_medallion.ml_models.definition import ModelDefinition

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CUSTOMERS = Contract(
    table="gold_core.customers",
    description="It's what a customer bought.",
    columns=(
        Column("customer_id", "string", "Who.", required=True),
        Column("spent", "decimal(18,2)", "How much."),
        Column("tags", "array<string>"),
        Column("seen", "timestamp"),
    ),
    primary_key=("customer_id",),
)
SEEN = datetime(2026, 1, 31, 12, 30, tzinfo=timezone.utc)
DDL = "customer_id string, spent decimal(18,2), tags array<string>, seen timestamp"


def customers(session: "SparkSession", *rows: tuple[str | None, str | None]) -> "DataFrame":
    """A frame of the contract, with the same tags and time in each row."""
    data = [(key, None if spent is None else Decimal(spent), ["x"], SEEN) for key, spent in rows]
    return session.createDataFrame(data, DDL)


def dataset(folder: Path, contract: Contract = CUSTOMERS, **options: Any) -> DeltaTableDataset:
    """A dataset in the folder, as the catalog makes it."""
    path = folder / contract.table.replace(".", "/")
    made = DeltaTableDataset(contract=contract, path=str(path), **options)
    made.provenance = {"run_id": "run-1", "sources": {"silver_sales_clean": 4}}
    return made


def rows_on_disk(table: DeltaTableDataset, version: int | None = None) -> list[dict[str, Any]]:
    """Rows as deltalake reads them, sorted."""
    found = DeltaTable(table.table.location, version=version).to_pyarrow_table().to_pylist()
    return sorted(found, key=repr)


def columns_on_disk(table: DeltaTableDataset) -> list[tuple[str, Any, Mapping[str, Any]]]:
    """Columns as Delta's log has them: name, type, metadata."""
    fields = json.loads(DeltaTable(table.table.location).schema().to_json())["fields"]
    return [(item["name"], item["type"], item["metadata"]) for item in fields]


def message_of(call: Any, *args: Any) -> str:
    """The user's message behind what a dataset's load or save raises."""
    with pytest.raises(DatasetError) as raised:
        call(*args)
    assert isinstance(raised.value.__cause__, UserError)
    return str(raised.value.__cause__)


def test_new_table_has_rows_comments_properties_and_metadata(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    table = dataset(tmp_path, properties={"delta.logRetentionDuration": "interval 3650 days"})

    table.save(customers(engine_session, ("a", "1.50"), ("b", None)))

    assert table.last_write == Write(before=None, after=1, rows=2)
    assert rows_on_disk(table) == [
        {"customer_id": "a", "spent": Decimal("1.50"), "tags": ["x"], "seen": SEEN},
        {"customer_id": "b", "spent": None, "tags": ["x"], "seen": SEEN},
    ]
    array = {"type": "array", "elementType": "string", "containsNull": True}
    assert columns_on_disk(table) == [
        ("customer_id", "string", {"comment": "Who."}),
        ("spent", "decimal(18,2)", {"comment": "How much."}),
        ("tags", array, {}),
        ("seen", "timestamp", {}),
    ]
    on_disk = DeltaTable(table.table.location)
    assert on_disk.metadata().description == "It's what a customer bought."
    assert on_disk.metadata().configuration == {
        "delta.dataSkippingStatsColumns": "customer_id,seen",
        "delta.logRetentionDuration": "interval 3650 days",
    }
    [commit] = table.commits()
    assert (commit.version, commit.row_count) == (1, 2)
    assert commit.metadata == {"run_id": "run-1", "sources": {"silver_sales_clean": 4}}
    assert [path.name for path in (tmp_path / "gold_core").iterdir()] == ["customers"]


def test_replace_keeps_comments_and_history(engine_session: "SparkSession", tmp_path: Path) -> None:
    table = dataset(tmp_path)
    table.save(customers(engine_session, ("a", "1.50")))
    before = columns_on_disk(table)

    table.save(customers(engine_session, ("c", "2.00"), ("d", "3.00")))

    assert table.last_write == Write(before=1, after=2, rows=2)
    assert [row["customer_id"] for row in rows_on_disk(table)] == ["c", "d"]
    assert [row["customer_id"] for row in rows_on_disk(table, version=1)] == ["a"]
    assert columns_on_disk(table) == before
    assert (table.row_count(), table.row_count(1)) == (2, 1)
    assert [
        commit.version
        for commit in DeltaCommitsDataset(contract=CUSTOMERS, path=table.table.location).load()
    ] == [1, 2]


def test_replace_with_no_rows_empties_the_table(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    table = dataset(tmp_path)
    table.save(customers(engine_session, ("a", "1.50")))

    table.save(customers(engine_session, ("a", "1.50")).where("1 = 0"))

    assert rows_on_disk(table) == []
    assert table.row_count() == 0
    assert table.load().collect() == []


def test_load_is_pinned_to_the_version_of_its_time(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    table = dataset(tmp_path)
    table.save(customers(engine_session, ("a", "1.50")))
    loaded = table.load()

    table.save(customers(engine_session, ("b", "1.50")))

    assert table.loaded_version == 1
    assert [row.customer_id for row in loaded.collect()] == ["a"]


def test_load_of_a_missing_table_says_what_to_do(tmp_path: Path) -> None:
    table = dataset(tmp_path)

    assert message_of(table.load) == (
        f"gold_core.customers: there is no such table at {tmp_path}/gold_core/customers. It is"
        " written by an earlier layer: run that first, for example with `kedro run`."
    )


def test_append_new_appends_rows_of_unknown_keys_only(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    table = dataset(tmp_path, mode="append_new")
    row = {"customer_id": "a", "spent": Decimal("1.50"), "tags": [], "seen": SEEN}
    table.save([row])

    table.save([row])
    assert table.last_write == Write(before=1, after=1, rows=0)

    table.save([row, {**row, "customer_id": "b"}])
    assert table.last_write == Write(before=1, after=2, rows=1)
    assert [row["customer_id"] for row in rows_on_disk(table)] == ["a", "b"]


def test_append_appends_all(engine_session: "SparkSession", tmp_path: Path) -> None:
    table = dataset(tmp_path, mode="append")

    table.save(customers(engine_session, ("a", "1.50")))
    table.save(customers(engine_session, ("a", "1.50")))

    assert table.last_write == Write(before=1, after=2, rows=1)
    assert table.row_count() == 2


def test_replace_changed_leaves_equal_content_alone(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    definition = ModelDefinition(
        "m", 1, "gold_core.customers", ("customer_id",), ("spent",), "seen"
    )
    contract = Contract(
        "gold_ml.m_v1", CUSTOMERS.columns, primary_key=("customer_id",), definition=definition
    )
    table = dataset(tmp_path, contract, mode="replace_changed")
    table.save(customers(engine_session, ("a", "1.50"), ("b", None)))

    table.save(customers(engine_session, ("b", None), ("a", "1.50")))
    assert table.last_write == Write(before=1, after=1, rows=2)

    table.save(customers(engine_session, ("b", None), ("a", "1.51")))
    assert table.last_write == Write(before=1, after=2, rows=2)
    first, second = table.commits()
    assert first.metadata["definition"] == definition.to_json()
    assert first.metadata["definition_hash"] == second.metadata["definition_hash"]
    assert first.metadata["content_hash"] != second.metadata["content_hash"]


def test_frame_that_does_not_match_is_refused_before_any_write(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    table = dataset(tmp_path)
    table.save(customers(engine_session, ("a", "1.50")))
    frame = engine_session.sql(
        "select 'a' customer_id, cast(1.5 as double) spent, timestamp'2026-01-01 00:00:00' seen,"
        " 'x' extra"
    )

    assert message_of(table.save, frame) == (
        "gold_core.customers: the rows to be written do not match the table; nothing was written:\n"
        "  spent: expected decimal(18,2), found double\n"
        "  tags: expected array<string>, found no such column\n"
        "  extra: expected no such column, found string\n"
        "Correct the node that makes them, or the contract of the table."
    )
    assert table.table.version() == 1


def test_contract_that_moved_on_adds_nullable_columns(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    dataset(tmp_path).save(customers(engine_session, ("a", "1.50")))
    wider = Contract(
        "gold_core.customers", (*CUSTOMERS.columns, Column("city", "string", "Where."))
    )
    table = dataset(tmp_path, wider)
    table.check()

    frame = customers(engine_session, ("a", "1.50")).selectExpr("*", "'Porto' city")
    table.save(frame)

    assert rows_on_disk(table)[0]["city"] == "Porto"
    assert columns_on_disk(table)[-1] == ("city", "string", {"comment": "Where."})
    assert columns_on_disk(table)[0] == ("customer_id", "string", {"comment": "Who."})


def test_contract_that_moved_on_otherwise_is_refused(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    dataset(tmp_path).save(customers(engine_session, ("a", "1.50")))
    other = Contract(
        "gold_core.customers",
        (
            Column("customer_id", "bigint"),
            Column("spent", "decimal(18,2)"),
            Column("city", "string", required=True),
            Column("seen", "timestamp"),
        ),
    )
    table = dataset(tmp_path, other)

    with pytest.raises(UserError) as raised:
        table.check()

    assert str(raised.value) == (
        f"gold_core.customers: the contract does not fit the table at"
        f" {tmp_path}/gold_core/customers:\n"
        "  customer_id: the contract says bigint, the table has string\n"
        "  city: the contract requires it, and the table does not have it\n"
        "  tags: the table has it, the contract no longer\n"
        "Only new columns that are not required can be added to a table. Take the change back, or"
        " drop the table (delete its folder) to have it rebuilt."
    )


def test_column_that_is_no_longer_required_may_be_null(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    dataset(tmp_path).save(customers(engine_session, ("a", "1.50")))
    relaxed = Contract(
        "gold_core.customers", (Column("customer_id", "string"), *CUSTOMERS.columns[1:])
    )
    table = dataset(tmp_path, relaxed)

    table.save(customers(engine_session, (None, "1.50")))

    assert [row["customer_id"] for row in rows_on_disk(table)] == [None]


RAW = Contract("bronze.raw", (Column("_row_number", "bigint", "Ordinal."),), open=True)


def test_open_table_takes_any_column_and_keeps_what_is_missing(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    table = dataset(tmp_path, RAW)
    table.save(engine_session.sql("select 'x' a, cast(1 as bigint) _row_number"))
    assert [name for name, _, _ in columns_on_disk(table)] == ["a", "_row_number"]

    table.save(engine_session.sql("select 'y' b, cast(1 as bigint) _row_number"))

    assert rows_on_disk(table) == [{"a": None, "_row_number": 1, "b": "y"}]


@pytest.mark.parametrize("name", ["a b", "quantité (kg)", "x;y", "tab\there", "a`b", "a.b", "a'b"])
def test_open_table_keeps_odd_names(
    engine_session: "SparkSession", tmp_path: Path, name: str
) -> None:
    quoted = name.replace("`", "``")
    table = dataset(tmp_path, RAW)
    table.save(engine_session.sql("select 'x' a, cast(1 as bigint) _row_number"))

    table.save(engine_session.sql(f"select 'x' a, 'y' `{quoted}`, cast(1 as bigint) _row_number"))

    assert table.load().columns == ["a", "_row_number", name]
    assert table.load().collect()[0][2] == "y"
    assert table.preview()["data"] == [["x", "1", "y"]]
    assert table.row_count() == 1


def test_open_table_takes_a_column_in_another_case(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    table = dataset(tmp_path, RAW)
    table.save(engine_session.sql("select 'x' a, 'y' b, cast(1 as bigint) _row_number"))

    table.save(engine_session.sql("select 'x' A, cast(1 as bigint) _row_number"))
    assert sorted(table.load().columns) == ["A", "_row_number", "b"]
    assert rows_on_disk(table) == [{"A": "x", "_row_number": 1, "b": None}]

    table.save(engine_session.sql("select 'x' a, cast(1 as bigint) _row_number"))
    assert rows_on_disk(table) == [{"a": "x", "_row_number": 1, "b": None}]
    assert rows_on_disk(table, version=1) == [{"a": "x", "b": "y", "_row_number": 1}]


def test_open_table_takes_strings_only(engine_session: "SparkSession", tmp_path: Path) -> None:
    frame = engine_session.sql("select 1.5D a, cast(1 as bigint) _row_number")

    assert message_of(dataset(tmp_path, RAW).save, frame) == (
        "bronze.raw: the rows to be written do not match the table; nothing was written:\n"
        "  a: expected string, found double\n"
        "Correct the node that makes them, or the contract of the table."
    )


def test_failed_first_write_leaves_no_table(engine_session: "SparkSession", tmp_path: Path) -> None:
    table = dataset(tmp_path)
    frame = (
        customers(engine_session, ("a", "1.50"))
        .selectExpr("raise_error('broken') as customer_id", "spent", "tags", "seen")
        .selectExpr("cast(customer_id as string) customer_id", "spent", "tags", "seen")
    )

    with pytest.raises(DatasetError, match="broken"):
        table.save(frame)
    assert list((tmp_path / "gold_core").iterdir()) == []


def test_what_a_killed_run_left_is_removed_once_it_is_old(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    old, young = (tmp_path / "gold_core" / f".customers.{name}" for name in ("old", "young"))
    for folder, seconds in ((old, 7200), (young, 60)):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - seconds,) * 2)

    dataset(tmp_path).save(customers(engine_session, ("a", "1.50")))

    assert sorted(path.name for path in (tmp_path / "gold_core").iterdir()) == [
        ".customers.young", "customers"
    ]  # fmt: skip


def test_preview_shows_text_and_blanks(engine_session: "SparkSession", tmp_path: Path) -> None:
    table = dataset(tmp_path)
    assert table.preview() == {
        "index": [],
        "columns": ["customer_id", "spent", "tags", "seen"],
        "data": [],
    }

    table.save(customers(engine_session, ("a", None)))

    assert table.preview() == {
        "index": [0],
        "columns": ["customer_id", "spent", "tags", "seen"],
        "data": [["a", "", "['x']", "2026-01-31 12:30:00"]],
    }


def test_equal_decimals_of_a_file_are_read_exactly(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    table = dataset(tmp_path)
    spent = "9999999999999999.01"
    table.save(customers(engine_session, ("a", spent), ("b", spent)))

    found = {row["spent"] for row in table.load().collect()}

    assert found == {Decimal(spent)}


def test_decimal_that_the_contract_gets_later_is_read_exactly(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    columns = (Column("customer_id", "string"), Column("spent", "decimal(18,2)"))
    before = replace(CUSTOMERS, columns=columns[:1], primary_key=())
    dataset(tmp_path, before).save(engine_session.createDataFrame([("a",)], "customer_id string"))
    table = dataset(tmp_path, replace(before, columns=columns))
    spent = Decimal("9999999999999999.01")

    table.save(
        engine_session.createDataFrame(
            [("a", spent), ("b", spent)], "customer_id string, spent decimal(18,2)"
        )
    )

    assert {row["spent"] for row in table.load().collect()} == {spent}


def test_other_writer_in_the_midst_of_a_write_is_named(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    table = dataset(tmp_path)
    table.save(customers(engine_session, ("a", "1.50")))
    location = table.table.location

    def overtake(key: str) -> str:
        other = DeltaTable(location)
        write_deltalake(other, other.to_pyarrow_table(), mode="overwrite")
        return key

    frame = customers(engine_session, ("b", "2.50"))
    overtaken = frame.withColumn("customer_id", F.udf(overtake, "string")("customer_id"))

    assert message_of(table.save, overtaken) == (
        "gold_core.customers: another run wrote the table while this one was writing it; the rows"
        " of this run were not written. Run again, one run at a time."
    )
    assert [row["customer_id"] for row in rows_on_disk(table)] == ["a"]


@pytest.mark.parametrize("name", ["gold_core.Customers", "gold_core.x; drop", "../x", "a b.c"])
def test_names_are_validated_before_they_reach_a_path(name: str) -> None:
    with pytest.raises(UserError) as raised:
        DeltaTableDataset(contract=name, path="/tmp/x")  # noqa: S108
    assert str(raised.value) == (
        f"{name}: expected a table name of lower-case letters, digits and underscores, starting"
        " with a letter."
    )


def test_folder_that_cannot_be_written_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "gold_core").write_text("a file")

    with pytest.raises(UserError) as raised:
        dataset(tmp_path).check()

    assert str(raised.value) == (
        f"{tmp_path}/gold_core: expected a folder that tables can be written to, found: file"
        " exists. Set LAKEHOUSE_ROOT to another folder, or correct its permissions."
    )


@pytest.mark.parametrize("kind", ["a file", "a folder without one"])
def test_place_that_holds_something_else_is_found_before_the_run(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "gold_core" / "customers"
    if kind == "a file":
        place.parent.mkdir()
        place.write_text("")
    else:
        (place / "_delta_log").mkdir(parents=True)

    with pytest.raises(UserError) as raised:
        dataset(tmp_path).check()

    assert str(raised.value) == (
        f"{place}: expected a Delta table, or nothing yet, found {kind}. Move it away and run"
        " again."
    )


def test_empty_folder_is_a_place_for_a_table(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    (tmp_path / "gold_core" / "customers").mkdir(parents=True)
    table = dataset(tmp_path)

    table.check()
    table.save(customers(engine_session, ("a", "1.50")))

    assert [row["customer_id"] for row in rows_on_disk(table)] == ["a"]


def test_retyped_column_of_an_open_table_is_found_before_the_run(tmp_path: Path) -> None:
    table = dataset(tmp_path, RAW)
    write_deltalake(table.table.location, pa.table({"a": [1], "_source_file": ["a.csv"]}))

    with pytest.raises(UserError) as raised:
        table.check()

    assert str(raised.value) == (
        f"bronze.raw: the contract does not fit the table at {table.table.location}:\n"
        "  a: received columns are string, the table has bigint\n"
        "Only new columns that are not required can be added to a table. Take the change back, or"
        " drop the table (delete its folder) to have it rebuilt."
    )
