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

from pyspark.sql import Column
from pyspark.sql import functions as F

from nbx_medallion.contracts.patterns import UNSEEN, YEAR
from nbx_medallion.contracts.types import DATE, DOUBLE, STRING, TIMESTAMP, DataType

# Sail's cast of a text of millions of digits ends the process.
_LONGEST_DECIMAL = 1000

_DAY = rf"{YEAR}-[0-9]{{2}}-[0-9]{{2}}"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
_OFFSET = r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
_FORMS = {
    **dict.fromkeys(("bigint", "int"), "[+-]?[0-9]+"),
    "double": r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?",
    "date": _DAY,
    "timestamp": f"{_DAY}[T ]{_TIME}{_OFFSET}?",
    "boolean": "[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]",
}


def trimmed(value: Column) -> Column:
    """Return a string without white space and other characters that nobody sees around it."""
    return F.btrim(value, F.lit(UNSEEN))


def is_given(value: Column) -> Column:
    """Tell of a string whether it has more than what is trimmed and NUL characters; never NULL."""
    text = trimmed(value)
    # Few begin with NUL: to trim all of them twice takes longer.
    is_nul = text.startswith("\0") & (F.btrim(text, F.lit(UNSEEN + "\0")) == F.lit(""))
    return F.coalesce((text != F.lit("")) & ~is_nul, F.lit(False))


def strict_cast(value: Column, source: DataType, target: DataType) -> Column:
    """Cast without loss; never raises.

    NULL, a string that is not given, and a value that the target type does not have are NULL.
    """
    if source == STRING:
        return _of_text(value, target)
    if source == target:
        return _finite(value) if source == DOUBLE else value
    result, exact = value.try_cast(str(target)), source.is_exact_number and target.is_exact_number
    may_lose = (
        (exact and source.as_decimal.scale > target.as_decimal.scale)
        or (source == DOUBLE and target.is_exact_number)
        or (source.name in {"bigint", "int"} and target == DOUBLE)
        or (source, target) == (TIMESTAMP, DATE)
    )
    return F.when(result.try_cast(str(source)) == value, result) if may_lose else result


def _of_text(value: Column, target: DataType) -> Column:
    """Cast what has the type's form, as received or else trimmed.

    Most values need no trimming, which takes longer than to look at their form.
    """
    text = trimmed(value)
    if target == STRING:
        return F.when(is_given(value), text)
    decimals = rf"(?:\.[0-9]{{1,{target.scale}}}0*)?" if target.scale else r"(?:\.0+)?"
    form = _FORMS.get(target.name, f"[+-]?[0-9]+{decimals}")
    whole = rf"^(?:{form})\z"  # Not `$`: in Java that is before a line end too.
    received, cleaned = _of_form(value, target), _of_form(text, target)
    return F.when(value.rlike(whole), received).when(text.rlike(whole), cleaned)


def _of_form(text: Column, target: DataType) -> Column:
    plain = text.try_cast(str(target))
    match target.name:
        case "decimal":
            # A third of the time on Sail, and exact: a double holds any 15 digits, the scale's too.
            by_double, length = text.try_cast("double").try_cast(str(target)), F.length(text)
            short = F.when(length <= 15 - target.scale, by_double)
            return short.when(length <= _LONGEST_DECIMAL, plain)
        case "double":
            return _finite(plain)
        case "date":
            # Sail's own cast of a date is slower than three regular expressions.
            return text.try_cast("timestamp_ntz").try_cast("date")
        case "timestamp":
            zoned = F.when(text.rlike(rf"{_OFFSET}\z"), text).otherwise(F.concat(text, F.lit("Z")))
            return zoned.try_cast("timestamp")
    return plain


def _finite(number: Column) -> Column:
    return F.when(F.abs(number) < F.lit(float("inf")), number)
