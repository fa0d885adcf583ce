"""Refuses a frame that does not look as its table's contract says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbx_medallion.contracts.model import Contract
from nbx_medallion.errors import UserError

Schema = Sequence[tuple[str, str]]


class ContractValidator:
    """A Kedro validator (`validator:` key of the catalog) for a table with a contract.

    Example:
        ```yaml
        validator:
          class: nbx_medallion.contracts.validator.ContractValidator
          on: save
          options: {table: silver.sales_clean}
        ```
    """

    def __init__(self, table: str) -> None:
        """Remember the table; its contract is asked for when a frame is checked.

        Args:
            table: `<schema>.<table>`.
        """
        self.table = table

    def validate(self, data: Any) -> Any:
        """Compare a frame's columns, their order and their types with the contract.

        Args:
            data: A DataFrame of any engine.

        Returns:
            The frame, unchanged.

        Raises:
            UserError: If it differs; the message lists every difference.
        """
        from nbx_medallion.config import contract

        check_schema(contract(self.table), frame_schema(data))
        return data


def frame_schema(frame: Any) -> tuple[tuple[str, str], ...]:
    """Return name and type (as Spark writes it) of each column of a DataFrame."""
    return tuple((field.name, field.dataType.simpleString()) for field in frame.schema.fields)


def check_schema(contract: Contract, found: Schema) -> None:
    """Refuse a schema that differs from a contract.

    Args:
        contract: The contract.
        found: Name and type of each column.

    Raises:
        UserError: If it differs.
    """
    differences = schema_differences(contract.schema, found, is_open=contract.open)
    if differences:
        lines = "\n".join(f"  - {difference}" for difference in differences)
        raise UserError(
            f"{contract.table}: the columns to be written are not those of its contract"
            f" (version {contract.version}):\n{lines}\n"
            "Nothing was written. Change the node or the contract so that they agree."
        )


def schema_differences(expected: Schema, found: Schema, *, is_open: bool = False) -> list[str]:
    """Compare two schemas column by column.

    Args:
        expected: Name and type of each column, in order.
        found: Name and type of each column, in order.
        is_open: Whether further string columns may be anywhere among the expected ones.

    Returns:
        A line for each difference, empty where there is none.
    """
    wanted, given = dict(expected), dict(found)
    differences = [
        f"{name}: {count} columns have this name"
        for name in given
        if (count := sum(name == other for other, _ in found)) > 1
    ]
    for name, kind in expected:
        if name not in given:
            similar = [other for other in given if other.lower() == name.lower()]
            hint = f" (there is {similar[0]!r})" if similar else ""
            differences.append(f"{name}: expected {kind}, is missing{hint}")
        elif given[name] != kind:
            differences.append(f"{name}: expected {kind}, found {given[name]}")
    for name, kind in found:
        if name not in wanted and not is_open:
            differences.append(f"{name}: not in the contract, found {kind}")
        elif name not in wanted and kind != "string":
            differences.append(f"{name}: expected string, as every received column, found {kind}")
    common = [name for name, _ in expected if name in given]
    order = [name for name in given if name in wanted]
    if common != order:
        differences.append(f"order: expected {', '.join(common)}, found {', '.join(order)}")
    return differences
