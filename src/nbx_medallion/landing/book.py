"""What is known of the received files of a source, read from the events of `ops.landing_files`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

from nbx_medallion.errors import LandingError, did_you_mean


@dataclass(frozen=True)
class Event:
    """Something that happened to a received file: a row of `ops.landing_files`.

    Attributes:
        event: `received`, `grown`, `changed`, `moved` or `retracted`.
        path: The value of `_source_file`; of the delivery, where it is retracted.
        location: Where the file is, absolute; empty where it is nowhere.
        size_bytes: Of the whole file, as are `fingerprint` and `header`.
        fingerprint: None where the content is not known.
        records: Of this delivery; where retracted, those that go.
        header: The header record; None for a file without any record.
        batch_id: The run that received it; of the delivery, where it is retracted.
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
        """Make equal events of a row of the table and of one in a commit's metadata.

        A time is a datetime, in UTC where it has no zone, or ISO text.
        """
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
    """The records that one run received from one file.

    Attributes:
        event: How they came.
        records: Those that are still in bronze, by this account.
        counts: False if they were retracted or replaced.
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
    """A received file.

    Attributes:
        location: Where it was last; None if another file took its place.
        deliveries: At least one, in order.
        seen: Row number of its last record.
    """

    location: str | None
    modified_at: datetime | None
    deliveries: list[Delivery]
    seen: int

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


@dataclass
class Book:
    """The received files of a source.

    Attributes:
        retracted: Fingerprints of contents that are not received again.
        newest: The last batch that received something, empty where none has.
    """

    files: list[File] = field(default_factory=list)
    retracted: set[str] = field(default_factory=set)
    newest: str = ""
    _places: dict[str, File] = field(default_factory=dict)

    def at(self, location: str) -> File | None:
        """The file that was last seen there."""
        return self._places.get(location)

    def deliveries(self) -> list[Delivery]:
        """Those of all files."""
        return [delivery for file in self.files for delivery in file.deliveries]

    def records(self) -> int:
        """Records that bronze has to have."""
        return sum(file.records() for file in self.files)

    def _settle(self, file: File, event: Event) -> None:
        """A place holds one file; who was there is nowhere now."""
        if (before := self.at(event.location)) is not None:
            before.location = None
        self._places[event.location] = file
        file.location, file.modified_at = event.location, event.modified_at

    def _move(self, moves: Iterable[tuple[File, Event]]) -> None:
        for file, _ in moves:
            self._places.pop(file.location or "", None)
            file.location = None
        for file, event in moves:
            self._settle(file, event)

    def _receive(self, event: Event) -> None:
        delivery = Delivery(event, event.records)
        file = self._places.get(event.location)
        if event.event == "received" or file is None:
            self.files.append(file := File(None, None, [], 0))
        if event.event == "changed":
            file.seen = 0
            for old in file.deliveries:
                old.counts = False
        file.deliveries.append(delivery)
        file.seen += event.records
        self._settle(file, event)


def read_book(events: Iterable[Event]) -> Book:
    """Fold the events of a source, in any order; one that is there twice counts once.

    Batches sort by time. Of a batch all moves come first, at once, and it says one thing about a
    place. Retractions name deliveries, so they come last.
    """
    book, batches, retractions = Book(), dict[str, list[Event]](), list[Event]()
    for event in set(events):
        is_receipt = event.event != "retracted"
        (batches.setdefault(event.batch_id, []) if is_receipt else retractions).append(event)
    for batch in sorted(batches):
        of_batch = sorted(batches[batch], key=lambda event: (event.path, event.location))
        if moves := [event for event in of_batch if event.event == "moved"]:
            named = {file.name: file for file in book.files}
            book._move([(named[move.reason or ""], move) for move in moves])
        for event in of_batch:
            if event.event != "moved":
                book._receive(event)
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

    Raises:
        LandingError: No file has, or several have and no location says which.
    """
    having: dict[str, set[File]] = {}
    for file in book.files:
        for delivery in file.deliveries:
            if delivery.counts:
                having.setdefault(delivery.event.path, set()).add(file)
    if path not in having:
        raise LandingError(
            f"{path}: expected a file that has records in bronze, as _source_file shows it; found"
            f" none.{did_you_mean(path, having)} See ops.landing_files."
        )
    files = {file for file in having[path] if location in (None, file.location or "")}
    if not files or (location is None and len(files) > 1):
        places = ", ".join(sorted(repr(file.location or "") for file in having[path]))
        where = "one file" if location is None else f"a file at {location!r}"
        raise LandingError(
            f"{path}: expected {where}; found {places} ('' is a file that another took the place"
            " of). Say which by its location."
        )
    return [
        replace(
            delivery.event,
            event="retracted",
            location=file.location or "",
            records=delivery.records,
            reason=why,
        )
        for file in sorted(files, key=lambda file: file.id)
        for delivery in file.deliveries
        if delivery.counts
    ]
