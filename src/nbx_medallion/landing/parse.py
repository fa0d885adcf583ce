"""Records of CSV text as Arrow batches: PyArrow where it is surely right, else the strict rule."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from nbx_medallion.contracts.lineage import (
    CORRUPT_REASON,
    CORRUPT_RECORD,
    ROW_NUMBER,
    SOURCE_FILE,
)
from nbx_medallion.contracts.patterns import UNSEEN
from nbx_medallion.landing.dialect import BOM, CsvDialect
from nbx_medallion.landing.records import Block, Record, StrictReader

# Arrow's own allocator has the system clear a huge page for each batch: 7 % of bronze's time.
pa.set_memory_pool(pa.system_memory_pool())

_NOT_MAPPED = "record: header not mapped"
_HEADER = "record: header"
_AFTER_ANOTHER = "record: after another header"


class RecordParser:
    """Parses the records of one file.

    Batches have these received columns, then `_corrupt_record`, `_corrupt_reason`, `_source_file`
    and `_row_number`. `names` are the file's own, one a field. Where there are none, or one is not
    among the columns, the header cannot be mapped, and each record is malformed.

    So is a record that has all the names, in any order; where that is another one than the
    header's, what follows `is_after_another` header, and malformed as well.
    """

    def __init__(
        self,
        columns: Sequence[str],
        names: Sequence[str] | None,
        source_file: str,
        dialect: CsvDialect,
        is_after_another: bool = False,
    ) -> None:
        texts = (*columns, CORRUPT_RECORD, CORRUPT_REASON, SOURCE_FILE)
        types = dict.fromkeys(texts, pa.string()) | {ROW_NUMBER: pa.int64()}
        self.schema = pa.schema(list(types.items()))
        if names is None or not set(names) <= set(columns):
            names = ()
        self._width = len(names)
        # Which field a column takes; a column that the file lacks takes none.
        field_of = {name: at for at, name in enumerate(names)}
        self._field_of = [field_of.get(name) for name in columns]
        self._source_file = source_file
        self._dialect = dialect
        self.is_after_another = is_after_another
        # A header may have quotes after a byte order mark, where they are data.
        self._around = UNSEEN + dialect.quote
        self._header = [
            "" if name == f"_c{at}" else name.strip(self._around) for at, name in enumerate(names)
        ]
        parts = {max(name.split(dialect.quote), key=len).encode() for name in self._header} - {b""}
        # Most often one of their bytes is nowhere in the text, which is known in no time.
        single = {bytes([byte]) for part in parts for byte in part}
        self._in_header = [*single, *sorted(parts, key=len, reverse=True)]
        ids = [str(at) for at in range(self._width)]
        self._read_options = csv.ReadOptions(use_threads=False, column_names=ids)
        self._convert_options = csv.ConvertOptions(
            column_types=dict.fromkeys(ids, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
            check_utf8=False,
        )

    def parse(self, blocks: Iterable[Block], first_row: int) -> Iterator[pa.RecordBatch]:
        """Give a batch for each block that has records; the first of all has this ordinal.

        A field of zero characters is NULL. A malformed record, or one with too few or too many
        fields, has its text in `_corrupt_record`, undecodable bytes replaced, what is wrong in
        `_corrupt_reason`, and NULL in each received column.
        """
        # Not before: it has Arrow import pandas, which a file that is only scanned does not need.
        source_file = pa.scalar(self._source_file, pa.string())
        for block in blocks:
            arrays = self._parse_block(block)
            if not arrays or not (count := len(arrays[-1])):
                continue
            # NumPy memory in a batch makes Sail hang when it writes: Arrow makes the ordinals.
            ordinals = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count), first_row - 1)
            absent = pa.nulls(count, pa.string())
            received = [absent if at is None else arrays[at] for at in self._field_of]
            yield pa.RecordBatch.from_arrays(
                [*received, *arrays[-2:], pa.repeat(source_file, count), ordinals],
                schema=self.schema,
            )
            first_row += count

    def may_hold_header(self, data: bytes) -> bool:
        """False if a text surely has no header in it."""
        return bool(self._in_header) and all(part in data for part in self._in_header)

    def are_wider(self, block: Block) -> bool:
        """True if each record has one field more than the header."""
        reasons = [why for batch in self.parse([block], 1) for why in batch[-3].to_pylist()]
        return set(reasons) <= {self._other_width(self._width + 1)}

    def _parse_block(self, block: Block) -> list[pa.Array]:
        """One array a field, and last texts and reasons of malformed records; none without any."""
        if block.records is not None:
            return self._from_records(block.records)
        is_plain = self._width and not self.is_after_another and not block.data.startswith(BOM)
        if is_plain and is_utf8(block.data):
            # What PyArrow refuses, the strict rule still reads.
            with suppress(pa.ArrowInvalid):
                if arrays := self._from_arrow(block):
                    return arrays
        strict = StrictReader(self._dialect)
        return self._from_records(strict.read(block.data, 0, len(block.data), final=True)[0])

    def _from_records(self, records: Sequence[Record]) -> list[pa.Array]:
        rows: list[list[str | None]] = []
        for record in records:
            if why := self._find_fault(record):
                rows.append([*[None] * self._width, record.raw.decode("utf-8", "replace"), why])
            else:
                rows.append(
                    [*(field.decode() or None for field in record.fields or ()), None, None]
                )
        return [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]

    def _find_fault(self, record: Record) -> str | None:
        """Why a record is malformed."""
        raw, fields, why = record
        if not self._width:
            return _NOT_MAPPED
        is_text = is_utf8(raw)
        if is_text and fields and len(fields) == self._width and self.may_hold_header(raw):
            names = [field.decode().strip(self._around) for field in fields]
            if sorted(names) == sorted(self._header):
                self.is_after_another |= names != self._header
                return _HEADER
        if self.is_after_another:
            return _AFTER_ANOTHER
        if fields is None:
            return f"record: {why}"
        if not is_text:
            return f"record: bytes not in {self._dialect.encoding}"
        return None if len(fields) == self._width else self._other_width(len(fields))

    def _other_width(self, width: int) -> str:
        return f"record: {width} field{'' if width == 1 else 's'}, header has {self._width}"

    def _from_arrow(self, block: Block) -> list[pa.Array]:
        """As `_parse_block`, but nothing where a header is among the records."""
        malformed: list[csv.InvalidRow] = []

        def keep(row: csv.InvalidRow) -> str:
            malformed.append(row)
            return "skip"

        self._read_options.block_size = len(block.data) + 1
        table = csv.read_csv(
            pa.py_buffer(block.data),
            read_options=self._read_options,
            parse_options=csv.ParseOptions(
                delimiter=self._dialect.delimiter,
                quote_char=self._dialect.quote if block.has_quotes else False,
                newlines_in_values=block.multiline,
                invalid_row_handler=keep,
            ),
            convert_options=self._convert_options,
        )
        fields = [column.combine_chunks() for column in table.columns]
        if self.may_hold_header(block.data):
            names = pa.array(self._header)
            trimmed = (pc.utf8_trim(pc.fill_null(field, ""), self._around) for field in fields)
            is_name = [pc.is_in(field, value_set=names) for field in trimmed]
            if pc.any(reduce(pc.and_, is_name)).as_py():
                return []
        if not malformed:
            return [*fields, *(pa.nulls(table.num_rows, pa.string()) for _ in range(2))]
        count = table.num_rows + len(malformed)
        is_malformed = np.zeros(count, np.bool_)
        is_malformed[[row.number - 1 for row in malformed]] = True
        told = (
            [row.text for row in malformed],
            [self._other_width(row.actual_columns) for row in malformed],
        )
        return [
            *(_spread(field, ~is_malformed) for field in fields),
            *(_spread(pa.array(texts, pa.string()), is_malformed) for texts in told),
        ]


def _spread(values: pa.Array, where: "np.ndarray[Any, np.dtype[np.bool_]]") -> pa.Array:
    """The values in the rows marked, NULL in the others."""
    return values.take(pa.array(np.cumsum(where) - 1, pa.int64(), mask=~where))


def is_utf8(data: bytes) -> bool:
    """Tell whether bytes are UTF-8, as Arrow does: it makes no text of them."""
    if data.isascii():
        return True
    # Offsets that Arrow makes of Python objects would cost the import of pandas.
    offsets = pa.py_buffer(array("q", (0, len(data))))
    text = pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(data))
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
