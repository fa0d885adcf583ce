"""The first of two passes over received files: what they are, before any engine starts."""

import re
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import pyarrow.compute as pc

from nbx_medallion.contracts.patterns import UNSEEN
from nbx_medallion.landing.dialect import CsvDialect, HashingFile, Readable, guess_encoding
from nbx_medallion.landing.files import FileRange, Header, LandingFile, Listed, list_landing, opened
from nbx_medallion.landing.names import column_names, find_problem
from nbx_medallion.landing.parse import RecordParser, is_utf8
from nbx_medallion.landing.records import WINDOW, Block, BlockReader, Record, StrictReader

_MOST_HEADER_BYTES = 1 << 20
_SEPARATORS = (",", ";", "\t", "|")
_ANY_SEPARATOR = re.compile(f"[{''.join(_SEPARATORS)}]")
_NUMBER_OR_DATE = re.compile(
    r"(?:r?\$|[€£])? ?[-+]?\d[\d.' \xa0]*(?:e[-+]?\d+)? ?[%€]?|[-+]?\.\d+"
    r"|\d{1,4}([-/.])\d{1,2}\1\d{1,4}(?:[t ]+\d.*)?|\d{1,2}[-/ ][^\W\d_]{3,9}[-/ ]\d{2,4}"
    r"|\d{8}t\d.*|\d{1,2}:\d{2}.*"
)
NO_HEADER = "the first line is no header: none of the contract's names, but a number or a date"
ENDS_IN_QUOTES = "it ends within quotes"
ANOTHER_HEADER = "it has another header"
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


def preview_rows(
    path: str, variable: str, dialect: CsvDialect, count: int, known: Collection[str] = ()
) -> dict[str, Any]:
    """The first records of the first file that has any, in pandas' "split" form, from 1.

    Columns are the file's, then those of ours, as `RecordParser` has them.
    """
    for file in list_landing(path, variable).files:
        with opened(file, variable) as raw:
            text = dialect.open_utf8(raw, file.location)
            reader, _, header = _begin(text, dialect, known)
            names = header.columns
            parser = RecordParser(names or (), names, file.path, reader.dialect)
            batches = (batch.slice(0, count) for batch in parser.parse(reader, 1))
            records = (row for batch in batches for row in batch.to_pylist())
            rows = [list(row.values()) for row in islice(records, count)]
        if rows:
            break
    index = list(range(1, len(rows) + 1))
    return {"index": index, "columns": parser.schema.names, "data": rows}


def _begin(
    text: Readable, dialect: CsvDialect, known: Collection[str]
) -> tuple[BlockReader, Record | None, Header]:
    """Read a file's header: the reader, which goes on after it, the first record, what it says."""
    reader = BlockReader(text, dialect, window=WINDOW)
    record = reader.header()
    header = read_header(record, dialect, known)
    if header.is_record:
        reader.put_back()
    return reader, record, header


def read_header(record: Record | None, dialect: CsvDialect, known: Collection[str] = ()) -> Header:
    """Name the columns of a file by its first record, unless the dialect has their names.

    One with a number or a date, and none of the `known` names, is no header.
    """
    if record is None:
        return Header()
    received = _fields(record)
    if dialect.header and column_names(received) != dialect.header:
        return Header("", dialect.header, is_record=True)
    if _is_data(received, known) and not dialect.header:
        return Header("", problem=NO_HEADER, is_record=True)
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
    problem = find_problem(received)
    return Header(
        text,
        None if problem else column_names(received),
        tuple(at for at, name in enumerate(received) if not name.strip(UNSEEN)),
        tuple(name for name in received if name.strip(UNSEEN) not in ("", name)),
        problem,
    )


def _fields(record: Record) -> list[str]:
    """The fields as text, none of a malformed record."""
    return [one.decode() for one in record.fields or ()] if is_utf8(record.raw) else []


def _is_data(received: Sequence[str], known: Collection[str]) -> bool:
    """Tell of names, in which a separator may be, whether they are values rather."""
    parts = [part for name in received for part in (name, *_ANY_SEPARATOR.split(name))]
    values = {part.strip(UNSEEN).lower() for part in parts}
    is_known = values & {name.lower() for name in known}
    return bool(known) and not is_known and any(map(_NUMBER_OR_DATE.fullmatch, values))


