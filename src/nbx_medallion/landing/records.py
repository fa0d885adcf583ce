"""Where the records of a CSV text begin and end: one strict rule, and a fast way to the same.

A record is fields between separators, up to a line end (LF, CRLF or CR) that is not in quotes.
A field is quoted if its first character is the quote; a quote further on in an unquoted field is
data. **A quoted field must close before a separator, a line end or the file's end**, within
32 MiB of its record's start; if not, the physical line on which the record starts is one malformed
record and reading goes on with the next line. Lines of zero characters are no records.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.regular import count_records, regular_prefix
from nbx_medallion.landing.stream import Readable

WINDOW = 1 << 20
LIMIT = 32 << 20
# Bytes that the strict rule takes before the fast way is tried again: few where irregular records
# are rare, more the closer they come.
_STRETCH = (1 << 8, 1 << 16)
_RESTART = 1 << 17  # bytes of the fast way's next block
_LF, _CR = 10, 13
_LINE_END = re.compile(rb"[\r\n]")


class Record(NamedTuple):
    """One record: its bytes without the line end, and its fields (None: malformed quoting)."""

    raw: bytes
    fields: list[bytes] | None


@dataclass(frozen=True)
class Block:
    """Some whole records, in file order.

    Attributes:
        data: Their bytes, line ends and blank lines included.
        end: Offset in the stream of the byte after the last one.
        records: The records, where the strict rule was applied to each; None: a regular block.
        has_quotes: Whether a regular block holds the quote.
        multiline: Whether a regular block has line ends in quotes.
        may_split: Whether reading can start after this block without knowing what came before.
    """

    data: bytes
    end: int
    records: list[Record] | None
    has_quotes: bool = False
    multiline: bool = False
    may_split: bool = True


class _MoreNeeded(Exception):
    """A record goes on beyond the bytes at hand."""


class StrictReader:
    """The strict rule, record by record.

    Args:
        dialect: Separator and quote.
        limit: Bytes from a record's start within which a quoted field must close.
    """

    def __init__(self, dialect: CsvDialect, limit: int = LIMIT) -> None:
        self._separator = dialect.separator.encode()
        self._quote = dialect.quote.encode()
        self._limit = limit
        # Where the quoted fields of malformed records started, by record. A later record that comes
        # to one of them runs into the same failure; without this, time would be quadratic.
        self._doomed: list[array[int]] = []

    @property
    def is_clear(self) -> bool:
        """Whether no earlier malformed record has a say in what follows."""
        return not self._doomed

    def read(
        self, data: bytes, start: int, stop: int, final: bool, base: int = 0
    ) -> tuple[list[Record], int]:
        """Read records one by one.

        Args:
            data: The bytes at hand.
            start: Where in them a record starts.
            stop: No record that starts here or later is read.
            final: Whether nothing follows the bytes at hand.
            base: Offset of the bytes in the stream.

        Returns:
            The records, and where the next one starts. A record that needs bytes that are not at
            hand is not read.
        """
        records: list[Record] = []
        stop = min(stop, len(data))
        while start < stop:
            try:
                end, fields = self._record(data, start, final, base)
                after = self._after_line_end(data, end, final)
            except _MoreNeeded:
                break
            if end > start:
                records.append(Record(data[start:end], fields))
            start = after
            if self._doomed:
                self._doomed = [chain for chain in self._doomed if chain[-1] >= base + start]
        return records, start

    def _record(
        self, data: bytes, start: int, final: bool, base: int
    ) -> tuple[int, list[bytes] | None]:
        quote, separator = self._quote, self._separator
        line_end = self._line_end(data, start, final)
        if data.find(quote, start, line_end) < 0:
            return line_end, data[start:line_end].split(separator)
        fields: list[bytes] = []
        opened: array[int] = array("q")
        at = start
        while True:
            if not data.startswith(quote, at):
                if at > line_end:
                    line_end = self._line_end(data, at, final)
                end = data.find(separator, at, line_end)
                end = line_end if end < 0 else end
                fields.append(data[at:end])
            else:
                if self._is_doomed(base + at):
                    return self._line_end(data, start, final), None
                opened.append(base + at)
                close = self._close(data, start, at, final)
                end = -1 if close is None else close + 1
                if close is None or not (end == len(data) or self._ends_field(data, end)):
                    physical_end = self._line_end(data, start, final)
                    self._doomed.append(opened)
                    return physical_end, None
                fields.append(data[at + 1 : close].replace(quote + quote, quote))
            if end == len(data) or data[end] in (_LF, _CR):
                return end, fields
            at = end + 1

    def _ends_field(self, data: bytes, at: int) -> bool:
        return data[at] in (_LF, _CR) or data.startswith(self._separator, at)

    def _is_doomed(self, offset: int) -> bool:
        for chain in self._doomed:
            at = bisect_left(chain, offset)
            if at < len(chain) and chain[at] == offset:
                return True
        return False

    def _close(self, data: bytes, start: int, at: int, final: bool) -> int | None:
        """Where the quoted field that opens at `at` closes; None if nowhere within the limit."""
        stop = start + self._limit
        at += 1
        while True:
            close = data.find(self._quote, at, stop)
            if close < 0:
                if final or len(data) >= stop:
                    return None
                raise _MoreNeeded
            if close + 1 == len(data) and not final:
                raise _MoreNeeded
            if not data.startswith(self._quote, close + 1):
                return close
            at = close + 2

    @staticmethod
    def _line_end(data: bytes, at: int, final: bool) -> int:
        """Where the physical line ends: at its LF or CR, or at the end of the file."""
        end = _LINE_END.search(data, at)
        if end is None and not final:
            raise _MoreNeeded
        return len(data) if end is None else end.start()

    @staticmethod
    def _after_line_end(data: bytes, end: int, final: bool) -> int:
        if data.startswith(b"\r\n", end):
            return end + 2
        if end + 1 == len(data) and data[end] == _CR and not final:
            raise _MoreNeeded  # whether an LF follows is not known yet
        return min(end + 1, len(data))


class BlockReader:
    """A stream of CSV text, cut into blocks of whole records.

    What the records are does not depend on the sizes. Memory is about four windows, or four
    times the longest record.

    Args:
        stream: UTF-8, at the start of a record.
        dialect: Separator and quote.
        base: Offset of the stream's next byte.
        window: Most bytes of a block, unless a record is longer.
        limit: Bytes from a record's start within which a quoted field must close.
    """

    def __init__(
        self,
        stream: Readable,
        dialect: CsvDialect,
        base: int = 0,
        window: int = WINDOW,
        limit: int = LIMIT,
    ) -> None:
        self._stream = stream
        self._dialect = dialect
        self._window = min(window, limit)
        self._limit = limit
        self._data = b""
        self._at = 0
        self._base = base
        self._ended = False

    @property
    def offset(self) -> int:
        """Offset in the stream of the next byte to be given."""
        return self._base + self._at

    def skip(self, prefix: bytes) -> None:
        """Leave out the bytes that follow, if they are these."""
        self._fill(len(prefix))
        if self._data.startswith(prefix, self._at):
            self._at += len(prefix)

    def header(self) -> Record | None:
        """Read the first record, by the strict rule; None if there is none."""
        size = self._window
        strict = StrictReader(self._dialect, self._limit)
        while True:
            self._fill(size)
            stop = self._at + 1
            records, at = strict.read(self._data, self._at, stop, self._ended, self._base)
            if at == self._at:
                if self._ended:
                    return None
                size = 2 * (len(self._data) - self._at)
            self._at = at
            if records:
                return records[0]

    def __iter__(self) -> Iterator[Block]:
        """Give the blocks from here to the end of the stream."""
        separator, quote = ord(self._dialect.separator), ord(self._dialect.quote)
        strict = StrictReader(self._dialect, self._limit)
        size = self._window
        stretch, most = _STRETCH
        while True:
            self._fill(size)
            left = len(self._data) - self._at
            if not left:
                return
            if size <= self._window and strict.is_clear:
                text = self._data[self._at : self._at + size]
                prefix = regular_prefix(text, self._ended and left <= size, separator, quote)
                if prefix.length:
                    self._at += prefix.length
                    yield Block(
                        text[: prefix.length],
                        self.offset,
                        None,
                        prefix.has_quotes,
                        prefix.multiline,
                    )
                    size = min(2 * size, self._window)
                    if prefix.length > 4 * stretch:
                        stretch = _STRETCH[0]
                    continue
            records, at = strict.read(
                self._data, self._at, self._at + stretch, self._ended, self._base
            )
            if at == self._at:
                size = 2 * left
                continue
            data = self._data[self._at : at]
            self._at = at
            yield Block(data, self.offset, records, may_split=strict.is_clear)
            size = min(_RESTART, self._window)
            stretch = min(2 * stretch, most)

    def _fill(self, size: int) -> None:
        if self._ended or len(self._data) - self._at >= size:
            return
        self._base += self._at
        parts = [self._data[self._at :]]
        have = len(parts[0])
        while have < size and not self._ended:
            parts.append(self._stream.read(size - have))
            have += len(parts[-1])
            self._ended = not parts[-1]
        self._data, self._at = b"".join(parts), 0


def block_count(block: Block, dialect: CsvDialect) -> int:
    """The number of records of a block. Where it is regular, nothing is parsed."""
    if block.records is not None:
        return len(block.records)
    return count_records(block.data, ord(dialect.quote), block.multiline)
