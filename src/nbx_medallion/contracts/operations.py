"""What an expression may be made of, and what type each operation gives.

Every operation has explicit operand types: what SQL would convert by itself, and differently on
each engine and under ANSI mode, is converted here by a `cast` that keeps the value or gives NULL.
So no value can stop a run, and the engines compute the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from nbx_medallion.contracts.types import (
    BOOLEAN,
    DOUBLE,
    MAX_PRECISION,
    NULL,
    STRING,
    DataType,
)

Scalar = str | bool | int | float | Decimal | date | datetime

#: How a received string is read where a number is needed: up to 12 digits and 6 decimals.
RECEIVED_NUMBER = DataType("decimal", 18, 6)


@dataclass(frozen=True)
class Expression:
    """A checked expression: a tree of operations every engine computes alike.

    Attributes:
        op: `input`, `literal`, `cast`, or the name of an operation.
        type: Type of the result, known before any engine is asked.
        args: Operands.
        value: The column's name of an `input`, the value of a `literal`.
    """

    op: str
    type: DataType
    args: tuple[Expression, ...] = ()
    value: Scalar | None = None


class ExpressionError(ValueError):
    """An expression that is wrong, or that the engines would not compute alike."""


def literal(value: Scalar, kind: DataType) -> Expression:
    """Make a constant."""
    return Expression("literal", kind, value=value)


def number(text: str) -> Expression:
    """Make a constant of a number as written: exact, or a double where it has an exponent."""
    if "e" in text.lower():
        return literal(float(text), DOUBLE)
    value = Decimal(text)
    digits, exponent = value.as_tuple().digits, value.as_tuple().exponent
    scale = -int(exponent)
    precision = max(len(digits), scale, 1)
    if precision > MAX_PRECISION:
        raise ExpressionError(f"the number {text} has more than {MAX_PRECISION} digits")
    return literal(value, DataType("decimal", precision, scale))


def convert(operand: Expression, target: DataType) -> Expression:
    """Make an operand a value of a type: the same value, or NULL where it does not fit."""
    if operand.type == target:
        return operand
    if operand.type == NULL:
        return Expression("null", target)
    if (operand.type.name, target.name) in _NO_CONVERSION or "array" in {
        operand.type.name,
        target.name,
    }:
        raise ExpressionError(f"a {operand.type} cannot be read as a {target}")
    return Expression("cast", target, (operand,))


def _pairs(names: str, others: str) -> set[tuple[str, str]]:
    return {pair for a in names.split() for b in others.split() for pair in ((a, b), (b, a))}


_NO_CONVERSION = (
    _pairs("date timestamp", "bigint int decimal double boolean")
    | _pairs("boolean", "bigint int decimal double")
    | {("double", "string")}
)


def as_number(operand: Expression) -> Expression:
    """Make an operand a decimal or a double."""
    if operand.type in {STRING, NULL}:
        return convert(operand, RECEIVED_NUMBER)
    if operand.type.is_exact_number:
        return convert(operand, operand.type.as_decimal)
    if operand.type != DOUBLE:
        raise ExpressionError(f"a number is needed, found a {operand.type}")
    return operand


def _decimal(precision: int, scale: int, what: str) -> DataType:
    if precision > MAX_PRECISION:
        raise ExpressionError(
            f"{what} needs a decimal of {precision} digits, {MAX_PRECISION} is the most: cast its"
            " operands to smaller decimals, for example cast(x as decimal(9,4)) or cast(x as int)"
        )
    return DataType("decimal", precision, scale)


def common_type(types: Sequence[DataType]) -> DataType:
    """Return the one type values of several types are brought to."""
    kinds = [kind for kind in dict.fromkeys(types) if kind != NULL]
    if len(kinds) < 2:
        return kinds[0] if kinds else NULL
    if all(kind.is_exact_number for kind in kinds):
        decimals = [kind.as_decimal for kind in kinds]
        scale = max(kind.scale for kind in decimals)
        whole = max(kind.precision - kind.scale for kind in decimals)
        return _decimal(whole + scale, scale, "the common type")
    if all(kind.is_exact_number or kind == DOUBLE for kind in kinds):
        return DOUBLE
    if STRING in kinds and DOUBLE not in kinds and all(kind.name != "array" for kind in kinds):
        return STRING
    names = " and ".join(str(kind) for kind in kinds)
    raise ExpressionError(f"values of {names} have no common type: cast them")


def arithmetic(op: str, left: Expression, right: Expression) -> Expression:
    """Make `add`, `sub`, `mul` or `div`; exact for decimals, division in doubles."""
    if op == "div":
        shift = _power_of_ten(right)
        if shift is None or as_number(left).type == DOUBLE:
            return Expression("div", DOUBLE, (_double(left), _double(right)))
        op, right = "mul", shift
    left, right = as_number(left), as_number(right)
    if DOUBLE in {left.type, right.type}:
        return Expression(op, DOUBLE, (convert(left, DOUBLE), convert(right, DOUBLE)))
    a, b = left.type, right.type
    if op == "mul":
        kind = _decimal(a.precision + b.precision + 1, a.scale + b.scale, "the product")
    else:
        scale = max(a.scale, b.scale)
        whole = max(a.precision - a.scale, b.precision - b.scale)
        kind = _decimal(whole + scale + 1, scale, "the sum")
    return Expression(op, kind, (left, right))


def _double(operand: Expression) -> Expression:
    return convert(as_number(operand), DOUBLE)


def _power_of_ten(operand: Expression) -> Expression | None:
    """Return 0.01 for the constant 100: so that `cents / 100` is exact."""
    value = operand.value
    if operand.op != "literal" or not isinstance(value, Decimal):
        return None
    text = format(value.normalize(), "f")
    if text.rstrip("0") != "1" or len(text) < 2 or len(text) > 9:
        return None
    return number("0." + "0" * (len(text) - 2) + "1")


def compare(op: str, left: Expression, right: Expression) -> Expression:
    """Make a comparison; a string meets a number, a date or a boolean as one of them."""
    kinds = {left.type, right.type}
    if STRING in kinds and len(kinds) == 2 and NULL not in kinds:
        other = next(iter(kinds - {STRING}))
        target = RECEIVED_NUMBER if other.is_exact_number else other
        left = convert(left, target) if left.type == STRING else left
        right = convert(right, target) if right.type == STRING else right
    target = common_type([left.type, right.type])
    return Expression(op, BOOLEAN, (convert(left, target), convert(right, target)))


def boolean(operand: Expression) -> Expression:
    """Make an operand a condition."""
    if operand.type not in {BOOLEAN, NULL}:
        raise ExpressionError(f"a condition is needed, found a {operand.type}")
    return convert(operand, BOOLEAN)


def case(branches: Sequence[tuple[Expression, Expression]], other: Expression) -> Expression:
    """Make `case when ... then ... else ... end`."""
    kind = common_type([value.type for _, value in branches] + [other.type])
    args = [part for when, then in branches for part in (boolean(when), convert(then, kind))]
    return Expression("case", kind, (*args, convert(other, kind)))


def coalesce(*operands: Expression) -> Expression:
    """Make `coalesce(...)`."""
    kind = common_type([operand.type for operand in operands])
    return Expression("coalesce", kind, tuple(convert(operand, kind) for operand in operands))


def nullif(left: Expression, right: Expression) -> Expression:
    """Make `nullif(left, right)`."""
    null = Expression("null", left.type)
    return case([(compare("eq", left, right), null)], left)


def round_(operand: Expression, digits: Expression | None = None) -> Expression:
    """Make `round(x, n)`: half away from zero, exact for decimals."""
    places = 0 if digits is None else constant_integer(digits)
    if not 0 <= places <= 18:
        raise ExpressionError(f"round takes 0 to 18 decimals, found {places}")
    operand = as_number(operand)
    if operand.type == DOUBLE:
        return Expression("round", DOUBLE, (operand,), places)
    if operand.type.scale <= places:
        return operand
    whole = min(operand.type.precision - operand.type.scale + 1, MAX_PRECISION - places)
    return Expression("round", DataType("decimal", whole + places, places), (operand,), places)


def same_type(op: str) -> Callable[[Expression], Expression]:
    """Make a maker of an operation that keeps the number's type."""

    def make(operand: Expression) -> Expression:
        operand = as_number(operand)
        return Expression(op, operand.type, (operand,))

    return make


def constant_string(operand: Expression) -> str:
    """Return the value of a string constant."""
    if operand.op != "literal" or not isinstance(operand.value, str):
        raise ExpressionError("a string constant is needed")
    return operand.value


def constant_integer(operand: Expression) -> int:
    """Return the value of an integer constant."""
    value = operand.value
    if operand.op != "literal" or not isinstance(value, Decimal) or value != int(value):
        raise ExpressionError("an integer constant is needed")
    return int(value)
