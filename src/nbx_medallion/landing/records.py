"""Where the records of a CSV text begin and end: one strict rule, and a fast way to the same.

A record is fields between separators, up to a line end (LF, CRLF or CR) that is not in quotes.
A field is quoted if its first character is the quote; a quote further on in an unquoted field is
data. **A quoted field must close before a separator, a line end or the file's end**, within
32 MiB of its record's start; if not, the physical line on which the record starts is one malformed
record and reading goes on with the next line. Lines of zero characters are no records.

The fast way takes text that is regular: every quote opens a field, closes one, or is half of a
doubled quote in a quoted field. There the strict rule, PyArrow and any other reader agree, and
vector operations on the bytes find and count the records. Offsets are in bytes of UTF-8 text.
"""

import re
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nbx_medallion.landing.dialect import BOM, CsvDialect, Readable

WINDOW = 1 << 20
LIMIT = 32 << 20
# Bytes that the strict rule takes before the fast way is tried again: few where irregular records
# are rare, more the closer they come.
_STRETCH = (1 << 8, 1 << 16)
_RESTART = 1 << 17  # bytes of the fast way's next block
_LF, _CR = 10, 13
_LINE_END = re.compile(rb"[\r\n]")
# Excel's first line that names the separator, which a program may have quoted or filled up.
_SEPARATOR_LINE = re.compile(rb'[\r\n]*"?sep=([^\0\r\n\x80-\xff])\1*"?(?=[\r\n]|\Z)', re.IGNORECASE)
_BEGINNING = 1 << 10  # bytes within which that line ends
_NOT_CLOSED = "quote not closed"
_TEXT_AFTER = "text after a closing quote"


class Record(NamedTuple):
    """One record: its bytes without the line end, and its fields.

    Where its quoting is malformed it has none, and `why` says what is wrong.
    """

    raw: bytes
    fields: list[bytes] | None
    why: str = ""


@dataclass(frozen=True)
class Block:
    """The bytes of some whole records, line ends and blank lines included.

    `records` are those of the strict rule, None for regular text. Of that is known whether it holds
    the quote, and line ends in quotes. Where reading can start after this block without knowing
    what came before, it `may_split`.
    """

    data: bytes
    records: list[Record] | None = None
    has_quotes: bool = False
    multiline: bool = False
    may_split: bool = True


class _MoreNeeded(Exception):
    """A record goes on beyond the bytes at hand."""


