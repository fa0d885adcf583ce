"""A Delta table in a directory: its log is read by deltalake, without an engine."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from nbx_medallion.engines import active_session
from nbx_medallion.errors import UserError
from nbx_medallion.tables import types as delta_types
from nbx_medallion.tables.log import (
    Commit,
    TableColumn,
    TableSpec,
    add_columns_by_sql,
    must_map,
    our_metadata,
    rows_written_by,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession


_LEFT_OVER_AFTER = 3600.0  # seconds


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

    def check_free(self) -> None:
        """Refuse a place where a table is to be made and something else is.

        Raises:
            UserError: There is a file, or a folder that holds something.
        """
        place = Path(self.location)
        if place.is_dir():
            found = "a folder without one" if any(place.iterdir()) else None
        else:
            found = "a file" if os.path.lexists(place) else None
        if found:
            raise UserError(
                f"{place}: expected a Delta table, or nothing yet, found {found}. Move it away and"
                " run again."
            )

    def check_whole(self, log_only: bool) -> None:
        """Refuse a table that has lost a file; data files are looked at, not read.

        Args:
            log_only: Whether to leave out the data files.

        Raises:
            UserError: A commit, or a file of the current version, is damaged or gone.
        """
        table = self._open()
        folder = Path(self.location)
        names = os.listdir(folder / "_delta_log")
        checkpoints = [int(name[:20]) for name in names if ".checkpoint" in name[20:31]]
        needed = range(max(checkpoints, default=-1) + 1, table.version() + 1)
        lost = [f"_delta_log/{at:020}.json" for at in needed if f"{at:020}.json" not in names]
        if not log_only:
            files = table.get_add_actions()
            for index in range(files.num_rows):
                path, size = (files.column(name)[index].as_py() for name in ("path", "size_bytes"))
                with contextlib.suppress(OSError):
                    if (folder / path).stat().st_size == size:
                        continue
                lost.append(path)
        if lost:
            raise UserError(
                f"{self.location}: expected a whole Delta table, found that {len(lost)} of its"
                f" files are damaged or gone, such as {lost[0]}. Restore it, or move the folder"
                " away and run again."
            )

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
            return rows_written_by(entry)
        return 0

    def commits(self) -> list[Commit]:
        """The commits that this project wrote, oldest first, as far as the log keeps them."""
        entries = [
            entry for entry in self._open().history() if our_metadata(entry.get("userMetadata"))
        ]
        return [
            Commit(
                version=entry["version"],
                timestamp=datetime.fromtimestamp(entry["timestamp"] / 1000, timezone.utc),
                row_count=rows_written_by(entry),
                metadata=our_metadata(entry["userMetadata"]),
            )
            for entry in reversed(entries)
        ]

    def add_columns(self, columns: Sequence[TableColumn]) -> None:
        """Add nullable columns at the end."""
        table = self._open()
        mapped = "delta.columnMapping.mode" in table.metadata().configuration
        if mapped or must_map(columns):
            # deltalake cannot change a table with column mapping, nor turn it on.
            add_columns_by_sql(f"delta.`{self.location}`", columns)
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
        # Of a run that was killed; a younger one may be another run's that is at work.
        for left_over in target.parent.glob(f".{target.name}.*"):
            with contextlib.suppress(FileNotFoundError):  # the other run removed it
                if time.time() - left_over.stat().st_mtime > _LEFT_OVER_AFTER:
                    shutil.rmtree(left_over, ignore_errors=True)
        staging = PathTable(str(target.parent / f".{target.name}.{uuid4().hex}"))
        try:
            staging._create_empty(spec)
            staging.write(frame, "overwrite", options)
            os.rename(staging.location, target)
        except BaseException:
            shutil.rmtree(staging.location, ignore_errors=True)
            raise

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

    def _create_empty(self, spec: TableSpec) -> None:
        if must_map(spec.columns):
            ddl = delta_types.create_statement(f"delta.`{self.location}`", spec)
            active_session().sql(ddl)
        else:
            from deltalake import DeltaTable, Schema

            DeltaTable.create(
                self.location,
                Schema(delta_types.to_fields(spec.columns)),
                description=spec.comment,
                configuration=dict(spec.properties),
            )

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
            found = str(error).partition("\n")[0].rstrip(".")
            raise UserError(
                f"{self.location}: expected a Delta table"
                f"{'' if version is None else f' with version {version}'}, found: {found}."
                " Restore it, or move the folder away and run again."
            ) from error
