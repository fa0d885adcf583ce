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
# Sail 0.7.2 takes values from statistics where all of a file are equal, and reads decimals there as
# doubles and doubles not to the last bit: tests/tables/test_sail_traps.py tells when they can have
# some. Said of every new table with a closed contract, which may get such columns later.
_WITH_STATISTICS = ("string", "bigint", "int", "date", "timestamp")


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
        before = table.current()
        if seen is not None and before not in (None, seen):
            self._refuse_moved(seen)
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
        is_renamed = any(column.name not in kept for column in found)
        if is_renamed:
            # A name is spelled in another case: all rows are written anew, under the new one.
            if mode == "append" or where:
                frame = self._with_rest(frame, where, before)
            mode, where = "replace", None
        metadata["kind"] = "append" if mode == "append" else "replace"
        # Sail 0.7.2 cannot write rows with an array beside rows that stay in a file:
        # tests/tables/test_sail_traps.py tells when it can.
        if where and not table.on_spark and any(c.type.startswith("array") for c in columns):
            if table.read(before).where(where).isEmpty():
                mode = "append"
            else:
                frame = self._with_rest(frame, where, before)
            where = None
        options = {"userMetadata": json.dumps(metadata)} if self.metadata else {}
        options |= {"replaceWhere": where} if where else {}
        options |= {"overwriteSchema": "true"} if is_renamed else {}
        with self._refusing_conflicts(), self._judged(frame, columns, judge) as judged:
            given = {name: quoted(name) for name in frame.columns}
            whole = judged.selectExpr(
                *(given.get(c.name, f"cast(NULL AS {c.type}) AS {quoted(c.name)}") for c in columns)
            )
            if before is None:
                with self._made(columns) as made:
                    empty = made.version()
                    made.write(whole, "overwrite", options)
                    # Sail 0.7.2 makes no commit of no row, but what it carries is news:
                    # tests/tables/test_sail_traps.py tells when this can go.
                    if made.version() == empty and self.metadata:
                        made.append_rows([], columns, metadata)
            else:
                if not is_renamed:
                    self._widen(found, columns)
                table.write(whole, "append" if mode == "append" else "overwrite", options)
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
        before = table.current()
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
                with self._made(columns) as made:
                    made.append_rows(rows, columns, metadata)
            else:
                self._widen(found, columns)
                table.append_rows(rows, columns, metadata)
        return Write(before, table.version(), table.row_count())

    def _refuse_moved(self, seen: int) -> None:
        if any(made.changes_data for made in self.table.history() if made.version > seen):
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

    def _with_rest(self, frame: "DataFrame", where: str | None, version: int | None) -> "DataFrame":
        """The rows of a frame, and those of the table that stay, under the frame's spelling."""
        rest = self.table.read(version)
        if where:
            rest = rest.where(f"NOT coalesce({where}, false)")
        spelled = {name.lower(): name for name in frame.columns}
        rest = rest.toDF(*(spelled.get(name.lower(), name) for name in rest.columns))
        return rest.unionByName(frame, allowMissingColumns=True)

    def _widen(self, old: Columns, new: Columns) -> None:
        had = {column.name: column.nullable for column in old}
        added = [column for column in new if column.name not in had]
        loosened = [c.name for c in new if c.nullable and not had.get(c.name, True)]
        if added or loosened:
            self.table.alter(added, loosened)

    @contextmanager
    def _made(self, columns: Columns) -> Iterator[Table]:
        """A new table without rows, for the block to fill."""
        with self.table.staged() as staged:
            own = {**self._statistics(columns), **self.properties}
            staged.create(columns, self.contract.description, own)
            yield staged

    def _statistics(self, columns: Columns) -> dict[str, str]:
        """The property that says which columns have statistics."""
        kept = [c.name for c in columns if c.type in _WITH_STATISTICS]
        if self.contract.open:  # of received columns nobody asks
            kept = [name for name in kept if name in RESERVED]
        return {"delta.dataSkippingStatsColumns": ",".join(kept)}