class StrictReader:
    """The strict rule, record by record; `limit` is what a quoted field must close within."""

    def __init__(self, dialect: CsvDialect, limit: int = LIMIT) -> None:
        self._separator = dialect.delimiter.encode()
        self._quote = dialect.quote.encode()
        self._field_end = re.compile(b"[\r\n" + re.escape(self._separator) + b"]")
        self._limit = limit
        self._data, self._final, self._base = b"", False, 0
        # Where the quoted fields of malformed records started, by record, and what was wrong. A
        # later record that comes to one of them runs into the same failure; without this, time
        # would be quadratic.
        self.doomed: list[tuple[array[int], str]] = []
        #: True if a quote did not close before the file's end: more text may make other records.
        self.is_open = False

    def read(
        self, data: bytes, start: int, stop: int, final: bool, base: int = 0
    ) -> tuple[list[Record], int]:
        """Read the records that start from `start`, where one does, up to before `stop`.

        Offsets are in `data`, which is at `base` in the stream. A record that needs bytes beyond it
        is not read, unless it is `final`: nothing follows. Gives where the next one starts, too.
        """
        self._data, self._final, self._base = data, final, base
        records: list[Record] = []
        stop = min(stop, len(data))
        while start < stop:
            try:
                end, fields, why = self._record(start)
            except _MoreNeeded:
                break
            after = min(end + (2 if data.startswith(b"\r\n", end) else 1), len(data))
            if after == len(data) and data.endswith(b"\r") and not final:
                break  # whether an LF follows is not known yet
            if end > start:
                records.append(Record(data[start:end], fields, why))
            start = after
            if self.doomed:
                self.doomed = [one for one in self.doomed if one[0][-1] >= base + start]
        self._data = b""
        return records, start

    def _record(self, start: int) -> tuple[int, list[bytes] | None, str]:
        """Where a record ends, its fields, and what is wrong with its quotes where it has none."""
        data, quote = self._data, self._quote
        line_end = self._find(_LINE_END, start)
        if data.find(quote, start, line_end) < 0:
            return line_end, data[start:line_end].split(self._separator), ""
        fields: list[bytes] = []
        opened: array[int] = array("q")
        at = start
        while True:
            if data.startswith(quote, at):
                offset = self._base + at
                for old, why in self.doomed:
                    if bisect_left(old, offset) < bisect_right(old, offset):
                        return line_end, None, why
                opened.append(offset)
                close = self._close(at + 1, start + self._limit)
                if isinstance(close, str):
                    self.doomed.append((opened, close))
                    return line_end, None, close
                fields.append(data[at + 1 : close].replace(quote + quote, quote))
                end = close + 1
            else:
                end = self._find(self._field_end, at)
                fields.append(data[at:end])
            if not data.startswith(self._separator, end):
                return end, fields, ""
            at = end + 1

    def _close(self, at: int, stop: int) -> int | str:
        """Where the quote is that closes a field; if none does before `stop`, what is wrong."""
        data, opened = self._data, at
        while (close := data.find(self._quote, at, stop)) >= 0:
            at = close + 1
            if at == len(data):
                if self._final:
                    return close
                raise _MoreNeeded
            if not data.startswith(self._quote, at):
                if self._field_end.match(data, at):
                    return close
                # One on a later line opens another field: that of this one is missing.
                return _NOT_CLOSED if _LINE_END.search(data, opened, close) else _TEXT_AFTER
            at += 1
        if self._final or len(data) >= stop:
            self.is_open |= len(data) < stop
            return _NOT_CLOSED
        raise _MoreNeeded

    def _find(self, end: re.Pattern[bytes], at: int) -> int:
        """Where the pattern matches next, or the end of the file."""
        found = end.search(self._data, at)
        if found is None and not self._final:
            raise _MoreNeeded
        return len(self._data) if found is None else found.start()


