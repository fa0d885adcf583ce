"""Nodes of the bronze layer."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from nbx_medallion.contracts import lineage as own

# A batch id starts with the time its run started: 2026-01-31T23.59.59.999Z.
_BATCH_TIME = "yyyy-MM-dd'T'HH.mm.ss.SSS"
_BATCH_TIME_LENGTH = 23


def ingest_records(landing: DataFrame, run_id: str) -> DataFrame:
    """Attach to each record the run that received it.

    Args:
        landing: The records that this run receives.
        run_id: Id of this run.

    Returns:
        One row a record: the columns of the landing as they are, then `_ingested_at` (start of the
        run) and `_batch_id` (its id).
    """
    started = F.to_timestamp(F.lit(run_id[:_BATCH_TIME_LENGTH]), _BATCH_TIME)
    return landing.select("*", started.alias(own.INGESTED_AT), F.lit(run_id).alias(own.BATCH_ID))
