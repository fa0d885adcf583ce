"""From a property of a contract file to a `Column`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from open_data_contract_standard.model import DataQuality, SchemaProperty

from nbx_medallion.contracts.document import suggestion
from nbx_medallion.contracts.model import Column
from nbx_medallion.contracts.operations import Expression, ExpressionError, Scalar, convert
from nbx_medallion.contracts.patterns import PatternError, portable_pattern
from nbx_medallion.contracts.sql import inputs_of, parse_expression
from nbx_medallion.contracts.types import SUPPORTED_TYPES, DataType, parse_type

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INFORMATIVE = frozenset(
    [
        "id",
        "name",
        "description",
        "businessName",
        "deprecated",
        "synonyms",
        "authoritativeDefinitions",
        "tags",
        "customProperties",
        "classification",
        "criticalDataElement",
        "examples",
        "relationships",
        "transformSourceObjects",
        "transformDescription",
        "physicalType",
        "logicalType",
        "required",
        "primaryKey",
        "primaryKeyPosition",
        "quality",
    ]
)
_ENFORCED = ("transformLogic", "enum", "logicalTypeOptions")
_HINTS = {
    "unique": ": a primaryKey keeps one row a key",
    "physicalName": ": `name` is the column's name, `transformLogic` says where it comes from",
}
_BOUNDS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
}
_LENGTHS = {"minLength": "min_length", "maxLength": "max_length"}
_OPTIONS = {
    "string": (*_LENGTHS, "pattern"),
    "integer": tuple(_BOUNDS),
    "number": tuple(_BOUNDS),
    "date": tuple(_BOUNDS),
    "timestamp": tuple(_BOUNDS),
    "boolean": (),
    "array": (),
}


class Problems:
    """What is wrong in a file, each with its place."""

    def __init__(self, found: list[str]) -> None:
        self._found = found

    def add(self, where: str, what: str) -> None:
        """Note a problem."""
        self._found.append(f"{where}: {what}")

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)


def read_column(item: SchemaProperty, problems: Problems, *, enforced: bool) -> Column | None:
    """Read a column.

    Args:
        item: The property.
        problems: Takes what is wrong.
        enforced: Whether rows of the table are computed and checked by its contract.

    Returns:
        The column, or None where its name or type is wrong.
    """
    name = item.name or ""
    if not _NAME.fullmatch(name):
        problems.add(
            name or "a property", f"expected a name of letters, digits and '_', found {item.name!r}"
        )
    kind = parse_type((item.physicalType or "").strip())
    if kind is None:
        problems.add(
            f"{name}.physicalType", f"expected {SUPPORTED_TYPES}, found {item.physicalType!r}"
        )
    allowed = _INFORMATIVE | set(_ENFORCED if enforced else ())
    for key in sorted(item.model_fields_set - allowed):
        hint = _HINTS.get(key, "")
        if key in _ENFORCED:
            hint = ", rules are enforced in closed silver tables only"
        problems.add(f"{name}.{key}", f"is not supported here{hint}")
    if kind is None or not _NAME.fullmatch(name):
        return None
    if item.logicalType and item.logicalType != kind.logical:
        problems.add(
            f"{name}.logicalType",
            f"expected {kind.logical} for {kind}, found {item.logicalType!r}",
        )
    logic = _logic(item, kind, problems)
    inputs = inputs_of(logic) if logic else (name,)
    facets = _options(item, kind, problems) | _valid_values(item, kind, problems)
    enum = tuple(_scalar(value.value, kind, f"{name}.enum", problems) for value in item.enum or ())
    return Column(
        name=name,
        physical_type=str(kind),
        description=" ".join((item.description or "").split()),
        required=bool(item.required),
        expression=item.transformLogic.strip() if item.transformLogic else None,
        logic=logic,
        inputs=inputs if enforced else (),
        **{"enum": enum, **facets} if enum or facets else {},
    )


def _logic(item: SchemaProperty, kind: DataType, problems: Problems) -> Expression | None:
    if item.transformLogic is None:
        return None
    try:
        logic = parse_expression(item.transformLogic)
        convert(logic, kind)
    except ExpressionError as error:
        problems.add(f"{item.name}.transformLogic", f"{error}, found {item.transformLogic!r}")
        return None
    return logic


def _options(item: SchemaProperty, kind: DataType, problems: Problems) -> dict[str, Any]:
    """Read `logicalTypeOptions`."""
    facets: dict[str, Any] = {}
    known = _OPTIONS[kind.logical]
    for key, value in (item.logicalTypeOptions or {}).items():
        where = f"{item.name}.logicalTypeOptions.{key}"
        if key not in known:
            expected = " or ".join(known) or "none"
            problems.add(
                where, f"expected {expected} for {kind}, found {key!r}{suggestion(key, known)}"
            )
        elif key in _BOUNDS:
            facets[_BOUNDS[key]] = _scalar(value, kind, where, problems)
        elif key == "pattern":
            facets |= _pattern(value, where, problems)
        elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            facets[_LENGTHS[key]] = value
        else:
            problems.add(where, f"expected a number of characters, found {value!r}")
    for low, high in (("minimum", "maximum"), ("min_length", "max_length")):
        bottom, top = facets.get(low), facets.get(high)
        if bottom is not None and top is not None and bottom > top:
            problems.add(f"{item.name}.logicalTypeOptions", f"no value is from {bottom} to {top}")
    return facets


def _pattern(value: Any, where: str, problems: Problems) -> dict[str, str]:
    try:
        return {"pattern": value, "portable_pattern": portable_pattern(value)}
    except PatternError as error:
        problems.add(where, f"{error}, found {value!r}")
    except TypeError:
        problems.add(where, f"expected a regular expression, found {value!r}")
    return {}


def _valid_values(item: SchemaProperty, kind: DataType, problems: Problems) -> dict[str, Any]:
    """Read `quality` with `metric: invalidValues`, the standard's older form of `enum`."""
    facets: dict[str, Any] = {}
    for check in item.quality or ():
        if not check.metric:
            continue
        where = f"{item.name}.quality[{check.name or check.metric}]"
        if check.metric != "invalidValues" or not _is_zero(check):
            problems.add(where, "expected `metric: invalidValues` with `mustBe: 0`")
            continue
        for key, value in (check.arguments or {}).items():
            if key == "validValues" and isinstance(value, list):
                values = (_scalar(v, kind, f"{where}.validValues", problems) for v in value)
                facets["enum"] = tuple(values)
            elif key == "pattern" and kind.name == "string":
                facets |= _pattern(value, f"{where}.pattern", problems)
            else:
                problems.add(f"{where}.{key}", "expected validValues (a list) or pattern")
    return facets


