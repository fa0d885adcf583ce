"""What a contract makes of received records: typed values, reasons, warnings.

Received columns are taken by position, so neither case nor odd characters in a name can make an
engine take another column. A received column that is missing is NULL in every record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from nbx_medallion.contracts.casts import fits, present, strict_cast
from nbx_medallion.contracts.engine_columns import all_of, to_column
from nbx_medallion.contracts.lineage import CORRUPT_RECORD, REASONS
from nbx_medallion.contracts.model import Column as ContractColumn
from nbx_medallion.contracts.model import Contract, Rule
from nbx_medallion.contracts.types import STRING, DataType

MALFORMED = "record: malformed"


@dataclass(frozen=True)
class Check:
    """A condition that rejects a record, and the reason it gives."""

    reason: str
    violated: Column


def received(bronze: DataFrame) -> dict[str, Column]:
    """Return each column of `by_position(bronze)` under the name it has in `bronze`.

    Args:
        bronze: Records as received.

    Returns:
        The columns, by exact name.
    """
    return {name: F.col(_position(at)) for at, name in enumerate(bronze.columns)}


def by_position(bronze: DataFrame) -> DataFrame:
    """Rename the columns of a frame after their position."""
    return bronze.toDF(*(_position(at) for at in range(len(bronze.columns))))


def _position(at: int) -> str:
    """Return a name no contract's column can have."""
    return f"{at}_"


def typed_columns(contract: Contract, columns: Mapping[str, Column]) -> dict[str, Column]:
    """Compute the contract's columns.

    Args:
        contract: The contract.
        columns: The received columns, all strings.

    Returns:
        A typed column a contract column, by name; NULL where the value is absent or does not fit.
    """
    return {
        column.name: strict_cast(_raw(column, columns), _raw_type(column), column.type)
        for column in contract.columns
    }


def fitting_columns(contract: Contract, columns: Mapping[str, Column]) -> dict[str, Column]:
    """Tell where the contract's columns have values, without computing most of them.

    Args:
        contract: The contract.
        columns: The received columns, all strings.

    Returns:
        A condition a contract column, by name: TRUE where `typed_columns` is not NULL.
    """
    return {
        column.name: fits(_raw(column, columns), _raw_type(column), column.type)
        for column in contract.columns
    }


def _raw(column: ContractColumn, columns: Mapping[str, Column]) -> Column:
    """Compute a column before the cast to its physical type."""
    inputs = {name: columns.get(name, F.lit(None).cast("string")) for name in column.inputs}
    return to_column(column.logic, inputs) if column.logic else inputs[column.name]


def _raw_type(column: ContractColumn) -> DataType:
    return column.logic.type if column.logic else STRING


def _does_not_fit(column: ContractColumn, columns: Mapping[str, Column]) -> Column | None:
    """Tell of a column that is NULL whether that is its type; None where it cannot be."""
    if column.logic is None or column.logic.op == "input":
        name = column.inputs[0]
        if column.type == STRING or name not in columns:
            return None
        return F.coalesce(present(columns[name]), F.lit(False))
    raw = _raw(column, columns)
    given = present(raw) if _raw_type(column) == STRING else raw.isNotNull()
    known = [columns[name] for name in column.inputs if name in columns]
    if not column.inputs or len(known) < len(column.inputs):
        return F.coalesce(given, F.lit(False))
    inputs_given = all_of([F.coalesce(present(value), F.lit(False)) for value in known])
    return F.coalesce(given, F.lit(False)) | (raw.isNull() & inputs_given)


def checks(
    contract: Contract, columns: Mapping[str, Column], values: Mapping[str, Column]
) -> list[Check]:
    """List what rejects a record, in the contract's order.

    Args:
        contract: The contract.
        columns: The received columns.
        values: The typed columns.

    Returns:
        The checks; a condition may be NULL, which rejects nothing.
    """
    found: list[Check] = []
    for column in contract.columns:
        value = values[column.name]
        unfit = _does_not_fit(column, columns)
        if column.required:
            absent = value.isNull() if unfit is None else value.isNull() & ~unfit
            found.append(Check(f"{column.name}: required", absent))
        if unfit is not None:
            found.append(Check(f"{column.name}: type", value.isNull() & unfit))
        found += _facets(column, value)
        found += [
            _rule(rule, values)
            for rule in contract.rules
            if rule.severity == "error" and rule.column == column.name
        ]
    found += [
        _rule(rule, values)
        for rule in contract.rules
        if rule.severity == "error" and rule.column is None
    ]
    return found


