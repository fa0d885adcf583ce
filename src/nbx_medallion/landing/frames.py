"""Scanned files as Spark frames."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbx_medallion.landing.scan import LandingScan
from nbx_medallion.landing.source import read_records

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FILES_SCHEMA = (
    "path string, size_bytes bigint, modified_at timestamp, fingerprint string, records bigint,"
    " header string"
)


@dataclass(frozen=True)
class Landing:
    """What was received.

    Attributes:
        files: A row a file: `path` (as `_source_file`), `size_bytes`, `modified_at`, `fingerprint`
            (SHA-256 of the bytes), `records` (malformed ones counted) and `header` (its text; NULL
            for a file without any record).
        records: A row a record, lazy: each received column as string under its own name,
            `_corrupt_record` (the text of a malformed record, whose received columns are NULL),
            `_source_file` and `_row_number` (from 1 in each file).
    """

    files: "DataFrame"
    records: "DataFrame"


def landing_frames(spark: "SparkSession", scan: LandingScan, all_at_once: bool) -> Landing:
    """Make the frames.

    Args:
        spark: The session to read with.
        scan: What was found.
        all_at_once: Whether the engine works at all partitions of a frame from the start, each
            with memory of its own.

    Returns:
        The files and their records.
    """
    rows = [
        (
            file.path,
            file.size_bytes,
            file.modified_at,
            file.fingerprint,
            file.records,
            file.header,
        )
        for file in scan.files
    ]
    return Landing(
        spark.createDataFrame(rows, FILES_SCHEMA),
        read_records(spark, scan, os.cpu_count() or 1, all_at_once),
    )