def _is_zero(check: DataQuality) -> bool:
    known = {"name", "description", "type", "metric", "arguments", "mustBe", "dimension", "id"}
    return (
        check.mustBe == 0
        and check.type in {None, "library"}
        and check.severity in {None, "error"}
        and check.model_fields_set <= known | {"severity"}
    )


def _scalar(value: Any, kind: DataType, where: str, problems: Problems) -> Scalar:
    """Read a constant of the column's type."""
    try:
        scalar = _READERS[kind.name](value)
    except (ValueError, TypeError, InvalidOperation):
        problems.add(where, f"expected a {kind}, found {value!r}")
        return ""
    if kind.is_exact_number and not _fits(Decimal(str(scalar)), kind):
        problems.add(where, f"expected a {kind}, found {value!r}")
    return scalar


def _fits(value: Decimal, kind: DataType) -> bool:
    decimal = kind.as_decimal
    scaled = value.scaleb(decimal.scale)
    return value.is_finite() and scaled == int(scaled) and abs(scaled) < 10**decimal.precision


def _string(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(value)
    return value.strip()


def _number(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise ValueError(value)
    return Decimal(str(value))


def _integer(value: Any) -> int:
    found = _number(value)
    if found != int(found):
        raise ValueError(value)
    return int(found)


def _double(value: Any) -> float:
    return float(_number(value))


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        raise ValueError(value)
    return value if isinstance(value, date) else date.fromisoformat(value)


def _timestamp(value: Any) -> datetime:
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


_READERS: dict[str, Callable[[Any], Scalar]] = {
    "string": _string,
    "bigint": _integer,
    "int": _integer,
    "decimal": _number,
    "double": _double,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
    "array": _string,
}
