"""Rows written to tables in directories, on each engine."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from nbx_medallion.contracts.lineage import OWN_COLUMNS
from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.errors import UserError
from nbx_medallion.tables.conditions import any_of, any_pair
from nbx_medallion.tables.run import Write
from nbx_medallion.tables.table import PathTable, Table
from nbx_medallion.tables.writing import MODES, Target

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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
SEEN = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
CARRIED = {"run_id": "run-1", "sources": {"silver.orders": 4}}
OVERTAKEN = (
    "gold_core.customers: another run wrote the table while this one was at work; the rows of this"
    " run were not written. Run again, one run at a time."
)
DDL = "customer_id string, spent decimal(18,2), tags array<string>, seen timestamp"


def customers(session: "SparkSession", *rows: tuple[str | None, str | None]) -> "DataFrame":
    """A frame of the contract, with the same tags and time in each row."""
    data = [(key, None if spent is None else Decimal(spent), ["x"], SEEN) for key, spent in rows]
    return session.createDataFrame(data, DDL)


def target(folder: Path, contract: Contract = CUSTOMERS, **properties: str) -> Target:
    """The contract's table in the folder."""
    place = folder / contract.table.replace(".", "/")
    table = PathTable(str(place), SparkSession.active)
    return Target(table, contract, properties, CARRIED)


def rows_on_disk(to: Target, version: int | None = None) -> list[dict[str, Any]]:
    """Rows as deltalake reads them, sorted."""
    found = DeltaTable(to.table.location, version=version).to_pyarrow_table().to_pylist()
    return sorted(found, key=repr)


def columns_on_disk(to: Target) -> list[tuple[str, Any, Mapping[str, Any]]]:
    """Columns as Delta's log has them: name, type, metadata."""
    fields = json.loads(DeltaTable(to.table.location).schema().to_json())["fields"]
    return [(item["name"], item["type"], item["metadata"]) for item in fields]


def test_new_table_has_rows_comments_properties_and_metadata(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path, **{"delta.logRetentionDuration": "interval 3650 days"})

    write = to.write(customers(engine_session, ("a", "1.50"), ("b", None)), "replace")

    assert write == Write(before=None, after=1, rows=2)
    assert rows_on_disk(to) == [
        {"customer_id": "a", "spent": Decimal("1.50"), "tags": ["x"], "seen": SEEN},
        {"customer_id": "b", "spent": None, "tags": ["x"], "seen": SEEN},
    ]
    array = {"type": "array", "elementType": "string", "containsNull": True}
    assert columns_on_disk(to) == [
        ("customer_id", "string", {"comment": "Who."}),
        ("spent", "decimal(18,2)", {"comment": "How much."}),
        ("tags", array, {}),
        ("seen", "timestamp", {}),
    ]
    on_disk = DeltaTable(to.table.location)
    assert on_disk.metadata().description == "It's what a customer bought."
    assert on_disk.metadata().configuration == {
        "delta.dataSkippingStatsColumns": "customer_id,seen",
        "delta.logRetentionDuration": "interval 3650 days",
    }
    [commit] = to.table.commits()
    assert (commit.version, commit.row_count) == (1, 2)
    assert commit.metadata == {**CARRIED, "kind": "replace"}
    assert [path.name for path in (tmp_path / "gold_core").iterdir()] == ["customers"]


def test_replace_keeps_comments_and_history(engine_session: "SparkSession", tmp_path: Path) -> None:
    to = target(tmp_path)
    to.write(customers(engine_session, ("a", "1.50")), "replace")
    before, pinned = columns_on_disk(to), to.table.read(1)

    write = to.write(customers(engine_session, ("c", "2.00"), ("d", "3.00")), "replace")

    assert write == Write(before=1, after=2, rows=2)
    assert [row["customer_id"] for row in rows_on_disk(to)] == ["c", "d"]
    assert [row["customer_id"] for row in rows_on_disk(to, version=1)] == ["a"]
    assert [row.customer_id for row in pinned.collect()] == ["a"]
    assert columns_on_disk(to) == before
    assert (to.table.row_count(), to.table.row_count(1)) == (2, 1)
    assert [commit.version for commit in to.table.commits()] == [1, 2]


