"""What a landing path holds that is new, beside what was received before."""

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from typing import NamedTuple

from nbx_medallion.landing.book import Book, Event, File
from nbx_medallion.landing.dialect import UNREADABLE, CsvDialect, HashingFile
from nbx_medallion.landing.files import LandingFile, Listed, Listing, changed, list_landing, opened
from nbx_medallion.landing.notes import listed
from nbx_medallion.landing.records import WINDOW
from nbx_medallion.landing.scan import (
    ANOTHER_HEADER,
    ENDS_IN_QUOTES,
    LandingScan,
    Tail,
    scan_file,
    unite,
)

#: What a file is that is there again with other content: a correction, or a delivery of its own.
ON_REWRITE = ("replace", "add")


@dataclass(frozen=True)
class Receipt:
    """What a run receives of a source, and what to tell of the files that were received before.

    To be read are new files, corrected ones, and what others have grown by; the records of the
    deliveries `replaced`, as (path, batch), go.
    """

    events: tuple[Event, ...]
    scan: LandingScan
    replaced: frozenset[tuple[str, str]]
    notes: tuple[str, ...]


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

    `prefer` are names that the contract of the clean table reads. Where files spell a column in
    different cases, the spelling of `existing`, the columns of bronze, holds, else that of
    `prefer`. With `verify`, files that look as they were are read too.

    Raises:
        LandingError: As `list_landing`, or a file cannot be read, or changes meanwhile.
    """
    known = book.places()
    listing = list_landing(path, variable, known)
    sizes = {delivery.event.size_bytes for delivery in book.deliveries()}
    # Fingerprints by place; one that is not known yet is certainly that of a new content.
    contents: dict[str, str | None] = {}
    tails: dict[str, Tail | None] = {}
    to_hash = []
    for one in listing.files:
        file = known.get(one.place)
        if file and not verify and (file.content.size_bytes, file.modified_at) == one[2:]:
            contents[one.place] = file.content.fingerprint
        elif file or one.size_bytes in sizes:
            to_hash.append(one)
    threads = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as hashing, ThreadPoolExecutor(threads) as pool:

        def look(one: Listed) -> None:
            found = _hash(one, variable, known.get(one.place), dialect, hashing)
            contents[one.place], tails[one.place] = found

        list(pool.map(look, to_hash))
        unknown = {
            one
            for one in listing.files
            if not (file := known.get(one.place))
            or file.content.fingerprint != contents[one.place]
            or not _is_read_alike(file.content, dialect)
        }
        moves = _find_moves(book, unknown, contents)
        moved = set(moves.values())

        def scan(one: Listed) -> _New:
            before, tail = known.get(one.place), tails.get(one.place)
            if before is None or before in moved:
                before = tail = None
            found = scan_file(one, variable, dialect, hashing, tail, prefer)
            if found.header.other:
                return _New("not read", None, found)
            if contents.get(one.place) not in (None, found.fingerprint):
                raise changed(one.location, "its content is another")
            read_anew = before and not _is_read_alike(before.content, dialect)
            is_changed = read_anew or (before and on_rewrite == "replace")
            event = "grown" if tail else "changed" if is_changed else "received"
            return _New(event, before, found)

        def is_alive(one: Listed) -> bool:
            file = known.get(one.place)
            is_same = file and file.content.fingerprint == contents.get(one.place)
            return bool(file and is_same and file.is_alive)

        wanted = [
            one
            for one in listing.files
            if one in unknown
            and one not in moves
            and (contents.get(one.place) not in book.retracted or is_alive(one))
        ]
        news = list(pool.map(scan, wanted))
    events = [
        Event(
            source, "moved", one.path, one.place, *one[2:], file.content.fingerprint, 0,
            file.content.header, run_id, file.name,
        )
        for one, file in moves.items()
    ] + [
        Event(
            source, event, found.path, found.listed.place, *found.listed[2:], found.fingerprint,
            found.records, found.header.text, run_id, _how(dialect, found.may_not_grow),
        )
        for event, _, found in news
        if event != "not read"
    ]  # fmt: skip
    files, columns = unite([new.found for new in news], prefer, existing)
    told = _tell(book, listing, unknown, moves, news, os.path.isdir(path))
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
        tuple(f"{what}: {listed(names)}" for what, names in told.items() if names),
    )


def scan_landing(
    path: str, variable: str, dialect: CsvDialect, prefer: Sequence[str] = ()
) -> LandingScan:
    """What there is to receive where nothing is known; see `receive`."""
    return receive(Book(), "", path, variable, "", dialect, prefer=prefer).scan


@cache
def _how(dialect: CsvDialect, may_not_grow: str | None = None) -> str | None:
    """The reader options that are not the default ones, and why no growth can be told."""
    usual = asdict(CsvDialect())
    given = {name: value for name, value in asdict(dialect).items() if value != usual[name]}
    read = [f"read with {json.dumps(given)}"] if given else []
    return "; ".join([*read, may_not_grow] if may_not_grow else read) or None


def _is_read_alike(event: Event, dialect: CsvDialect) -> bool:
    """True unless a file was received with other reader options than those of today."""
    return event.reason in {_how(dialect, why) for why in (None, ENDS_IN_QUOTES, ANOTHER_HEADER)}


def _hash(
    one: Listed, variable: str, before: File | None, dialect: CsvDialect, pool: Executor
) -> tuple[str, Tail | None]:
    """The fingerprint of a file, and where to read on if it begins with what it held before.

    That had a record, ended with a line end and not within quotes, and had one header: then no
    record of it becomes another by what follows, and what follows is read by its header.
    """
    held, tail = before and before.content, None
    with opened(one, variable) as raw:
        start = None
        is_growable = held and held.header is not None and held.reason == _how(dialect)
        if before and held and is_growable and (held.size_bytes or 0) < one.size_bytes:
            start = HashingFile(raw, pool, size=held.size_bytes or 0)
            text, length, end = dialect.open_utf8(start, one.location), 0, b""
            with suppress(*UNREADABLE):
                while data := text.read(WINDOW):
                    length, end = length + len(data), data[-1:]
            if start.finish() == held.fingerprint and end in (b"\n", b"\r"):
                is_whole = dialect.is_streamed(one.location)
                tail = Tail(length, before.seen + 1, None if is_whole else start)
        return HashingFile(raw, pool, start).finish(), tail


def _find_moves(
    book: Book, unknown: Collection[Listed], contents: Mapping[str, str | None]
) -> dict[Listed, File]:
    """The files whose content is elsewhere now, and no longer where they were.

    Of several, one with counting records comes first, then the one received first.
    """
    of_content: dict[str | None, list[File]] = {}
    for file in sorted(book.files, key=lambda file: (not file.is_alive, *reversed(file.id))):
        of_content.setdefault(file.content.fingerprint, []).append(file)
    gone = {
        content: (file for file in files if not _is_still_there(file, contents))
        for content, files in of_content.items()
    }
    moves = {}
    for one in sorted(unknown, key=lambda one: one.place):
        if found := next(gone.get(contents.get(one.place), iter(())), None):
            moves[one] = found
    return moves


def _is_still_there(file: File, contents: Mapping[str, str | None]) -> bool:
    """Also outside the listing: the variable may be another today."""
    place, event = file.location, file.content
    if not place:
        return False
    if place in contents:
        return contents[place] == event.fingerprint
    try:
        with open(place, "rb") as raw:
            is_so = os.fstat(raw.fileno()).st_size == event.size_bytes
            return is_so and hashlib.file_digest(raw, "sha256").hexdigest() == event.fingerprint
    except OSError:
        return False


def _tell(  # noqa: PLR0913, PLR0917
    book: Book,
    listing: Listing,
    unknown: Collection[Listed],
    moves: Mapping[Listed, File],
    news: Sequence[_New],
    is_folder: bool,
) -> dict[str, list[str]]:
    """What to say of which files. That one is gone from a folder, its listing tells."""
    inside, places, moved = os.path.join(listing.root, ""), book.places(), set(moves.values())
    there = {*(one.place for one in listing.files), *(inside + other for other in listing.others)}
    known = {one: places.get(one.place) for one in listing.files}
    going_on = {new.before for new in news}
    held = [file for file in book.files if file.is_alive and file not in going_on]
    received = {file.content.fingerprint: file.content.path for file in held}
    replaced: dict[bool, list[str]] = {True: [], False: []}  # by whether the content is the same
    for event, before, found in news:
        if before and event == "changed":
            replaced[found.fingerprint == before.content.fingerprint].append(
                f"{found.path} ({_counted(before.records())} replaced by {found.records:,})"
            )
    taken_in = {found.listed for _, _, found in news}.union(moves)
    return {
        "received before and no longer there (their records stay)": [
            f"{file.content.path} ({_counted(file.records())})"
            for file in book.files
            if file.is_alive
            and file.location
            and file.location.startswith(inside)
            and file.location not in there
            and file not in moved
            and (is_folder or not os.path.lexists(file.location))
        ],
        "received before under another name, not read again": [
            f"{one.path} (was {file.content.path})" for one, file in moves.items()
        ],
        "received with other content": replaced[False],
        "read with other options": replaced[True],
        "the same content as a received file, counted again": [
            f"{found.path} ({received[found.fingerprint]})"
            for _, _, found in news
            if found.records and found.fingerprint in received
        ],
        "retracted, so not received": [
            one.path
            for one, file in known.items()
            if (one in unknown and one not in taken_in) or (file and not file.is_alive)
        ],
    }


def _counted(records: int) -> str:
    return f"{records:,} record{'' if records == 1 else 's'}"
