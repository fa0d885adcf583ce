"""A Delta table, known to SQL by its name in a catalog, or in a directory."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from nbx_medallion.engines import runs_delta_on_spark
from nbx_medallion.errors import TableError
from nbx_medallion.tables.columns import (
    Columns,
    from_json,
    literal,
    quoted,
    to_delta,
    to_frame,
    to_sql,
)
from nbx_medallion.tables.log import Commit, Log

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

# Each append of rows is a file, and all of them are read at once.
_APPENDS_A_FILE = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CREATING = ("CREATE TABLE", "CREATE OR REPLACE TABLE")


class Table:
    """A table ``<catalog>.<schema>.<table>``, for which it takes Delta on Spark or Databricks."""

    _naming = "{}"

    def __init__(self, location: str, session: Callable[[], "SparkSession"]) -> None:
        self.location = location
        self.session = session
        self._sql_name = self._naming.format(location)

    @property
    def on_spark(self) -> bool:
        """True where the session is Delta's own on Spark, not Sail's."""
        return runs_delta_on_spark(self.session())

    def exists(self) -> bool:
        """Whether there is such a table; errors as in `current`."""
        return self.current() is not None

    def current(self) -> int | None:
        """The current version, None for a table that was never filled, as a killed run leaves one.

        Raises:
            UserError: The engine is not Spark, or the catalog is missing or closed to the user.
        """
        if not self.on_spark:
            raise TableError(
                f"{self.location}: expected Delta on Spark, which tables by name need, found the"
                " engine 'sail'. Set by_name to false in the catalog, or run on Spark with --env."
            )
        with self._asking("the catalog could not be asked for the table"):
            is_there = self.session().catalog.tableExists(self.location)
        last = self.history(1)[0] if is_there else None
        return last.version if last and last.operation not in _CREATING else None

    def version(self) -> int:
        """The current version."""
        return self.history(1)[0].version

    def commits(self) -> list[Commit]:
        """The commits that this project made, oldest first; none where there is no table."""
        return [c for c in reversed(self.history() if self.exists() else []) if c.metadata]

    def log(self) -> Log:
        """What the log tells; an empty one where there is no table."""
        if not self.exists():
            return Log(self.location)
        return Log(self.location, self.history()[::-1], self.row_count())

    def history(self, limit: int | None = None) -> list[Commit]:
        """Commits, newest first, whoever made them; a `UserError` for a table of version 0.1."""
        commits = [_read_commit(entry) for entry in self._history(limit)]
        if any("kind" not in commit.metadata for commit in commits if commit.metadata):
            raise TableError(
                f"{self.location}: expected a table of this version of the pipeline, found one of"
                " version 0.1, whose tables cannot be continued. Move the folder of all tables"
                " away, or drop them, and run again."
            )
        return sorted(commits, key=lambda commit: -commit.version)

    def _history(self, limit: int | None) -> list[dict[str, Any]]:
        last = f" LIMIT {limit}" if limit else ""
        rows = self.session().sql(f"DESCRIBE HISTORY {self._sql_name}{last}").collect()
        return [row.asDict() for row in rows]

    def restore(self, version: int) -> None:
        """Make the rows what they were at a version, in a commit; a `UserError` if that is gone."""
        try:
            self._restore(version)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise TableError(
                f"{self.location}: expected to put the table back to version {version}, found:"
                f" {reason}. Bring back what is gone, or accept what is there with `kedro lakehouse"
                " adopt`."
            ) from error

    def _restore(self, version: int) -> None:
        self.session().sql(f"RESTORE TABLE {self._sql_name} TO VERSION AS OF {version}")

    def rows(
        self, columns: list[str] | None = None, version: int | None = None
    ) -> list[dict[str, Any]]:
        """All rows of a small table at a version (default: now); times are in UTC."""
        found = self.read(version).select(*(columns or "*")).collect()
        return [{name: _in_utc(value) for name, value in row.asDict().items()} for row in found]

    def append_rows(
        self, rows: Sequence[Mapping[str, Any]], columns: Columns, metadata: Mapping[str, Any]
    ) -> None:
        """Append rows to the table, in one commit that carries metadata."""
        frame = to_frame(self.session(), rows, [(column.name, column.type) for column in columns])
        self.write(frame, "append", {"userMetadata": json.dumps(metadata)})

    def columns(self, version: int | None = None) -> Columns:
        """The columns at a version (default: now), in order."""
        return from_json(self.read(version).schema.json())

    def row_count(self, version: int | None = None) -> int:
        """Rows at a version (default: now), from the statistics of the log."""
        return self.read(version).count()

    def read(self, version: int | None = None) -> "DataFrame":
        """The rows at a version (default: now), lazily."""
        as_of = "" if version is None else f" VERSION AS OF {version}"
        return self.session().sql(f"SELECT * FROM {self._sql_name}{as_of}")  # noqa: S608

    def write(self, frame: "DataFrame", mode: str, options: Mapping[str, str]) -> None:
        """Commit rows to the table, in Spark's mode ``overwrite`` or ``append``."""
        frame.write.format("delta").mode(mode).options(**options).saveAsTable(self._sql_name)

    def alter(self, added: Columns, loosened: Sequence[str]) -> None:
        """Add nullable columns at the end, and let others be NULL."""
        sql, change = self.session().sql, f"ALTER TABLE {self._sql_name}"
        if mapping := _mapping(added):
            sql(f"{change} SET TBLPROPERTIES ({_pairs(mapping)})")
        if added:
            sql(f"{change} ADD COLUMNS ({to_sql(added)})")
        for name in loosened:
            sql(f"{change} ALTER COLUMN {quoted(name)} DROP NOT NULL")

    @contextmanager
    def staged(self) -> Iterator["Table"]:
        """The table, for the block to create and fill; there is none where the block failed.

        Raises:
            UserError: Its schema is missing and may not be made.
        """
        session, schema = self.session(), self.location.rpartition(".")[0]
        with self._asking("its schema is missing and cannot be created"):
            # Who may not create schemas can still use one: ask before.
            if not session.catalog.databaseExists(schema):
                session.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        try:
            yield self
        except BaseException:
            if not self.exists():  # another run may have filled it
                session.sql(f"DROP TABLE IF EXISTS {self._sql_name}")
            raise

    def create(self, columns: Columns, comment: str, properties: Mapping[str, str]) -> None:
        """Make the table, without rows."""
        sql = f"CREATE OR REPLACE TABLE {self._sql_name} ({to_sql(columns)}) USING DELTA"
        if properties := {**properties, **_mapping(columns)}:
            sql += f" TBLPROPERTIES ({_pairs(properties)})"
        self.session().sql(f"{sql} COMMENT {literal(comment)}")

    @contextmanager
    def _asking(self, refused: str) -> Iterator[None]:
        from pyspark.errors import PySparkException

        try:
            yield
        except PySparkException as error:
            reason = str(error).strip().partition("\n")[0]
            raise TableError(
                f"{self.location}: {refused}: {reason}. Have an administrator create the catalog,"
                " run resources/schemas.sql in it, and grant the principal that runs the job its"
                " use."
            ) from error