def _facets(column: ContractColumn, value: Column) -> list[Check]:
    """List the checks on a value that is there."""
    conditions: list[tuple[str, Column]] = []
    if column.enum:
        conditions.append(("enum", ~value.isin([_bound(column, item) for item in column.enum])))
    if column.portable_pattern is not None:
        conditions.append(("pattern", ~value.rlike(column.portable_pattern)))
    low = [value < _bound(column, column.minimum)] if column.minimum is not None else []
    if column.exclusive_minimum is not None:
        low.append(value <= _bound(column, column.exclusive_minimum))
    high = [value > _bound(column, column.maximum)] if column.maximum is not None else []
    if column.exclusive_maximum is not None:
        high.append(value >= _bound(column, column.exclusive_maximum))
    length = []
    if column.min_length is not None:
        length.append(F.length(value) < column.min_length)
    if column.max_length is not None:
        length.append(F.length(value) > column.max_length)
    for what, parts in (("minimum", low), ("maximum", high), ("length", length)):
        if parts:
            conditions.append((what, parts[0] if len(parts) == 1 else parts[0] | parts[1]))
    return [Check(f"{column.name}: {what}", violated) for what, violated in conditions]


def _bound(column: ContractColumn, value: object) -> Column:
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return F.lit(text).cast(column.physical_type)


def _rule(rule: Rule, values: Mapping[str, Column]) -> Check:
    return Check(f"{rule.name}: rule", ~to_column(rule.logic, values))


def is_malformed(columns: Mapping[str, Column]) -> Column:
    """Tell whether the record could not be parsed."""
    return columns[CORRUPT_RECORD].isNotNull() if CORRUPT_RECORD in columns else F.lit(False)


def is_valid(
    contract: Contract,
    columns: Mapping[str, Column],
    values: Mapping[str, Column],
    fitting: Mapping[str, Column],
) -> Column:
    """Tell whether a record is accepted: as `checks` has it, in as few terms as it takes.

    Args:
        contract: The contract.
        columns: The received columns.
        values: The typed columns.
        fitting: Where they are not NULL.

    Returns:
        TRUE or FALSE, never NULL.
    """
    passed = [~is_malformed(columns)]
    for column in contract.columns:
        fits_type = fitting[column.name]
        unfit = None if column.required else _does_not_fit(column, columns)
        if column.required:
            passed.append(fits_type)
        elif unfit is not None:
            passed.append(fits_type | ~unfit)
        passed += [_passes(check) for check in _facets(column, values[column.name])]
    passed += [_passes(_rule(rule, values)) for rule in contract.rules if rule.severity == "error"]
    return all_of(passed)


def _passes(check: Check) -> Column:
    return F.coalesce(~check.violated, F.lit(True))


def reasons(columns: Mapping[str, Column], found: list[Check]) -> Column:
    """Return why a record is rejected.

    Args:
        columns: The received columns.
        found: The checks.

    Returns:
        An array of reasons in the contract's order, empty for an accepted record; exactly
        `record: malformed` for a record that could not be parsed.
    """
    given = [F.when(check.violated, F.lit(check.reason)) for check in found]
    listed = F.array_compact(F.array(*given)) if given else F.array().cast("array<string>")
    return F.when(is_malformed(columns), F.array(F.lit(MALFORMED))).otherwise(listed).alias(REASONS)


def warnings(contract: Contract, values: Mapping[str, Column]) -> dict[str, Column]:
    """Return for each warning rule whether a row violates it.

    Args:
        contract: The contract.
        values: The contract's columns, typed.

    Returns:
        Conditions by rule name; NULL violates nothing.
    """
    return {
        rule.name: ~to_column(rule.logic, values)
        for rule in contract.rules
        if rule.severity == "warning"
    }
