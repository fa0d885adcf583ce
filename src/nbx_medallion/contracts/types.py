"""Column types, and checked expressions of values of these types.

Every operand is of the type that its operation takes: what SQL would convert by itself, and
differently on each engine and under ANSI mode, is converted by a `cast` that keeps the value or
gives NULL. So no value can stop a run, and the engines compute the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

Scalar = str | bool | int | float | Decimal | date | datetime

MAX_PRECISION = 38

_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_LOGICAL = {
    "string": "string",
    "bigint": "integer",
    "int": "integer",
    "decimal": "number",
    "double": "number",
    "date": "date",
    "timestamp": "timestamp",
    "boolean": "boolean",
    "array<string>": "array",
}
SUPPORTED_TYPES = ", ".join(_LOGICAL).replace("decimal", "decimal(p,s)")


class ExpressionError(ValueError):
    """An expression that is wrong, or that the engines would not compute alike."""


@dataclass(frozen=True)
class DataType:
    """A column type, as Spark names it; `null` is that of an expression that is always NULL."""

    name: str
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        digits = f"({self.precision},{self.scale})" if self.name == "decimal" else ""
        return self.name + digits

    @property
    def logical(self) -> str:
        """The ODCS `logicalType` that belongs to this type."""
        return _LOGICAL[self.name]

    @property
    def is_exact_number(self) -> bool:
        """Whether values are integers or decimals."""
        return self.name in {"bigint", "int", "decimal"}

    @property
    def as_decimal(self) -> DataType:
        """The smallest decimal that holds every value of an exact number type."""
        digits = {"bigint": 19, "int": 10}
        return self if self.name == "decimal" else DataType("decimal", digits[self.name])


STRING = DataType("string")
BIGINT = DataType("bigint")
DOUBLE = DataType("double")
DATE = DataType("date")
TIMESTAMP = DataType("timestamp")
BOOLEAN = DataType("boolean")
NULL = DataType("null")
#: How a received string is read where a number is needed: up to 12 digits and 6 decimals.
RECEIVED_NUMBER = DataType("decimal", 18, 6)


def parse_type(text: str) -> DataType | None:
    """Read a type as written, for example `decimal(18,2)`; None where it is not supported."""
    if match := _DECIMAL.fullmatch(text):
        precision, scale = int(match[1]), int(match[2])
        fits = 1 <= precision <= MAX_PRECISION and scale <= precision
        return DataType("decimal", precision, scale) if fits else None
    return DataType(text) if text in _LOGICAL and text != "decimal" else None


def decimal(precision: int, scale: int, what: str) -> DataType:
    """Make a type, or say what needs one of too many digits."""
    if precision > MAX_PRECISION:
        raise ExpressionError(
            f"{what} needs a decimal of {precision} digits, {MAX_PRECISION} is the most: cast its"
            " operands to smaller decimals, for example cast(x as decimal(9,4)) or cast(x as int)"
        )
    return DataType("decimal", precision, scale)


def common_type(types: Sequence[DataType]) -> DataType:
    """Return the one type that values of several types are brought to."""
    kinds = [kind for kind in dict.fromkeys(types) if kind != NULL]
    if len(kinds) < 2:
        return kinds[0] if kinds else NULL
    if all(kind.is_exact_number for kind in kinds):
        decimals = [kind.as_decimal for kind in kinds]
        scale = max(kind.scale for kind in decimals)
        whole = max(kind.precision - kind.scale for kind in decimals)
        return decimal(whole + scale, scale, "the common type")
    if all(kind.is_exact_number or kind == DOUBLE for kind in kinds):
        return DOUBLE
    if STRING in kinds and not {DOUBLE, BOOLEAN} & {*kinds}:
        return STRING
    names = " and ".join(str(kind) for kind in kinds)
    raise ExpressionError(f"values of {names} have no common type: cast them")


@dataclass(frozen=True)
class Expression:
    """A checked expression: a tree of operations every engine computes alike.

    The operation is a name in `OPERATIONS`, or `input`, `literal`, `constant` or `cast`, and the
    type that of its result. The value is the column's name of an `input`, or that of a `literal`
    (None is NULL) or `constant`.
    """

    op: str
    type: DataType
    args: tuple[Expression, ...] = ()
    value: Any = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns it reads, each once, in order of use."""
        if self.op == "input":
            return (self.value,)
        return tuple(dict.fromkeys(name for arg in self.args for name in arg.inputs))


def number(text: str) -> Expression:
    """Make a number as written: exact, or a double where it has an exponent."""
    if "e" in text.lower():
        return Expression("literal", DOUBLE, value=float(text))
    value = Decimal(text)
    _, digits, exponent = value.as_tuple()
    scale = -int(exponent)
    kind = decimal(max(len(digits), scale, 1), scale, f"the number {text}")
    return Expression("literal", kind, value=value)


def convert(operand: Expression, target: DataType) -> Expression:
    """Make an operand a value of a type: the same value, or NULL where it does not fit."""
    source = operand.type
    if source == target:
        return operand
    if source == NULL:
        return Expression("literal", target)
    kinds = {source.logical, target.logical}
    alike = kinds <= {"integer", "number"} or kinds <= {"date", "timestamp"} or "string" in kinds
    if not alike or "array" in kinds or (source, target) == (DOUBLE, STRING):
        raise ExpressionError(f"a {source} cannot be read as a {target}")
    return Expression("cast", target, (operand,))


def boolean(operand: Expression) -> Expression:
    """Make an operand a condition."""
    if operand.type not in {BOOLEAN, NULL}:
        raise ExpressionError(f"a condition is needed, found a {operand.type}")
    return convert(operand, BOOLEAN)
