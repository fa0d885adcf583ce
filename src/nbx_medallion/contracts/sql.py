"""From the SQL text of a contract to a checked expression. Asks no engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from nbx_medallion.contracts.model import Expression
from nbx_medallion.contracts.operations import (
    FUNCTIONS,
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
    DataType,
    parse_type,
)

_KEYWORDS = frozenset(
    [
        "null",
        "true",
        "false",
        "current_date",
        "current_timestamp",
        "current_time",
        "current_user",
        "localtimestamp",
        "user",
        "session_user",
        "case",
        "not",
        "interval",
        "exists",
        "select",
        "distinct",
    ]
)
_NAME = re.compile(r"\s*(?:([A-Za-z_][A-Za-z0-9_]*)|`([^`]+)`)\s*")
_COMPARISON = re.compile(r"\s*([A-Za-z_]\w*)\s*(>=|<=|<>|!=|=|>|<)\s*(\d+(?:\.\d+)?)\s*", re.A)
_OPERATORS = {">=": "ge", "<=": "le", "<>": "ne", "!=": "ne", "=": "eq", ">": "gt", "<": "lt"}

Columns = Mapping[str, DataType] | None


def parse_expression(text: str, columns: Columns = None) -> Expression:
    """Parse a SQL expression.

    Args:
        text: One expression in Spark's dialect.
        columns: Types of the columns it may use; None for received columns, all strings.

    Returns:
        The expression, its operands' types made explicit.

    Raises:
        ExpressionError: If it is not one expression, uses an unknown column, or something the
            engines would not compute alike for every value.
    """
    plain = _NAME.fullmatch(text)
    if plain and (plain[1] or "").lower() not in _KEYWORDS:
        return _column(plain[1] or plain[2], columns)
    comparison = _COMPARISON.fullmatch(text)
    if comparison and comparison[1].lower() not in _KEYWORDS:
        name, operator, value = comparison.groups()
        return compare(_OPERATORS[operator], _column(name, columns), number(value))
    return _read(_syntax_tree(text), columns)


def inputs_of(expression: Expression) -> tuple[str, ...]:
    """Return the columns an expression reads, each once, in order of use."""
    if expression.op == "input":
        return (str(expression.value),)
    names = (name for arg in expression.args for name in inputs_of(arg))
    return tuple(dict.fromkeys(names))


def _column(name: str, columns: Columns) -> Expression:
    if columns is None:
        return Expression("input", STRING, value=name)
    if name not in columns:
        raise ExpressionError(
            f"there is no column {name!r} in the contract, which has {', '.join(columns)}"
        )
    return Expression("input", columns[name], value=name)


def _syntax_tree(text: str) -> Any:
    """Parse with sqlglot, functions left as they are written."""
    from sqlglot.dialects.spark import Spark
    from sqlglot.errors import SqlglotError

    class PlainFunctions(Spark.Parser):  # type: ignore[misc,valid-type]
        FUNCTIONS: dict[str, Callable[..., Any]] = {}  # noqa: RUF012 - as sqlglot has it

    dialect = Spark()
    try:
        trees = PlainFunctions(dialect=dialect).parse(dialect.tokenize(text), text)
    except SqlglotError as error:
        details = getattr(error, "errors", None)
        what = details[0]["description"] if details else str(error).split("\n")[0]
        where = f" (line {details[0]['line']}, column {details[0]['col']})" if details else ""
        raise ExpressionError(f"is not valid SQL: {what}{where}") from None
    if len(trees) != 1 or trees[0] is None:
        raise ExpressionError(f"has to be one expression, found {len(trees)} statements")
    return trees[0]


def _read(node: Any, columns: Columns) -> Expression:
    """Translate one node of the syntax tree and what is below it."""
    kind = type(node).__name__
    if kind not in _NODES:
        raise ExpressionError(_refusal(node, kind))
    known, translate = _NODES[kind]
    unknown = [key for key, value in node.args.items() if value and key not in known]
    if unknown:
        raise ExpressionError(f"{node.sql('spark')!r}: {', '.join(unknown)} is not supported")
    return translate(node, lambda child: _read(child, columns), columns)


def _refusal(node: Any, kind: str) -> str:
    shown = node.sql("spark")
    for kinds, what in _REFUSED.items():
        if kind in kinds.split():
            return f"{shown!r}: {what} is not allowed, only one expression over a single row"
    return f"{shown!r} is not supported"


_REFUSED = {
    "Select Subquery Exists Union With": "a subquery",
    "Window Filter": "a window function",
    "CurrentDate CurrentTimestamp CurrentTime CurrentUser Localtimestamp": "what changes by run",
    "Star": "'*'",
}
_AGGREGATES = frozenset(
    [
        "sum",
        "count",
        "avg",
        "mean",
        "min",
        "max",
        "first",
        "last",
        "any_value",
        "any",
        "every",
        "some",
        "collect_list",
        "collect_set",
        "max_by",
        "min_by",
        "stddev",
        "variance",
        "approx_count_distinct",
        "percentile",
        "median",
        "mode",
    ]
)
_CHANGING = frozenset(
    [
        "rand",
        "randn",
        "random",
        "uuid",
        "now",
        "current_date",
        "current_timestamp",
        "current_user",
        "shuffle",
        "monotonically_increasing_id",
        "spark_partition_id",
        "input_file_name",
        "unix_timestamp",
    ]
)
_WINDOWS = frozenset(
    ["row_number", "rank", "dense_rank", "lag", "lead", "ntile", "percent_rank", "cume_dist"]
)

Read = Callable[[Any], Expression]


def _call(node: Any, read: Read, _: Columns) -> Expression:
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


def _cast(node: Any, read: Read, _: Columns) -> Expression:
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


def _is(node: Any, read: Read, _: Columns) -> Expression:
    operand, other = read(node.this), read(node.args["expression"])
    if other.type == NULL:
        return Expression("is_null", BOOLEAN, (operand,))
    if other.op != "literal" or other.type != BOOLEAN:
        raise ExpressionError(f"{node.sql('spark')!r} is not supported")
    return compare("same", boolean(operand), other)


def _like(node: Any, read: Read, _: Columns) -> Expression:
    form = constant_string(read(node.args["expression"]))
    if "\\" in form:
        raise ExpressionError(f"like {form!r}: use regexp_like() instead of an escape")
    args = (convert(read(node.this), STRING), literal(form, STRING))
    matched = Expression("like", BOOLEAN, args)
    return _negate(matched) if node.args.get("negate") else matched


def _case(node: Any, read: Read, _: Columns) -> Expression:
    subject = read(node.this) if node.this else None
    branches = []
    for branch in node.args["ifs"]:
        when = read(branch.this)
        branches.append(
            (compare("eq", subject, when) if subject else when, read(branch.args["true"]))
        )
    other = node.args.get("default")
    return case(branches, read(other) if other else Expression("null", NULL))


def _if(node: Any, read: Read, _: Columns) -> Expression:
    other = node.args.get("false")
    return case(
        [(read(node.this), read(node.args["true"]))],
        read(other) if other else Expression("null", NULL),
    )


def _between(node: Any, read: Read, _: Columns) -> Expression:
    operand = read(node.this)
    low, high = read(node.args["low"]), read(node.args["high"])
    return Expression("and", BOOLEAN, (compare("ge", operand, low), compare("le", operand, high)))


def _trim(node: Any, read: Read, _: Columns) -> Expression:
    op = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.args.get("position") or "", "trim")
    args = [convert(read(node.this), STRING)]
    if node.args.get("expression"):
        args.append(literal(constant_string(read(node.args["expression"])), STRING))
    return Expression(op, STRING, tuple(args))


def _substring(node: Any, read: Read, _: Columns) -> Expression:
    parts = [node.this, node.args["start"], node.args.get("length")]
    return FUNCTIONS["substring"](*(read(part) for part in parts if part))


def _literal(node: Any, *_: Any) -> Expression:
    return literal(node.this, STRING) if node.is_string else number(node.this)


def _regexp(node: Any, read: Read, _: Columns) -> Expression:
    return FUNCTIONS["regexp_like"](read(node.this), read(node.args["expression"]))


def _strings(node: Any, read: Read, _: Columns) -> Expression:
    return FUNCTIONS["concat"](*(read(part) for part in node.expressions))


def _identifier(node: Any, _: Read, columns: Columns) -> Expression:
    return _column(node.name, columns)


def _in(node: Any, read: Read, _: Columns) -> Expression:
    subject = read(node.this)
    return _any_of([compare("eq", subject, read(item)) for item in node.expressions])


def _negative(node: Any, read: Read, _: Columns) -> Expression:
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
    "Concat": ({"expressions", "safe"}, _strings),
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