class PathTable(Table):
    """A table in a directory, its location; deltalake reads its log, without an engine."""

    _naming = "delta.`{}`"
    _opened: "tuple[Any, DeltaTable] | None" = None

    def exists(self) -> bool:
        """Whether there is a Delta table in the directory."""
        from deltalake import DeltaTable

        return os.path.isdir(self.location) and DeltaTable.is_deltatable(self.location)

    def current(self) -> int | None:
        """The current version, None where there is no table."""
        return self.version() if self.exists() else None

    def check(self) -> None:
        """Find what would make a read or a write fail: looks at folder, log and files.

        Raises:
            UserError: The folder around the table cannot be written or made, there is something
                else in its place, or a file of its log or current version is damaged or gone.
        """
        place = Path(self.location)
        above = next(folder for folder in place.parents if os.path.lexists(folder))
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise TableError(
                f"{place.parent}: expected a folder that tables can be written to, found that"
                f" {above} {'may not be written to' if above.is_dir() else 'is not a directory'}."
                " Set LAKEHOUSE_ROOT to another folder, or correct its permissions."
            )
        if self.exists():
            if lost := self._find_lost(place):
                raise TableError(
                    f"{place}: expected a whole Delta table, found that {len(lost)} of its files"
                    f" are damaged or gone, such as {lost[0]}. Restore it, or move the folder away"
                    " and run again."
                )
        elif any(place.iterdir()) if place.is_dir() else os.path.lexists(place):
            raise TableError(
                f"{place}: expected a Delta table, or nothing yet, found"
                f" {'a folder without one' if place.is_dir() else 'a file'}. Move it away and run"
                " again."
            )

    def version(self) -> int:
        """The current version."""
        return self._open().version()

    def _history(self, limit: int | None) -> list[dict[str, Any]]:
        return self._open().history(limit)

    def _restore(self, version: int) -> None:
        self._open().restore(version)

    def rows(
        self, columns: list[str] | None = None, version: int | None = None
    ) -> list[dict[str, Any]]:
        """All rows of a small table at a version, read without an engine; times are in UTC."""
        import pyarrow
        from pyarrow.parquet import ParquetFile

        table = self._open(version)
        names = columns or [field.name for field in table.schema().fields]
        rows: list[dict[str, Any]] = []
        for file in table.file_uris():
            try:
                found = ParquetFile(file).read(columns)
            except (OSError, pyarrow.ArrowInvalid) as error:
                raise TableError(
                    f"A file of a table is damaged or gone: {file}: {str(error).splitlines()[0]}"
                    " Restore it, or move the folder of its table away and run again."
                ) from error
            # Engines write times in ways of their own, and an older file may lack a column.
            values = dict(zip(found.column_names, map(_values, found.columns), strict=True))
            nothing = [None] * found.num_rows
            of_names = [values.get(name, nothing) for name in names]
            rows += [dict(zip(names, row, strict=True)) for row in zip(*of_names, strict=True)]
        return rows

    def append_rows(
        self, rows: Sequence[Mapping[str, Any]], columns: Columns, metadata: Mapping[str, Any]
    ) -> None:
        """Append rows to the table, without an engine, in one commit that carries metadata."""
        from deltalake import CommitProperties, write_deltalake

        given = _to_arrow(rows, columns)
        carried = CommitProperties(custom_metadata={"userMetadata": json.dumps(metadata)})
        write_deltalake(self.location, given, mode="append", commit_properties=carried)
        table = self._open()
        if table.version() % _APPENDS_A_FILE == 0:
            table.optimize.compact()

    def columns(self, version: int | None = None) -> Columns:
        """The columns at a version (default: now), in order."""
        return from_json(self._open(version).schema().to_json())

    def row_count(self, version: int | None = None) -> int:
        """Rows at a version (default: now), from the statistics of the log."""
        return sum(self._open(version).get_add_actions().column("num_records").to_pylist())

    def write(self, frame: "DataFrame", mode: str, options: Mapping[str, str]) -> None:
        """Commit rows to the table, in Spark's mode ``overwrite`` or ``append``."""
        frame.write.format("delta").mode(mode).options(**options).save(self.location)

    def alter(self, added: Columns, loosened: Sequence[str]) -> None:
        """Add nullable columns at the end, and let others be NULL."""
        if self.on_spark:  # deltalake cannot change a table with column mapping, nor turn it on
            super().alter(added, loosened)
            return
        table = self._open()
        if added:
            table.alter.add_columns(to_delta(added).fields)
        for name in loosened:
            table.alter.drop_column_not_null(name)

    @contextmanager
    def staged(self) -> Iterator[Table]:
        """A table beside this one, for the block to create and fill, then moved here whole."""
        with self.beside() as staging:
            yield staging
            os.rename(staging.location, self.location)

    @contextmanager
    def beside(self) -> Iterator["PathTable"]:
        """A table beside this one, for the block to create and use."""
        target = Path(self.location)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Of a run that was killed; one of the last hour may be another run's that is at work.
        for left_over in target.parent.glob(f".{target.name}.*"):
            with suppress(FileNotFoundError):  # the other run removed it
                if time.time() - left_over.stat().st_mtime > 3600:
                    shutil.rmtree(left_over, ignore_errors=True)
        staging = PathTable(f"{target.parent}/.{target.name}.{uuid4().hex}", self.session)
        try:
            yield staging
        finally:
            shutil.rmtree(staging.location, ignore_errors=True)

    def create(self, columns: Columns, comment: str, properties: Mapping[str, str]) -> None:
        """Make the table, without rows."""
        if _mapping(columns) and self.on_spark:
            super().create(columns, comment, properties)
            return
        from deltalake import DeltaTable

        schema, own = to_delta(columns), dict(properties)
        DeltaTable.create(self.location, schema, description=comment, configuration=own)

    def head(self, rows: int) -> list[dict[str, Any]]:
        """Some rows, read without an engine."""
        import pyarrow
        from pyarrow.dataset import dataset

        table = self._open()
        schema = pyarrow.schema(table.schema().to_arrow())
        # With column mapping the files have names of their own.
        own = b"delta.columnMapping.physicalName"
        stored = [f.with_name((f.metadata or {}).get(own, f.name)) for f in schema]
        found = dataset(table.file_uris(), pyarrow.schema(stored)).head(rows)
        return list(found.rename_columns(schema.names).to_pylist())

    def _find_lost(self, place: Path) -> list[str]:
        table = self._open()
        checkpoints = place.glob("_delta_log/[0-9]*.checkpoint*")
        first = max((int(file.name[:20]) for file in checkpoints), default=-1) + 1
        log = (f"_delta_log/{at:020}.json" for at in range(first, table.version() + 1))
        lost = [name for name in log if not (place / name).is_file()]
        files: Any = table.get_add_actions().to_struct_array().to_pylist()
        for file in files:
            found = place / file["path"]
            if not found.is_file() or found.stat().st_size != file["size_bytes"]:
                lost.append(file["path"])
        return lost

    def _open(self, version: int | None = None) -> "DeltaTable":
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        log = Path(self.location, "_delta_log")
        try:
            # To open it costs more than to see that nothing was committed since.
            names = os.listdir(log) if log.is_dir() else []
            commits = [name for name in names if name[:20].isdigit()]
            state = (version, log.stat().st_ino, len(names), max(commits)) if commits else None
            if state is None or self._opened is None or self._opened[0] != state:
                self._opened = state, DeltaTable(self.location, version=version)
            return self._opened[1]
        except DeltaError as error:
            found = str(error).partition("\n")[0].rstrip(".")
            raise TableError(
                f"{self.location}: expected a Delta table, found: {found}. Restore it, or move the"
                " folder away and run again."
            ) from error


