"""Delta tables seen through their log: what they look like, and who wrote what.

A table is either a directory, whose log is read by deltalake without an engine, or a name in a
catalog, which the session answers for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from nbx_medallion.engines import active_session, runs_delta_on_spark
from nbx_medallion.tables import types as delta_types

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Commit:
    """One commit of a Delta table.

    Attributes:
        version: Delta version that the commit made.
        timestamp: When it was committed, UTC.
        row_count: Rows that it wrote: all rows of the table, where it replaced them.
        metadata: What this project attached to it (run, sources, definition...); empty where
            another program wrote it.
    """

    version: int
    timestamp: datetime
    row_count: int
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TableColumn:
    """A column as a Delta table has it: type as Spark writes it (``decimal(18,2)``)."""

    name: str
    type: str
    nullable: bool = True
    comment: str = ""


@dataclass(frozen=True)
class TableSpec:
    """What a new table is made with."""

    columns: Sequence[TableColumn]
    comment: str
    properties: Mapping[str, str]


class Table(Protocol):
    """A Delta table, wherever it is. Nothing here reads data."""

    location: str

    def exists(self) -> bool:
        """Whether there is a Delta table."""

    def version(self) -> int:
        """The current version."""

    def columns(self) -> list[TableColumn]:
        """The columns, in order."""

    def row_count(self, version: int | None = None) -> int:
        """Rows at a version (default: now), from the statistics of the log."""

    def rows_written(self, version: int) -> int:
        """Rows that the commit of a version wrote, from its operation metrics."""

    def commits(self) -> list[Commit]:
        """The commits that this project wrote, oldest first, as far as the log keeps them."""

    def add_columns(self, columns: Sequence[TableColumn]) -> None:
        """Add nullable columns at the end."""

    def drop_not_null(self, column: str) -> None:
        """Let a column be NULL."""

    def read(self, session: "SparkSession", version: int) -> "DataFrame":
        """The rows at a version, lazily."""

    def create(self, spec: TableSpec, frame: "DataFrame", options: Mapping[str, str]) -> None:
        """Make the table with its first rows: it appears whole, or not at all."""

    def write(self, frame: "DataFrame", mode: str, options: Mapping[str, str]) -> None:
        """Commit rows to the table: ``overwrite`` or ``append``."""


def must_map(columns: Sequence[TableColumn]) -> bool:
    """Whether Delta on Spark needs column mapping for these names; Sail writes any name."""
    return delta_types.needs_column_mapping(columns) and runs_delta_on_spark()


def add_columns_by_sql(target: str, columns: Sequence[TableColumn]) -> None:
    """Add nullable columns by SQL, with column mapping where a name needs it."""
    session = active_session()
    if must_map(columns):
        session.sql(f"ALTER TABLE {target} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    listed = ", ".join(delta_types.column_ddl(column) for column in columns)
    session.sql(f"ALTER TABLE {target} ADD COLUMNS ({listed})")


def rows_written_by(entry: Mapping[str, Any]) -> int:
    """Rows that a commit wrote, from its operation metrics."""
    metrics = entry.get("operationMetrics") or {}
    return int(metrics.get("numOutputRows", 0))


def our_metadata(text: str | None) -> dict[str, Any]:
    """What this project wrote as a commit's user metadata, {} for what others wrote."""
    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and "run_id" in found else {}
