"""Delta tables seen through their log: what they look like, and who wrote what.

A table is either a directory, whose log is read by deltalake without an engine, or a name in a
catalog, which the session answers for.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from nbx_medallion.datasets import delta_types
from nbx_medallion.engines import active_session, runs_delta_on_spark
from nbx_medallion.errors import UserError

if TYPE_CHECKING:
    from deltalake import DeltaTable
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


class PathTable:
    """A Delta table in a directory."""

    def __init__(self, path: str) -> None:
        self.location = path

    def exists(self) -> bool:
        """Whether there is a Delta table in the directory."""
        if not Path(self.location, "_delta_log").is_dir():
            return False
        from deltalake import DeltaTable

        return DeltaTable.is_deltatable(self.location)

    def version(self) -> int:
        """The current version."""
        return self._open().version()

    def columns(self) -> list[TableColumn]:
        """The columns, in order."""
        fields = json.loads(self._open().schema().to_json())["fields"]
        return [
            TableColumn(
                name=item["name"],
                type=delta_types.from_delta(item["type"]),
                nullable=item["nullable"],
                comment=item["metadata"].get("comment", ""),
            )
            for item in fields
        ]

    def row_count(self, version: int | None = None) -> int:
        """Rows at a version, from the statistics of its add actions."""
        actions = self._open(version).get_add_actions(flatten=True)
        counts = actions.column("num_records")
        return sum(counts[index].as_py() for index in range(len(counts)))

    def rows_written(self, version: int) -> int:
        """Rows that the commit of a version wrote, from its operation metrics."""
        for entry in self._open(version).history(1):
            return _rows_written(entry)
        return 0

    def commits(self) -> list[Commit]:
        """The commits that this project wrote, oldest first, as far as the log keeps them."""
        entries = [
            entry for entry in self._open().history() if _our_metadata(entry.get("userMetadata"))
        ]
        return [
            Commit(
                version=entry["version"],
                timestamp=datetime.fromtimestamp(entry["timestamp"] / 1000, timezone.utc),
                row_count=_rows_written(entry),
                metadata=_our_metadata(entry["userMetadata"]),
            )
            for entry in reversed(entries)
        ]

    def add_columns(self, columns: Sequence[TableColumn]) -> None:
        """Add nullable columns at the end."""
        table = self._open()
        mapped = "delta.columnMapping.mode" in table.metadata().configuration
        if mapped or _must_map(columns):
            # deltalake cannot change a table with column mapping, nor turn it on.
            _add_columns_by_sql(f"delta.`{self.location}`", columns)
        else:
            table.alter.add_columns(delta_types.to_fields(columns))

    def drop_not_null(self, column: str) -> None:
        """Let a column be NULL."""
        self._open().alter.drop_column_not_null(column)

    def read(self, session: "SparkSession", version: int) -> "DataFrame":
        """The rows at a version, lazily."""
        reader = session.read.format("delta").option("versionAsOf", version)
        return reader.load(self.location)

    def create(self, spec: TableSpec, frame: "DataFrame", options: Mapping[str, str]) -> None:
        """Make the table beside its place, and move it there whole."""
        target = Path(self.location)
        target.parent.mkdir(parents=True, exist_ok=True)
        for left_over in target.parent.glob(f".{target.name}.*"):
            shutil.rmtree(left_over, ignore_errors=True)
        staging = PathTable(str(target.parent / f".{target.name}.{uuid4().hex}"))
        if _must_map(spec.columns):
            ddl = delta_types.create_statement(f"delta.`{staging.location}`", spec)
            active_session().sql(ddl)
        else:
            from deltalake import DeltaTable, Schema

            DeltaTable.create(
                staging.location,
                Schema(delta_types.to_fields(spec.columns)),
                description=spec.comment,
                configuration=dict(spec.properties),
            )
        staging.write(frame, "overwrite", options)
        os.rename(staging.location, target)

    def write(self, frame: "DataFrame", mode: str, options: Mapping[str, str]) -> None:
        """Commit rows to the table."""
        before = self.version()
        frame.write.format("delta").mode(mode).options(**options).save(self.location)
        if self.version() == before:
            # Sail makes no commit where no row comes or goes; what it carries is still news.
            self._commit_no_rows(options)

    def head(self, rows: int) -> list[dict[str, Any]]:
        """Some rows, read without an engine."""
        from pyarrow import parquet

        table = self._open()
        # With column mapping the files have names of their own.
        fields = json.loads(table.schema().to_json())["fields"]
        names = {
            item["metadata"].get("delta.columnMapping.physicalName", item["name"]): item["name"]
            for item in fields
        }
        found: list[dict[str, Any]] = []
        for file in table.file_uris():
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=rows - len(found)):
                found += [
                    {names.get(key, key): value for key, value in row.items()}
                    for row in batch.to_pylist()
                ]
                break
            if len(found) >= rows:
                break
        return found

    def _commit_no_rows(self, options: Mapping[str, str]) -> None:
        import pyarrow
        from deltalake import CommitProperties, write_deltalake

        table = self._open()
        write_deltalake(
            table,
            pyarrow.schema(table.schema().to_arrow()).empty_table(),
            mode="append",
            commit_properties=CommitProperties(custom_metadata=dict(options)),
        )

    def _open(self, version: int | None = None) -> "DeltaTable":
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            return DeltaTable(self.location, version=version)
        except DeltaError as error:
            raise UserError(
                f"{self.location}: expected a Delta table"
                f"{'' if version is None else f' with version {version}'}, found: {error}."
                " Restore it, or move the folder away and run again."
            ) from error


class NamedTable:
    """A Delta table of a catalog, as ``<catalog>.<schema>.<table>``.

    Where Delta runs on Spark, and so on Databricks, SQL answers for it and no path is touched.
    Sail has no SQL for a table's history: there its log is read where the catalog says it is.
    """

    def __init__(self, name: str) -> None:
        self.location = name

    def exists(self) -> bool:
        """Whether the catalog has the table, and rows were once written to it.

        A table is made, then filled: one that never was is what a run left that was killed there.

        Raises:
            UserError: The catalog does not answer: there is none of that name, or it is not open
                to who runs this.
        """
        from pyspark.errors import PySparkException

        try:
            if not active_session().catalog.tableExists(self.location):
                return False
        except PySparkException as error:
            raise self._refused("the catalog could not be asked for the table", error) from error
        log = self._log()
        if log is not None:
            return log.version() > 0
        return not _is_creation(self._history(1)[0])

    def version(self) -> int:
        """The current version."""
        log = self._log()
        return log.version() if log else int(self._history(1)[0]["version"])

    def columns(self) -> list[TableColumn]:
        """The columns, in order."""
        log = self._log()
        if log is not None:
            return log.columns()
        fields = active_session().table(self.location).schema.fields
        return [
            TableColumn(
                name=item.name,
                type=item.dataType.simpleString(),
                nullable=item.nullable,
                comment=(item.metadata or {}).get("comment", ""),
            )
            for item in fields
        ]

    def row_count(self, version: int | None = None) -> int:
        """Rows at a version: a count that Delta answers from the statistics of its log."""
        log = self._log()
        if log is not None:
            return log.row_count(version)
        as_of = "" if version is None else f" VERSION AS OF {version}"
        query = f"SELECT count(*) FROM {self.location}{as_of}"  # noqa: S608
        return int(active_session().sql(query).collect()[0][0])

    def rows_written(self, version: int) -> int:
        """Rows that the commit of a version wrote, from its operation metrics."""
        log = self._log()
        if log is not None:
            return log.rows_written(version)
        for entry in self._history(None):
            if entry["version"] == version:
                return _rows_written(entry)
        return 0

    def commits(self) -> list[Commit]:
        """The commits that this project wrote, oldest first, as far as the log keeps them."""
        log = self._log()
        if log is not None:
            return log.commits()
        return [
            Commit(
                version=entry["version"],
                timestamp=entry["timestamp"].astimezone(timezone.utc),
                row_count=_rows_written(entry),
                metadata=_our_metadata(entry["userMetadata"]),
            )
            for entry in reversed(self._history(None))
            if _our_metadata(entry["userMetadata"])
        ]

    def add_columns(self, columns: Sequence[TableColumn]) -> None:
        """Add nullable columns at the end."""
        log = self._log()
        if log is not None:
            log.add_columns(columns)
        else:
            _add_columns_by_sql(self.location, columns)

    def drop_not_null(self, column: str) -> None:
        """Let a column be NULL."""
        log = self._log()
        if log is not None:
            log.drop_not_null(column)
            return
        name = delta_types.quoted(column)
        active_session().sql(f"ALTER TABLE {self.location} ALTER COLUMN {name} DROP NOT NULL")

    def read(self, session: "SparkSession", version: int) -> "DataFrame":
        """The rows at a version, lazily."""
        log = self._log()
        if log is not None:
            return log.read(session, version)
        return session.sql(
            f"SELECT * FROM {self.location} VERSION AS OF {version}"  # noqa: S608
        )

    def create(self, spec: TableSpec, frame: "DataFrame", options: Mapping[str, str]) -> None:
        """Make the table, and its schema where that is missing, then write the first rows.

        Raises:
            UserError: The schema is missing and may not be made.
        """
        session = active_session()
        self._create_schema(session)
        statement = delta_types.create_statement(self.location, spec)
        # What a killed run left is made anew: see `exists`.
        session.sql(statement.replace("CREATE TABLE", "CREATE OR REPLACE TABLE", 1))
        try:
            self.write(frame, "overwrite", options)
        except BaseException:
            session.sql(f"DROP TABLE IF EXISTS {self.location}")
            raise

    def write(self, frame: "DataFrame", mode: str, options: Mapping[str, str]) -> None:
        """Commit rows to the table."""
        log = self._log()
        if log is not None:
            log.write(frame, mode, options)
        else:
            frame.write.format("delta").mode(mode).options(**options).saveAsTable(self.location)

    def _create_schema(self, session: "SparkSession") -> None:
        from pyspark.errors import PySparkException

        schema = self.location.rpartition(".")[0]
        try:
            # Who may not create schemas can still use one: ask before.
            if not session.catalog.databaseExists(schema):
                session.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        except PySparkException as error:
            raise self._refused("its schema is missing and cannot be created", error) from error

    def _refused(self, what: str, error: Exception) -> UserError:
        reason = str(error).strip().partition("\n")[0]
        return UserError(
            f"{self.location}: {what}: {reason}. Have an administrator create the catalog, run"
            " resources/schemas.sql in it, and grant the principal that runs the job its use."
        )

    def _log(self) -> PathTable | None:
        """The table as a directory, None where SQL answers for it."""
        if runs_delta_on_spark():
            return None
        described = active_session().sql(f"DESCRIBE TABLE EXTENDED {self.location}").collect()
        places = [row[1] for row in described if row[0] == "Location"]
        return PathTable(str(places[-1]).removeprefix("file:"))

    def _history(self, limit: int | None) -> list[dict[str, Any]]:
        last = f" LIMIT {limit}" if limit else ""
        rows = active_session().sql(f"DESCRIBE HISTORY {self.location}{last}").collect()
        return [row.asDict() for row in rows]


def _is_creation(entry: Mapping[str, Any]) -> bool:
    """Whether a commit made an empty table."""
    return str(entry["operation"]).endswith("TABLE") and "CREATE" in str(entry["operation"])


def _must_map(columns: Sequence[TableColumn]) -> bool:
    """Whether Delta on Spark needs column mapping for these names; Sail writes any name."""
    return delta_types.needs_column_mapping(columns) and runs_delta_on_spark()


def _add_columns_by_sql(target: str, columns: Sequence[TableColumn]) -> None:
    session = active_session()
    if _must_map(columns):
        session.sql(f"ALTER TABLE {target} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    listed = ", ".join(delta_types.column_ddl(column) for column in columns)
    session.sql(f"ALTER TABLE {target} ADD COLUMNS ({listed})")


def _rows_written(entry: Mapping[str, Any]) -> int:
    metrics = entry.get("operationMetrics") or {}
    return int(metrics.get("numOutputRows", 0))


def _our_metadata(text: str | None) -> dict[str, Any]:
    """What this project wrote as a commit's user metadata, {} for what others wrote."""
    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and "run_id" in found else {}