def _read_commit(entry: Mapping[str, Any]) -> Commit:
    """A commit from an entry of a table's history, as deltalake or Spark gives it."""
    made, metadata, restored = entry["timestamp"], None, None
    with suppress(ValueError):
        metadata = json.loads(entry.get("userMetadata") or "")
    metrics = entry.get("operationMetrics") or {}
    if entry["operation"] == "RESTORE":
        version = str((entry.get("operationParameters") or {}).get("version"))
        restored = int(version) if version.isdigit() else 0
    return Commit(
        entry["version"],
        (_EPOCH + timedelta(milliseconds=made) if isinstance(made, int) else made).astimezone(UTC),
        int(metrics.get("numOutputRows") or metrics.get("num_added_rows") or 0),
        metadata if isinstance(metadata, dict) and "run_id" in metadata else {},
        entry["operation"],
        restored,
        entry.get("userName") or entry.get("engineInfo") or "",
    )


def _to_arrow(rows: Sequence[Mapping[str, Any]], columns: Columns) -> Any:
    """Rows as an Arrow table, by way of JSON: Arrow imports pandas, 0.2 s, for Python's values.

    Arrow fails where pandas is hidden from it. Columns come without comments: deltalake refuses
    rows with others than the table has.
    """
    import pyarrow
    from pyarrow.json import ParseOptions, read_json

    plain = [replace(column, comment="") for column in columns]
    schema = pyarrow.schema(to_delta(plain).to_arrow())
    if not rows:
        return schema.empty_table()
    named = [{column.name: row[column.name] for column in columns} for row in rows]
    text = "\n".join(json.dumps(row, default=_as_json) for row in named)
    options = ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return read_json(pyarrow.py_buffer(text.encode()), parse_options=options).cast(schema)


def _as_json(value: Any) -> str:
    in_utc = value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else None
    return f"{in_utc.isoformat()}Z" if in_utc else str(value)


def _values(column: Any) -> list[Any]:
    """The values of an Arrow column; Arrow itself imports pandas, 0.2 s, to give a time."""
    import pyarrow

    if not pyarrow.types.is_timestamp(column.type):
        return list(column.to_pylist())
    micros = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    found = micros.cast("int64").to_pylist()
    return [None if at is None else _EPOCH + timedelta(microseconds=at) for at in found]


def _in_utc(value: Any) -> Any:
    """A collected value; Python's times are without a zone, the computer's."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _mapping(columns: Columns) -> dict[str, str]:
    """The property that Delta on Spark needs for such names, if any; Sail writes any name."""
    is_needed = any(re.search(r"[ ,;{}()\n\t=]", column.name) for column in columns)
    return {"delta.columnMapping.mode": "name"} if is_needed else {}


def _pairs(properties: Mapping[str, str]) -> str:
    return ", ".join(f"{literal(key)} = {literal(value)}" for key, value in properties.items())
