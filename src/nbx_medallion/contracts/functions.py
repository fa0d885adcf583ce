"""What an expression may be made of: one row of `OPERATIONS` an operation or function."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from nbx_medallion.contracts import types as T
from nbx_medallion.contracts.casts import strict_cast
from nbx_medallion.contracts.patterns import YEAR, date_form, portable_pattern


@dataclass(frozen=True)
class Operation:
    """How an operation is checked and computed.

    Attributes:
        kinds: Makes each operand what it has to be.
        result: Type of the result, or how it follows from the types of operands that are not
            doubles; None for that of the last operand.
        compute: Takes a column an operand, a value where the operand has to be a constant; None
            for the engines' function of the operation's name.
        rewrite: Makes of the operands others that fit each other, or what is used instead.
        defaults: What is taken for operands left out at the end.
        repeated: Whether there may be more operands of the last kind.
    """

    kinds: tuple[Callable[[T.Expression], T.Expression], ...]
    result: T.DataType | Callable[..., T.DataType] | None = None
    compute: Callable[..., Any] | None = None
    rewrite: Callable[..., list[T.Expression] | T.Expression] | None = None
    defaults: tuple[T.Expression, ...] = ()
    repeated: bool = False


def apply(name: str, *operands: T.Expression) -> T.Expression:
    """Make an operation of `OPERATIONS`, its operands converted to what it takes.

    Where they are too few, too many, or of a type it does not take: `ExpressionError`.
    """
    row, most, found = OPERATIONS[name], len(OPERATIONS[name].kinds), len(operands)
    least = most - len(row.defaults)
    if found < least or (found > most and not row.repeated):
        few = f"{least} to {most}" if row.defaults else f"{least}"
        raise T.ExpressionError(f"takes {few} arguments, found {found}")
    kinds = row.kinds + row.kinds[-1:] * found
    args = [kind(operand) for kind, operand in zip(kinds, operands, strict=False)]
    args += row.defaults[found - least :]
    made = row.rewrite(*args) if row.rewrite else args
    if isinstance(made, T.Expression):
        return made
    result = row.result or made[-1].type
    if not isinstance(result, T.DataType):
        result = T.DOUBLE if made[0].type == T.DOUBLE else result(*(arg.type for arg in made))
    return T.Expression(name, result, tuple(made))


def to_column(expression: T.Expression, inputs: Mapping[str, Column]) -> Column:
    """Compute an expression of columns, given by name; no value can make it raise."""
    kind, value = expression.type, expression.value
    if expression.op == "input":
        return inputs[value]
    if expression.op == "literal":
        literal = F.lit(format(value, "f") if isinstance(value, Decimal) else value)
        return literal if kind == T.NULL else literal.cast(str(kind))
    if expression.op == "constant":
        return F.lit(value)
    if expression.op == "cast":
        return strict_cast(to_column(expression.args[0], inputs), expression.args[0].type, kind)
    compute = OPERATIONS[expression.op].compute
    args: list[Any] = [
        arg.value if compute and arg.op == "constant" else to_column(arg, inputs)
        for arg in expression.args
    ]
    column: Column = compute(*args) if compute else F.call_function(expression.op, *args)
    # The engines give results other decimal types than the one that was foreseen.
    return column.cast(str(kind)) if kind.name in {"decimal", "bigint"} else column


# What an operand has to be


def _any(operand: T.Expression) -> T.Expression:
    return operand


def _trimmed(operand: T.Expression) -> T.Expression:
    return T.Expression("cast", T.STRING, (T.convert(operand, T.STRING),))


def _number(operand: T.Expression) -> T.Expression:
    """A decimal or a double."""
    if operand.type in {T.STRING, T.NULL}:
        return T.convert(operand, T.RECEIVED_NUMBER)
    if operand.type.is_exact_number:
        return T.convert(operand, operand.type.as_decimal)
    if operand.type != T.DOUBLE:
        raise T.ExpressionError(f"a number is needed, found a {operand.type}")
    return operand


def _double(operand: T.Expression) -> T.Expression:
    return T.convert(_number(operand), T.DOUBLE)


def _constant(operand: T.Expression, reading: Callable[[str], str] = str) -> T.Expression:
    if operand.op not in {"literal", "constant"} or not isinstance(operand.value, str):
        raise T.ExpressionError("a string constant is needed")
    return T.Expression("constant", T.STRING, value=reading(operand.value))


def _integer(operand: T.Expression, least: int = -(10**9), most: int = 10**9) -> T.Expression:
    value = operand.value
    if type(value) not in {int, Decimal} or value != int(value) or not least <= value <= most:
        raise T.ExpressionError(f"an integer constant is needed, from {least} to {most}")
    return T.Expression("constant", T.BIGINT, value=int(value))


def _count(operand: T.Expression) -> T.Expression:
    return replace(_integer(operand), value=max(_integer(operand).value, 0))


def _part_number(operand: T.Expression) -> T.Expression:
    if operand.value == 0:
        raise T.ExpressionError("a part's number starts from 1, or from -1 at the end")
    return _integer(operand)


def _like_form(text: str) -> str:
    if "\\" in re.sub(r"\\[\\%_]", "", text):
        raise T.ExpressionError(f"{text!r} has a \\ that is not before %, _ or \\")
    return text


# How operands fit each other, and what is rewritten


def _alike(*given: T.Expression) -> list[T.Expression]:
    kind = T.common_type([operand.type for operand in given])
    return [T.convert(operand, kind) for operand in given]


def _compared(left: T.Expression, right: T.Expression) -> list[T.Expression]:
    """A string meets a number, a date or a boolean as one of them."""
    for other in {left.type, right.type} - {T.STRING, T.NULL}:
        target = T.RECEIVED_NUMBER if other.is_exact_number else other
        left, right = (T.convert(s, target) if s.type == T.STRING else s for s in (left, right))
    return _alike(left, right)


def _numbers(*given: T.Expression) -> list[T.Expression]:
    """All exact, or all doubles."""
    has_double = T.DOUBLE in [operand.type for operand in given]
    return [_double(operand) if has_double else operand for operand in given]


def _sum_type(a: T.DataType, b: T.DataType) -> T.DataType:
    common = T.common_type([a, b])
    return T.decimal(common.precision + 1, common.scale, "the sum")


def _product_type(a: T.DataType, b: T.DataType) -> T.DataType:
    return T.decimal(a.precision + b.precision + 1, a.scale + b.scale, "the product")


def _divided(left: T.Expression, right: T.Expression) -> list[T.Expression] | T.Expression:
    """What is divided by 10, 100, ... stays exact; anything else is a double."""
    powers = [Decimal(10) ** digits for digits in range(1, 9)]
    if T.DOUBLE not in {left.type, right.type} and right.value in powers:
        return apply("Mul", left, T.number(format(1 / right.value, "f")))
    return [_double(left), _double(right)]


def _rounded(operand: T.Expression, digits: T.Expression) -> T.Expression:
    kind = operand.type
    if kind == T.DOUBLE:
        return apply("round of a double", operand, digits)
    places = min(digits.value, kind.scale)
    whole = kind.precision - kind.scale + (places < kind.scale)
    result = T.DataType("decimal", min(whole, T.MAX_PRECISION - places) + places, places)
    return T.Expression("round", result, (operand, replace(digits, value=places)))


def _case(*parts: T.Expression) -> list[T.Expression]:
    """A condition and a value each, then the value where none of them is TRUE."""
    *values, other = _alike(*parts[1::2], parts[-1])
    whens = [T.boolean(when) for when in parts[:-1:2]]
    return [*(part for branch in zip(whens, values, strict=True) for part in branch), other]


def _extracted(
    text: T.Expression, pattern: T.Expression, group: T.Expression
) -> list[T.Expression]:
    portable, groups = _PATTERN(pattern), re.compile(pattern.value).groups
    if not 0 <= group.value <= groups:
        raise T.ExpressionError(f"the pattern has {groups} groups, found {group.value}")
    return [text, portable, group]


def _replaced(text: T.Expression, pattern: T.Expression, by: T.Expression) -> list[T.Expression]:
    portable, written = _PATTERN(pattern), re.compile(pattern.value)
    if written.search(""):
        raise T.ExpressionError(f"the pattern {pattern.value!r} is found in an empty string too")
    most = min(written.groups, 9)
    if re.search(r"[$\\]", re.sub(rf"\$[0-{most}](?![0-9A-Za-z_])", "", by.value)):
        raise T.ExpressionError(
            f"the replacement {by.value!r} is not the same on every engine: $0 to ${most}, before"
            " no letter, digit or '_', is all that it may have of $ and \\"
        )
    return [text, portable, by]


def _day(operand: T.Expression, form: T.Expression) -> list[T.Expression] | T.Expression:
    if form.value is None and operand.type == T.STRING:
        return apply("day in text", operand)
    return [_moment(operand, form)]


def _moment(operand: T.Expression, form: T.Expression) -> T.Expression:
    date_form(form.value or "")
    if operand.type in {T.DATE, T.TIMESTAMP} or (form.value is None and operand.type != T.STRING):
        return T.convert(operand, T.TIMESTAMP)
    return apply("timestamp in text", operand, form)


# How results are computed, where it is more than a call


def _round_of_a_double(value: Column, places: int) -> Column:
    """Half away from zero, of a double too: of the decimal that it is written as.

    There the engines differ (1.005 is 1.01). The double nearest to the middle of two results is
    what IEEE division gives.
    """
    factor, size = 10.0**places, F.abs(value)
    scaled = size * factor
    below = F.floor(scaled).cast("double")
    whole = F.when(size >= (below * 2 + 1) / (2 * factor), below + 1).otherwise(below) / factor
    has_decimals = scaled < 1e15
    return F.when(has_decimals, F.when(value < 0.0, -whole).otherwise(whole)).otherwise(value)


def _substring(text: Column, start: int, length: int) -> Column:
    if start >= 0:
        return F.substr(text, F.lit(start), F.lit(max(length, 0)))
    within = F.least(F.lit(length), F.length(text) + F.lit(length + start))
    return F.left(F.right(text, F.lit(-start)), F.greatest(within, F.lit(0)))


def _day_in_text(text: Column) -> Column:
    day = F.regexp_replace(text, rf"^({YEAR}-[0-9]{{1,2}}-[0-9]{{1,2}})[ T][\s\S]*\z", "$1")
    return F.when(day.rlike(rf"^{YEAR}(?:-[0-9]{{1,2}}){{0,2}}\z"), day.try_cast("date"))


def _timestamp_in_text(text: Column, form: str | None) -> Column:
    if form is None:  # a time without a day would be today's
        return F.when(text.rlike(rf"^{YEAR}(?:-|\z)"), F.try_to_timestamp(text))
    return F.when(text.rlike(date_form(form)), F.try_to_timestamp(text, F.lit(form)))


TEXT = partial(T.convert, target=T.STRING)
ANY, NUMBER, SAME, WHOLE = _any, _number, _constant, _integer
_PATTERN = partial(_constant, reading=portable_pattern)
_PLACES = partial(_integer, least=0, most=18)
NOTHING, BLANK = (T.Expression("constant", T.STRING, value=text) for text in ("", " "))
NONE, UNTOLD = T.Expression("literal", T.NULL), T.Expression("constant", T.STRING)
ZERO, ONE, MOST = (T.Expression("constant", T.BIGINT, value=value) for value in (0, 1, 10**9))


def _comparison(compute: Callable[..., Any]) -> Operation:
    return Operation((ANY, ANY), T.BOOLEAN, compute, _compared)


_MOMENT = Operation((ANY, SAME), rewrite=_moment, defaults=(UNTOLD,))
#: What an expression may be made of: a function by its name in small letters, what SQL has other
#: syntax for as its parser calls it; what is written neither way has blanks in its name.
OPERATIONS: dict[str, Operation] = {
    "Add": Operation((NUMBER, NUMBER), _sum_type, operator.add, _numbers),
    "Sub": Operation((NUMBER, NUMBER), _sum_type, operator.sub, _numbers),
    "Mul": Operation((NUMBER, NUMBER), _product_type, operator.mul, _numbers),
    "Div": Operation((NUMBER, NUMBER), None, lambda a, b: a / F.nullif(b, F.lit(0.0)), _divided),
    **dict.fromkeys(("abs", "negative"), Operation((NUMBER,))),
    "round": Operation((NUMBER, _PLACES), rewrite=_rounded, defaults=(ZERO,)),
    "round of a double": Operation((_double, ANY), T.DOUBLE, _round_of_a_double),
    "EQ": _comparison(operator.eq),
    "NEQ": _comparison(operator.ne),
    "LT": _comparison(operator.lt),
    "LTE": _comparison(operator.le),
    "GT": _comparison(operator.gt),
    "GTE": _comparison(operator.ge),
    "NullSafeEQ": _comparison(Column.eqNullSafe),
    "isnull": Operation((ANY,), T.BOOLEAN),
    "Not": Operation((T.boolean,), T.BOOLEAN, operator.invert),
    "And": Operation((T.boolean, T.boolean), T.BOOLEAN, operator.and_),
    "Or": Operation((T.boolean, T.boolean), T.BOOLEAN, operator.or_),
    "Case": Operation((ANY,), None, partial(F.call_function, "when"), _case, repeated=True),
    "if": Operation((ANY, ANY, ANY), rewrite=partial(apply, "Case")),
    "nullif": Operation((ANY, ANY), rewrite=lambda a, b: apply("if", apply("EQ", a, b), NONE, a)),
    "coalesce": Operation((ANY,), rewrite=_alike, repeated=True),
    **dict.fromkeys(("ifnull", "nvl"), Operation((ANY, ANY), rewrite=partial(apply, "coalesce"))),
    "date": Operation((ANY,), rewrite=partial(apply, "to_date")),
    "to_date": Operation((ANY, SAME), T.DATE, lambda a: a.try_cast("date"), _day, (UNTOLD,)),
    "day in text": Operation((_trimmed,), T.DATE, _day_in_text),
    "timestamp in text": Operation((_trimmed, ANY), T.TIMESTAMP, _timestamp_in_text),
    **dict.fromkeys(("to_timestamp", "try_to_timestamp"), _MOMENT),
    **dict.fromkeys(("lower", "ltrim", "rtrim", "upper"), Operation((TEXT,), T.STRING)),
    "btrim": Operation((TEXT, SAME), T.STRING, defaults=(BLANK,)),
    "trim leading": Operation((TEXT, SAME), T.STRING, lambda text, by: F.ltrim(text, F.lit(by))),
    "trim trailing": Operation((TEXT, SAME), T.STRING, lambda text, by: F.rtrim(text, F.lit(by))),
    **dict.fromkeys(("lpad", "rpad"), Operation((TEXT, WHOLE, SAME), T.STRING, defaults=(BLANK,))),
    **dict.fromkeys(("left", "right"), Operation((TEXT, _count), T.STRING)),
    "length": Operation((TEXT,), T.BIGINT),
    "substring": Operation((TEXT, WHOLE, WHOLE), T.STRING, _substring, defaults=(MOST,)),
    "split_part": Operation((TEXT, SAME, _part_number), T.STRING),
    "concat": Operation((TEXT,), T.STRING, repeated=True),
    "concat_ws": Operation((SAME, TEXT), T.STRING, repeated=True),
    "replace": Operation((TEXT, SAME, SAME), T.STRING, defaults=(NOTHING,)),
    "translate": Operation((TEXT, SAME, SAME), T.STRING),
    **dict.fromkeys(("contains", "endswith", "startswith"), Operation((TEXT, TEXT), T.BOOLEAN)),
    "like": Operation((TEXT, partial(_constant, reading=_like_form)), T.BOOLEAN),
    **dict.fromkeys(("regexp_like", "rlike"), Operation((TEXT, _PATTERN), T.BOOLEAN)),
    "regexp_extract": Operation((TEXT, SAME, WHOLE), T.STRING, None, _extracted, defaults=(ONE,)),
    "regexp_replace": Operation((TEXT, SAME, SAME), T.STRING, None, _replaced),
}
