"""What is known of the received files of a source, read from the events of `ops.landing_files`."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

from nbx_medallion.errors import LandingError, did_you_mean


@dataclass(frozen=True)
class Event:
    """Something that happened to a received file: a row of `ops.landing_files`.

    Size, fingerprint and header are those of the whole file; where it is retracted, path and batch
    are those of the delivery.

    Attributes:
        event: `received`, `grown`, `changed`, `moved` or `retracted`.
        path: The value of `_source_file`.
        location: Where the file is, absolute; empty where it is nowhere.
        fingerprint: None where the content is not known.
        records: Of this delivery; where retracted, those that go.
        header: The header record; empty for a file that has none, None for one without any record.
        reason: Why it was retracted; of a moved file, path and batch of its first delivery as JSON;
            else reader options other than the default, and why no growth of the file can be told.
    """

    source: str
    event: str
    path: str
    location: str
    size_bytes: int | None
    modified_at: datetime | None
    fingerprint: str | None
    records: int
    header: str | None
    batch_id: str
    reason: str | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make equal events of a row of the table, its time in UTC, and of `to_json`."""
        values = {one.name: row[one.name] for one in fields(cls)}
        at = values["modified_at"]
        at = datetime.fromisoformat(at) if isinstance(at, str) else at
        if at is not None:
            at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        return cls(**values | {"modified_at": at})

    def to_json(self) -> dict[str, Any]:
        """The row, its time as ISO text."""
        return asdict(self) | {"modified_at": self.modified_at and self.modified_at.isoformat()}


@dataclass(eq=False)
class Delivery:
    """What one run received from a file; `records` are those that it has in bronze now.

    It does not count if they were retracted or replaced.
    """

    event: Event
    records: int
    counts: bool = True

    @property
    def id(self) -> tuple[str, str]:
        """Path and batch, which each of its records has."""
        return self.event.path, self.event.batch_id


@dataclass(eq=False)
class File:
    """A received file of one delivery or more, whose last record has the row number `seen`.

    The location is where it was last, None if another file took its place.
    """

    location: str | None = None
    modified_at: datetime | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    seen: int = 0

    @property
    def id(self) -> tuple[str, str]:
        """That of its first delivery."""
        return self.deliveries[0].id

    @property
    def name(self) -> str:
        """Its id as JSON text, as the event of a move names it."""
        return json.dumps(self.id, ensure_ascii=False, separators=(",", ":"))

    @property
    def content(self) -> Event:
        """The event with size, fingerprint and header of what it holds."""
        return self.deliveries[-1].event

    @property
    def is_alive(self) -> bool:
        """True if not all of it was retracted."""
        return any(delivery.counts for delivery in self.deliveries)

    def records(self) -> int:
        """Its records that are in bronze."""
        return sum(one.records for one in self.deliveries if one.counts)

    def receive(self, event: Event) -> None:
        """Add a delivery."""
        if event.event == "changed":
            self.seen = 0
            for old in self.deliveries:
                old.counts = False
        self.deliveries.append(Delivery(event, event.records))
        self.seen += event.records


@dataclass
class Book:
    """The received files of a source, and fingerprints of contents that are not received again.

    `newest` is the last batch that received something, empty where none has.
    """

    files: list[File] = field(default_factory=list)
    retracted: set[str] = field(default_factory=set)
    newest: str = ""

    def places(self) -> dict[str, File]:
        """By location, the file that was last seen there."""
        return {file.location: file for file in self.files if file.location}

    def deliveries(self) -> list[Delivery]:
        """Those of all files, whether they count or not."""
        return [delivery for file in self.files for delivery in file.deliveries]

    def records(self) -> int:
        """Records that bronze has to have."""
        return sum(file.records() for file in self.files)


def read_book(events: Iterable[Event]) -> Book:
    """Fold the events of a source, in any order; one that is there twice counts once.

    Batches sort by time. Of a batch all moves come first, at once, and it says one thing about a
    place, which holds one file: who was there is nowhere now. Retractions name deliveries, so they
    come last.
    """
    book, places = Book(), dict[str, File]()
    batches, retractions = dict[str, list[Event]](), list[Event]()
    for event in set(events):
        is_receipt = event.event != "retracted"
        (batches.setdefault(event.batch_id, []) if is_receipt else retractions).append(event)
    for batch in sorted(batches):
        of_batch = sorted(batches[batch], key=lambda e: (e.event != "moved", e.path, e.location))
        moved = dict[Event, File]()
        if of_batch[0].event == "moved":
            named = {file.name: file for file in book.files}
            moved = {e: named[e.reason or ""] for e in of_batch if e.event == "moved"}
        for moving in moved.values():
            places.pop(moving.location or "", None)
            moving.location = None
        for event in of_batch:
            before, file = places.get(event.location), moved.get(event)
            if file is None:
                file = before if before and event.event != "received" else File()
                file.receive(event)
                if file is not before:
                    book.files.append(file)
            if before:
                before.location = None
            places[event.location] = file
            file.location, file.modified_at = event.location, event.modified_at
        book.newest = batch
    deliveries = {delivery.id: delivery for delivery in book.deliveries()}
    for event in retractions:
        delivery = deliveries[event.path, event.batch_id]
        delivery.records -= event.records
        delivery.counts &= delivery.records > 0
        if event.fingerprint is not None:
            book.retracted.add(event.fingerprint)
    return book


def retract(book: Book, path: str, location: str | None, why: str) -> list[Event]:
    """Retract all records of the file that has records under a path: an event a delivery.

    Where no file has, or several have and no location says which: `LandingError`.
    """
    having = [(one.event.path, f) for f in book.files for one in f.deliveries if one.counts]
    found = {file for name, file in having if name == path}
    if not found:
        raise LandingError(
            f"{path}: expected a file that has records in bronze, as _source_file shows it; found"
            f" none.{did_you_mean(path, {name for name, _ in having})} See ops.landing_files."
        )
    files = {file for file in found if location in (None, file.location or "")}
    if not files or (location is None and len(files) > 1):
        places = ", ".join(sorted(repr(file.location or "") for file in found))
        where = "one file" if location is None else f"a file at {location!r}"
        raise LandingError(
            f"{path}: expected {where}; found {places} ('' is a file that another took the place"
            " of). Say which with --location."
        )
    told: dict[str, Any] = {"event": "retracted", "reason": why}
    return [
        replace(one.event, **told, location=file.location or "", records=one.records)
        for file in sorted(files, key=lambda file: file.id)
        for one in file.deliveries
        if one.counts
    ]
