"""Each received record is clean, quarantined, or superseded by a later one of its key.

All functions are lazy: they describe frames, and ask the engine for column names only. Received
columns are taken by position, so neither case nor odd characters in a name can make an engine take
another column; one that is missing is NULL in every record.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from nbx_medallion.contracts import lineage as own
from nbx_medallion.contracts.casts import strict_cast, trimmed
from nbx_medallion.contracts.functions import to_column
from nbx_medallion.contracts.model import Column as ContractColumn
from nbx_medallion.contracts.model import Contract
from nbx_medallion.contracts.types import STRING, Expression

Columns = Mapping[str, Column]
#: TRUE or FALSE, and what is wrong with a record for which it is FALSE.
Check = tuple[Column, Column]


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
    records, columns = _by_position(bronze)
    if not contract.primary_key:
        kept = {
            own.SUPERSEDED_BY_FILE: F.col(own.SOURCE_FILE),
            own.SUPERSEDED_BY_ROW: F.col(own.ROW_NUMBER),
        }
        return bronze.limit(0).select(*own.RECORD, *(kept[name].alias(name) for name in kept))
    values = _typed_columns(contract, columns)
    key = {f"_key_{at}": values[name] for at, name in enumerate(contract.primary_key)}
    keyed = records.filter(_all_of([value.isNotNull() for value in key.values()])).withColumn(
        "_hash", F.xxhash64(*(value.cast("string") for value in key.values()))
    )
    repeated = keyed.groupBy("_hash").count().filter(F.col("count") > 1)
    candidates = (
        keyed.join(repeated, "_hash", "left_semi")
        .select(
            *(columns[name].alias(name) for name in own.RECORD),
            *(value.alias(name) for name, value in key.items()),
            (values[contract.latest_by] if contract.latest_by else F.lit(None)).alias("_latest"),
        )
        .join(quarantine.select(*own.RECORD), list(own.RECORD), "left_anti")
    )
    # The keys themselves are compared, not their hashes.
    order = ["_latest", own.BATCH_ID, own.SOURCE_FILE, own.ROW_NUMBER]
    latest_first = Window.partitionBy(*key).orderBy(
        *(F.col(name).desc_nulls_last() for name in order)
    )
    ranked = candidates.select(
        *own.RECORD,
        F.first(own.SOURCE_FILE).over(latest_first).alias(own.SUPERSEDED_BY_FILE),
        F.first(own.ROW_NUMBER).over(latest_first).alias(own.SUPERSEDED_BY_ROW),
        F.row_number().over(latest_first).alias("_rank"),
    )
    return ranked.filter(F.col("_rank") > 1).drop("_rank")


def clean_records(bronze: DataFrame, superseded: DataFrame, contract: Contract) -> DataFrame:
    """Type the records, and keep those that are valid and not superseded.

    Args:
        bronze: Records as received.
        superseded: What `find_superseded` found in them.
        contract: Contract of the clean table.

    Returns:
        A row an accepted record, with exactly the columns of `contract.schema`.
    """
    records, columns = _by_position(bronze)
    typed = _typed_columns(contract, columns)
    values = {name: F.col(name) for name in typed}
    valid = _is_valid(columns, _checks(contract, columns, values))
    # A filter on casts is moved below them by the engines, and every cast computed twice. It
    # stays where it is behind something that is not deterministic.
    return (
        records.select("*", *(value.alias(name) for name, value in typed.items()))
        .withColumn("_valid", F.when(F.rand(0) >= 0.0, valid))
        .filter("_valid")
        .select(*values, *(columns[name].alias(name) for name in own.RECORD))
        .join(superseded.select(*own.RECORD), list(own.RECORD), "left_anti")
        .select(*(name for name, _ in contract.schema))
    )


def quarantine_records(bronze: DataFrame, contract: Contract) -> DataFrame:
    """Keep the records that are not valid, as received, with the reasons.

    Args:
        bronze: Records as received.
        contract: Contract of the clean table.

    Returns:
        A row a rejected record: every column of bronze as received, `_reasons` (array of strings,
        never empty) before the lineage.
    """
    records, columns = _by_position(bronze)
    found = _checks(contract, columns, _typed_columns(contract, columns))
    named = {name: column.alias(name) for name, column in columns.items()}
    place = own.RAW[1:]
    return records.filter(~_is_valid(columns, found)).select(
        *(named[name] for name in named if name not in place),
        _reasons(columns, found),
        *(named[name] for name in place),
    )


def profile_records(silver: DataFrame, quarantine: DataFrame, contract: Contract) -> DataFrame:
    """Count the reasons of the quarantine and the warnings of the clean table.

    Args:
        silver: The clean table.
        quarantine: The quarantined records.
        contract: Contract of the clean table.

    Returns:
        A row a reason or warning that occurs: `kind` (`reason` or `warning`), `name`, `rows`.
    """
    values = {column.name: F.col(column.name) for column in contract.columns}
    rules = [rule for rule in contract.rules if rule.severity == "warning"]
    warnings = _violated([_check(to_column(rule.logic, values), rule.name) for rule in rules])
    reasons = quarantine.select(F.lit("reason").alias("kind"), F.explode(own.REASONS).alias("name"))
    warned = silver.select(F.lit("warning").alias("kind"), F.explode(warnings).alias("name"))
    counts = reasons.unionByName(warned).groupBy("kind", "name").count()
    return counts.withColumnRenamed("count", "rows")


def _by_position(bronze: DataFrame) -> tuple[DataFrame, dict[str, Column]]:
    """Rename the columns of a frame to what no contract has; return them by their exact names."""
    names = {name: f"{at}_" for at, name in enumerate(bronze.columns)}
    return bronze.toDF(*names.values()), {name: F.col(names[name]) for name in names}


def _all_of(conditions: list[Column]) -> Column:
    return reduce(lambda a, b: a & b, conditions)


def _typed_columns(contract: Contract, columns: Columns) -> dict[str, Column]:
    """Compute the contract's columns of the received ones; NULL where there is none that fits."""
    return {
        column.name: strict_cast(_raw(column, columns), _logic(column).type, column.type)
        for column in contract.columns
    }


