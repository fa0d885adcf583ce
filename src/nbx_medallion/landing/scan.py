"""The first of two passes over received files: what they are, before any engine starts."""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from nbx_medallion.contracts.lineage import RESERVED
from nbx_medallion.landing.dialect import CsvDialect, HashingFile, guess_encoding
from nbx_medallion.landing.files import FileRange, Header, LandingFile, Listed, list_landing, opened
from nbx_medallion.landing.parse import RecordParser, is_utf8
from nbx_medallion.landing.records import WINDOW, BlockReader, Record, StrictReader

_MOST_HEADER_BYTES = 1 << 20
_MOST_NAMES = 4096
_SEPARATORS = (",", ";", "\t", "|")
# How files begin that are no CSV, whatever their names say.
_OTHERS = {
    rb"\x1f\x8b": "a gzip stream: name it .csv.gz",
    rb"PK\x03\x04(?s:.{26})(\[Content_Types\]|_rels/|docProps/|xl/)": "an Excel workbook: save its"
    " sheet as CSV",
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel workbook: save its sheet as CSV",
    rb"PK(\x03\x04|\x05\x06)|7z\xbc\xaf|BZh\d1AY|\xfd7zXZ|\x28\xb5\x2f\xfd": "an archive: unpack"
    " it",
    rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)\b": "a web page: fetch the file again",
    rb"(\xef\xbb\xbf)?\s*<\?xml": "an XML document: export it as CSV",
    rb"%PDF-": "a PDF document: export it as CSV",
    rb"PAR1[\x00-\x1f]": "a Parquet file: export it as CSV",
}


@dataclass(frozen=True)
class LandingScan:
    """What there is to read of a landing path.

    Files are in the order of their paths, and columns the union over them, in the order first seen.
    `skipped` are paths of a folder's other files.
    """

    files: tuple[LandingFile, ...]
    skipped: tuple[str, ...]
    columns: tuple[str, ...]
    dialect: CsvDialect

    @property
    def records(self) -> int:
        """Records to read, malformed ones counted."""
        return sum(file.records for file in self.files)


class Tail(NamedTuple):
    """Where a file that has grown is read on.

    `start` is the length in bytes of the UTF-8 text before, `first_row` the first new record's
    ordinal in the file, and `before` the bytes before, None where they have to be read again.
    """

    start: int
    first_row: int
    before: HashingFile | None


def preview_rows(path: str, variable: str, dialect: CsvDialect, count: int) -> dict[str, Any]:
    """The first records of the first file that has any, in pandas' "split" form, from 1.

    Columns are the file's, then `_corrupt_record`, `_source_file` and `_row_number`.
    """
    for file in list_landing(path, variable).files:
        with opened(file, variable) as raw:
            reader = BlockReader(dialect.open_utf8(raw, file.location), dialect)
            names = read_header(reader.header()).columns
            parser = RecordParser(names or (), names, file.path, dialect)
            batches = (batch.slice(0, count) for batch in parser.parse(reader, 1))
            records = (row for batch in batches for row in batch.to_pylist())
            rows = [list(row.values()) for row in islice(records, count)]
        if rows:
            break
    index = list(range(1, len(rows) + 1))
    return {"index": index, "columns": parser.schema.names, "data": rows}


def read_header(record: Record | None) -> Header:
    """Name the columns of a file by its first record: as received, blank ones by position."""
    if record is None:
        return Header()
    text = record.raw.decode("utf-8", "replace")
    if len(record.raw) > _MOST_HEADER_BYTES:
        size = f"{len(record.raw):,} bytes, more than {_MOST_HEADER_BYTES:,}"
        return Header(f"{text[:1000]}...", problem=f"the header has {size}")
    unreadable = {
        "a quote does not close": record.fields is None,
        "not in the declared encoding": not is_utf8(record.raw),
        "it holds NUL characters": "\0" in text,
    }
    for why, is_so in unreadable.items():
        if is_so:
            return Header(text, problem=f"the header is unreadable: {why}")
    names = [field.decode() for field in record.fields or ()]
    blank = tuple(at for at, name in enumerate(names) if not name.strip())
    for at in blank:
        names[at] = f"_c{at}"
    problem = _find_problem(names)
    return Header(text, None if problem else tuple(names), blank, problem)


