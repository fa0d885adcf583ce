"""What a landing path holds that is new, beside what was received before."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import BinaryIO, NamedTuple

from nbx_medallion.landing.book import Book, Event, File
from nbx_medallion.landing.dialect import UNREADABLE, CsvDialect
from nbx_medallion.landing.files import (
    LandingFile,
    Listed,
    Listing,
    changed,
    list_landing,
    opened,
)
from nbx_medallion.landing.notes import listed
from nbx_medallion.landing.records import WINDOW
from nbx_medallion.landing.scan import LandingScan, Tail, scan_file, thread_pools, unite

#: What a file is that is there again with other content: a correction, or a delivery of its own.
ON_REWRITE = ("replace", "add")
_OPEN = "it ends within quotes"


@dataclass(frozen=True)
class Receipt:
    """What a run receives of a source.

    Attributes:
        scan: What is to be read: new files, corrected ones, and what others have grown by.
        replaced: Deliveries, as (path, batch), whose records go.
        notes: What a person should know of the files that were received before.
    """

    events: tuple[Event, ...]
    scan: LandingScan
    replaced: frozenset[tuple[str, str]]
    notes: tuple[str, ...]


class _Content(NamedTuple):
    """What is known of a listed file before it is scanned.

    The fingerprint is None where it is certainly that of a new content. A tail has one that begins
    with what was received of it.
    """

    fingerprint: str | None = None
    tail: Tail | None = None


class _New(NamedTuple):
    """A scanned file, what it is, and the file that was at its place."""

    event: str
    before: File | None
    found: LandingFile


def receive(  # noqa: PLR0913, PLR0917
    book: Book,
    source: str,
    path: str,
    variable: str,
    run_id: str,
    dialect: CsvDialect,
    *,
    on_rewrite: str = "replace",
    prefer: Sequence[str] = (),
    existing: Sequence[str] = (),
    verify: bool = False,
) -> Receipt:
    """Find the state of each file, and scan what is new.

    The first that fits: same, moved, retracted, grown, changed, new. A file that was read with
    other reader options is changed. One whose place, size and time of modification are as received
    is not read; another one at a known place, or of a known size, is hashed first.

    Args:
        book: What was received before.
        source: Name of the source.
        path: A file, a folder or a glob.
        variable: The environment variable that sets it.
        run_id: Id of the run.
        dialect: How the files are declared to be written.
        on_rewrite: One of `ON_REWRITE`.
        prefer: Names that win where files spell a column in different cases.
        existing: Columns of bronze, whose spelling holds.
        verify: Whether files that look as they were are read and compared.

    Raises:
        LandingError: As `list_landing`, or a file cannot be read, or changes meanwhile.
    """
    known = {file.location for file in book.files if file.location}
    listing = list_landing(path, variable, known)
    sizes = {delivery.event.size_bytes for delivery in book.deliveries()}
    contents: dict[str, _Content] = {}
    to_hash: dict[str, Listed] = {}
    for one in listing.files:
        file = book.at(one.place)
        if file and not verify and (file.content.size_bytes, file.modified_at) == one[2:]:
            contents[one.place] = _Content(file.content.fingerprint)
        elif file or one.size_bytes in sizes:
            to_hash[one.place] = one
        else:
            contents[one.place] = _Content()
    with thread_pools() as (pool, hashing):
        hashes = pool.map(
            lambda one: _hash(one, variable, book.at(one.place), dialect), to_hash.values()
        )
        contents |= zip(to_hash, hashes, strict=True)
        unknown = {
            one.place: one
            for one in listing.files
            if not (file := book.at(one.place))
            or file.content.fingerprint != contents[one.place].fingerprint
            or not _is_read_alike(file.content, dialect)
        }
        moves = _find_moves(book, unknown, contents)
        moved = set(moves.values())

        def scan(one: Listed) -> _New:
            before, (fingerprint, tail) = book.at(one.place), contents[one.place]
            if before is None or before in moved:
                before = tail = None
            found = scan_file(one, variable, dialect, hashing, tail)
            if fingerprint not in (None, found.fingerprint):
                raise changed(one.location, "its content is another")
            read_anew = before and not _is_read_alike(before.content, dialect)
            is_changed = read_anew or (before and on_rewrite == "replace")
            event = "grown" if tail else "changed" if is_changed else "received"
            return _New(event, before, found)

        wanted = {
            place: one
            for place, one in unknown.items()
            if place not in moves and contents[place].fingerprint not in book.retracted
        }
        news = list(pool.map(scan, wanted.values()))
    events = [
        Event(
            source, "moved", one.path, one.place, *one[2:], event.fingerprint, 0, event.header,
            run_id, file.name,
        )
        for place, file in moves.items()
        for one, event in [(unknown[place], file.content)]
    ] + [
        Event(
            source, event, one.path, one.place, *one[2:], found.fingerprint, found.records,
            found.header.text, run_id,
            "; ".join(filter(None, (_read_with(dialect), _OPEN * found.is_open))) or None,
        )
        for one, (event, _, found) in zip(wanted.values(), news, strict=True)
    ]  # fmt: skip
    files, columns = unite([new.found for new in news], prefer, existing)
    return Receipt(
        tuple(events),
        LandingScan(tuple(files), tuple(listing.others), columns, dialect),
        frozenset(
            delivery.id
            for new in news
            if new.before and new.event == "changed"
            for delivery in new.before.deliveries
            if delivery.counts and delivery.records
        ),
        tuple(
            f"{what}: {listed(names)}"
            for what, names in _tell(book, listing, unknown, moves, news, os.path.isdir(path))
            if names
        ),
    )


def _read_with(dialect: CsvDialect) -> str:
    """The reader options that are not the default ones, empty where none is."""
    usual = asdict(CsvDialect())
    given = {name: value for name, value in asdict(dialect).items() if value != usual[name]}
    return f"read with {json.dumps(given)}" if given else ""


def _is_read_alike(event: Event, dialect: CsvDialect) -> bool:
    """True unless a file was received with other reader options than those of today."""
    return (event.reason or "").removesuffix(_OPEN).removesuffix("; ") == _read_with(dialect)


def _hash(one: Listed, variable: str, before: File | None, dialect: CsvDialect) -> _Content:
    """Hash a file; find where to read on if it begins with what it held before.

    That had a header, ended with a line end, and not within quotes: then no record of it becomes
    another by what follows.
    """
    event = before and before.content
    hashed, length = hashlib.sha256(), None
    with opened(one, variable) as raw:
        is_growable = event and event.header is not None and _OPEN not in (event.reason or "")
        if before and event and is_growable and _is_read_alike(event, dialect):
            first = _First(raw, event.size_bytes or 0)
            while data := first.read(WINDOW):
                hashed.update(data)
            if hashed.hexdigest() == event.fingerprint and raw.tell() < one.size_bytes:
                length = _text_length(raw, raw.tell(), one.location, dialect)
                raw.seek(event.size_bytes or 0)
        start = hashed.copy()
        while data := raw.read(WINDOW):
            hashed.update(data)
    tail = Tail(length, before.seen + 1, start) if before and length else None
    return _Content(hashed.hexdigest(), tail)


def _text_length(raw: BinaryIO, size: int, location: str, dialect: CsvDialect) -> int | None:
    """Bytes of UTF-8 text in so many first bytes of a file.

    None where it does not end with a line end, or where they are no text by themselves.
    """
    if not dialect.is_streamed(location):
        raw.seek(size - 1)
        return size if raw.read(1) in (b"\n", b"\r") else None
    raw.seek(0)
    length, last = 0, b""
    try:
        text = dialect.open_utf8(_First(raw, size), location)
        while data := text.read(WINDOW):
            length, last = length + len(data), data[-1:]
    except UNREADABLE:
        return None
    return length if last in (b"\n", b"\r") else None


class _First:
    """The first bytes of a file, as if it ended there."""

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw, self._left = raw, size

    def read(self, size: int = -1, /) -> bytes:
        data = self._raw.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def _find_moves(
    book: Book, unknown: Mapping[str, Listed], contents: Mapping[str, _Content]
) -> dict[str, File]:
    """By place: the file whose content is there, and no longer where the file was.

    Of several, one with counting records comes first, then the one received first.
    """
    of_content: dict[str | None, list[File]] = {}
    for file in sorted(book.files, key=lambda file: (not file.is_alive, *reversed(file.id))):
        of_content.setdefault(file.content.fingerprint, []).append(file)
    moves: dict[str, File] = {}
    taken: set[File] = set()
    for place in sorted(unknown):
        for file in of_content.get(contents[place].fingerprint, ()):
            if file not in taken and not _is_still_there(file, contents):
                moves[place] = file
                taken.add(file)
                break
    return moves


def _is_still_there(file: File, contents: Mapping[str, _Content]) -> bool:
    """Also outside the listing: the variable may be another today."""
    place, event = file.location, file.content
    if not place:
        return False
    if place in contents:
        return contents[place].fingerprint == event.fingerprint
    try:
        with open(place, "rb") as raw:
            is_so = os.fstat(raw.fileno()).st_size == event.size_bytes
            return is_so and hashlib.file_digest(raw, "sha256").hexdigest() == event.fingerprint
    except OSError:
        return False


def _tell(  # noqa: PLR0913, PLR0917
    book: Book,
    listing: Listing,
    unknown: Mapping[str, Listed],
    moves: Mapping[str, File],
    news: Sequence[_New],
    is_folder: bool,
) -> Iterator[tuple[str, list[str]]]:
    """What to say of which files. That one is gone from a folder, its listing tells."""
    inside, others = os.path.join(listing.root, ""), set(listing.others)
    there, moved = {one.place for one in listing.files}, set(moves.values())
    yield (
        "received before and no longer there (their records stay)",
        [
            f"{file.content.path} ({_counted(file.records())})"
            for file in book.files
            if file.is_alive
            and file.location
            and file.location.startswith(inside)
            and file.location not in there
            and file.location.removeprefix(inside) not in others
            and file not in moved
            and (is_folder or not os.path.lexists(file.location))
        ],
    )
    yield (
        "received before under another name, not read again",
        [f"{unknown[place].path} (was {file.content.path})" for place, file in moves.items()],
    )
    for what, is_same in (
        ("received with other content", False),
        ("read with other options", True),
    ):
        yield (
            what,
            [
                f"{found.path} ({_counted(before.records())} replaced by {found.records:,})"
                for event, before, found in news
                if before and event == "changed"
                if (found.fingerprint == before.content.fingerprint) is is_same
            ],
        )
    held = [book.at(place) for place in there - unknown.keys()]
    received = {file.content.fingerprint: file.content.path for file in held if file}
    yield (
        "the same content as a received file, counted again",
        [
            f"{found.path} ({received[found.fingerprint]})"
            for _, _, found in news
            if found.fingerprint in received
        ],
    )
    new = {found.path for _, _, found in news} | {unknown[place].path for place in moves}
    yield (
        "retracted, so not received",
        [
            one.path
            for one in listing.files
            if (one.place in unknown and one.path not in new)
            or not getattr(book.at(one.place), "is_alive", True)
        ],
    )


def _counted(records: int) -> str:
    return f"{records:,} record{'' if records == 1 else 's'}"
