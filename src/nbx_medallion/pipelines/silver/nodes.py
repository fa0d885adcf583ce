"""Each received record is clean, quarantined, or superseded by a later one of its key.

All functions are lazy: they describe frames, and ask the engine for column names only.
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from nbx_medallion.contracts.engine_columns import all_of
from nbx_medallion.contracts.expressions import (
    by_position,
    checks,
    fitting_columns,
    is_valid,
    reasons,
    received,
    typed_columns,
    warnings,
)
from nbx_medallion.contracts.lineage import (
    BATCH_ID,
    INGESTED_AT,
    REASONS,
    RECORD,
    ROW_NUMBER,
    SOURCE_FILE,
    SUPERSEDED_BY_FILE,
    SUPERSEDED_BY_ROW,
)
from nbx_medallion.contracts.model import Contract

_HASH = "_hash"
_VALID = "_valid"


def find_superseded(bronze: DataFrame, quarantine: DataFrame, contract: Contract) -> DataFrame:
    """Find the valid records of which a later one has the same primary key.

    The later one is that with the higher `latestBy` (NULL lowest), then batch, file and row. Only
    keys that occur more than once are ranked: over all records that is most of silver's time.

    Args:
        bronze: Records as received.
        quarantine: Those of them that are not valid.
        contract: Contract of the clean table.

    Returns:
        A row a superseded record: its `_source_file`, `_row_number` and `_batch_id`, and file and
        row of the record kept, `_superseded_by_file` and `_superseded_by_row`. A record whose key
        is NULL, even in part, is not among them.
    """
    columns = received(bronze)
    keys = [contract.column(name) for name in contract.primary_key]
    if not keys or any(key.inputs and not set(key.inputs) & set(columns) for key in keys):
        return _no_superseded(bronze)
    values = typed_columns(contract, columns)
    key = [values[name] for name in contract.primary_key]
    fitting = fitting_columns(contract, columns)
    records = (
        by_position(bronze)
        .filter(all_of([fitting[name] for name in contract.primary_key]))
        .withColumn(_HASH, F.xxhash64(*(value.cast("string") for value in key)))
    )
    repeated = (
        records.groupBy(_HASH)
        .agg(F.count(F.lit(1)).alias("_records"))
        .filter(F.col("_records") > 1)
        .select(_HASH)
    )
    candidates = (
        records.join(repeated, _HASH, "left_semi")
        .select(
            *(columns[name].alias(name) for name in RECORD),
            *(value.alias(f"_key_{at}") for at, value in enumerate(key)),
            (values[contract.latest_by] if contract.latest_by else F.lit(None)).alias("_latest"),
        )
        .join(_records_of(quarantine), list(RECORD), "left_anti")
    )
    # The keys themselves are compared, not their hashes.
    order = ["_latest", BATCH_ID, SOURCE_FILE, ROW_NUMBER]
    latest_first = Window.partitionBy(*(f"_key_{at}" for at in range(len(key)))).orderBy(
        *(F.col(name).desc_nulls_last() for name in order)
    )
    whole = latest_first.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    return (
        candidates.select(
            *RECORD,
            F.first(SOURCE_FILE).over(whole).alias(SUPERSEDED_BY_FILE),
            F.first(ROW_NUMBER).over(whole).alias(SUPERSEDED_BY_ROW),
            F.row_number().over(latest_first).alias("_rank"),
        )
        .filter(F.col("_rank") > 1)
        .drop("_rank")
    )


def _records_of(table: DataFrame) -> DataFrame:
    return table.select(*(F.col(name) for name in RECORD))


def _no_superseded(bronze: DataFrame) -> DataFrame:
    return bronze.limit(0).select(
        *(F.col(name) for name in RECORD),
        F.col(SOURCE_FILE).alias(SUPERSEDED_BY_FILE),
        F.col(ROW_NUMBER).alias(SUPERSEDED_BY_ROW),
    )


def clean_sales(bronze: DataFrame, superseded: DataFrame, contract: Contract) -> DataFrame:
    """Type the records, and keep those that are valid and not superseded.

    Args:
        bronze: Records as received.
        superseded: What `find_superseded` found in them.
        contract: Contract of the clean table.

    Returns:
        A row a sale, with exactly the columns of `contract.schema`.
    """
    columns = received(bronze)
    typed = by_position(bronze).select(
        "*", *(value.alias(name) for name, value in typed_columns(contract, columns).items())
    )
    values = {column.name: F.col(column.name) for column in contract.columns}
    fitting = {name: value.isNotNull() for name, value in values.items()}
    valid = is_valid(contract, columns, values, fitting)
    # A filter on casts is moved below them by the engines, and every cast computed twice. It
    # stays where it is behind something that is not deterministic.
    accepted = typed.withColumn(_VALID, F.when(F.rand(0) >= 0.0, valid)).filter(_VALID)
    return (
        accepted.select(*values, *(columns[name].alias(name) for name in RECORD))
        .join(_records_of(superseded), list(RECORD), "left_anti")
        .select(*(name for name, _ in contract.schema))
    )


def quarantine_sales(bronze: DataFrame, contract: Contract) -> DataFrame:
    """Keep the records that are not valid, as received, with the reasons.

    Args:
        bronze: Records as received.
        contract: Contract of the clean table.

    Returns:
        A row a rejected record: every column of bronze as received, `_reasons` (array of strings,
        never empty) before the lineage.
    """
    columns = received(bronze)
    values = typed_columns(contract, columns)
    lineage = (SOURCE_FILE, ROW_NUMBER, INGESTED_AT, BATCH_ID)
    own = [name for name in columns if name not in lineage]
    return (
        by_position(bronze)
        .filter(~is_valid(contract, columns, values, fitting_columns(contract, columns)))
        .select(
            *(columns[name].alias(name) for name in own),
            reasons(columns, checks(contract, columns, values)),
            *(columns[name].alias(name) for name in lineage if name in columns),
        )
    )


def profile_sales(silver: DataFrame, quarantine: DataFrame, contract: Contract) -> DataFrame:
    """Count the reasons of the quarantine and the warnings of the clean table.

    Args:
        silver: The clean table.
        quarantine: The quarantined records.
        contract: Contract of the clean table.

    Returns:
        A row a reason or warning that occurs: `kind` (`reason` or `warning`), `name`, `rows`.
    """
    values = {column.name: F.col(column.name) for column in contract.columns}
    found = [F.when(violated, F.lit(name)) for name, violated in warnings(contract, values).items()]
    parts = [quarantine.select(F.lit("reason").alias("kind"), F.explode(REASONS).alias("name"))]
    if found:
        warned = silver.select(F.explode(F.array_compact(F.array(*found))).alias("name"))
        parts.append(warned.select(F.lit("warning").alias("kind"), "name"))
    every = reduce(DataFrame.unionByName, parts)
    return every.groupBy("kind", "name").agg(F.count(F.lit(1)).alias("rows"))
