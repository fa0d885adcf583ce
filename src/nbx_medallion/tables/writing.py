"""The ways of writing rows to a table, each in one commit."""

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from nbx_medallion.contracts.lineage import RESERVED
from nbx_medallion.contracts.model import Contract
from nbx_medallion.errors import TableError
from nbx_medallion.tables.columns import Columns, planned_columns, quoted
from nbx_medallion.tables.run import Write
from nbx_medallion.tables.table import PathTable, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MODES = ("replace", "replace_changed", "append", "append_new")
# What Sail, deltalake and Delta on Spark say where somebody else committed first.
# A new table is moved to its place, where another may be by now.
_TAKEN = map(os.strerror, (errno.ENOTEMPTY, errno.EEXIST))
_CONFLICTS = ("Failed to commit transaction", "DELTA_CONCURRENT", "DELTA_METADATA_CHANGED", *_TAKEN)
# Sail 0.7.2 reads statistics of decimals as doubles, and takes the values from there where all of
# a file are equal: tests/tables/test_sail_traps.py tells when they can have some. Said of every
# new table with a closed contract, which may get decimals later.
_WITH_STATISTICS = ("string", "bigint", "int", "double", "date", "timestamp")


@dataclass(frozen=True)
class Target:
    """A table to be written, with properties for a new one, and what the commit carries (JSON)."""

    table: Table
    contract: Contract
    properties: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def write(
        self,
        frame: "DataFrame",
        mode: str,
        *,
        where: str | None = None,
        seen: int | None = None,
        judge: Callable[[int], None] | None = None,
    ) -> Write:
        """Write rows to the table. A new one appears with its rows or not at all.

        Args:
            frame: Rows with the contract's columns; others of an open table are NULL in them.
            mode: ``replace`` all rows; ``replace_changed``, the same unless content and definition
                equal those of the commit that the rows stand on; ``append``.
            where: Condition of the rows to replace, which the frame's rows satisfy; all by default.
            seen: The version that a change of data since is refused, -1 where there was no table.
            judge: Is told how many rows the frame has, and may raise, before they are written.

        Raises:
            UserError: Nothing was written, since frame, contract and table do not fit or another
                program wrote the table meanwhile.
        """
        table, metadata = self.table, dict(self.metadata)
        before = table.version() if table.exists() else None
        if seen is not None:
            self._refuse_moved(seen, before)
        found = [] if before is None else table.columns()
        # Sail 0.7.2 checks NOT NULL before the filters of the frame: see decision 0005, and
        # tests/tables/test_sail_traps.py, which tells when every engine can have it.
        columns = planned_columns(
            self.contract, found, frame.dtypes, table.location, strict=table.on_spark
        )
        if mode == "replace_changed":
            from nbx_medallion.tables.content import content_hash

            metadata["content_hash"] = frame.agg(content_hash(frame)).collect()[0][0]
            commit = table.log().content_commit()
            last = commit.metadata if commit else {}
            same = (last.get(k) == metadata.get(k) for k in ("definition_hash", "content_hash"))
            if before is not None and all(same):
                return Write(before, before, table.row_count())
        kept = {column.name for column in columns}
        if found and any(column.name not in kept for column in found):
            # A name is spelled in another case: all rows are written anew, under the new one.
            if mode == "append" or where:
                frame = self._with_rest(frame, mode, where, before)
            mode, where = "replace", None
        metadata["kind"] = "append" if mode == "append" else "replace"
        # Sail 0.7.2 cannot write rows with an array beside rows that stay in a file:
        # tests/tables/test_sail_traps.py tells when it can.
        if where and not table.on_spark and any(c.type.startswith("array") for c in columns):
            if table.read(before).where(where).isEmpty():
                mode = "append"
            else:
                frame = self._with_rest(frame, mode, where, before)
            where = None
        options = {"userMetadata": json.dumps(metadata)} if self.metadata else {}
        if where:
            options["replaceWhere"] = where
        with self._refusing_conflicts(), self._judged(frame, columns, judge) as judged:
            self._commit(judged, mode, found, columns, options)
        return Write(before, table.version(), table.row_count())

    @contextmanager
    def _judged(
        self, frame: "DataFrame", columns: Columns, judge: Callable[[int], None] | None
    ) -> "Iterator[DataFrame]":
        """The rows of a frame, once they are counted; in a directory they are computed once."""
        if judge and isinstance(self.table, PathTable):
            with self.table.beside() as counted:
                own = [column for column in columns if column.name in frame.columns]
                counted.create(own, "", self._statistics(own))
                counted.write(frame, "append", {})
                judge(counted.row_count())
                yield counted.read()
            return
        if judge:
            judge(frame.count())
        yield frame

    def append_rows(self, rows: Sequence[Mapping[str, Any]], only_new: bool = False) -> Write:
        """Append rows, without an engine where the table is a directory.

        Args:
            rows: With the contract's columns; times without a zone are the computer's, as in rows
                that were collected from a frame.
            only_new: Whether only those are appended whose primary key the table does not have.

        Raises:
            UserError: As `write`.
        """
        table = self.table
        before = table.version() if table.exists() else None
        found = [] if before is None else table.columns()
        columns = planned_columns(self.contract, found, self.contract.schema, table.location)
        if only_new:
            key = itemgetter(*self.contract.primary_key)
            stored = table.rows(list(self.contract.primary_key)) if found else []
            known = set(map(key, stored))
            rows = list({key(row): row for row in rows if key(row) not in known}.values())
        if not rows and before is not None:
            return Write(before, before, table.row_count())
        metadata = {**self.metadata, "kind": "append"} if self.metadata else {}
        with self._refusing_conflicts():
            if before is None:
                with table.staged() as staged:
                    own = {**self._statistics(columns), **self.properties}
                    staged.create(columns, self.contract.description, own)
                    staged.append_rows(rows, columns, metadata)
            else:
                self._widen(found, columns)
                table.append_rows(rows, columns, metadata)
        return Write(before, table.version(), table.row_count())

    def _refuse_moved(self, seen: int, now: int | None) -> None:
        if now is None or now == seen:
            return
        since = [commit for commit in self.table.history() if commit.version > seen]
        if any(commit.changes_data for commit in since):
            raise TableError(self._overtaken)

    @property
    def _overtaken(self) -> str:
        return (
            f"{self.contract.table}: another run wrote the table while this one was at work; the"
            " rows of this run were not written. Run again, one run at a time."
        )

    @contextmanager
    def _refusing_conflicts(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not any(sign in str(error) for sign in _CONFLICTS):
                raise
            raise TableError(self._overtaken) from error

    def _with_rest(
        self, frame: "DataFrame", mode: str, where: str | None, version: int | None
    ) -> "DataFrame":
        """The rows of a frame, and those of the table that stay, under the frame's spelling."""
        rest = self.table.read(version)
        if where:
            rest = rest.where(f"NOT coalesce({where}, false)")
        spelled = {name.lower(): name for name in frame.columns}
        rest = rest.toDF(*(spelled.get(name.lower(), name) for name in rest.columns))
        return rest.unionByName(frame, allowMissingColumns=True)

    def _commit(
        self, frame: "DataFrame", mode: str, old: Columns, new: Columns, options: dict[str, str]
    ) -> None:
        given = {name: quoted(name) for name in frame.columns}
        frame = frame.selectExpr(
            *(given.get(c.name, f"cast(NULL AS {c.type}) AS {quoted(c.name)}") for c in new)
        )
        if not old:
            self._make(frame, new, options)
            return
        if {column.name for column in old} - {column.name for column in new}:
            options["overwriteSchema"] = "true"
        else:
            self._widen(old, new)
        self.table.write(frame, "append" if mode == "append" else "overwrite", options)

    def _widen(self, old: Columns, new: Columns) -> None:
        had = {column.name: column.nullable for column in old}
        added = [column for column in new if column.name not in had]
        loosened = [c.name for c in new if c.nullable and not had.get(c.name, True)]
        if added or loosened:
            self.table.alter(added, loosened)

    def _make(self, frame: "DataFrame", columns: Columns, options: dict[str, str]) -> None:
        own = {**self._statistics(columns), **self.properties}
        with self.table.staged() as staged:
            staged.create(columns, self.contract.description, own)
            made = staged.version()
            staged.write(frame, "overwrite", options)
            # Sail 0.7.2 makes no commit of no row, but what it carries is news:
            # tests/tables/test_sail_traps.py tells when this can go.
            if staged.version() == made and options:
                staged.append_rows([], columns, json.loads(options["userMetadata"]))

    def _statistics(self, columns: Columns) -> dict[str, str]:
        """The property that says which columns have statistics."""
        kept = [c.name for c in columns if c.type in _WITH_STATISTICS]
        if self.contract.open:  # of received columns nobody asks
            kept = [name for name in kept if name in RESERVED]
        return {"delta.dataSkippingStatsColumns": ",".join(kept)}