def scan_file(  # noqa: PLR0913, PLR0917
    file: Listed,
    variable: str,
    dialect: CsvDialect,
    pool: Executor,
    tail: Tail | None = None,
    known: Collection[str] = (),
) -> LandingFile:
    """Read a file once, or its header and its tail; no content of it is an error.

    `known` are names that the contract of the clean table reads.

    Raises:
        LandingError: It cannot be read, or is not as it was listed.
    """
    path, location, size, modified_at = file
    split = sys.maxsize if dialect.is_streamed(location) else 8 * WINDOW
    cuts: list[tuple[int, int, int, int, bool]] = []
    fits: dict[str, str | None] = {}
    with opened(file, variable) as raw:
        hashing = HashingFile(raw, pool)
        if other := _find_other(raw, location):
            return LandingFile(file, "", Header(other=other), None, (), {})
        text = dialect.open_utf8(hashing, location)
        reader, record, header = _begin(text, dialect, known)
        named, dialect = reader.named, reader.dialect
        parser = RecordParser(header.columns or (), header.columns, path, dialect)
        base, row, records = 0, 1, 0
        if tail:
            base, row, before = tail
            raw.seek(0)
            hashing = HashingFile(raw, pool, before)
            text = dialect.open_utf8(hashing, location, base)
            reader = BlockReader(text, dialect, window=WINDOW)
        start = base + reader.offset
        is_ascii = is_text = True
        is_after = False
        with_nul = 0
        all_end = header.columns and not (header.text or "").endswith(dialect.delimiter)
        for block in reader:
            count = reader.count(block)
            records += count
            if header.columns:
                with_nul += _look_into(block, parser)
            if all_end:
                ending = _ending_in(dialect.delimiter.encode(), block.data)
                all_end = ending == count and (records > count or parser.are_wider(block))
            if is_ascii and not block.data.isascii():
                # A whole file that is in another encoding shows here.
                is_ascii, is_text = False, is_utf8(block.data)
            end = base + reader.offset
            if block.may_split and end - start >= split:
                cuts.append((start, end - start, row, records, is_after))
                start, row, records, is_after = end, row + records, 0, parser.is_after_another
        cuts.append((start, base + reader.offset - start, row, records, is_after))
        fingerprint = hashing.finish()
        if record and (not is_text or b"\0" in record.raw or not is_utf8(record.raw)):
            fits["encoding"] = guess_encoding(location, dialect)
    if record and len(record.fields or ()) < 2:
        fits["separator"] = _guess_separator(record, dialect)
    likely = {option: value for option, value in fits.items() if value}
    told = (path, location, size, modified_at.isoformat(), header.columns, dialect.delimiter)
    ranges = tuple(FileRange(*told, *cut) for cut in cuts if cut[3])
    return LandingFile(
        file,
        fingerprint,
        header,
        ENDS_IN_QUOTES if reader.is_open else ANOTHER_HEADER if parser.is_after_another else None,
        ranges,
        likely,
        named,
        with_nul,
        bool(all_end and ranges),
    )


def _look_into(block: Block, parser: RecordParser) -> int:
    """Have the parser find other headers in a block, and count the values with NUL characters."""
    data = block.data
    if parser.is_after_another or not (b"\0" in data or parser.may_hold_header(data)):
        return 0
    columns = [column for batch in parser.parse([block], 1) for column in batch.columns[:-4]]
    return sum(pc.sum(pc.match_substring(column, "\0")).as_py() or 0 for column in columns)


def _ending_in(separator: bytes, data: bytes) -> int:
    """How many lines end in the separator."""
    ends = sum(data.count(separator + end) for end in (b"\n", b"\r"))
    return ends + data.endswith(separator)


def _find_other(raw: BinaryIO, location: str) -> str | None:
    """What a file is that is no CSV."""
    start = CsvDialect().open_utf8(raw, location).read(512)
    raw.seek(0)
    return next((what for form, what in _OTHERS.items() if re.match(form, start)), None)


def _guess_separator(header: Record, dialect: CsvDialect) -> str | None:
    """The one that parts a header into the most names, of those that are in it more often."""
    declared, names = header.raw.count(dialect.delimiter.encode()), {}
    for separator in _SEPARATORS:
        if separator != dialect.quote and header.raw.count(separator.encode()) > declared:
            strict = StrictReader(replace(dialect, separator=separator))
            [(_, fields, _)], _ = strict.read(header.raw, 0, 1, final=True)
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
