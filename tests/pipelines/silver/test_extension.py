"""Silver that takes batch after batch in is what a rebuild over all of them makes."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from silver_tables import Rows, SilverTables, bronze, contract_of, plain, silver_contract

from nbx_medallion.pipelines.silver.nodes import (
    clean_records,
    find_superseded,
    quarantine_records,
    select_records,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

D = Decimal
RECORD = ("_batch_id", "_source_file", "_row_number")
BY = ("_superseded_by_batch", "_superseded_by_file", "_superseded_by_row")
KEYED = """
  - {name: k, physicalType: "decimal(20,1)", primaryKey: true, primaryKeyPosition: 1}
  - {name: part, physicalType: string, primaryKey: true, primaryKeyPosition: 2}
  - {name: at, physicalType: date}
  - {name: v, physicalType: int, required: true}
"""
WITHOUT_KEY = re.sub(", primaryKey(Position)?: [^,}]*", "", KEYED)
LATEST_BY = "  customProperties: [{property: latestBy, value: at}]\n"
RECEIVED = ["k", "part", "at", "v"]
BATCHES = ["b1", "b2", "b3", "b4"]
FIELDS = (
    ["1", "1.0", " 01", "2", "3", "x"],
    ["a", "a", "a", "b", ""],
    ["2020-01-01", "2020-01-02", "2020-01-03", "", "bad"],
    ["1", "2", "3", "y"],
    ["a.csv", "b.csv"],
    BATCHES,
)


def keyed(session: SparkSession, rows: Rows) -> DataFrame:
    """Bronze of (k, part, at, v, file, batch), each with its place as row number."""
    numbered = [(*row[:4], None, row[4], at, row[5]) for at, row in enumerate(rows, 1)]
    return bronze(session, RECEIVED, numbered)


def rank(row: tuple[Any, ...], number: int, declared: tuple[str, str]) -> tuple[Any, ...]:
    _, _, at, _, file, batch = row
    return (at if LATEST_BY in declared else "", batch, file, number)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
@given(
    seed=st.integers(0, 2**32),  # The lists that hypothesis makes have few records that meet.
    declared=st.sampled_from([(KEYED, ""), (KEYED, LATEST_BY), (WITHOUT_KEY, "")]),
)
def test_any_order_of_batches_gives_what_a_rebuild_gives(
    engine_session: SparkSession, seed: int, declared: tuple[str, str]
) -> None:
    random = Random(seed)  # noqa: S311
    rows = [tuple(random.choice(field) for field in FIELDS) for _ in range(50)]
    order, size, times = random.sample(BATCHES, 4), random.randint(1, 3), random.randint(1, 2)
    contract = contract_of(*declared)
    frame = keyed(engine_session, rows)
    extended, rebuilt = (SilverTables(engine_session, contract) for _ in range(2))
    rebuilt.take_in(frame, None)

    for at in range(0, 4, size):
        extended.take_in(frame, order[at : at + size], times)

    for table in ("quarantine", "clean"):
        assert extended.rows(table) == rebuilt.rows(table)
    assert extended.rows("superseded", *RECORD) == rebuilt.rows("superseded", *RECORD)
    counts = [len(rebuilt.tables[table]) for table in ("quarantine", "superseded", "clean")]
    assert sum(counts) == len(rows)
    for *lost, batch, file, number in extended.rows("superseded", *RECORD, *BY):
        old, by = rows[lost[2] - 1], rows[number - 1]
        assert (by[5], by[4]) == (batch, file)
        assert (D(old[0]), old[1]) == (D(by[0]), by[1])
        assert rank(by, number, declared) > rank(old, lost[2], declared)
    assert extended.profile(None) == rebuilt.profile(None)


NAMED = """
  - {name: k, physicalType: string, primaryKey: true}
  - {name: at, physicalType: date}
  - {name: v, physicalType: int, required: true}
