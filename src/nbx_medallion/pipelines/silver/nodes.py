"""Each received record is clean, quarantined, or superseded by a later one of its key.

New records are taken in beside the clean table as it was before; a rebuild takes in all of them,
beside an empty one. A node gives what its table gets: the rows of the new batches, and those of
earlier records that change with them.

All functions are lazy: they describe frames, and ask the engine for column names only. Received
columns are taken by position, so neither case nor odd characters in a name can make an engine take
another column; one that is missing is NULL in every record.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from nbx_medallion.contracts import lineage as own
from nbx_medallion.contracts.casts import is_given, strict_cast
from nbx_medallion.contracts.functions import to_column
from nbx_medallion.contracts.model import Column as ContractColumn
from nbx_medallion.contracts.model import Contract
from nbx_medallion.contracts.types import DOUBLE, STRING, Expression
from nbx_medallion.tables.columns import quoted

Columns = Mapping[str, Column]
#: Ids of the batches to take in, None for all records.
Batches = Sequence[str] | None
#: TRUE or FALSE, and what is wrong with a record for which it is FALSE.
Check = tuple[Column, Column]

# What identifies a superseded record's successor, by what that is in its own row.
_KEPT = dict(zip(own.RECORD, own.SUPERSEDED[len(own.RECORD) :], strict=True))


def select_records(bronze: DataFrame, batches: Batches) -> DataFrame:
    """Select the records to take in."""
    return _of_batches(bronze, batches)


def find_superseded(
    new_records: DataFrame,
    quarantine: DataFrame,
    clean_before: DataFrame,
    batches: Batches,
    contract: Contract,
) -> DataFrame:
    """Find the valid records of which a later one has the same primary key.

    The later one is that with the higher `latestBy` (NULL lowest), then batch, file and row. Only
    keys that occur more than once are ranked: over all records that is most of silver's time.

    Args:
        new_records: The records to take in, as received.
        quarantine: Those of them that are not valid, and maybe earlier ones.
        clean_before: The clean table without them; empty in a rebuild.
        batches: The batches to take in.
        contract: Contract of the clean table.

    Returns:
        A row a superseded record, new or of `clean_before`: its `_source_file`, `_row_number` and
        `_batch_id`, and the same of the record kept, as `_superseded_by_file`, `..._row` and
        `..._batch`. A record whose key is NULL, even in part, is not among them.
    """
    records, columns = _by_position(new_records)
    if not contract.primary_key:
        named = (columns[name].alias(by) for name, by in _KEPT.items())
        return records.limit(0).select(*(columns[name].alias(name) for name in own.RECORD), *named)
    values = _typed_columns(contract, columns)
    before = {name: F.col(quoted(name)) for name in clean_before.columns}
    key, key_before = _key(contract, values), _key(contract, before)
    keyed = records.filter(_all_of([value.isNotNull() for value in key.values()])).withColumns(
        {**key, "_hash": F.xxhash64(*(value.cast("string") for value in key.values()))}
    )
    repeated = keyed.groupBy("_hash").count().filter(F.col("count") > 1)
    new = _competitor(contract, key, {**columns, **values})
    old = _competitor(contract, key_before, before)
    met = keyed.join(
        clean_before.select(
            *(value.alias(name) for name, value in key_before.items()),
            F.struct(*old).alias("_before"),
        ),
        list(key),
    )
    # Each earlier record comes with each new one that it meets: some are there several times.
    candidates = (
        keyed.join(repeated, "_hash", "left_semi")
        .select(*new)
        .unionByName(met.select(F.inline(F.array(F.struct(*new), "_before"))))
        .join(_of_batches(quarantine, batches).select(*own.RECORD), list(own.RECORD), "left_anti")
    )
    # The keys themselves are compared, not their hashes. Frames of all rows are the faster on Sail.
    order = ["_latest", own.BATCH_ID, own.SOURCE_FILE, own.ROW_NUMBER]
    latest_first = (
        Window.partitionBy(*key)
        .orderBy(*(F.col(name).desc_nulls_last() for name in order))
        .rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    )
    kept = (F.first(name).over(latest_first).alias(by) for name, by in _KEPT.items())
    is_kept = _all_of([F.col(name) == F.col(by) for name, by in _KEPT.items()])
    return candidates.select(*own.RECORD, *kept).filter(~is_kept).distinct()


def clean_records(
    new_records: DataFrame,
    superseded: DataFrame,
    clean_replaced: DataFrame,
    batches: Batches,
    contract: Contract,
) -> DataFrame:
    """Type the new records, and keep those that are valid and not superseded.

    Args:
        new_records: The records to take in, as received.
        superseded: What `find_superseded` found, and maybe earlier ones.
        clean_replaced: Rows of the clean table that will be replaced: those of each file and batch
            of which it found a record. Empty in a rebuild.
        batches: The batches to take in.
        contract: Contract of the clean table.

    Returns:
        A row an accepted record, with exactly the columns of `contract.schema`: new ones, and those
        of `clean_replaced` that stay.
    """
    records, columns = _by_position(new_records)
    typed = _typed_columns(contract, columns)
    values = {name: F.col(name) for name in typed}
    valid = _is_valid(columns, _checks(contract, columns, values))
    lost = _of_batches(superseded, batches, own.SUPERSEDED_BY_BATCH)
    # A filter on casts is moved below them by the engines, and every cast computed twice. It
    # stays where it is behind something that is not deterministic.
    return (
        records.select("*", *(value.alias(name) for name, value in typed.items()))
        .withColumn("_valid", F.when(F.rand(0) >= 0.0, valid))
        .filter("_valid")
        .select(*values, *(columns[name].alias(name) for name in own.RECORD))
        .unionByName(clean_replaced)
        .join(lost.select(*own.RECORD), list(own.RECORD), "left_anti")
        .select(*(name for name, _ in contract.schema))
    )


def quarantine_records(new_records: DataFrame, contract: Contract) -> DataFrame:
    """Keep the records that are not valid, as received, with the reasons.

    Args:
        new_records: The records to take in, as received.
        contract: Contract of the clean table.

    Returns:
        A row a rejected record: every column of bronze as received, `_reasons` (array of strings,
        never empty) before the lineage.
    """
    records, columns = _by_position(new_records)
    found = _checks(contract, columns, _typed_columns(contract, columns))
    named = {name: column.alias(name) for name, column in columns.items()}
    last = (own.CORRUPT_REASON, *own.RECEIVED)
    return records.filter(~_is_valid(columns, found)).select(
        *(named[name] for name in named if name not in last),
        _reasons(columns, found),
        *(named[name] for name in own.RECEIVED),
    )


def profile_records(
    clean: DataFrame, quarantine: DataFrame, batches: Batches, contract: Contract
) -> DataFrame:
    """Count the reasons and the warnings of new records.

    Args:
        clean: The clean table.
        quarantine: The quarantined records.
        batches: The batches that were taken in.
        contract: Contract of the clean table.

    Returns:
        A row a reason or warning that occurs: `kind` (`reason` or `warning`), `name`, `rows`.
    """
    values = {column.name: F.col(column.name) for column in contract.columns}
    rules = [rule for rule in contract.rules if rule.severity == "warning"]
    warnings = _violated([_check(to_column(rule.logic, values), rule.name) for rule in rules])
    rejected, accepted = (_of_batches(f, batches) for f in (quarantine, clean))
    reasons = rejected.select(F.lit("reason").alias("kind"), F.explode(own.REASONS).alias("name"))
    warned = accepted.select(F.lit("warning").alias("kind"), F.explode(warnings).alias("name"))
    counts = reasons.unionByName(warned).groupBy("kind", "name").count()
    return counts.withColumnRenamed("count", "rows")


def _of_batches(frame: DataFrame, batches: Batches, *others: str) -> DataFrame:
    """Keep the rows whose batch is one of these, or another column that has one."""
    if batches is None:
        return frame
    named = (F.col(name).isin(*batches) for name in (own.BATCH_ID, *others))
    return frame.filter(reduce(operator.or_, named))


def _by_position(records: DataFrame) -> tuple[DataFrame, dict[str, Column]]:
    """Rename the columns of a frame to what no contract has; return them by their exact names."""
    names = {name: f"{at}_" for at, name in enumerate(records.columns)}
    return records.toDF(*names.values()), {name: F.col(names[name]) for name in names}


def _key(contract: Contract, values: Columns) -> dict[str, Column]:
    """The primary key of typed columns, in a form in which equal values are alike."""
    return {
        f"_key_{at}": F.when(values[name] == 0.0, 0.0).otherwise(values[name])
        if contract.column(name).type == DOUBLE  # There is a -0.0.
        else values[name]
        for at, name in enumerate(contract.primary_key)
    }


def _competitor(contract: Contract, key: Columns, columns: Columns) -> list[Column]:
    """What identifies a record, its key, and what tells which of two records is later."""
    latest = columns[contract.latest_by] if contract.latest_by else F.lit(0)
    named = {**{name: columns[name] for name in own.RECORD}, **key, "_latest": latest}
    return [value.alias(name) for name, value in named.items()]


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
    given = is_given(raw) if logic.type == STRING else raw.isNotNull()
    if logic.op == "input" or not column.inputs or not set(column.inputs) <= set(columns):
        return given
    return given | (raw.isNull() & _all_of([is_given(columns[name]) for name in column.inputs]))


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
    """Return why a record is rejected: why it could not be parsed, or all in the contract's order.

    A record that was received before bronze had its reason is malformed, no more is known.
    """
    why = F.coalesce(columns.get(own.CORRUPT_REASON, F.lit(None)), F.lit("record: malformed"))
    malformed = F.when(columns[own.CORRUPT_RECORD].isNotNull(), F.array(why))
    return malformed.otherwise(F.array_distinct(_violated(found))).alias(own.REASONS)
