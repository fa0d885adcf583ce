"""What a data contract says of a table: the part of the Open Data Contract Standard (ODCS) in use.

`Column` and `Limit` are read from files too, by the standard's names: see `reading`. SQL is parsed
when it is first asked for.
"""

import math
import operator
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictInt, field_validator
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as validated

from nbx_medallion.contracts import types as T
from nbx_medallion.contracts.lineage import OWN_COLUMNS, RECORD
from nbx_medallion.contracts.patterns import portable_pattern
from nbx_medallion.errors import unusable

PROFILE = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_name=True)
#: What `logicalTypeOptions` say of numbers and times, and of strings.
BOUNDS = ("minimum", "maximum", "exclusive_minimum", "exclusive_maximum")
OF_TEXT = ("pattern", "min_length", "max_length")


def matching(pattern: str, expected: str) -> AfterValidator:
    """A check that a text matches a pattern."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}")
        return text

    return AfterValidator(check)


def _parse_type(text: str) -> T.DataType:
    kind = T.parse_type(text.strip())
    if kind is None:
        raise ValueError(f"expected {T.SUPPORTED_TYPES}")
    return kind


def _check_pattern(pattern: str) -> str:
    portable_pattern(pattern)
    return pattern


Name = Annotated[str, matching("[A-Za-z_][A-Za-z0-9_]*", "a name of letters, digits and '_'")]
SparkType = Annotated[str, AfterValidator(lambda text: str(_parse_type(text)))]
Text = Annotated[str, AfterValidator(lambda text: " ".join(text.split()))]
Sql = Annotated[str, AfterValidator(str.strip)]
Severity = Literal["error", "warning"]


def _option(name: str) -> Any:
    return Field(None, validation_alias=f"logicalTypeOptions.{name}")


def _read_scalar(value: Any, kind: T.DataType) -> T.Scalar:
    """Read a constant of a type, as YAML has it or as text."""
    with suppress(ValueError, TypeError, ArithmeticError):
        match kind.name:
            case "string" if isinstance(value, str) and value.strip():
                return value.strip()
            case "boolean" if isinstance(value, bool):
                return value
            case "date":
                return date.fromisoformat(str(value))
            case "timestamp":
                found = datetime.fromisoformat(str(value))
                return found.replace(tzinfo=found.tzinfo or UTC)
            case "double" if math.isfinite(number := float(Decimal(str(value)))):
                return number
            case "bigint" | "int" | "decimal":
                exact, decimal = Decimal(str(value)), kind.as_decimal
                scaled = exact.scaleb(decimal.scale)
                if scaled == int(scaled) and abs(scaled) < 10**decimal.precision:
                    return exact if kind.name == "decimal" else int(exact)
    raise ValueError(f"expected a {kind}, found {value!r}")


@validated(frozen=True, config=PROFILE)
class Column:
    """A column of a contract. What it says of values is said of those that are not NULL.

    Without an expression, the `transformLogic` as written, it is the received column of its name.
    An empty `enum` allows any value; a value contains a match of the `pattern`.
    """

    name: Name
    physical_type: SparkType
    description: Text = ""
    required: StrictBool = False
    expression: Sql | None = Field(default=None, validation_alias="transformLogic")
    enum: tuple[T.Scalar, ...] = ()
    pattern: Annotated[str, AfterValidator(_check_pattern)] | None = _option("pattern")
    minimum: T.Scalar | None = _option("minimum")
    maximum: T.Scalar | None = _option("maximum")
    exclusive_minimum: T.Scalar | None = _option("exclusiveMinimum")
    exclusive_maximum: T.Scalar | None = _option("exclusiveMaximum")
    min_length: Annotated[StrictInt, Field(ge=0, lt=2**31)] | None = _option("minLength")
    max_length: Annotated[StrictInt, Field(ge=0, lt=2**31)] | None = _option("maxLength")

    @field_validator("enum", *BOUNDS, mode="plain")
    @classmethod
    def _read_constants(cls, value: Any, info: Any) -> Any:
        kind = T.parse_type(info.data.get("physical_type", ""))
        if kind is None or value is None:
            return value
        if info.field_name == "enum":
            if not isinstance(value, list | tuple):
                raise ValueError("expected a list of `value: ...`")
            values = [item.get("value") if isinstance(item, dict) else item for item in value]
            return tuple(_read_scalar(item, kind) for item in values)
        return _read_scalar(value, kind)

    @property
    def type(self) -> T.DataType:
        """The physical type, parsed."""
        return _parse_type(self.physical_type)

    @property
    def portable_pattern(self) -> str | None:
        """The pattern, for both engines' regular expressions."""
        return None if self.pattern is None else portable_pattern(self.pattern)

    @cached_property
    def logic(self) -> T.Expression | None:
        """The expression as checked: an ExpressionError where it is wrong or of another type."""
        if self.expression is None:
            return None
        logic = _parse(self.expression, None)
        T.convert(logic, self.type)
        return logic

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Received columns it is computed from."""
        return (self.name,) if self.logic is None else self.logic.inputs


@dataclass(frozen=True)
class Rule:
    """A row rule: a record for which it is FALSE violates it, NULL passes.

    It is SQL as written, of the columns of these types, and is declared at a column, or for the
    table. An `error` quarantines the record, a `warning` only counts it.
    """

    name: str
    expression: str
    types: Mapping[str, T.DataType]
    column: str | None = None
    severity: Severity = "error"
    description: str = ""

    @cached_property
    def logic(self) -> T.Expression:
        """The expression as checked: an ExpressionError where it is wrong or no condition."""
        return T.boolean(_parse(self.expression, self.types))


#: How a bound of a limit reads, and what it allows.
_BOUNDS = {
    "must_be_less_than": ("less than", operator.lt),
    "must_be_less_or_equal_to": ("at most", operator.le),
    "must_be_greater_than": ("more than", operator.gt),
    "must_be_greater_or_equal_to": ("at least", operator.ge),
}
_Bound = Annotated[Decimal, Field(ge=0, lt=10**18)] | None


@validated(frozen=True, config=PROFILE)
class Limit:
    """A limit on how many records of a table may be quarantined, or on how many rows it has.

    Percents are of the records received. An `error` fails the run, a `warning` is only told.
    """

    name: str = ""
    metric: Literal["invalidValues", "rowCount"] = "invalidValues"
    must_be_less_than: _Bound = None
    must_be_less_or_equal_to: _Bound = None
    must_be_greater_than: _Bound = None
    must_be_greater_or_equal_to: _Bound = None
    unit: Literal["rows", "percent"] = "rows"
    severity: Severity = "error"
    description: Text = ""
    type: Literal["library"] = "library"

    def __post_init__(self) -> None:
        of_rows = self.metric == "rowCount"
        known = [to_camel(bound) for bound in (_BOUNDS if of_rows else list(_BOUNDS)[:2])]
        given = [to_camel(bound) for bound in _BOUNDS if getattr(self, bound) is not None]
        if len(given) != 1 or given[0] not in known:
            found = " and ".join(given) or "none"
            raise ValueError(f"expected one of {', '.join(known)}, found {found}")
        if of_rows and self.unit != "rows":
            raise ValueError("expected a number of rows, found unit 'percent'")
        if self.must_be_less_than == 0:
            raise ValueError("expected mustBeLessThan above 0, found 0")
        if not self.name:
            object.__setattr__(self, "name", "row_count" if of_rows else "quarantined_records")

    @property
    def _bound(self) -> tuple[str, Decimal]:
        given = ((bound, getattr(self, bound)) for bound in _BOUNDS)
        return next((bound, limit) for bound, limit in given if limit is not None)

    def __str__(self) -> str:
        bound, limit = self._bound
        of = " rows" if self.metric == "rowCount" else " records"
        return f"{_BOUNDS[bound][0]} {limit}{'%' if self.unit == 'percent' else of}"

    def is_broken(self, found: int, records: int = 1) -> bool:
        """Tell whether a number is not allowed: of rows, or of the records received; none are."""
        bound, limit = self._bound
        if self.unit == "percent":
            found, limit = found * 100, limit * records
        return records > 0 and not _BOUNDS[bound][1](found, limit)


@dataclass(frozen=True)
class Contract:
    """What a table must look like, and what its rows must satisfy.

    Attributes:
        primary_key: Columns of which one row each is kept; empty for no deduplication.
        latest_by: Column that tells which of two rows of one key is the later.
        open: Whether the table may have further columns, all strings.
        limits: Those on quarantined records.
        reads: Columns that it is computed from, with the type that is needed, by table.
        definition: What else each commit of the table carries.
        file: The file it was read from, for messages.
    """

    table: str
    columns: tuple[Column, ...]
    version: str = ""
    description: str = ""
    primary_key: tuple[str, ...] = ()
    latest_by: str | None = None
    rules: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()
    row_limits: tuple[Limit, ...] = ()
    open: bool = False
    reads: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    definition: Mapping[str, str] = field(default_factory=dict)
    file: str = field(default="", compare=False)

    @cached_property
    def all_columns(self) -> tuple[Column, ...]:
        """Each column the table must have: lineage follows in closed silver, where not listed."""
        listed = {column.name for column in self.columns} & set(RECORD)
        if listed or self.open or not self.table.startswith("silver."):
            return self.columns
        return (*self.columns, *(Column(name, *OWN_COLUMNS[name]) for name in RECORD))

    @property
    def schema(self) -> tuple[tuple[str, str], ...]:
        """Name and Spark type of each of `all_columns`."""
        return tuple((column.name, column.physical_type) for column in self.all_columns)

    @property
    def comments(self) -> dict[str, str]:
        """Description of each of `all_columns`."""
        return {column.name: column.description for column in self.all_columns}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Received columns the contract reads, each once, in order of use."""
        return tuple(dict.fromkeys(name for column in self.columns for name in column.inputs))

    def column(self, name: str) -> Column:
        """Return the column of a name."""
        return next(column for column in self.columns if column.name == name)

    def check_sql(self) -> None:
        """Parse every expression; a `UserError` names each that is wrong."""
        owned: list[tuple[str | None, str, Column | Rule]] = [
            *((column.name, "transformLogic", column) for column in self.columns),
            *((rule.column, f"quality[{rule.name}].implementation", rule) for rule in self.rules),
        ]
        problems = []
        for owner, key, item in owned:
            try:
                _ = item.logic
            except T.ExpressionError as error:
                place = f"properties[{owner}].{key}" if owner else key
                schema = f"schema[{self.table.partition('.')[2]}]"
                problems.append(f"{schema}.{place}: {error}, found {item.expression!r}")
        if problems:
            raise unusable("contract", self.file or self.table, problems)


def _parse(text: str, columns: Mapping[str, T.DataType] | None) -> T.Expression:
    from nbx_medallion.contracts.sql import parse_expression  # and with it, sqlglot

    try:
        return parse_expression(text, columns)
    except RecursionError:
        raise T.ExpressionError("is nested too deeply to be read") from None
