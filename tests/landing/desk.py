"""A landing folder, and bronze as runs leave it."""

import os
from pathlib import Path

from nbx_medallion.landing.book import Book, Event, read_book, retract
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.inbox import Receipt, receive
from nbx_medallion.landing.scan import LandingScan
from nbx_medallion.landing.source import read_range

Row = tuple[str, str, int, str | None]
"""File, batch, row number, and the first field or a malformed record's text."""


def rows_of(scan: LandingScan, batch: str) -> list[Row]:
    first = (*scan.columns, "_corrupt_record")[0]
    return [
        (row["_source_file"], batch, row["_row_number"], row["_corrupt_record"] or row[first])
        for file in scan.files
        for part in file.ranges
        for found in read_range(part, scan.columns, scan.dialect)
        for row in found.to_pylist()
    ]


class Desk:
    """What runs receive, with an id each: 1, 2, ..."""

    def __init__(
        self, root: Path, dialect: CsvDialect | None = None, on_rewrite: str = "replace"
    ) -> None:
        self.root, self.dialect, self.on_rewrite = root, dialect or CsvDialect(), on_rewrite
        self.path = str(root)
        self.prefer: tuple[str, ...] = ()
        self.events: list[Event] = []
        self.bronze: list[Row] = []
        self.runs = 0

    @property
    def book(self) -> Book:
        return read_book(self.events)

    def look(self, verify: bool = False) -> Receipt:
        """What the next run would receive."""
        return receive(
            self.book, "sales", self.path, "RAW_SALES_PATH", f"{self.runs + 1:03}", self.dialect,
            on_rewrite=self.on_rewrite, prefer=self.prefer, verify=verify,
        )  # fmt: skip

    def run(self, verify: bool = False) -> Receipt:
        """Receive, take out what does not count, and check that the account is of bronze."""
        receipt = self.look(verify)
        self.runs += 1
        going = set(receipt.replaced)
        if len(self.bronze) > self.book.records():
            going |= {one.id for one in self.book.deliveries() if not one.counts}
        self.bronze = [row for row in self.bronze if row[:2] not in going]
        new = rows_of(receipt.scan, f"{self.runs:03}")
        assert sum(event.records for event in receipt.events) == len(new)
        self.bronze += new
        self.events += receipt.events
        assert self.book.records() == len(self.bronze)
        assert len({row[:3] for row in self.bronze}) == len(self.bronze)
        return receipt

    def retract(self, path: str, location: str | None = None) -> list[Event]:
        found = retract(self.book, path, location, "a reason")
        self.events += found
        return found

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode(self.dialect.encoding) if isinstance(content, str) else content
        path.write_bytes(data)
        return path

    def append(self, name: str, content: str | bytes) -> None:
        data = content.encode(self.dialect.encoding) if isinstance(content, str) else content
        with (self.root / name).open("ab") as raw:
            raw.write(data)

    def rename(self, name: str, other: str) -> None:
        (self.root / other).parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.root / name, self.root / other)


def states(receipt: Receipt) -> dict[str, tuple[str, int]]:
    """By path: event and records."""
    return {event.path: (event.event, event.records) for event in receipt.events}


def values(rows: list[Row]) -> list[str | None]:
    return [row[3] for row in rows]
