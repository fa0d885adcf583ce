"""Records of CSV text as Arrow batches: PyArrow where it is surely right, else the strict rule."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from nbx_medallion.contracts.lineage import CORRUPT_RECORD, ROW_NUMBER, SOURCE_FILE
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.records import Block, Record, StrictReader
from nbx_medallion.landing.stream import BOM

# Arrow's own allocator has the system clear a huge page for each batch: 7 % of bronze's time.
pa.set_memory_pool(pa.system_memory_pool())


def record_schema(columns: Sequence[str]) -> pa.Schema:
    """The schema of parsed records.

    Args:
        columns: The received columns.

    Returns:
        The received columns as strings, then `_corrupt_record`, `_source_file`, `_row_number`.
    """
    return pa.schema(
        [(name, pa.string()) for name in (*columns, CORRUPT_RECORD, SOURCE_FILE)]
        + [(ROW_NUMBER, pa.int64())]
    )


class RecordParser:
    """Parses the records of one file.

    Args:
        columns: The received columns of the batches.
        names: The file's own names, each among the columns, in the order of its fields. None: the
            header cannot be mapped, and each record is malformed.
        source_file: The value of `_source_file`.
        dialect: Separator and quote.
    """

    def __init__(
        self,
        columns: Sequence[str],
        names: Sequence[str] | None,
        source_file: str,
        dialect: CsvDialect,
    ) -> None:
        self.schema = record_schema(columns)
        self._width = None if names is None else len(names)
        # Which field a column takes; a column that the file lacks takes none.
        self._field_of = [
            names.index(name) if names and name in names else None for name in columns
        ]
        self._source_file = pa.scalar(source_file, pa.string())
        self._dialect = dialect
        ids = [str(at) for at in range(self._width or 0)]
        self._read_options = csv.ReadOptions(use_threads=False, column_names=ids)
        self._convert_options = csv.ConvertOptions(
            column_types=dict.fromkeys(ids, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
            check_utf8=False,
        )

    def parse(self, blocks: Iterable[Block], first_row: int) -> Iterator[pa.RecordBatch]:
        """Parse blocks.

        Args:
            blocks: Whole records, in order.
            first_row: Ordinal of the first record.

        Yields:
            One batch a block that has records: a row a record. A field of zero characters is
            NULL. A malformed record has its text in `_corrupt_record`, undecodable bytes replaced,
            and NULL in each received column; so has one with too few or too many fields.
        """
        for block in blocks:
            fields, corrupt = self._parse_block(block)
            count = len(corrupt)
            if not count:
                continue
            # NumPy memory in a batch makes Sail hang when it writes: Arrow makes the ordinals.
            ordinals = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count), first_row - 1)
            absent = pa.nulls(count, pa.string())
            received = [absent if at is None else fields[at] for at in self._field_of]
            yield pa.RecordBatch.from_arrays(
                [*received, corrupt, pa.repeat(self._source_file, count), ordinals],
                schema=self.schema,
            )
            first_row += count

    def _parse_block(self, block: Block) -> tuple[list[pa.Array], pa.Array]:
        """One array a field, and the malformed records' texts."""
        if block.records is not None:
            return self._from_records(block.records)
        if self._width is not None and _is_utf8(block.data) and not block.data.startswith(BOM):
            try:
                return self._from_arrow(block)
            except pa.ArrowInvalid:  # what PyArrow refuses, the strict rule still reads
                pass
        data = block.data
        records, _ = StrictReader(self._dialect).read(data, 0, len(data), final=True)
        return self._from_records(records)

    def _from_records(self, records: Sequence[Record]) -> tuple[list[pa.Array], pa.Array]:
        rows: list[Sequence[str | None]] = []
        corrupt: list[str | None] = []
        nothing = [None] * (self._width or 0)
        for raw, fields in records:
            if fields is not None and len(fields) == self._width and _is_utf8(raw):
                rows.append([field.decode() or None for field in fields])
                corrupt.append(None)
            else:
                rows.append(nothing)
                corrupt.append(raw.decode("utf-8", "replace"))
        columns: Iterable[Any] = zip(*rows, strict=True) if rows else [()] * len(nothing)
        return [pa.array(column, pa.string()) for column in columns], pa.array(corrupt, pa.string())

    def _from_arrow(self, block: Block) -> tuple[list[pa.Array], pa.Array]:
        malformed: list[csv.InvalidRow] = []

        def keep(row: csv.InvalidRow) -> str:
            malformed.append(row)
            return "skip"

        self._read_options.block_size = len(block.data) + 1
        table = csv.read_csv(
            pa.py_buffer(block.data),
            read_options=self._read_options,
            parse_options=csv.ParseOptions(
                delimiter=self._dialect.separator,
                quote_char=self._dialect.quote if block.has_quotes else False,
                newlines_in_values=block.multiline,
                invalid_row_handler=keep,
            ),
            convert_options=self._convert_options,
        )
        fields = [column.combine_chunks() for column in table.columns]
        if not malformed:
            return fields, pa.nulls(table.num_rows, pa.string())
        count = table.num_rows + len(malformed)
        is_malformed = np.zeros(count, np.bool_)
        is_malformed[[row.number - 1 for row in malformed]] = True
        texts = pa.array([row.text for row in malformed], pa.string())
        return (
            [_spread(field, ~is_malformed) for field in fields],
            _spread(texts, is_malformed),
        )


def _spread(values: pa.Array, where: "np.ndarray[Any, np.dtype[np.bool_]]") -> pa.Array:
    """The values in the rows marked, NULL in the others."""
    return values.take(pa.array(np.cumsum(where) - 1, pa.int64(), mask=~where))


def _is_utf8(data: bytes) -> bool:
    """Tell as Arrow does: it makes no text of them."""
    if data.isascii():
        return True
    offsets = pa.array([0, len(data)], pa.int64()).buffers()[1]
    text = pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(data))
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
