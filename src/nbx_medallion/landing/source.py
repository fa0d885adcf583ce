"""The second pass: a PySpark data source that reads scanned files as records.

Its plan travels in its options as JSON, so it runs in Spark's own Python workers, which need
this package and no Kedro project.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import LongType, StringType, StructField, StructType

from nbx_medallion.contracts.lineage import (
    CORRUPT_REASON,
    CORRUPT_RECORD,
    ROW_NUMBER,
    SOURCE_FILE,
)
from nbx_medallion.errors import marked_in_text
from nbx_medallion.landing.dialect import UNREADABLE, CsvDialect
from nbx_medallion.landing.files import FileRange, changed, check_unchanged
from nbx_medallion.landing.parse import RecordParser
from nbx_medallion.landing.records import WINDOW, BlockReader

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from nbx_medallion.landing.scan import LandingScan

_LEAST_BYTES = 8 << 20
_MOST_BYTES = 128 << 20
_read = [0]


def landing_records(spark: "SparkSession", scan: "LandingScan", all_at_once: bool) -> "DataFrame":
    """Give a row a record of the scanned files, lazily: running it fails when one has changed.

    Columns are each received one as string under its own name, `_corrupt_record` (the text of a
    malformed record, whose received columns are NULL), `_corrupt_reason`, `_source_file` and
    `_row_number` (from 1 in each file). `all_at_once`: whether the engine works at all partitions
    of a frame from the start, however many, each with memory of its own.
    """
    plan = {
        "columns": scan.columns,
        "dialect": asdict(scan.dialect),
        "partitions": plan_partitions(scan, os.cpu_count() or 1, all_at_once),
    }
    spark.dataSource.register(LandingCsvSource)
    reader = spark.read.format("LandingCsvSource").option("plan", json.dumps(plan))
    return reader.load()


def records_read() -> int:
    """Records that this process has read, all in all; on Spark other processes read them."""
    return _read[0]


def plan_partitions(scan: "LandingScan", cores: int, all_at_once: bool) -> list[list[FileRange]]:
    """Share out ranges over partitions of like size, in file order.

    One partition a core; fewer where there are less than 8 MiB for each, more where one would
    exceed 128 MiB and they take turns.
    """
    ranges = [part for file in scan.files for part in file.ranges]
    total = sum(part.length for part in ranges)
    count = min(cores, -(-total // _LEAST_BYTES))
    if not all_at_once:
        count = max(count, -(-total // _MOST_BYTES))
    partitions: list[list[FileRange]] = [[] for _ in range(count)]
    before = 0
    for part in ranges:
        partitions[(before + part.length // 2) * count // total].append(part)
        before += part.length
    return [partition for partition in partitions if partition]


def read_range(
    part: FileRange, columns: Sequence[str], dialect: CsvDialect
) -> Iterator[pa.RecordBatch]:
    """Read a range as batches with these columns; a LandingError if the file is not as scanned."""
    dialect = replace(dialect, separator=part.separator)
    parser = RecordParser(columns, part.columns, part.path, dialect, part.is_after_another)
    as_listed = (part.location, part.size_bytes, datetime.fromisoformat(part.modified_at))
    found = 0
    try:
        with open(part.location, "rb") as raw:
            check_unchanged(raw, *as_listed)
            text = dialect.open_utf8(raw, part.location, part.start)
            blocks = BlockReader(text, dialect, window=WINDOW, length=part.length)
            for batch in parser.parse(blocks, part.first_row):
                found += batch.num_rows
                _read[0] += batch.num_rows
                yield batch
            check_unchanged(raw, *as_listed)
        if found != part.records:
            raise EOFError(f"it has {found} records where {part.records} were counted")
    except UNREADABLE as error:
        raise changed(part.location, error) from error


class LandingCsvSource(DataSource):
    """The data source. Option `plan`: the columns, the dialect and the partitions, as JSON."""

    def schema(self) -> StructType:
        """See `landing_records`."""
        columns = json.loads(self.options["plan"])["columns"]
        texts = (*columns, CORRUPT_RECORD, CORRUPT_REASON, SOURCE_FILE)
        fields = [StructField(name, StringType()) for name in texts]
        return StructType([*fields, StructField(ROW_NUMBER, LongType())])

    def reader(self, schema: Any) -> DataSourceReader:
        """A reader of the plan. The schema adds nothing: an Arrow one on Sail, else Spark's."""
        return _Reader(json.loads(self.options["plan"]))


@dataclass
class _Reader(DataSourceReader):
    plan: dict[str, Any]

    def partitions(self) -> list[InputPartition]:
        return [InputPartition(ranges) for ranges in self.plan["partitions"] or [[]]]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        columns, dialect = self.plan["columns"], CsvDialect(**self.plan["dialect"])
        waiting, size = list[pa.RecordBatch](), 0
        with marked_in_text():
            for part in partition.value:
                for batch in read_range(FileRange(*part), columns, dialect):
                    waiting.append(batch)
                    size += batch.nbytes
                    if size >= WINDOW:
                        yield from _joined(waiting)
                        waiting, size = [], 0
        yield from _joined(waiting)


def _joined(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Small batches, such as those of small files, as one: each costs the engine some time."""
    return pa.Table.from_batches(batches).combine_chunks().to_batches() if batches else []
