"""The functions an expression may call: those that every engine computes alike."""

from __future__ import annotations

from collections.abc import Callable

from nbx_medallion.contracts.operations import (
    Expression,
    ExpressionError,
    coalesce,
    constant_integer,
    constant_string,
    convert,
    literal,
    nullif,
    round_,
    same_type,
)
from nbx_medallion.contracts.patterns import PatternError, portable_pattern
from nbx_medallion.contracts.types import BIGINT, BOOLEAN, DATE, STRING, TIMESTAMP, DataType

#: Date format elements that both engines read alike.
FORMAT_ELEMENTS = frozenset(
    (
        "yyyy",
        "yy",
        "MM",
        "M",
        "MMM",
        "dd",
        "d",
        "HH",
        "H",
        "hh",
        "h",
        "mm",
        "m",
        "ss",
        "s",
        "SSS",
        "a",
    )
)


def _pattern(operand: Expression) -> Expression:
    try:
        return literal(portable_pattern(constant_string(operand)), STRING)
    except PatternError as error:
        raise ExpressionError(f"the pattern {error}") from None


def _format(operand: Expression) -> Expression:
    text = constant_string(operand)
    element = ""
    for char in text + " ":
        if element and char != element[-1]:
            if element not in FORMAT_ELEMENTS:
                known = ", ".join(sorted(FORMAT_ELEMENTS))
                raise ExpressionError(
                    f"the format {text!r} has the element {element!r}, known are {known}"
                )
            element = ""
        if char.isalpha():
            element += char
        elif char in "'[]{}#\"":
            raise ExpressionError(f"the format {text!r} has {char!r}")
    return literal(text, STRING)


def _text(operand: Expression) -> Expression:
    return convert(operand, STRING)


def _integer(operand: Expression) -> Expression:
    return literal(constant_integer(operand), BIGINT)


def _nonzero(operand: Expression) -> Expression:
    if constant_integer(operand) == 0:
        raise ExpressionError("a part's number starts from 1, or from -1 at the end")
    return _integer(operand)


def _instant(result: DataType) -> Callable[..., Expression]:
    def make(operand: Expression, form: Expression | None = None) -> Expression:
        if form is None:
            if (operand.type, result) == (TIMESTAMP, DATE):
                return Expression("date_of", DATE, (operand,))
            return convert(operand, result)
        parsed = Expression("parse_timestamp", TIMESTAMP, (_text(operand), _format(form)))
        return Expression("date_of", DATE, (parsed,)) if result == DATE else parsed

    return make


def _function(
    op: str,
    result: DataType,
    *kinds: Callable[[Expression], Expression],
    optional: int = 0,
    repeat: bool = False,
) -> Callable[..., Expression]:
    """Make a maker of a function with fixed operand types."""

    def make(*operands: Expression) -> Expression:
        most = len(kinds)
        if not most - optional <= len(operands) <= (100 if repeat else most):
            few = f"{most - optional} to {most}" if optional else f"{most}"
            raise ExpressionError(f"takes {few} arguments, found {len(operands)}")
        readers = kinds + (kinds[-1],) * (len(operands) - most)
        read = (reader(operand) for reader, operand in zip(readers, operands, strict=False))
        return Expression(op, result, tuple(read))

    return make


def _literal_text(operand: Expression) -> Expression:
    return literal(constant_string(operand), STRING)


#: The functions an expression may call, by name.
FUNCTIONS: dict[str, Callable[..., Expression]] = {
    "abs": same_type("abs"),
    "btrim": _function("trim", STRING, _text, _literal_text, optional=1),
    "coalesce": coalesce,
    "concat": _function("concat", STRING, _text, repeat=True),
    "concat_ws": _function("concat_ws", STRING, _literal_text, _text, repeat=True),
    "contains": _function("contains", BOOLEAN, _text, _text),
    "date": _instant(DATE),
    "endswith": _function("endswith", BOOLEAN, _text, _text),
    "ifnull": coalesce,
    "left": _function("left", STRING, _text, _integer),
    "length": _function("length", BIGINT, _text),
    "lower": _function("lower", STRING, _text),
    "lpad": _function("lpad", STRING, _text, _integer, _literal_text),
    "ltrim": _function("ltrim", STRING, _text),
    "nullif": nullif,
    "nvl": coalesce,
    "regexp_extract": _function("regexp_extract", STRING, _text, _pattern, _integer),
    "regexp_like": _function("rlike", BOOLEAN, _text, _pattern),
    "regexp_replace": _function("regexp_replace", STRING, _text, _pattern, _literal_text),
    "replace": _function("replace", STRING, _text, _literal_text, _literal_text),
    "right": _function("right", STRING, _text, _integer),
    "round": round_,
    "rpad": _function("rpad", STRING, _text, _integer, _literal_text),
    "rtrim": _function("rtrim", STRING, _text),
    "split_part": _function("split_part", STRING, _text, _literal_text, _nonzero),
    "startswith": _function("startswith", BOOLEAN, _text, _text),
    "substr": _function("substring", STRING, _text, _integer, _integer, optional=1),
    "substring": _function("substring", STRING, _text, _integer, _integer, optional=1),
    "to_date": _instant(DATE),
    "to_timestamp": _instant(TIMESTAMP),
    "translate": _function("translate", STRING, _text, _literal_text, _literal_text),
    "try_to_timestamp": _instant(TIMESTAMP),
    "trim": _function("trim", STRING, _text),
    "upper": _function("upper", STRING, _text),
}
