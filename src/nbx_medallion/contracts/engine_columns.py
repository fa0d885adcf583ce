"""From a checked expression to a PySpark column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from nbx_medallion.contracts.casts import strict_cast, trimmed
from nbx_medallion.contracts.operations import Expression
from nbx_medallion.contracts.types import NULL

#: Above it a double has no decimals left to round.
_LARGE = 1e15


def to_column(expression: Expression, inputs: Mapping[str, Column]) -> Column:
    """Compute an expression.

    Args:
        expression: A checked expression.
        inputs: The columns it reads, by name.

    Returns:
        The column; no value can make it raise.
    """
    if expression.op == "input":
        return inputs[str(expression.value)]
    if expression.op == "literal":
        return _literal(expression)
    if expression.op == "null":
        return F.lit(None) if expression.type == NULL else F.lit(None).cast(str(expression.type))
    args = [to_column(arg, inputs) for arg in expression.args]
    return _OPERATIONS[expression.op](expression, args)


def _literal(expression: Expression) -> Column:
    value = expression.value
    if isinstance(value, Decimal):
        return F.lit(str(value)).cast(str(expression.type))
    return F.lit(value)


Operation = Callable[[Expression, list[Column]], Column]


def _function(function: Callable[..., Column]) -> Operation:
    return lambda _, args: function(*args)


def _cast(expression: Expression, args: list[Column]) -> Column:
    return strict_cast(args[0], expression.args[0].type, expression.type)


def _typed(function: Callable[..., Column]) -> Operation:
    """Bring the result to the type that was foreseen: engines name decimals differently."""
    return lambda expression, args: function(*args).cast(str(expression.type))


def _case(_: Expression, args: list[Column]) -> Column:
    *branches, other = args
    result = F.when(branches[0], branches[1])
    for at in range(2, len(branches), 2):
        result = result.when(branches[at], branches[at + 1])
    return result.otherwise(other)


def _round(expression: Expression, args: list[Column]) -> Column:
    places = int(str(expression.value))
    if expression.type.name == "decimal":
        return F.round(args[0], places).cast(str(expression.type))
    # The engines' own round() differs on doubles such as 1.005: here only IEEE operations.
    value, factor = args[0], F.lit(10.0**places)
    scaled = F.abs(value) * factor
    whole = F.floor(scaled + F.lit(0.5)).cast("double") / factor
    signed = F.when(value < F.lit(0.0), -whole).otherwise(whole)
    return F.when(scaled < F.lit(_LARGE), signed).otherwise(value)


def _divide(_: Expression, args: list[Column]) -> Column:
    return args[0] / F.nullif(args[1], F.lit(0.0))


def _integers(expression: Expression) -> list[int]:
    return [
        int(str(arg.value))
        for arg in expression.args
        if arg.op == "literal" and isinstance(arg.value, int)
    ]


def _text(expression: Expression, at: int) -> str:
    return str(expression.args[at].value)


def _pad(function: Callable[[Column, int, str], Column]) -> Operation:
    return lambda e, args: function(args[0], _integers(e)[0], _text(e, 2))


def _trim(function: Callable[..., Column]) -> Operation:
    def trim(expression: Expression, args: list[Column]) -> Column:
        return function(*args) if len(args) > 1 else function(args[0], F.lit(" "))

    return trim


_OPERATIONS: dict[str, Operation] = {
    "abs": _typed(F.abs),
    "add": _typed(lambda a, b: a + b),
    "and": _function(lambda a, b: a & b),
    "case": _case,
    "cast": _cast,
    "coalesce": _function(F.coalesce),
    "concat": _function(F.concat),
    "concat_ws": lambda e, args: F.concat_ws(_text(e, 0), *args[1:]),
    "contains": _function(F.contains),
    "date_of": _function(lambda a: a.try_cast("date")),
    "div": _divide,
    "endswith": _function(F.endswith),
    "eq": _function(lambda a, b: a == b),
    "ge": _function(lambda a, b: a >= b),
    "gt": _function(lambda a, b: a > b),
    "is_null": _function(F.isnull),
    "le": _function(lambda a, b: a <= b),
    "left": _function(F.left),
    "length": _function(lambda a: F.length(a).cast("bigint")),
    "like": lambda e, args: args[0].like(_text(e, 1)),
    "lower": _function(F.lower),
    "lpad": _pad(F.lpad),
    "lt": _function(lambda a, b: a < b),
    "ltrim": _trim(F.ltrim),
    "mul": _typed(lambda a, b: a * b),
    "ne": _function(lambda a, b: a != b),
    "neg": _typed(lambda a: -a),
    "not": _function(lambda a: ~a),
    "or": _function(lambda a, b: a | b),
    "parse_timestamp": lambda e, args: F.try_to_timestamp(trimmed(args[0]), args[1]),
    "regexp_extract": lambda e, args: F.regexp_extract(args[0], _text(e, 1), _integers(e)[0]),
    "regexp_replace": lambda e, args: F.regexp_replace(args[0], _text(e, 1), _text(e, 2)),
    "replace": _function(F.replace),
    "right": _function(F.right),
    "rlike": lambda e, args: args[0].rlike(_text(e, 1)),
    "round": _round,
    "rpad": _pad(F.rpad),
    "rtrim": _trim(F.rtrim),
    "same": _function(lambda a, b: a.eqNullSafe(b)),
    "split_part": _function(F.split_part),
    "startswith": _function(F.startswith),
    "sub": _typed(lambda a, b: a - b),
    "substring": _function(F.substr),
    "translate": lambda e, args: F.translate(args[0], _text(e, 1), _text(e, 2)),
    "trim": _trim(F.btrim),
    "upper": _function(F.upper),
}


def all_of(conditions: list[Column]) -> Column:
    """Return the conjunction of conditions, TRUE where there is none."""
    return reduce(lambda a, b: a & b, conditions) if conditions else F.lit(True)