class BlockReader:
    """A stream of CSV text from the start of a record, cut into blocks of whole records.

    What the records are does not depend on the window, which is the most bytes of a block unless a
    record is longer. Memory is about four windows, or four times the longest record.
    """

    def __init__(
        self,
        stream: Readable,
        dialect: CsvDialect,
        *,
        window: int = WINDOW,
        limit: int = LIMIT,
        length: int = sys.maxsize,
    ) -> None:
        self._stream = stream
        self._quote = ord(dialect.quote)
        self._limit = limit
        self._window = min(window, limit)
        self._left = length
        self._data, self._at = b"", 0
        self._base = 0
        self._first = b""
        self._ended = False
        #: The separator that the first line names, if it does.
        self.named: str | None = None
        self._use(dialect)

    def _use(self, dialect: CsvDialect) -> None:
        self.dialect = dialect
        # What may stand beside a quote. Another one: half of a doubled one, or of an empty field.
        self._edge = np.zeros(256, np.bool_)
        self._edge[[ord(dialect.delimiter), _LF, _CR, self._quote]] = True
        self._strict = StrictReader(dialect, self._limit)

    @property
    def offset(self) -> int:
        """Offset in the stream of the next byte to be given."""
        return self._base + self._at

    @property
    def is_open(self) -> bool:
        """True if the text ended within quotes: what follows may make other records of it."""
        return self._strict.is_open

    def header(self) -> Record | None:
        """Read a file's first record, by the strict rule; None if there is none.

        Before it byte order marks are left out, and a line that names the separator, which is then
        that of the `dialect` unless it has one.
        """
        self._fill(_BEGINNING)
        while self._data.startswith(BOM, self._at):
            self._at += len(BOM)
        line = _SEPARATOR_LINE.match(self._data, self._at)
        if line and line[1] != self.dialect.quote.encode():
            self._at, self.named = line.end(), line[1].decode()
            self._use(replace(self.dialect, separator=self.dialect.separator or self.named))
        while (block := self._read_strictly(1)).data and not block.records:
            pass  # blank lines
        self._first = block.data
        return block.records[0] if block.records else None

    def put_back(self) -> None:
        """Give the record that was read as `header` once more, as one of a block."""
        self._at -= len(self._first)

    def __iter__(self) -> Iterator[Block]:
        """Give the blocks from here to the end of the stream."""
        size = self._window
        stretch, most = _STRETCH
        while True:
            self._fill(size)
            if self._at == len(self._data):
                return
            if not self._strict.doomed:
                final = self._ended and self._at + size >= len(self._data)
                block = self._regular(self._data[self._at : self._at + size], final)
                if length := len(block.data):
                    self._at += length
                    yield block
                    size = min(2 * size, self._window)
                    if length > 4 * stretch:
                        stretch = _STRETCH[0]
                    continue
            yield self._read_strictly(stretch)
            size = min(_RESTART, self._window)
            stretch = min(2 * stretch, most)

    def _regular(self, data: bytes, final: bool) -> Block:
        """The longest regular block of whole records that the text begins with, maybe empty."""
        if data.find(self._quote) < 0:
            # A CR at the very end does not count: an LF may follow.
            last = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1))
            return Block(data if final else data[: last + 1])
        text = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(text == self._quote)
        opens, closes = quotes[::2], quotes[1::2]
        open_ok = self._edge[text[opens - 1]]
        open_ok[0] |= opens[0] == 0
        close_ok = self._edge[text[np.minimum(closes + 1, len(text) - 1)]]
        # The record of a wrong close starts before the field's opening quote.
        wrong = np.append(opens[~open_ok], opens[: len(closes)][~close_ok])
        stop = int(wrong.min(initial=len(text)))
        ends = np.flatnonzero(_line_ends(data, text))
        outside = np.searchsorted(quotes, ends) % 2 == 0
        if final and stop == len(data) and len(quotes) % 2 == 0:
            length = len(data)
        else:
            cuts = ends[outside & (ends < stop)] + 1
            if len(cuts) and cuts[-1] == len(data) and data[-1] == _CR and not final:
                cuts = cuts[:-1]
            length = int(cuts[-1]) if len(cuts) else 0
        multiline = bool(np.any(~outside & (ends < length)))
        return Block(data[:length], None, bool(quotes[0] < length), multiline)

    def count(self, block: Block) -> int:
        """Count the records of a block; a regular one's are its lines that are not blank."""
        if block.records is not None:
            return len(block.records)
        text = np.frombuffer(block.data, np.uint8)
        is_end = _line_ends(block.data, text)
        ends = np.flatnonzero(is_end)
        if block.multiline:
            ends = ends[np.searchsorted(np.flatnonzero(text == self._quote), ends) % 2 == 0]
        return int(np.count_nonzero(~is_end[ends[ends > 0] - 1])) + int(not is_end[-1])

    def _read_strictly(self, stretch: int) -> Block:
        """The records that start within so many bytes, one at least; nothing at the end."""
        size = self._window
        while True:
            self._fill(size)
            at, stop = self._at, self._at + stretch
            records, self._at = self._strict.read(self._data, at, stop, self._ended, self._base)
            if self._at > at or self._ended:
                data = self._data[at : self._at]
                return Block(data, records, may_split=not self._strict.doomed)
            size = 2 * (len(self._data) - at)

    def _fill(self, size: int) -> None:
        if self._ended or len(self._data) - self._at >= size:
            return
        self._base += self._at
        parts = [self._data[self._at :]]
        have = len(parts[0])
        while have < size and not self._ended:
            parts.append(self._stream.read(min(size - have, self._left)))
            have += len(parts[-1])
            self._left -= len(parts[-1])
            self._ended = not parts[-1]
        self._data, self._at = b"".join(parts), 0


def _line_ends(data: bytes, text: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    ends: npt.NDArray[np.bool_] = text == _LF
    return np.logical_or(ends, text == _CR) if b"\r" in data else ends
