"""The column types a contract may declare."""

from __future__ import annotations

import re
from dataclasses import dataclass

SUPPORTED_TYPES = (
    "string, bigint, int, decimal(p,s), double, date, timestamp, boolean, array<string>"
)
MAX_PRECISION = 38

_SIMPLE = ("string", "bigint", "int", "double", "date", "timestamp", "boolean")
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
    "array": "array",
}


@dataclass(frozen=True)
class DataType:
    """A column type, as Spark names it.

    Attributes:
        name: `string`, `bigint`, `int`, `decimal`, `double`, `date`, `timestamp`, `boolean`,
            `array` (of strings), or `null` for an expression that is always NULL.
        precision: Digits of a decimal.
        scale: Digits after the point of a decimal.
    """

    name: str
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        if self.name == "decimal":
            return f"decimal({self.precision},{self.scale})"
        return "array<string>" if self.name == "array" else self.name

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
        return self if self.name == "decimal" else DataType("decimal", digits[self.name], 0)


STRING = DataType("string")
BIGINT = DataType("bigint")
DOUBLE = DataType("double")
DATE = DataType("date")
TIMESTAMP = DataType("timestamp")
BOOLEAN = DataType("boolean")
NULL = DataType("null")


def parse_type(text: str) -> DataType | None:
    """Read a physical type.

    Args:
        text: For example `decimal(18,2)`.

    Returns:
        The type, or None where it is not one of `SUPPORTED_TYPES`.
    """
    if text in _SIMPLE:
        return DataType(text)
    if text == "array<string>":
        return DataType("array")
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    precision, scale = int(match[1]), int(match[2])
    if not (1 <= precision <= MAX_PRECISION and scale <= precision):
        return None
    return DataType("decimal", precision, scale)