def test_no_rows_empty_the_table_and_a_new_table_says_what_it_is_made_from(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path)
    carried = {**CARRIED, "kind": "replace"}
    assert to.write(customers(engine_session), "replace") == Write(None, 1, 0)
    assert [commit.metadata for commit in to.table.commits()] == [carried]

    to.write(customers(engine_session, ("a", "1.50")), "replace")
    assert to.write(customers(engine_session), "replace") == Write(2, 3, 0)

    assert rows_on_disk(to) == to.table.read(3).collect() == []
    assert to.table.row_count() == 0
    assert [commit.metadata for commit in to.table.commits()] == [carried] * 3


@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
def test_a_write_that_changes_nothing_is_no_commit(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path)
    to.write(customers(engine_session, ("a", "1.50")), "replace")
    nothing = customers(engine_session)

    assert to.write(nothing, "append") == Write(1, 1, 1)
    assert to.write(nothing, "replace", where="customer_id = 'b'") == Write(1, 1, 1)
    assert to.append_rows([]) == Write(1, 1, 1)


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A computer whose clock is not on UTC."""
    monkeypatch.setenv("TZ", "America/Sao_Paulo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
def test_times_are_in_utc_wherever_the_computer_is(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path)
    frame = customers(engine_session, ("a", None))
    to.write(frame, "replace")
    to.append_rows([row.asDict() | {"customer_id": "b"} for row in frame.collect()])

    assert [row["seen"] for row in to.table.rows()] == [SEEN, SEEN]
    by_engine = Table.rows(to.table, ["seen"])
    assert [row["seen"] for row in by_engine] == [SEEN, SEEN]


def test_rows_are_appended_where_the_contract_has_a_new_column_and_other_words(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    spent = Decimal("9999999999999999.01")
    row = {"customer_id": "a", "spent": spent, "tags": ["x"], "seen": None}
    target(tmp_path).append_rows([row])
    reworded = replace(CUSTOMERS.columns[0], description="Who it is.")
    columns = (reworded, *CUSTOMERS.columns[1:], Column("city", "string"))
    to = target(tmp_path, replace(CUSTOMERS, columns=columns))

    to.append_rows([row | {"customer_id": "b", "city": "Porto"}])

    assert [row["city"] for row in rows_on_disk(to)] == [None, "Porto"]
    read = to.table.read().select("customer_id", "spent", "city").collect()
    assert sorted(map(tuple, read)) == [("a", spent, None), ("b", spent, "Porto")]
    assert [commit.metadata["kind"] for commit in to.table.commits()] == ["append", "append"]


ODD = ["plain", "it's", 'a "b".csv', "back\\slash.csv", "50%_.csv", "é ü.csv", "😀.csv", " space ",
       "tab\there", "line\nend", "return\r\nend", "a`b", "{x}", "$1", "--", "; drop"]  # fmt: skip


def test_replace_where_takes_out_what_it_names_whatever_the_names_hold(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    contract = replace(
        RAW, columns=(Column("_source_file", "string"), Column("_batch_id", "string"))
    )
    to = target(tmp_path, contract)
    ddl = "_source_file string, _batch_id string"
    everything = [(name, batch) for name in ODD for batch in ("1", "2")]
    to.write(engine_session.createDataFrame(everything, ddl), "replace")
    gone = [(name, "2") for name in ODD[1:]]

    frame = engine_session.createDataFrame([("new", "3")], ddl)
    write = to.write(frame, "replace", where=f"{any_pair(gone)} OR {any_of('_batch_id', ['3'])}")

    assert write == Write(1, 2, len(everything) - len(gone) + 1)
    left = {(row["_source_file"], row["_batch_id"]) for row in rows_on_disk(to)}
    assert left == {*everything, ("new", "3")} - set(gone)
    [_, commit] = to.table.commits()
    assert commit.metadata == {**CARRIED, "kind": "replace"}
    read = to.table.read().where(any_pair([(name, "1") for name in ODD]))
    assert {row[0] for row in read.collect()} == set(ODD)


@pytest.mark.parametrize("batches", [1, 40, 1500])
def test_thousands_of_deliveries_are_replaced_at_once(
    engine_session: "SparkSession", tmp_path: Path, batches: int
) -> None:
    contract = replace(
        RAW, columns=(Column("_source_file", "string"), Column("_batch_id", "string"))
    )
    to = target(tmp_path, contract)
    ddl = "_source_file string, _batch_id string"
    everything = [(f"d/{n % 7}/{n}.csv", f"{n % batches:05}") for n in range(4000)]
    to.write(engine_session.createDataFrame(everything, ddl), "replace")
    gone, stay = everything[::2], everything[1::2]
    last = [(max(file for file, _ in gone) + "x", max(batch for _, batch in gone) + "x")]
    started = time.monotonic()

    where = any_pair([*gone, *last])
    write = to.write(engine_session.createDataFrame(last, ddl), "replace", where=where)

    assert time.monotonic() - started < 30
    assert write.rows == len(stay) + 1
    assert {(row["_source_file"], row["_batch_id"]) for row in rows_on_disk(to)} == {*stay, *last}
    of_batches = any_of("_batch_id", {batch for _, batch in stay})
    assert to.table.read().where(of_batches).count() == len(stay)


def test_engines_leave_out_files_of_other_batches(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    own = [Column(name, OWN_COLUMNS[name][0]) for name in ("_source_file", "_batch_id")]
    to = target(tmp_path, replace(RAW, columns=(*RAW.columns, *own)))
    received = ", ".join(f"'x' AS c{n}" for n in range(40))

    for batch in "abc":
        frame = (
            f"select {received}, 1L _row_number, '{batch}.csv' _source_file, '{batch}' _batch_id"
        )
        to.write(engine_session.sql(frame), "append")
    to.write(engine_session.sql(frame), "replace", where=any_pair([("c.csv", "c")]))

    files: Any = DeltaTable(to.table.location).get_add_actions(flatten=True).to_struct_array()
    known = ("min._batch_id", "max._batch_id", "min._source_file", "max._source_file")
    assert sorted(tuple(file[name] for name in known) for file in files.to_pylist()) == [
        (batch, batch, f"{batch}.csv", f"{batch}.csv") for batch in "abc"
    ]
    assert "min.c0" not in files.to_pylist()[0]


def test_replace_where_in_a_table_with_arrays(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path)
    to.write(customers(engine_session, ("a", "1.50"), ("b", "2.00")), "replace")

    where = "customer_id IN ('b', 'c')"
    to.write(customers(engine_session, ("c", "3.00")), "replace", where=where)
    assert [row["customer_id"] for row in rows_on_disk(to)] == ["a", "c"]
    to.write(customers(engine_session, ("d", "4.00")), "replace", where="customer_id = 'd'")

    assert [row["customer_id"] for row in rows_on_disk(to)] == ["a", "c", "d"]
    assert {commit.metadata["kind"] for commit in to.table.commits()} == {"replace"}


def test_rows_are_appended_without_an_engine_and_read_by_each(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path)
    row = {"customer_id": "a", "spent": Decimal("1.50"), "tags": ["x"], "seen": SEEN}

    assert to.append_rows([row]) == Write(None, 1, 1)
    assert to.append_rows([row | {"customer_id": "b", "spent": None}]) == Write(1, 2, 2)
    to.write(customers(engine_session, ("c", "2.00")), "append")
    assert to.append_rows([row | {"customer_id": key} for key in "bcdd"], only_new=True).rows == 4

    assert sorted(row["customer_id"] for row in to.table.rows()) == ["a", "b", "c", "d"]
    assert {row["seen"] for row in to.table.rows(["seen"])} == {SEEN}
    read = {row.customer_id: row.asDict() for row in to.table.read().collect()}
    assert read["a"] | {"seen": None} == row | {"seen": None}
    assert len(read) == 4
    assert [commit.metadata["kind"] for commit in to.table.commits()] == ["append"] * 4


@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
def test_many_appends_of_rows_are_few_files(engine_session: "SparkSession", tmp_path: Path) -> None:
    to = target(tmp_path)
    row = {"customer_id": "a", "spent": None, "tags": [], "seen": SEEN}

    for _ in range(120):
        to.append_rows([row])

    assert len(DeltaTable(to.table.location).file_uris()) < 50
    assert to.table.row_count() == len(to.table.rows()) == 120


def test_a_change_of_data_since_the_table_was_seen_is_refused_and_maintenance_is_not(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path)
    to.write(customers(engine_session, ("a", "1.50")), "replace")
    to.write(customers(engine_session, ("b", "1.50")), "append")
    DeltaTable(to.table.location).optimize.compact()

    assert to.write(customers(engine_session, ("c", "1.50")), "append", seen=2).after == 4
    with pytest.raises(UserError) as raised:
        to.write(customers(engine_session, ("d", "1.50")), "append", seen=2)
    assert str(raised.value) == OVERTAKEN
    assert to.table.row_count() == 3


def test_append_adds_all_rows(engine_session: "SparkSession", tmp_path: Path) -> None:
    to = target(tmp_path)
    row = customers(engine_session, ("a", "1.50"))

    assert to.write(row, "append") == Write(before=None, after=1, rows=1)
    assert to.write(row, "append") == Write(before=1, after=2, rows=2)
    assert [row["customer_id"] for row in rows_on_disk(to)] == ["a", "a"]
    assert [commit.metadata["kind"] for commit in to.table.commits()] == ["append"] * 2


def test_replace_changed_leaves_equal_content_alone(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = replace(target(tmp_path), metadata={**CARRIED, "definition_hash": "one"})
    other = replace(to, metadata={**CARRIED, "definition_hash": "other"})

    def write(to: Target, *rows: tuple[str, str | None]) -> Write:
        return to.write(customers(engine_session, *rows), "replace_changed")

    assert write(to, ("a", "1.50"), ("b", None)) == Write(before=None, after=1, rows=2)
    assert write(to, ("b", None), ("a", "1.50")) == Write(before=1, after=1, rows=2)
    assert write(to, ("b", None), ("a", "1.51")) == Write(before=1, after=2, rows=2)
    assert write(other, ("b", None), ("a", "1.51")) == Write(before=2, after=3, rows=2)
    hashes = [commit.metadata["content_hash"] for commit in to.table.commits()]
    assert hashes[0] != hashes[1] == hashes[2]
    DeltaTable(to.table.location).alter.set_table_description("Words.")
    assert write(other, ("b", None), ("a", "1.51")).after == 4
    DeltaTable(to.table.location).delete("customer_id = 'a'")
    assert write(other, ("b", None), ("a", "1.51")).after == 6
    DeltaTable(to.table.location).restore(1)
    assert write(to, ("b", None), ("a", "1.50")).after == 7


def test_frame_that_does_not_fit_is_refused_before_any_write(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path)
    to.write(customers(engine_session, ("a", "1.50")), "replace")
    frame = engine_session.sql(
        "select 'a' customer_id, cast(1.5 as double) spent, timestamp'2026-01-01 00:00:00' seen,"
        " 'x' extra"
    )

    for mode in MODES:
        with pytest.raises(UserError, match=r"spent: expected decimal\(18,2\), found double"):
            to.write(frame, mode)
    assert to.table.version() == 1


def test_contract_that_moved_on_adds_and_loosens_columns(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    target(tmp_path).write(customers(engine_session, ("a", "1.50")), "replace")
    relaxed = (Column("customer_id", "string", "Who."), *CUSTOMERS.columns[1:])
    to = target(
        tmp_path, replace(CUSTOMERS, columns=(*relaxed, Column("city", "string", "Where.")))
    )

    frame = customers(engine_session, (None, "1.50")).selectExpr("*", "'Porto' city")
    to.write(frame, "append")

    assert [(row["customer_id"], row["city"]) for row in rows_on_disk(to)] == [
        ("a", None), (None, "Porto")
    ]  # fmt: skip
    assert columns_on_disk(to)[-1] == ("city", "string", {"comment": "Where."})
    assert columns_on_disk(to)[0] == ("customer_id", "string", {"comment": "Who."})


RAW = Contract("bronze.raw", (Column("_row_number", "bigint", "Ordinal."),), open=True)


def test_open_table_takes_any_column_and_keeps_what_is_missing(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path, RAW)
    to.write(engine_session.sql("select 'x' a, cast(1 as bigint) _row_number"), "replace")
    assert [name for name, _, _ in columns_on_disk(to)] == ["a", "_row_number"]

    to.write(engine_session.sql("select 'y' b, cast(1 as bigint) _row_number"), "replace")

    assert rows_on_disk(to) == [{"a": None, "_row_number": 1, "b": "y"}]


def test_open_table_keeps_odd_names(engine_session: "SparkSession", tmp_path: Path) -> None:
    names = ["a b", "quantité (kg)", "x;y", "tab\there", "a`b", "a.b", "a'b"]
    quoted = ["`" + name.replace("`", "``") + "`" for name in names]
    values = ", ".join(f"'y{at}' {name}" for at, name in enumerate(quoted))
    frame = engine_session.sql(f"select 'x' a, {values}, cast(1 as bigint) _row_number")
    expected = {"a": "x", "_row_number": 1} | {name: f"y{at}" for at, name in enumerate(names)}
    added, made = target(tmp_path / "added", RAW), target(tmp_path / "made", RAW)
    added.write(frame.select("a", "_row_number"), "replace")

    for to in (added, made):
        to.write(frame, "replace")
        found = to.table.read(to.table.version())
        assert sorted(found.columns) == sorted(expected)
        assert found.select(*quoted).collect() == [tuple(expected[name] for name in names)]
        assert isinstance(to.table, PathTable)
        assert to.table.head(5) == [expected]
        assert to.table.row_count() == 1


def test_open_table_takes_a_column_in_another_case(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path, RAW)
    to.write(engine_session.sql("select 'x' a, 'y' b, cast(1 as bigint) _row_number"), "replace")
    other_case = engine_session.sql("select 'x' A, cast(1 as bigint) _row_number")

    to.write(other_case, "replace")
    assert sorted(to.table.read(2).columns) == ["A", "_row_number", "b"]
    assert rows_on_disk(to) == [{"A": "x", "_row_number": 1, "b": None}]

    to.write(engine_session.sql("select 'x' a, cast(1 as bigint) _row_number"), "replace")
    assert rows_on_disk(to) == [{"a": "x", "_row_number": 1, "b": None}]
    assert rows_on_disk(to, version=1) == [{"a": "x", "b": "y", "_row_number": 1}]

    # An append and a replacement in part write all rows anew, under the new name.
    more = engine_session.sql("select 'z' A, cast(2 as bigint) _row_number")
    to.write(more, "append")
    assert rows_on_disk(to) == [
        {"A": "x", "_row_number": 1, "b": None}, {"A": "z", "_row_number": 2, "b": None}
    ]  # fmt: skip
    more = engine_session.sql("select 'w' a, cast(3 as bigint) _row_number")
    to.write(more, "replace", where="_row_number >= 2")
    assert rows_on_disk(to) == [
        {"a": "x", "_row_number": 1, "b": None}, {"a": "w", "_row_number": 3, "b": None}
    ]  # fmt: skip
    assert [commit.metadata["kind"] for commit in to.table.commits()] == ["replace"] * 5


def test_failed_first_write_leaves_no_table(engine_session: "SparkSession", tmp_path: Path) -> None:
    frame = (
        customers(engine_session, ("a", "1.50"))
        .selectExpr("raise_error('broken') as customer_id", "spent", "tags", "seen")
        .selectExpr("cast(customer_id as string) customer_id", "spent", "tags", "seen")
    )

    with pytest.raises(Exception, match="broken"):
        target(tmp_path).write(frame, "replace")
    assert list((tmp_path / "gold_core").iterdir()) == []


def test_what_a_killed_run_left_is_removed_once_it_is_old(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    old, young = (tmp_path / "gold_core" / f".customers.{name}" for name in ("old", "young"))
    for folder, seconds in ((old, 7200), (young, 60)):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - seconds,) * 2)
    (tmp_path / "gold_core" / "customers").mkdir()

    target(tmp_path).write(customers(engine_session, ("a", "1.50")), "replace")

    assert sorted(path.name for path in (tmp_path / "gold_core").iterdir()) == [
        ".customers.young", "customers"
    ]  # fmt: skip


def test_equal_decimals_of_a_file_are_read_exactly(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    spent = Decimal("9999999999999999.01")
    columns = (Column("customer_id", "string"), Column("spent", "decimal(18,2)"))
    frame = engine_session.createDataFrame(
        [("a", spent), ("b", spent)], "customer_id string, spent decimal(18,2)"
    )
    contract = Contract("gold_core.customers", columns)
    at_first, later = target(tmp_path / "first", contract), target(tmp_path / "later", contract)
    replace(later, contract=replace(contract, columns=columns[:1])).write(
        frame.select("customer_id"), "replace"
    )

    for to in (at_first, later):
        write = to.write(frame, "replace")
        assert {row["spent"] for row in to.table.read(write.after).collect()} == {spent}


def test_other_writer_in_the_midst_of_a_write_is_named(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    to = target(tmp_path)
    to.write(customers(engine_session, ("a", "1.50")), "replace")
    location = to.table.location

    def overtake(key: str) -> str:
        other = DeltaTable(location)
        write_deltalake(other, other.to_pyarrow_table(), mode="overwrite")
        return key

    frame = customers(engine_session, ("b", "2.50"))
    overtaken = frame.withColumn("customer_id", F.udf(overtake, "string")("customer_id"))

    with pytest.raises(UserError) as raised:
        to.write(overtaken, "replace")
    assert str(raised.value) == OVERTAKEN
    assert [row["customer_id"] for row in rows_on_disk(to)] == ["a"]