def _logic(column: ContractColumn) -> Expression:
    return column.logic or Expression("input", STRING, value=column.name)


def _raw(column: ContractColumn, columns: Columns) -> Column:
    """Compute a column before the cast to its physical type."""
    inputs = {name: columns.get(name, F.lit(None).cast("string")) for name in column.inputs}
    return to_column(_logic(column), inputs)


def _does_not_fit(column: ContractColumn, columns: Columns) -> Column:
    """Tell of a column that is NULL whether that is its type."""
    if column.type == STRING and _logic(column).op == "input":
        return F.lit(False)
    raw, logic = _raw(column, columns), _logic(column)
    given = _given(raw) if logic.type == STRING else raw.isNotNull()
    if logic.op == "input" or not column.inputs or not set(column.inputs) <= set(columns):
        return given
    return given | (raw.isNull() & _all_of([_given(columns[name]) for name in column.inputs]))


def _given(text: Column) -> Column:
    return F.coalesce(trimmed(text) != F.lit(""), F.lit(False))


def _checks(contract: Contract, columns: Columns, values: Columns) -> list[Check]:
    """List what a record must satisfy, in the contract's order, of received and typed columns."""

    def rules_of(owner: str | None) -> list[Check]:
        rules = [rule for rule in contract.rules if rule.severity == "error"]
        own = [rule for rule in rules if rule.column == owner]
        return [_check(to_column(rule.logic, values), f"{rule.name}: rule") for rule in own]

    found: list[Check] = []
    for column in contract.columns:
        is_there, unfit = values[column.name].isNotNull(), _does_not_fit(column, columns)
        wrong, absent = F.lit(f"{column.name}: type"), F.lit(f"{column.name}: required")
        passes = is_there if column.required else is_there | ~unfit
        found.append((passes, F.when(unfit, wrong).otherwise(absent)))
        found += [*_facets(column, values[column.name]), *rules_of(column.name)]
    return found + rules_of(None)


def _facets(column: ContractColumn, value: Column) -> list[Check]:
    def constant(limit: Any) -> Any:
        exact = isinstance(limit, Decimal)  # of which the engines' own constants have 10 digits
        return F.lit(str(limit)).cast(column.physical_type) if exact else limit

    found = []
    for facet, what, holds in _FACETS:
        limit = getattr(column, facet)
        limits = limit if isinstance(limit, tuple) else (limit,)
        if limits not in {(None,), ()}:
            condition = holds(value, *map(constant, limits))
            found.append(_check(condition, f"{column.name}: {what}"))
    return found


#: Attribute of a column, the reason where a value is not so, and when it is.
_FACETS: list[tuple[str, str, Callable[..., Column]]] = [
    ("enum", "enum", Column.isin),
    ("portable_pattern", "pattern", Column.rlike),
    ("minimum", "minimum", operator.ge),
    ("exclusive_minimum", "minimum", operator.gt),
    ("maximum", "maximum", operator.le),
    ("exclusive_maximum", "maximum", operator.lt),
    ("min_length", "length", lambda value, limit: F.length(value) >= limit),
    ("max_length", "length", lambda value, limit: F.length(value) <= limit),
]


def _check(condition: Column, reason: str) -> Check:
    return (F.coalesce(condition, F.lit(True)), F.lit(reason))


def _violated(found: list[Check]) -> Column:
    reasons = [F.when(~passes, reason) for passes, reason in found]
    return F.array_compact(F.array(*reasons, F.lit(None).cast("string")))


def _is_valid(columns: Columns, found: list[Check]) -> Column:
    """Tell whether a record was parsed and satisfies all: TRUE or FALSE, never NULL."""
    return _all_of([columns[own.CORRUPT_RECORD].isNull(), *(passes for passes, _ in found)])


def _reasons(columns: Columns, found: list[Check]) -> Column:
    """Return why a record is rejected, all in the contract's order; malformed is the only one."""
    malformed = F.when(columns[own.CORRUPT_RECORD].isNotNull(), F.array(F.lit("record: malformed")))
    return malformed.otherwise(F.array_distinct(_violated(found))).alias(own.REASONS)
