"""From the SQL text of a contract to a checked expression. Asks no engine."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial, reduce
from inspect import signature
from typing import Any

from sqlglot.dialects.spark import Spark
from sqlglot.errors import SqlglotError

from nbx_medallion.contracts import types as T
from nbx_medallion.contracts.functions import BLANK, NONE, OPERATIONS, apply

_FALSE = T.Expression("literal", T.BOOLEAN, value=False)


class _Parser(Spark.Parser):  # type: ignore[misc,valid-type]
    """Leaves functions as they are written."""

    FUNCTIONS: dict[str, Callable[..., Any]] = {}  # noqa: RUF012 - as sqlglot has it


def parse_expression(text: str, columns: Mapping[str, T.DataType] | None = None) -> T.Expression:
    """Parse one expression of Spark's dialect, and make the types of its operands explicit.

    It may use these columns, of these types; without any, received ones, which are strings.

    Raises:
        ExpressionError: If it is not one expression, uses an unknown column, or something the
            engines would not compute alike for every value.
    """
    dialect = Spark()
    try:
        trees = _Parser(dialect=dialect).parse(dialect.tokenize(text), text)
    except SqlglotError as error:
        what = re.sub(" for <class [^>]*>", "", str(error).split("\n")[0])
        raise T.ExpressionError(f"is not valid SQL: {what}") from None
    if len(trees) != 1 or trees[0] is None:
        raise T.ExpressionError(f"has to be one expression, found {len(trees)} statements")
    expression: T.Expression = _read(trees[0], columns)
    return expression


def _read(node: Any, columns: Mapping[str, T.DataType] | None) -> Any:
    """Read a node, and what is below it; a part that is not known is refused."""
    kind, written = type(node).__name__, repr(node.sql("spark"))
    if kind == "DataType":
        return node.sql("spark")
    if kind == "Column":
        if len(node.parts) > 1:
            raise T.ExpressionError(f"{written}: a column has a name alone")
        if columns is not None and node.name not in columns:
            listed = ", ".join(columns)
            raise T.ExpressionError(f"there is no column {node.name!r}, the contract has {listed}")
        return T.Expression("input", columns[node.name] if columns else T.STRING, value=node.name)
    name = _SYNTAX.get(kind, kind)
    if name not in OPERATIONS and name not in _NODES:
        raise _refused(kind, written)
    parts = {key: part for key, part in node.args.items() if part or part == ""}
    if kind == "Case":
        parts["ifs"] = [part for branch in parts["ifs"] for part in branch.args.values()]
    negated, _ = parts.pop("negate", False), parts.pop("safe", None)
    for key, part in parts.items():
        if isinstance(part, list):
            parts[key] = [_read(item, columns) for item in part]
        elif hasattr(part, "args"):
            parts[key] = _read(part, columns)
    takes = signature(_NODES[name]).parameters if name in _NODES else _OPERANDS
    if unknown := [key for key in parts if key not in takes]:
        raise T.ExpressionError(f"{written}: {', '.join(unknown)} is not supported")
    result = _NODES[name](**parts) if name in _NODES else apply(name, *parts.values())
    return apply("Not", result) if negated else result


def _refused(name: str, subject: str) -> T.ExpressionError:
    known = sorted(name for name in OPERATIONS if name.islower() and " " not in name)
    why = (f": {why}" for why, names in _REFUSED.items() if name in names.split())
    hint = next(why, f", known functions are {', '.join(known)}")
    return T.ExpressionError(f"{subject} is not supported{hint}")


def _call(this: str, expressions: Sequence[T.Expression] = ()) -> T.Expression:
    name = this.lower()
    if name not in OPERATIONS:
        raise _refused(name, f"{name}()")
    try:
        return apply(name, *expressions)
    except T.ExpressionError as error:
        raise T.ExpressionError(f"{name}(): {error}") from None


def _cast(this: T.Expression, to: str) -> T.Expression:
    written = to.lower().replace(" ", "")
    target = T.parse_type("decimal(10,0)" if written == "decimal" else written)
    if target is None or target.logical == "array":
        raise T.ExpressionError(f"cast to {written}: supported are {T.SUPPORTED_TYPES}")
    if (this.type, target) == (T.TIMESTAMP, T.DATE):
        return apply("to_date", this)
    return T.convert(this, target)


def _case(
    ifs: list[T.Expression], this: T.Expression | None = None, default: T.Expression = NONE
) -> T.Expression:
    if this:
        ifs[::2] = [apply("EQ", this, value) for value in ifs[::2]]
    return apply("Case", *ifs, default)


def _trim(
    this: T.Expression, expression: T.Expression = BLANK, position: str = "both"
) -> T.Expression:
    side = position.lower()
    return apply("btrim" if side == "both" else f"trim {side}", this, expression)


def _between(this: T.Expression, low: T.Expression, high: T.Expression) -> T.Expression:
    return apply("And", apply("GTE", this, low), apply("LTE", this, high))


def _in(this: T.Expression, expressions: Sequence[T.Expression] = ()) -> T.Expression:
    found = [apply("EQ", this, item) for item in expressions] or [_FALSE]
    while len(found) > 1:  # by halves: a list of hundreds is nested a few levels only
        found = [reduce(partial(apply, "Or"), found[at : at + 2]) for at in range(0, len(found), 2)]
    return found[0]


def _literal(this: str, is_string: bool = False) -> T.Expression:
    return T.Expression("literal", T.STRING, value=this) if is_string else T.number(this)


def _negative(this: T.Expression) -> T.Expression:
    if this.op == "literal" and isinstance(this.value, Decimal | float):
        return replace(this, value=-this.value)
    return apply("negative", this)


#: Functions that have a syntax of their own too.
_SYNTAX = {
    "DPipe": "concat",
    "If": "if",
    "Is": "NullSafeEQ",
    "Like": "like",
    "RegexpLike": "rlike",
    "Substring": "substring",
}
#: The parser's names of an operation's operands.
_OPERANDS = ("this", "expression", "true", "false", "start", "length")
#: What is read another way, by the parser's names of its parts.
_NODES: dict[str, Callable[..., T.Expression]] = {
    "Anonymous": _call,
    "Between": _between,
    "Boolean": lambda this=False: T.Expression("literal", T.BOOLEAN, value=this),
    "Case": _case,
    "Cast": _cast,
    "In": _in,
    "Literal": _literal,
    "Neg": _negative,
    "Null": lambda: NONE,
    "Paren": lambda this: this,
    "Trim": _trim,
    "TryCast": _cast,
}
#: What people try, by functions' names and the parser's.
_REFUSED = {
    "it is an aggregate": "sum count avg mean min max first last collect_list collect_set median",
    "it is a window function": "Window Filter row_number rank dense_rank lag lead ntile",
    "it is a subquery": "Select Subquery Exists Union With",
    "it changes by run": "CurrentDate CurrentTimestamp CurrentUser rand randn uuid now current_date"
    " current_timestamp current_user unix_timestamp monotonically_increasing_id input_file_name",
    "write a quote inside a string as \\'": "Concat",
}