def _find_problem(names: list[str]) -> str | None:
    if len(names) > _MOST_NAMES:
        return f"the header has {len(names):,} names, more than {_MOST_NAMES:,}"
    seen: dict[str, str] = {}
    for name, times in Counter(names).items():
        if times > 1:
            return f"the name {name!r} stands {times} times in the header"
        if name.lower() in RESERVED:
            return f"the name {name!r} is kept for a column of ours"
        other = seen.setdefault(name.lower(), name)
        if other != name:
            return f"the names {other!r} and {name!r} differ only in case"
    return None


def scan_file(
    file: Listed, variable: str, dialect: CsvDialect, pool: Executor, tail: Tail | None = None
) -> LandingFile:
    """Read a file once, or its header and its tail; no content of it is an error.

    Raises:
        LandingError: It cannot be read, or is not as it was listed.
    """
    path, location, size, modified_at = file
    split = sys.maxsize if dialect.is_streamed(location) else 8 * WINDOW
    cuts: list[tuple[int, int, int, int]] = []
    fits: dict[str, str | None] = {}
    with opened(file, variable) as raw:
        hashing = HashingFile(raw, pool)
        if other := _find_other(raw, location):
            return LandingFile(file, hashing.finish(), Header(other=other), False, (), {})
        reader = BlockReader(dialect.open_utf8(hashing, location), dialect, window=WINDOW)
        record = reader.header()
        header = read_header(record)
        base, row, records = 0, 1, 0
        if tail:
            base, row, before = tail
            raw.seek(0)
            hashing = HashingFile(raw, pool, before)
            text = dialect.open_utf8(hashing, location, base)
            reader = BlockReader(text, dialect, window=WINDOW)
        start = base + reader.offset
        is_ascii = is_text = True
        for block in reader:
            records += reader.count(block)
            if is_ascii and not block.data.isascii():
                # A whole file that is in another encoding shows here.
                is_ascii, is_text = False, is_utf8(block.data)
            end = base + reader.offset
            if block.may_split and end - start >= split:
                cuts.append((start, end - start, row, records))
                start, row, records = end, row + records, 0
        cuts.append((start, base + reader.offset - start, row, records))
        fingerprint = hashing.finish()
        if record and (not is_text or b"\0" in record.raw or not is_utf8(record.raw)):
            fits["encoding"] = guess_encoding(location, dialect)
    if record and len(record.fields or ()) < 2:
        fits["separator"] = _guess_separator(record, dialect)
    likely = {option: value for option, value in fits.items() if value}
    as_listed = (path, location, size, modified_at.isoformat())
    ranges = [FileRange(*as_listed, header.columns, *cut) for cut in cuts if cut[-1]]
    return LandingFile(file, fingerprint, header, reader.is_open, tuple(ranges), likely)


def _find_other(raw: BinaryIO, location: str) -> str | None:
    """What a file is that is no CSV."""
    start = CsvDialect().open_utf8(raw, location).read(512)
    raw.seek(0)
    return next((what for form, what in _OTHERS.items() if re.match(form, start)), None)


def _guess_separator(header: Record, dialect: CsvDialect) -> str | None:
    """The one that parts a header into the most names, of those that are in it more often."""
    declared, names = header.raw.count(dialect.separator.encode()), {}
    for separator in _SEPARATORS:
        if separator != dialect.quote and header.raw.count(separator.encode()) > declared:
            strict = StrictReader(replace(dialect, separator=separator))
            [(_, fields)], _ = strict.read(header.raw, 0, 1, final=True)
            names[separator] = len(fields or ())
    return max((s for s in names if names[s] > 1), key=names.__getitem__, default=None)


def unite(
    files: Sequence[LandingFile], prefer: Sequence[str], existing: Sequence[str] = ()
) -> tuple[list[LandingFile], tuple[str, ...]]:
    """The files and the union of their columns; a file that spells one otherwise is not mapped.

    The spelling of an `existing` column holds. Else one of `prefer` wins if a file has it.
    """
    received = {name for file in files for name in file.header.columns or ()}
    spelling = {name.lower(): (name, "other files") for name in prefer if name in received}
    spelling |= {name.lower(): (name, "earlier files") for name in existing}
    columns: dict[str, None] = {}
    united = []
    for file in files:
        header, names = file.header, file.header.columns or ()
        clash = [name for name in names if spelling.get(name.lower(), (name,))[0] != name]
        if clash:
            other, owner = spelling[clash[0].lower()]
            problem = f"the column {clash[0]!r} differs only in case from {other!r} of {owner}"
            header = replace(header, columns=None, problem=problem)
        else:
            spelling |= {name.lower(): (name, file.path) for name in names}
            columns |= dict.fromkeys(names)
        united.append(replace(file, header=header))
    return united, tuple(columns)
