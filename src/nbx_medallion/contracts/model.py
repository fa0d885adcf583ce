"""What a data contract says of a table, typed and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from nbx_medallion.contracts.lineage import BATCH_ID, ROW_NUMBER, SOURCE_FILE
from nbx_medallion.contracts.operations import Expression, Scalar
from nbx_medallion.contracts.types import DataType, parse_type

Severity = Literal["error", "warning"]

#: Lineage of a silver row. Every closed silver table ends with it; its contract lists it not.
LINEAGE: tuple[tuple[str, str, str], ...] = (
    (SOURCE_FILE, "string", "File the record came from, relative to the landing root."),
    (ROW_NUMBER, "bigint", "Ordinal of the record in its file, from 1."),
    (BATCH_ID, "string", "Run that first received the file with this content; sorts by time."),
)


@dataclass(frozen=True)
class Column:
    """A column of a contract, in the order of the table.

    Attributes:
        name: Name in the table.
        physical_type: Spark type, for example `decimal(18,2)`.
        description: Meaning, unit and source; becomes the column's comment.
        required: Whether a record without a value is rejected.
        expression: The `transformLogic` as written; None for the received column of this name.
        logic: The `transformLogic` as checked; None for the received column of this name.
        inputs: Received columns it is computed from.
        enum: Allowed values; empty for any.
        pattern: Regular expression a value must contain a match of, as written.
        portable_pattern: The same for both engines' regular expressions.
        minimum: Lowest allowed value.
        maximum: Highest allowed value.
        exclusive_minimum: Every value is above it.
        exclusive_maximum: Every value is below it.
        min_length: Fewest characters.
        max_length: Most characters.
    """

    name: str
    physical_type: str
    description: str = ""
    required: bool = False
    expression: str | None = None
    logic: Expression | None = None
    inputs: tuple[str, ...] = ()
    enum: tuple[Scalar, ...] = ()
    pattern: str | None = None
    portable_pattern: str | None = None
    minimum: Scalar | None = None
    maximum: Scalar | None = None
    exclusive_minimum: Scalar | None = None
    exclusive_maximum: Scalar | None = None
    min_length: int | None = None
    max_length: int | None = None

    @property
    def type(self) -> DataType:
        """The physical type, parsed."""
        parsed = parse_type(self.physical_type)
        if parsed is None:
            raise ValueError(f"{self.name}: {self.physical_type!r} is not a supported type")
        return parsed


@dataclass(frozen=True)
class Rule:
    """A row rule: a record for which it is FALSE violates it, NULL passes.

    Attributes:
        name: Shown as `<name>: rule` in the reasons, or in the warnings.
        expression: The boolean SQL as written.
        logic: The expression as checked.
        severity: `error` quarantines the record, `warning` only counts it.
        description: What it guards.
        columns: Contract columns it reads.
        column: Column it was declared at, None where declared for the table.
    """

    name: str
    expression: str
    logic: Expression
    severity: Severity = "error"
    description: str = ""
    columns: tuple[str, ...] = ()
    column: str | None = None


@dataclass(frozen=True)
class Threshold:
    """A limit on how many records of a table may be quarantined.

    Attributes:
        name: Name of the check.
        limit: The limit, in `unit`.
        unit: `rows`, or `percent` of the records received.
        exclusive: Whether the limit itself is already too many.
        severity: `error` fails the run, `warning` is only told.
        description: What it guards.
    """

    name: str
    limit: Decimal
    unit: Literal["rows", "percent"] = "rows"
    exclusive: bool = False
    severity: Severity = "error"
    description: str = ""

    def is_broken(self, quarantined: int, records: int) -> bool:
        """Tell whether too many records were quarantined.

        Args:
            quarantined: Records in quarantine.
            records: Records received, quarantined ones included.

        Returns:
            Whether the limit is exceeded; never where there are no records.
        """
        found, limit = Decimal(quarantined), self.limit
        if self.unit == "percent":
            found, limit = found * 100, limit * records
        return records > 0 and (found >= limit if self.exclusive else found > limit)


@dataclass(frozen=True)
class Contract:
    """What a table must look like, and what its rows must satisfy.

    Attributes:
        table: `<schema>.<table>`, for example `silver.sales_clean`.
        columns: The contract's columns, in order.
        version: Version of the contract, as its owner wrote it.
        description: Meaning of the table; becomes its comment.
        primary_key: Columns of which one row each is kept; empty for no deduplication.
        latest_by: Column that tells which of two rows of one key is the later.
        rules: Row rules, in contract order.
        thresholds: Limits on the records in quarantine.
        open: Whether the table may have further columns, all strings.
        definition: What else identifies a derived table (an ML dataset's definition).
    """

    table: str
    columns: tuple[Column, ...]
    version: str = ""
    description: str = ""
    primary_key: tuple[str, ...] = ()
    latest_by: str | None = None
    rules: tuple[Rule, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    open: bool = False
    definition: object | None = None
    _by_name: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = MappingProxyType({column.name: column for column in self.columns})
        object.__setattr__(self, "_by_name", by_name)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_by_name"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    @property
    def has_implied_lineage(self) -> bool:
        """Whether the lineage columns follow the contract's own, as in a closed silver table."""
        listed = {name for name, _, _ in LINEAGE} & set(self._by_name)
        return self.table.startswith("silver.") and not self.open and not listed

    @property
    def schema(self) -> tuple[tuple[str, str], ...]:
        """Name and Spark type of each column the table must have, in order."""
        own = tuple((column.name, str(column.type)) for column in self.columns)
        implied = tuple((name, kind) for name, kind, _ in LINEAGE)
        return own + implied if self.has_implied_lineage else own

    @property
    def comments(self) -> dict[str, str]:
        """Description of each column of `schema`."""
        own = {column.name: column.description for column in self.columns}
        implied = {name: text for name, _, text in LINEAGE} if self.has_implied_lineage else {}
        return own | implied

    @property
    def inputs(self) -> tuple[str, ...]:
        """Received columns the contract reads, each once, in order of use."""
        return tuple(dict.fromkeys(name for column in self.columns for name in column.inputs))

    def column(self, name: str) -> Column:
        """Return the column of a name.

        Args:
            name: A name in `columns`.

        Returns:
            The column.
        """
        return self._by_name[name]
