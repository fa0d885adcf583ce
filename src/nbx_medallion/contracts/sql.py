"""From the SQL text of a contract to a checked expression. Asks no engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from nbx_medallion.contracts.operations import Expression, ExpressionError, compare, number
from nbx_medallion.contracts.syntax import read_node
from nbx_medallion.contracts.types import STRING, DataType

_KEYWORDS = frozenset(
    word
    for line in (
        "null true false case not interval exists select distinct current_date current_timestamp",
        "current_time localtimestamp current_user session_user user",
    )
    for word in line.split()
)
_NAME = re.compile(r"\s*(?:([A-Za-z_][A-Za-z0-9_]*)|`([^`]+)`)\s*")
_COMPARISON = re.compile(r"\s*([A-Za-z_]\w*)\s*(>=|<=|<>|!=|=|>|<)\s*(\d+(?:\.\d+)?)\s*", re.A)
_OPERATORS = {">=": "ge", "<=": "le", "<>": "ne", "!=": "ne", "=": "eq", ">": "gt", "<": "lt"}

Columns = Mapping[str, DataType] | None


def parse_expression(text: str, columns: Columns = None) -> Expression:
    """Parse a SQL expression.

    Args:
        text: One expression in Spark's dialect.
        columns: Types of the columns it may use; None for received columns, all strings.

    Returns:
        The expression, its operands' types made explicit.

    Raises:
        ExpressionError: If it is not one expression, uses an unknown column, or something the
            engines would not compute alike for every value.
    """
    plain = _NAME.fullmatch(text)
    if plain and (plain[1] or "").lower() not in _KEYWORDS:
        return _column(plain[1] or plain[2], columns)
    comparison = _COMPARISON.fullmatch(text)
    if comparison and comparison[1].lower() not in _KEYWORDS:
        name, operator, value = comparison.groups()
        return compare(_OPERATORS[operator], _column(name, columns), number(value))
    return read_node(_syntax_tree(text), lambda name: _column(name, columns))


def inputs_of(expression: Expression) -> tuple[str, ...]:
    """Return the columns an expression reads, each once, in order of use."""
    if expression.op == "input":
        return (str(expression.value),)
    names = (name for arg in expression.args for name in inputs_of(arg))
    return tuple(dict.fromkeys(names))


def _column(name: str, columns: Columns) -> Expression:
    if columns is None:
        return Expression("input", STRING, value=name)
    if name not in columns:
        raise ExpressionError(
            f"there is no column {name!r} in the contract, which has {', '.join(columns)}"
        )
    return Expression("input", columns[name], value=name)


def _syntax_tree(text: str) -> Any:
    """Parse with sqlglot, functions left as they are written."""
    from sqlglot.dialects.spark import Spark
    from sqlglot.errors import SqlglotError

    class PlainFunctions(Spark.Parser):  # type: ignore[misc,valid-type]
        FUNCTIONS: dict[str, Callable[..., Any]] = {}  # noqa: RUF012 - as sqlglot has it

    dialect = Spark()
    try:
        trees = PlainFunctions(dialect=dialect).parse(dialect.tokenize(text), text)
    except SqlglotError as error:
        details = getattr(error, "errors", None)
        what = details[0]["description"] if details else str(error).split("\n")[0]
        what = what.partition(" for <class")[0]
        where = f" (line {details[0]['line']}, column {details[0]['col']})" if details else ""
        raise ExpressionError(f"is not valid SQL: {what}{where}") from None
    if len(trees) != 1 or trees[0] is None:
        raise ExpressionError(f"has to be one expression, found {len(trees)} statements")
    return trees[0]
