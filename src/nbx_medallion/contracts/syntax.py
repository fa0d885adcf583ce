"""From sqlglot's syntax tree to a checked expression.

sqlglot is not imported here: a node is known by the name of its class.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nbx_medallion.contracts.functions import FUNCTIONS
from nbx_medallion.contracts.operations import (
    Expression,
    ExpressionError,
    arithmetic,
    boolean,
    case,
    compare,
    constant_string,
    convert,
    literal,
    number,
    same_type,
)
from nbx_medallion.contracts.types import (
    BOOLEAN,
    DATE,
    NULL,
    STRING,
    SUPPORTED_TYPES,
    TIMESTAMP,
    parse_type,
)

Resolve = Callable[[str], Expression]
Read = Callable[[Any], Expression]


def read_node(node: Any, resolve: Resolve) -> Expression:
    """Translate a node of sqlglot's syntax tree, and what is below it.

    Args:
        node: The node, functions in it left as they are written.
        resolve: Gives the column of a name.

    Returns:
        The expression.

    Raises:
        ExpressionError: If there is anything in it that the engines would not compute alike.
    """
    kind = type(node).__name__
    if kind not in _NODES:
        raise ExpressionError(_refusal(node, kind))
    known, translate = _NODES[kind]
    unknown = [key for key, value in node.args.items() if value and key not in known]
    if unknown:
        raise ExpressionError(f"{node.sql('spark')!r}: {', '.join(unknown)} is not supported")
    return translate(node, lambda child: read_node(child, resolve), resolve)


def _refusal(node: Any, kind: str) -> str:
    why = next((why for kinds, why in _REFUSED.items() if kind in kinds.split()), "")
    return f"{node.sql('spark')!r} is not supported{why}"


_REFUSED = {
    "Select Subquery Exists Union With": ": it is a subquery",
    "Window Filter": ": it is a window function",
    "CurrentDate CurrentTimestamp CurrentTime CurrentUser Localtimestamp": ": it changes by run",
    "Concat": ": write a quote inside a string as \\'",
}
# fmt: off
_AGGREGATES = frozenset((
    "sum", "count", "avg", "mean", "min", "max", "first", "last", "any_value", "any", "every",
    "some", "collect_list", "collect_set", "max_by", "min_by", "stddev", "variance",
    "approx_count_distinct", "percentile", "median", "mode",
))
_CHANGING = frozenset((
    "rand", "randn", "random", "uuid", "now", "current_date", "current_timestamp",
    "current_user", "shuffle", "monotonically_increasing_id", "spark_partition_id",
    "input_file_name", "unix_timestamp",
))
_WINDOWS = frozenset((
    "row_number", "rank", "dense_rank", "lag", "lead", "ntile", "percent_rank", "cume_dist",
))
# fmt: on


def _call(node: Any, read: Read, _: Resolve) -> Expression:
    name = str(node.this).lower()
    for names, what in (
        (_AGGREGATES, "an aggregate"),
        (_WINDOWS, "a window function"),
        (_CHANGING, "what changes by run"),
    ):
        if name in names:
            raise ExpressionError(f"{name}(): {what} is not allowed in a row's expression")
    if name not in FUNCTIONS:
        raise ExpressionError(f"{name}() is not supported, known are {', '.join(FUNCTIONS)}")
    operands = [read(argument) for argument in node.expressions]
    try:
        return FUNCTIONS[name](*operands)
    except ExpressionError as error:
        raise ExpressionError(f"{name}(): {error}") from None
    except TypeError:
        raise ExpressionError(f"{name}(): cannot take {len(operands)} arguments") from None


def _cast(node: Any, read: Read, _: Resolve) -> Expression:
    written = node.args["to"].sql("spark").lower().replace(" ", "")
    target = parse_type("decimal(10,0)" if written == "decimal" else written)
    if target is None or target.name == "array":
        raise ExpressionError(f"cast to {written}: supported are {SUPPORTED_TYPES}")
    operand = read(node.this)
    if (operand.type, target) == (TIMESTAMP, DATE):
        return Expression("date_of", DATE, (operand,))
    return convert(operand, target)


def _binary(make: Callable[[Expression, Expression], Expression]) -> Callable[..., Expression]:
    return lambda node, read, _: make(read(node.this), read(node.args["expression"]))


def _logic(op: str) -> Callable[..., Expression]:
    return _binary(lambda a, b: Expression(op, BOOLEAN, (boolean(a), boolean(b))))


def _negate(operand: Expression) -> Expression:
    return Expression("not", BOOLEAN, (boolean(operand),))


def _any_of(parts: list[Expression]) -> Expression:
    result = parts[0]
    for part in parts[1:]:
        result = Expression("or", BOOLEAN, (result, part))
    return result


def _is(node: Any, read: Read, _: Resolve) -> Expression:
    operand, other = read(node.this), read(node.args["expression"])
    if other.type == NULL:
        return Expression("is_null", BOOLEAN, (operand,))
    if other.op != "literal" or other.type != BOOLEAN:
        raise ExpressionError(f"{node.sql('spark')!r} is not supported")
    return compare("same", boolean(operand), other)


def _like(node: Any, read: Read, _: Resolve) -> Expression:
    form = constant_string(read(node.args["expression"]))
    if "\\" in form:
        raise ExpressionError(f"like {form!r}: use regexp_like() instead of an escape")
    args = (convert(read(node.this), STRING), literal(form, STRING))
    matched = Expression("like", BOOLEAN, args)
    return _negate(matched) if node.args.get("negate") else matched


def _case(node: Any, read: Read, _: Resolve) -> Expression:
    subject = read(node.this) if node.this else None
    branches = []
    for branch in node.args["ifs"]:
        when = read(branch.this)
        branches.append(
            (compare("eq", subject, when) if subject else when, read(branch.args["true"]))
        )
    other = node.args.get("default")
    return case(branches, read(other) if other else Expression("null", NULL))


def _if(node: Any, read: Read, _: Resolve) -> Expression:
    other = node.args.get("false")
    return case(
        [(read(node.this), read(node.args["true"]))],
        read(other) if other else Expression("null", NULL),
    )


def _between(node: Any, read: Read, _: Resolve) -> Expression:
    operand = read(node.this)
    low, high = read(node.args["low"]), read(node.args["high"])
    return Expression("and", BOOLEAN, (compare("ge", operand, low), compare("le", operand, high)))


def _trim(node: Any, read: Read, _: Resolve) -> Expression:
    op = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.args.get("position") or "", "trim")
    args = [convert(read(node.this), STRING)]
    if node.args.get("expression"):
        args.append(literal(constant_string(read(node.args["expression"])), STRING))
    return Expression(op, STRING, tuple(args))


def _substring(node: Any, read: Read, _: Resolve) -> Expression:
    parts = [node.this, node.args["start"], node.args.get("length")]
    return FUNCTIONS["substring"](*(read(part) for part in parts if part))


def _literal(node: Any, *_: Any) -> Expression:
    return literal(node.this, STRING) if node.is_string else number(node.this)


def _regexp(node: Any, read: Read, _: Resolve) -> Expression:
    return FUNCTIONS["regexp_like"](read(node.this), read(node.args["expression"]))


def _identifier(node: Any, _: Read, resolve: Resolve) -> Expression:
    return resolve(node.name)


def _in(node: Any, read: Read, _: Resolve) -> Expression:
    subject = read(node.this)
    return _any_of([compare("eq", subject, read(item)) for item in node.expressions])


def _negative(node: Any, read: Read, _: Resolve) -> Expression:
    operand = read(node.this)
    if operand.op == "literal" and isinstance(operand.value, Decimal | float):
        return literal(-operand.value, operand.type)
    return same_type("neg")(operand)


def _comparison(op: str) -> tuple[set[str], Callable[..., Expression]]:
    return {"this", "expression"}, _binary(lambda a, b: compare(op, a, b))


def _arithmetic(op: str) -> tuple[set[str], Callable[..., Expression]]:
    return {"this", "expression", "safe"}, _binary(lambda a, b: arithmetic(op, a, b))


_PAIR = {"this", "expression"}
_CAST: tuple[set[str], Callable[..., Expression]] = ({"this", "to", "safe"}, _cast)
_NODES: dict[str, tuple[set[str], Callable[..., Expression]]] = {
    "Add": _arithmetic("add"),
    "And": (_PAIR, _logic("and")),
    "Anonymous": ({"this", "expressions"}, _call),
    "Between": ({"this", "low", "high"}, _between),
    "Boolean": ({"this"}, lambda node, *_: literal(bool(node.this), BOOLEAN)),
    "Case": ({"this", "ifs", "default"}, _case),
    "Cast": _CAST,
    "Column": ({"this"}, _identifier),
    "DPipe": ({*_PAIR, "safe"}, _binary(FUNCTIONS["concat"])),
    "Div": _arithmetic("div"),
    "EQ": _comparison("eq"),
    "GT": _comparison("gt"),
    "GTE": _comparison("ge"),
    "If": ({"this", "true", "false"}, _if),
    "In": ({"this", "expressions"}, _in),
    "Is": (_PAIR, _is),
    "LT": _comparison("lt"),
    "LTE": _comparison("le"),
    "Like": ({*_PAIR, "negate"}, _like),
    "Literal": ({"this", "is_string"}, _literal),
    "Mul": _arithmetic("mul"),
    "NEQ": _comparison("ne"),
    "Neg": ({"this"}, _negative),
    "Not": ({"this"}, lambda node, read, _: _negate(read(node.this))),
    "Null": (set(), lambda *_: Expression("null", NULL)),
    "NullSafeEQ": _comparison("same"),
    "Or": (_PAIR, _logic("or")),
    "Paren": ({"this"}, lambda node, read, _: read(node.this)),
    "RegexpLike": (_PAIR, _regexp),
    "Sub": _arithmetic("sub"),
    "Substring": ({"this", "start", "length"}, _substring),
    "Trim": ({"this", "position", "expression"}, _trim),
    "TryCast": _CAST,
}
