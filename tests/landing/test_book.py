"""Events as rows, what they tell in whatever order, and what a retraction may name."""

import json
import random
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from desk import Desk

from nbx_medallion.errors import LandingError
from nbx_medallion.landing.book import Event, read_book, retract

AT = datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
EVENT = Event(
    "sales", "received", "a.csv", "/in/a.csv", 6, AT, "f1", 2, "h", "001"
)  # fmt: skip


def test_a_row_of_the_table_and_one_of_a_commit_are_equal_events(tmp_path: Path) -> None:
    unknown = replace(EVENT, event="retracted", size_bytes=None, modified_at=None, header=None)
    events = {EVENT, unknown, replace(EVENT, modified_at=AT.replace(microsecond=0))}
    write_deltalake(str(tmp_path), pa.Table.from_pylist([asdict(event) for event in events]))
    stored = DeltaTable(str(tmp_path)).to_pyarrow_table().to_pylist()
    committed = json.loads(json.dumps([event.to_json() for event in events]))
    assert set(map(Event.from_row, stored)) == events
    assert set(map(Event.from_row, committed)) == events
    assert list(asdict(EVENT)) == [
        "source", "event", "path", "location", "size_bytes", "modified_at", "fingerprint",
        "records", "header", "batch_id", "reason",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "at",
    [
        AT,
        AT.replace(tzinfo=None),
        AT.astimezone(timezone(timedelta(hours=-3))),
        "2023-11-14T22:13:20.123456+00:00",
        "2023-11-14T22:13:20.123456",
    ],
)
def test_a_time_without_zone_is_in_utc(at: datetime | str) -> None:
    event = Event.from_row(asdict(EVENT) | {"modified_at": at, "other": 1})
    assert event == EVENT
    assert event.modified_at is not None
    assert event.modified_at.tzinfo is UTC


def test_events_count_once_and_in_any_order(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.put("a.csv", "h\n1\n2\n")
    desk.put("b.csv", "h\n3\n")
    desk.run()
    desk.append("a.csv", "4\n")
    desk.rename("b.csv", "c.csv")
    desk.run()
    desk.retract("b.csv")
    desk.rename("a.csv", "b.csv")
    desk.put("a.csv", "h\n5\n6\n7\n")
    desk.run()
    for _ in range(20):
        events = desk.events * 2
        random.shuffle(events)
        book = read_book(events)
        files = {file.id: file for file in book.files}
        assert {key: (file.location, file.records()) for key, file in files.items()} == {
            ("a.csv", "001"): (str(tmp_path / "b.csv"), 3),
            ("b.csv", "001"): (str(tmp_path / "c.csv"), 0),
            ("a.csv", "003"): (str(tmp_path / "a.csv"), 3),
        }
        assert book.places()[str(tmp_path / "b.csv")] is files["a.csv", "001"]
        assert (book.records(), book.newest, files["a.csv", "001"].seen) == (6, "003", 3)
        assert book.retracted == {files["b.csv", "001"].content.fingerprint}
        assert sorted(one.id for one in book.deliveries() if one.counts) == [
            ("a.csv", "001"), ("a.csv", "002"), ("a.csv", "003"),
        ]  # fmt: skip


def test_nothing_is_known_without_events() -> None:
    book = read_book([])
    assert (book.files, book.records(), book.newest, book.places()) == ([], 0, "", {})


def test_records_that_somebody_deleted_are_retracted_without_a_content() -> None:
    gone = replace(EVENT, event="retracted", location="", fingerprint=None, records=1, reason="x")
    book = read_book([EVENT, gone])
    (delivery,) = book.deliveries()
    assert (delivery.records, delivery.counts, book.retracted) == (1, True, set())
    book = read_book([EVENT, gone, replace(gone, reason="y")])
    (delivery,) = book.deliveries()
    assert (delivery.records, delivery.counts, book.records()) == (0, False, 0)


def test_a_retraction_is_an_event_a_delivery(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.put("a.csv", "h\n1\n2\n")
    desk.run()
    desk.rename("a.csv", "b.csv")
    desk.run()
    desk.append("b.csv", "3\n")
    desk.run()
    received, _, grown = desk.events
    place = str(tmp_path / "b.csv")
    expected = [
        replace(received, event="retracted", location=place, reason="why"),
        replace(grown, event="retracted", reason="why"),
    ]
    for path in ("a.csv", "b.csv"):
        assert retract(desk.book, path, None, "why") == expected
    assert retract(desk.book, "a.csv", place, "why") == expected


def test_what_cannot_be_retracted(tmp_path: Path) -> None:
    desk = Desk(tmp_path, on_rewrite="add")
    for value in (1, 2):
        desk.put("day/sales.csv", f"h\n{value}\n")
        desk.run()
    place = str(tmp_path / "day/sales.csv")

    def error(path: str, location: str | None = None) -> str:
        with pytest.raises(LandingError) as raised:
            desk.retract(path, location)
        return raised.value.message

    assert error("sales.csv") == (
        "sales.csv: expected a file that has records in bronze, as _source_file shows it; found"
        " none. Did you mean 'day/sales.csv'? See ops.landing_files."
    )
    found = f"found '', {place!r} ('' is a file that another took the place of)."
    assert error("day/sales.csv") == (
        f"day/sales.csv: expected one file; {found} Say which with --location."
    )
    assert error("day/sales.csv", "/in/a.csv") == (
        f"day/sales.csv: expected a file at '/in/a.csv'; {found} Say which with --location."
    )
    assert [event.batch_id for event in desk.retract("day/sales.csv", "")] == ["001"]
    assert [event.batch_id for event in desk.retract("day/sales.csv")] == ["002"]
    assert "found none" in error("day/sales.csv")
