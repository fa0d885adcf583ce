"""The first of two passes over received files: what they are, before any engine starts."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.files import ReceivedFile, list_landing, unreadable
from nbx_medallion.landing.header import Header, read_header
from nbx_medallion.landing.records import LIMIT, WINDOW, BlockReader, block_count
from nbx_medallion.landing.stream import (
    BOM,
    UNREADABLE,
    HashingFile,
    is_streamed,
    open_utf8,
)

SPLIT_BYTES = 8 << 20


@dataclass(frozen=True)
class Sizes:
    """Sizes of the reading, in bytes. They change nothing in what is read.

    Attributes:
        window: Most bytes that are parsed at once, unless a record is longer.
        split: About how far apart a file can be split into ranges.
        limit: Bytes from a record's start within which a quoted field must close.
    """

    window: int = WINDOW
    split: int = SPLIT_BYTES
    limit: int = LIMIT


@dataclass(frozen=True)
class FileRange:
    """A run of whole records in a file.

    Attributes:
        start: Offset of its first byte in the file's UTF-8 text.
        length: Bytes.
        first_row: Ordinal of its first record in the file, from 1.
        records: How many records it holds.
    """

    start: int
    length: int
    first_row: int
    records: int


@dataclass(frozen=True)
class LandingFile:
    """A received file, read once.

    Attributes:
        path: Relative to the landing root, with forward slashes.
        location: Where it is.
        size_bytes: Its size.
        modified_at: When it was last modified, in UTC.
        fingerprint: SHA-256 of its bytes, in hexadecimal digits.
        records: Records received, malformed ones counted.
        header: The header record's text; None for a file without any record.
        columns: A name for each field; None where the header cannot be mapped.
        ranges: Where its records are. One range where it can only be read from its start.
        streamed: Whether it can only be read from its start.
    """

    path: str
    location: str
    size_bytes: int
    modified_at: datetime
    fingerprint: str
    records: int
    header: str | None
    columns: tuple[str, ...] | None
    ranges: tuple[FileRange, ...]
    streamed: bool


@dataclass(frozen=True)
class LandingScan:
    """What a landing path holds.

    Attributes:
        root: The landing root.
        files: The files read, sorted by path.
        skipped: Paths of other files of the folder, which are not read.
        unmapped: Why a file's header cannot be mapped, by path. Each of its records arrives as
            malformed.
        blank_headers: Positions of blank names in a file's header, from 0, by path. Such a column
            is named `_c<position>`.
        columns: The received columns: the union over the files, in the order first seen.
        dialect: How the files are written.
    """

    root: str
    files: tuple[LandingFile, ...]
    skipped: tuple[str, ...]
    unmapped: Mapping[str, str]
    blank_headers: Mapping[str, tuple[int, ...]]
    columns: tuple[str, ...]
    dialect: CsvDialect

    @property
    def records(self) -> int:
        """Records received, malformed ones counted."""
        return sum(file.records for file in self.files)


def scan_landing(
    path: str,
    variable: str,
    dialect: CsvDialect,
    prefer: Sequence[str] = (),
    sizes: Sizes = Sizes(),
) -> LandingScan:
    """Read each received file once: fingerprint, header, number of records, split points.

    Args:
        path: Absolute path of a file or a folder, or a glob.
        variable: The environment variable that sets it, to be named in errors.
        dialect: How the files are written.
        prefer: Column names that win where files spell a name in different cases. Otherwise the
            first file's spelling wins.
        sizes: Sizes of the reading.

    Returns:
        What was found. No content of a file is an error.

    Raises:
        UserError: The path holds no file, or one cannot be read.
    """
    listing = list_landing(path, variable)
    threads = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as hashing, ThreadPoolExecutor(threads) as pool:
        scanned = list(
            pool.map(
                lambda file: _scan_file(file, variable, dialect, sizes, hashing), listing.files
            )
        )
    headers = {file.path: header for file, header in scanned}
    unmapped = {path: header.problem for path, header in headers.items() if header.problem}
    conflicts, columns = _unite(headers, prefer)
    unmapped |= conflicts
    return LandingScan(
        str(listing.root),
        tuple(
            replace(file, columns=None) if file.path in unmapped else file for file, _ in scanned
        ),
        listing.skipped,
        dict(sorted(unmapped.items())),
        {path: header.blank for path, header in headers.items() if header.blank},
        columns,
        dialect,
    )


def _scan_file(
    file: ReceivedFile, variable: str, dialect: CsvDialect, sizes: Sizes, pool: Executor
) -> tuple[LandingFile, Header]:
    streamed = is_streamed(file.location, dialect)
    try:
        with open(file.location, "rb") as raw:
            hashing = HashingFile(raw, pool)
            text = open_utf8(hashing, file.location, dialect)
            reader = BlockReader(text, dialect, window=sizes.window, limit=sizes.limit)
            reader.skip(BOM)
            record = reader.header()
            ranges = _ranges(reader, dialect, None if streamed else sizes.split)
            fingerprint = hashing.finish()
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise unreadable(file.location, reason, variable) from error
    header = read_header(record)
    return (
        LandingFile(
            file.path,
            file.location,
            hashing.size,
            file.modified_at,
            fingerprint,
            sum(part.records for part in ranges),
            header.text,
            header.columns,
            ranges,
            streamed,
        ),
        header,
    )


def _ranges(reader: BlockReader, dialect: CsvDialect, split: int | None) -> tuple[FileRange, ...]:
    """Count records up to the end, in ranges of at least `split` bytes (None: in one)."""
    ranges: list[FileRange] = []
    start, row, records = reader.offset, 1, 0
    for block in reader:
        records += block_count(block, dialect)
        if split and block.may_split and block.end - start >= split:
            ranges.append(FileRange(start, block.end - start, row, records))
            start, row, records = block.end, row + records, 0
    if records:
        ranges.append(FileRange(start, reader.offset - start, row, records))
    return tuple(part for part in ranges if part.records)


def _unite(
    headers: Mapping[str, Header], prefer: Iterable[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The union of the columns, and why some files cannot be part of it.

    A table cannot hold two columns that differ only in case.
    """
    received = {name for header in headers.values() for name in header.columns or ()}
    spelling = {name.lower(): (name, "") for name in prefer if name in received}
    conflicts: dict[str, str] = {}
    columns: dict[str, None] = {}
    for path, header in headers.items():
        names = header.columns or ()
        for name in names:
            other, owner = spelling.get(name.lower(), (name, path))
            if other != name:
                where = f"of {owner}" if owner else "of other files"
                conflicts[path] = f"the column {name!r} differs only in case from {other!r} {where}"
                break
        else:
            spelling.update({name.lower(): (name, path) for name in names})
            columns.update(dict.fromkeys(names))
    return conflicts, tuple(columns)
