"""A Delta table of a catalog, known by its name."""

from collections.abc import Mapping, Sequence
from datetime import timezone
from typing import TYPE_CHECKING, Any

from nbx_medallion.engines import active_session, runs_delta_on_spark
from nbx_medallion.errors import UserError
from nbx_medallion.tables import types as delta_types
from nbx_medallion.tables.log import (
    Commit,
    TableColumn,
    TableSpec,
    add_columns_by_sql,
    our_metadata,
    rows_written_by,
)
from nbx_medallion.tables.path import PathTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


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
                return rows_written_by(entry)
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
                row_count=rows_written_by(entry),
                metadata=our_metadata(entry["userMetadata"]),
            )
            for entry in reversed(self._history(None))
            if our_metadata(entry["userMetadata"])
        ]

    def add_columns(self, columns: Sequence[TableColumn]) -> None:
        """Add nullable columns at the end."""
        log = self._log()
        if log is not None:
            log.add_columns(columns)
        else:
            add_columns_by_sql(self.location, columns)

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
