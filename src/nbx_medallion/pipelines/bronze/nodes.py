"""Nodes of the bronze layer."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from nbx_medallion.landing.source import Landing
from nbx_medallion.tables.columns import quoted

# A batch id starts with the time its run started: 2026-01-31T23.59.59.999Z.
_BATCH_TIME = "yyyy-MM-dd'T'HH.mm.ss.SSS"
_BATCH_TIME_LENGTH = 23
_CONTENT = ("source", "path", "fingerprint")


def register_files(landing: Landing, run_id: str) -> DataFrame:
    """List the files of a landing, as received by this run.

    Args:
        landing: The files of a source and their records.
        run_id: Id of this run.

    Returns:
        One row a file, with the columns of ``ops.landing_files``. A file that an earlier run
        received with the same content is listed too; its row there stands.
    """
    return landing.files.withColumn("batch_id", F.lit(run_id))


def ingest_records(landing: Landing, received: DataFrame) -> DataFrame:
    """Attach to each record the run that first received it.

    Args:
        landing: The files of a source and their records.
        received: ``ops.landing_files``, with every file of the landing in it.

    Returns:
        One row a record: the received columns and `_corrupt_record` as they are, then
        `_source_file`, `_row_number`, `_ingested_at` (start of the run that first received the
        file with this content) and `_batch_id` (that run's id).
    """
    started = F.to_timestamp(F.substring("batch_id", 1, _BATCH_TIME_LENGTH), _BATCH_TIME)
    batches = landing.files.join(
        received.select(*_CONTENT, "batch_id"), on=list(_CONTENT), how="inner"
    ).select(
        F.col("path").alias("_source_file"),
        started.alias("_ingested_at"),
        F.col("batch_id").alias("_batch_id"),
    )
    names = [*landing.records.columns, "_ingested_at", "_batch_id"]
    return landing.records.join(F.broadcast(batches), on="_source_file", how="inner").select(
        *(F.col(quoted(name)) for name in names)
    )