"""


def named(
    session: SparkSession, rows: list[tuple[str | None, str, str, str, int, str]]
) -> DataFrame:
    """Bronze of (k, at, v, file, row number, batch)."""
    return bronze(session, ["k", "at", "v"], [(*row[:3], None, *row[3:]) for row in rows])


@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
def test_corrections_across_batches(engine_session: SparkSession) -> None:
    day, later, earlier = "2020-01-02", "2020-01-03", "2020-01-01"
    frame = named(
        engine_session,
        [
            ("one", day, "1", "a.csv", 1, "b1"),
            ("two", day, "1", "a.csv", 2, "b1"),
            ("kept", day, "1", "a.csv", 3, "b1"),
            (None, day, "1", "a.csv", 4, "b1"),
            ("one", day, "2", "a.csv", 5, "b1"),
            ("far", day, "1", "far.csv", 1, "b1"),
            ("two", later, "2", "b.csv", 1, "b2"),
            (" ", day, "2", "b.csv", 2, "b2"),
            ("kept", later, "bad", "b.csv", 3, "b2"),
            ("two", day, "3", "c.csv", 1, "b3"),
            ("two", later, "4", "c.csv", 2, "b3"),
            ("far", earlier, "5", "c.csv", 3, "b4"),
            ("far", "", "6", "c.csv", 4, "b4"),
        ],
    )
    silver = SilverTables(engine_session, contract_of(NAMED, LATEST_BY))
    silver.take_in(frame, ["b1"])
    assert silver.rows("superseded", *RECORD, *BY) == [("b1", "a.csv", 1, "b1", "a.csv", 5)]

    # An older record loses: what else there is of its file and batch stays.
    silver.take_in(frame, ["b2"])
    assert [row["k"] for row in silver.replaced] == ["two", "kept", None, "one"]
    assert silver.rows("clean", "k", "v", *RECORD) == [
        ("far", 1, "b1", "far.csv", 1),
        ("kept", 1, "b1", "a.csv", 3),
        ("one", 2, "b1", "a.csv", 5),
        ("two", 2, "b2", "b.csv", 1),
        (None, 1, "b1", "a.csv", 4),
        (None, 2, "b2", "b.csv", 2),
    ]
    assert silver.rows("quarantine", "_reasons", *RECORD) == [(("v: type",), "b2", "b.csv", 3)]
    assert silver.profile(["b2"]) == [("reason", "v: type", 1)]

    # The second of three loses to the third; the first stays as it was.
    silver.take_in(frame, ["b3"])
    lost = [
        ("b1", "a.csv", 1, "b1", "a.csv", 5),
        ("b1", "a.csv", 2, "b2", "b.csv", 1),
        ("b2", "b.csv", 1, "b3", "c.csv", 2),
        ("b3", "c.csv", 1, "b3", "c.csv", 2),
    ]
    assert silver.rows("superseded", *RECORD, *BY) == lost
    clean = silver.rows("clean")
    assert ("two", date(2020, 1, 3), 4, "c.csv", 2, "b3") in clean
    assert len(clean) == 6

    # New records lose to an older one that is later by its own column: clean stays as it is.
    silver.take_in(frame, ["b4"])
    assert silver.rows("superseded", *RECORD, *BY) == [
        *lost,
        ("b4", "c.csv", 3, "b1", "far.csv", 1),
        ("b4", "c.csv", 4, "b1", "far.csv", 1),
    ]
    assert silver.rows("clean") == clean
    assert silver.replaced == []

    # A slice without a record that is accepted can be taken in again.
    silver.take_in(frame, ["b4"])
    assert len(silver.tables["superseded"]) == 6
    assert silver.rows("clean") == clean


def test_numbers_that_are_equal_are_one_key(engine_session: SparkSession) -> None:
    contract = contract_of(NAMED.replace("physicalType: string", "physicalType: double"))
    frame = named(
        engine_session,
        [
            ("0", "", "1", "a.csv", 1, "b1"),
            ("1", "", "1", "a.csv", 2, "b1"),
            ("-0.0", "", "2", "b.csv", 1, "b2"),
            ("1e0", "", "2", "b.csv", 2, "b2"),
        ],
    )
    for slices_of in ([["b1"], ["b2"]], [None]):
        silver = SilverTables(engine_session, contract)
        for batches in slices_of:
            silver.take_in(frame, batches)

        assert silver.rows("clean", "v", *RECORD) == [(2, "b2", "b.csv", 1), (2, "b2", "b.csv", 2)]
        assert silver.rows("superseded", *RECORD, *BY) == [
            ("b1", "a.csv", 1, "b2", "b.csv", 1),
            ("b1", "a.csv", 2, "b2", "b.csv", 2),
        ]


def test_tables_of_delta_are_extended(engine_session: SparkSession, tmp_path: Path) -> None:
    contract = silver_contract()

    def record(order: str, amount: str, row: int, batch: str) -> tuple[Any, ...]:
        return (amount, order, "c", "AMOUNT", "odd", None, "s.csv", row, batch)

    received = ["amount", "order_id", "customer_id", "AMOUNT 2", "a.b`c"]
    rows = [
        record("1", "1", 1, "b1"),
        record("2", "2", 2, "b1"),
        record("1", "3", 1, "b2"),
        record("3", "x", 2, "b2"),
    ]
    frame = bronze(engine_session, [name.replace("`", "``") for name in received], rows)
    nothing = engine_session.createDataFrame([], ", ".join(f"{n} {k}" for n, k in contract.schema))

    def written(name: str, rows: DataFrame, where: str | None) -> DataFrame:
        writer = rows.write.format("delta").mode("overwrite")
        path = str(tmp_path / name)
        (writer.option("replaceWhere", where) if where else writer).save(path)
        return engine_session.read.format("delta").load(path)

    for batches, of_batch, by_batch, goes in [
        (["b1"], None, None, None),
        (
            ["b2"], "_batch_id IN ('b2')", "_batch_id IN ('b2') OR _superseded_by_batch IN ('b2')",
            "_batch_id IN ('b2') OR (_batch_id = 'b1' AND _source_file IN ('s.csv'))",
        ),
    ]:  # fmt: skip
        before = engine_session.read.format("delta").load(str(tmp_path / "c")) if goes else nothing
        new = select_records(frame, batches)
        quarantine = written(
            "q", quarantine_records(new, contract).drop("a.b`c", "AMOUNT 2"), of_batch
        )
        superseded = written(
            "s", find_superseded(new, quarantine, before, batches, contract), by_batch
        )
        replaced = before.where(goes) if goes else nothing
        clean = written("c", clean_records(new, superseded, replaced, batches, contract), goes)

    assert plain(clean.select("order_id", "amount", *RECORD)) == [
        ("1", D("3.00"), "b2", "s.csv", 1),
        ("2", D("2.00"), "b1", "s.csv", 2),
    ]
    assert plain(superseded) == [("s.csv", 1, "b1", "s.csv", 1, "b2")]
    assert plain(quarantine.select("order_id", "amount", "_row_number")) == [("3", "x", 2)]


def test_records_are_selected_by_batch(engine_session: SparkSession) -> None:
    rows = [("1", "", "1", "a.csv", 1, batch) for batch in ("b1", "b2", "b3")]
    frame = named(engine_session, rows)

    assert [row[-2] for row in plain(select_records(frame, None))] == ["b1", "b2", "b3"]
    assert [row[-2] for row in plain(select_records(frame, ["b1", "b3"]))] == ["b1", "b3"]
