"""Records of CSV text as Arrow batches: PyArrow where it is surely right, else the strict rule."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from nbx_medallion.contracts.lineage import CORRUPT_RECORD, ROW_NUMBER, SOURCE_FILE
from nbx_medallion.landing.dialect import BOM, CsvDialect
from nbx_medallion.landing.records import Block, Record, StrictReader

# Arrow's own allocator has the system clear a huge page for each batch: 7 % of bronze's time.
pa.set_memory_pool(pa.system_memory_pool())


class RecordParser:
    """Parses the records of one file.

    Batches have these received columns, then `_corrupt_record`, `_source_file` and `_row_number`.
    `names` are the file's own, one a field. Where there are none, or one is not among the columns,
    the header cannot be mapped, and each record is malformed.
    """

    def __init__(
        self,
        columns: Sequence[str],
        names: Sequence[str] | None,
        source_file: str,
        dialect: CsvDialect,
    ) -> None:
        texts = (*columns, CORRUPT_RECORD, SOURCE_FILE)
        types = dict.fromkeys(texts, pa.string()) | {ROW_NUMBER: pa.int64()}
        self.schema = pa.schema(list(types.items()))
        if names is None or not set(names) <= set(columns):
            names = ()
        self._width = len(names)
        # Which field a column takes; a column that the file lacks takes none.
        field_of = {name: at for at, name in enumerate(names)}
        self._field_of = [field_of.get(name) for name in columns]
        self._source_file = pa.scalar(source_file, pa.string())
        self._dialect = dialect
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
        fields, has its text in `_corrupt_record`, undecodable bytes replaced, and NULL in each
        received column.
        """
        for block in blocks:
            arrays = self._parse_block(block)
            if not arrays or not (count := len(arrays[-1])):
                continue
            # NumPy memory in a batch makes Sail hang when it writes: Arrow makes the ordinals.
            ordinals = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count), first_row - 1)
            absent = pa.nulls(count, pa.string())
            received = [absent if at is None else arrays[at] for at in self._field_of]
            yield pa.RecordBatch.from_arrays(
                [*received, arrays[-1], pa.repeat(self._source_file, count), ordinals],
                schema=self.schema,
            )
            first_row += count

    def _parse_block(self, block: Block) -> list[pa.Array]:
        """One array a field, and last the malformed records' texts; none without any record."""
        if block.records is not None:
            return self._from_records(block.records)
        if self._width and is_utf8(block.data) and not block.data.startswith(BOM):
            try:
                return self._from_arrow(block)
            except pa.ArrowInvalid:  # what PyArrow refuses, the strict rule still reads
                pass
        strict = StrictReader(self._dialect)
        return self._from_records(strict.read(block.data, 0, len(block.data), final=True)[0])

    def _from_records(self, records: Sequence[Record]) -> list[pa.Array]:
        rows: list[list[str | None]] = []
        for raw, fields in records:
            if fields is not None and len(fields) == self._width and is_utf8(raw):
                rows.append([*(field.decode() or None for field in fields), None])
            else:
                rows.append([*[None] * self._width, raw.decode("utf-8", "replace")])
        return [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]

    def _from_arrow(self, block: Block) -> list[pa.Array]:
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
            return [*fields, pa.nulls(table.num_rows, pa.string())]
        count = table.num_rows + len(malformed)
        is_malformed = np.zeros(count, np.bool_)
        is_malformed[[row.number - 1 for row in malformed]] = True
        texts = pa.array([row.text for row in malformed], pa.string())
        spread = [_spread(field, ~is_malformed) for field in fields]
        return [*spread, _spread(texts, is_malformed)]


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
