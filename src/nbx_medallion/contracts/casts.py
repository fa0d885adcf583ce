"""Casts that keep the value or give NULL, the same on every engine, ANSI mode or not.

The forms a string may have, after trimming:

| type | form |
|---|---|
| decimal(p,s) | `[+-]digits[.digits]`, digits past the scale all zeros; at most 1,000 characters |
| bigint, int | `[+-]digits` |
| double | `[+-]digits[.digits][e[+-]digits]`, finite; the nearest double |
| date | `YYYY-MM-DD`, a day that exists, years 0001 to 9999 |
| timestamp | `YYYY-MM-DD(T or space)HH:MM:SS[.ffffff][Z or ±HH:MM]`; UTC without offset |
| boolean | `true` or `false`, in any case |
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F

from nbx_medallion.contracts.types import DOUBLE, STRING, DataType

#: What is trimmed: the characters Unicode calls white space, and the byte-order mark.
WHITE_SPACE = (
    " \t\n\x0b\x0c\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)

# Sail's cast of a text of millions of digits ends the process.
_LONGEST_DECIMAL = 1000

_DAY = r"(?:[1-9][0-9]{3}|0[0-9]{2}[1-9]|0[0-9][1-9][0-9]|0[1-9][0-9]{2})-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
_OFFSET = r"(?:Z|[+-][0-9]{2}:[0-9]{2})"


def trimmed(value: Column) -> Column:
    """Return a string without white space around it."""
    return F.btrim(value, F.lit(WHITE_SPACE))


def present(value: Column) -> Column:
    """Tell whether a string has more than white space; NULL where it is NULL."""
    return trimmed(value) != F.lit("")


def strict_cast(value: Column, source: DataType, target: DataType) -> Column:
    """Cast without loss.

    Args:
        value: Values of the source type.
        source: Type of the values.
        target: Type to cast to.

    Returns:
        The same values in the target type; NULL for NULL, for a blank string, and for a value the
        target type does not have. Never raises.
    """
    if source == STRING:
        return _FROM_STRING[target.name](value, target)
    if source == target:
        return _finite(value) if source == DOUBLE else value
    return _FROM_OTHERS.get(source.name, {}).get(target.name, _plain)(value, source, target)


def fits(value: Column, source: DataType, target: DataType) -> Column:
    """Tell whether `strict_cast` gives a value: for most strings by a look at their form.

    Args:
        value: Values of the source type.
        source: Type of the values.
        target: Type to cast to.

    Returns:
        TRUE or FALSE, never NULL.
    """
    is_cast = strict_cast(value, source, target).isNotNull()
    if source != STRING or target.name not in _SURELY:
        return is_cast
    # Not a condition alone: Sail would make it an `or`, and compute both sides of it.
    return F.when(_SURELY[target.name](value, target), value).when(is_cast, value).isNotNull()


def _string(value: Column, _: DataType) -> Column:
    return F.nullif(trimmed(value), F.lit(""))


def _matching(value: Column, form: str, cast: Callable[[Column], Column]) -> Column:
    """Cast what has a form, as received or else trimmed.

    Most values need no trimming, which takes longer than to look at their form.
    """
    # Not `$`: in Java that is before a line end too.
    whole, text = rf"^(?:{form})\z", trimmed(value)
    return F.when(value.rlike(whole), cast(value)).when(text.rlike(whole), cast(text))


def _integer(value: Column, target: DataType) -> Column:
    return _matching(value, "[+-]?[0-9]+", lambda text: text.try_cast(str(target)))


def _decimal(value: Column, target: DataType) -> Column:
    decimals = rf"(?:\.[0-9]{{1,{target.scale}}}0*)?" if target.scale else r"(?:\.0+)?"
    wanted = str(target)

    def cast(text: Column) -> Column:
        # A third of the time on Sail, and exact: a double holds any 15 digits, the scale's too.
        by_double = text.try_cast("double").try_cast(wanted)
        length = F.length(text)
        return F.when(length <= 15 - target.scale, by_double).when(
            length <= _LONGEST_DECIMAL, text.try_cast(wanted)
        )

    return _matching(value, f"[+-]?[0-9]+{decimals}", cast)


def _double(value: Column, target: DataType) -> Column:
    form = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
    return _finite(_matching(value, form, lambda text: text.try_cast(str(target))))


def _finite(number: Column) -> Column:
    return F.when(F.abs(number) < F.lit(float("inf")), number)


def _boolean(value: Column, target: DataType) -> Column:
    text = F.lower(trimmed(value))
    return F.when(text == "true", F.lit(True)).when(text == "false", F.lit(False))


def _date(value: Column, target: DataType) -> Column:
    # By way of a timestamp: Sail's own cast of a date is slower than three regular expressions.
    return _matching(value, _DAY, lambda text: text.try_cast("timestamp_ntz").try_cast(str(target)))


def _timestamp(value: Column, target: DataType) -> Column:
    def cast(text: Column) -> Column:
        zoned = F.when(text.rlike(rf"{_OFFSET}\z"), text).otherwise(F.concat(text, F.lit("Z")))
        return zoned.try_cast(str(target))

    return _matching(value, f"{_DAY}[T ]{_TIME}{_OFFSET}?", cast)


def _array(value: Column, target: DataType) -> Column:
    raise ValueError("a string cannot be cast to an array")


_FROM_STRING: dict[str, Callable[[Column, DataType], Column]] = {
    "string": _string,
    "bigint": _integer,
    "int": _integer,
    "decimal": _decimal,
    "double": _double,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
    "array": _array,
}


def _surely_string(value: Column, _: DataType) -> Column:
    """The first character is of ASCII, and no white space."""
    return (value >= "!") & (value < "\x7f")


def _surely_integer(value: Column, target: DataType) -> Column:
    return value.rlike(rf"^[+-]?[0-9]{{1,{9 if target.name == 'int' else 18}}}\z")


def _surely_decimal(value: Column, target: DataType) -> Column:
    whole, scale = target.precision - target.scale, target.scale
    decimals = rf"(?:\.[0-9]{{1,{scale}}})?" if scale else ""
    return value.rlike(rf"^[+-]?[0-9]{{1,{whole}}}{decimals}\z") if whole else F.lit(False)


def _surely_date(value: Column, _: DataType) -> Column:
    return value.rlike(r"^[1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])\z")


#: Conditions that hold for nothing but a string with a value in the type.
_SURELY: dict[str, Callable[[Column, DataType], Column]] = {
    "string": _surely_string,
    "bigint": _surely_integer,
    "int": _surely_integer,
    "decimal": _surely_decimal,
    "date": _surely_date,
}


def _plain(value: Column, _: DataType, target: DataType) -> Column:
    return value.try_cast(str(target))


def _checked(value: Column, source: DataType, target: DataType) -> Column:
    """Cast, and keep what casts back to the same value."""
    result = value.try_cast(str(target))
    return F.when(result.try_cast(str(source)) == value, result)


def _exact(value: Column, source: DataType, target: DataType) -> Column:
    """Cast between integers and decimals; only the digits that would be lost need a look."""
    a, b = source.as_decimal, target.as_decimal
    if b.scale >= a.scale and b.precision - b.scale >= a.precision - a.scale:
        return value.cast(str(target))
    if b.scale >= a.scale:
        return value.try_cast(str(target))
    return _checked(value, source, target)


def _midnight(value: Column, _: DataType, target: DataType) -> Column:
    day = value.try_cast(str(target))
    return F.when(day.try_cast("timestamp") == value, day)


Cast = Callable[[Column, DataType, DataType], Column]

_EXACT: dict[str, Cast] = {"bigint": _exact, "int": _exact, "decimal": _exact, "double": _checked}
_FROM_OTHERS: dict[str, dict[str, Cast]] = {
    "bigint": _EXACT,
    "int": _EXACT,
    "decimal": {**_EXACT, "double": _plain, "string": _plain},
    "double": {"bigint": _checked, "int": _checked, "decimal": _checked},
    "timestamp": {"date": _midnight},
}
