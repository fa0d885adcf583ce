"""The second pass: a PySpark data source that reads scanned files as records.

Its plan travels in its options as JSON, so it runs in Spark's own Python workers, which need
this package and no Kedro project.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import LongType, StringType, StructType

from nbx_medallion.contracts.lineage import CORRUPT_RECORD, ROW_NUMBER, SOURCE_FILE
from nbx_medallion.errors import UserError
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.parse import RecordParser
from nbx_medallion.landing.records import WINDOW, BlockReader
from nbx_medallion.landing.scan import LandingScan, Sizes
from nbx_medallion.landing.stream import UNREADABLE, Readable, open_utf8

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_LEAST_BYTES = 8 << 20
_MOST_BYTES = 128 << 20


@dataclass(frozen=True)
class PlannedRange:
    """A run of whole records to read, as one reader reads it.

    Attributes:
        path: The value of `_source_file`.
        location: The file.
        size_bytes: The file's size when it was scanned.
        columns: A name for each field; None where the header cannot be mapped.
        start: Offset of the first byte in the file's UTF-8 text.
        length: Bytes of that text.
        first_row: Ordinal of the first record.
        records: How many records were counted.
        streamed: Whether the file can only be read from its start.
    """

    path: str
    location: str
    size_bytes: int
    columns: list[str] | None
    start: int
    length: int
    first_row: int
    records: int
    streamed: bool


def plan_partitions(
    scan: LandingScan, cores: int, all_at_once: bool = False
) -> list[list[PlannedRange]]:
    """Share out the records over partitions of like size, in file order.

    Args:
        scan: What was found.
        cores: Of this machine.
        all_at_once: Whether the engine works at all partitions from the start, however many.

    Returns:
        One partition a core; fewer where there are less than 8 MiB for each, more where one would
        exceed 128 MiB and they take turns. A range is never cut.
    """
    ranges = [
        PlannedRange(
            file.path,
            file.location,
            file.size_bytes,
            None if file.columns is None else list(file.columns),
            **asdict(part),
            streamed=file.streamed,
        )
        for file in scan.files
        for part in file.ranges
    ]
    total = sum(part.length for part in ranges)
    count = min(cores, -(-total // _LEAST_BYTES))
    if not all_at_once:
        count = max(count, -(-total // _MOST_BYTES))
    partitions: list[list[PlannedRange]] = [[] for _ in range(count)]
    before = 0
    for part in ranges:
        partitions[(before + part.length // 2) * count // total].append(part)
        before += part.length
    return [partition for partition in partitions if partition]


def read_range(
    part: PlannedRange,
    columns: list[str],
    dialect: CsvDialect,
    sizes: Sizes = Sizes(),  # noqa: B008
) -> Iterator[pa.RecordBatch]:
    """Read the records of a range.

    Args:
        part: What to read.
        columns: The received columns of the batches.
        dialect: How the file is written.
        sizes: Sizes of the reading.

    Yields:
        Batches of records, as `csv_parse.record_schema` has them.

    Raises:
        UserError: The file is not what was scanned.
    """
    parser = RecordParser(columns, part.columns, part.path, dialect)
    found = 0
    try:
        with open(part.location, "rb") as raw:
            if os.fstat(raw.fileno()).st_size != part.size_bytes:
                raise _changed(part, "its size is another")
            text: Readable = raw
            if part.streamed:
                text = open_utf8(raw, part.location, dialect)
                _skip(text, part.start)
            else:
                raw.seek(part.start)
            blocks = BlockReader(
                _Limited(text, part.length), dialect, window=sizes.window, limit=sizes.limit
            )
            for batch in parser.parse(blocks, part.first_row):
                found += batch.num_rows
                yield batch
            if os.fstat(raw.fileno()).st_size != part.size_bytes:
                raise _changed(part, "its size is another")
    except UNREADABLE as error:
        raise _changed(part, str(error)) from error
    if found != part.records:
        raise _changed(part, f"it has {found} records where {part.records} were counted")


class LandingCsvSource(DataSource):
    """The data source. Option `plan`: the columns, the dialect and the partitions, as JSON."""

    @classmethod
    def name(cls) -> str:
        """Its name for `spark.read.format`."""
        return "nbx_landing_csv"

    def schema(self) -> StructType:
        """The received columns, then `_corrupt_record`, `_source_file` and `_row_number`."""
        schema = StructType()
        for name in (*json.loads(self.options["plan"])["columns"], CORRUPT_RECORD, SOURCE_FILE):
            schema = schema.add(name, StringType())
        return schema.add(ROW_NUMBER, LongType())

    def reader(self, schema: Any) -> DataSourceReader:
        """A reader of the plan. The schema adds nothing: an Arrow one on Sail, else Spark's."""
        return _Reader(self.options["plan"])


@dataclass
class _Partition(InputPartition):
    ranges: list[dict[str, Any]]


class _Reader(DataSourceReader):
    def __init__(self, plan: str) -> None:
        self._plan = plan

    def partitions(self) -> list[InputPartition]:
        return [_Partition(part) for part in json.loads(self._plan)["partitions"]] or [
            _Partition([])
        ]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        plan = json.loads(self._plan)
        dialect = CsvDialect(**plan["dialect"])
        yield from _coalesce(
            batch
            for part in partition.ranges  # type: ignore[attr-defined]
            for batch in read_range(PlannedRange(**part), plan["columns"], dialect)
        )


def _coalesce(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join small batches, such as those of small files: each costs the engine some time."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.nbytes
        if size >= WINDOW:
            yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()
            waiting, size = [], 0
    if waiting:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()


def read_records(
    spark: "SparkSession", scan: LandingScan, cores: int, all_at_once: bool
) -> "DataFrame":
    """The records of scanned files, lazily.

    Args:
        spark: The session to read with.
        scan: What was found.
        cores: Of this machine.
        all_at_once: Whether the engine works at all partitions from the start.

    Returns:
        A row a record: each received column as string, `_corrupt_record`, `_source_file`,
        `_row_number`. Running it fails when a file is not what was scanned.
    """
    plan = {
        "columns": scan.columns,
        "dialect": asdict(scan.dialect),
        "partitions": [
            [asdict(part) for part in partition]
            for partition in plan_partitions(scan, cores, all_at_once)
        ],
    }
    spark.dataSource.register(LandingCsvSource)
    return spark.read.format(LandingCsvSource.name()).option("plan", json.dumps(plan)).load()


def _changed(part: PlannedRange, how: str) -> UserError:
    return UserError(
        f"{part.location}: the file changed while it was being read: {how}. Nothing was written."
        " Run again when the file is complete."
    )


class _Limited:
    """The next bytes of a stream, up to a number of them."""

    def __init__(self, source: Readable, length: int) -> None:
        self._source = source
        self._left = length

    def read(self, size: int, /) -> bytes:
        data = self._source.read(min(size, self._left))
        self._left -= len(data)
        return data


def _skip(source: Readable, length: int) -> None:
    while length > 0:
        length -= len(source.read(min(length, 1 << 20))) or length
