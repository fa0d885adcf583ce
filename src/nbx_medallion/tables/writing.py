"""The ways of writing rows to a table, each in one commit."""

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbx_medallion.contracts.model import Contract
from nbx_medallion.errors import TableError
from nbx_medallion.tables.columns import Columns, planned_columns, quoted
from nbx_medallion.tables.run import Write
from nbx_medallion.tables.table import Table

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

    def write(self, frame: "DataFrame", mode: str) -> Write:
        """Write rows to the table. A new one appears with its rows or not at all.

        Args:
            frame: Rows with the contract's columns; others of an open table are NULL in them.
            mode: ``replace`` all rows; ``replace_changed``, the same unless content and definition
                equal those of the last commit; ``append``; ``append_new``, only rows whose primary
                key the table does not have.

        Raises:
            UserError: Nothing was written, since frame, contract and table do not fit or another
                program wrote the table meanwhile.
        """
        table, metadata = self.table, dict(self.metadata)
        before = table.version() if table.exists() else None
        found = [] if before is None else table.columns()
        # Sail 0.7.2 checks NOT NULL before the filters of the frame: see decision 0005, and
        # tests/tables/test_sail_traps.py, which tells when every engine can have it.
        columns = planned_columns(
            self.contract, found, frame.dtypes, table.location, strict=table.on_spark
        )
        if mode == "replace_changed":
            from nbx_medallion.tables.content import content_hash

            metadata["content_hash"] = frame.agg(content_hash(frame)).collect()[0][0]
            last = {} if before is None else table.latest().metadata
            same = (last.get(k) == metadata.get(k) for k in ("definition_hash", "content_hash"))
            if before is not None and all(same):
                return Write(before, before, table.row_count())
        if mode == "append_new" and before is not None:
            key = list(self.contract.primary_key)
            frame = frame.join(table.read(before).select(key), key, "left_anti")
            if frame.isEmpty():
                return Write(before, before, 0)
        options = {"userMetadata": json.dumps(metadata)} if metadata else {}
        try:
            self._commit(frame, mode, found, columns, options)
        except Exception as error:
            if not any(sign in str(error) for sign in _CONFLICTS):
                raise
            raise TableError(
                f"{self.contract.table}: another run wrote the table while this one was writing it;"
                " the rows of this run were not written. Run again, one run at a time."
            ) from error
        made = table.latest()
        return Write(before, made.version, 0 if made.version == before else made.row_count)

    def _commit(
        self, frame: "DataFrame", mode: str, old: Columns, new: Columns, options: dict[str, str]
    ) -> None:
        had = {column.name: column.nullable for column in old}
        given = {name: quoted(name) for name in frame.columns}
        frame = frame.selectExpr(
            *(given.get(c.name, f"cast(NULL AS {c.type}) AS {quoted(c.name)}") for c in new)
        )
        if not old:
            kept = ",".join(c.name for c in new if c.type in _WITH_STATISTICS)
            own = {} if self.contract.open else {"delta.dataSkippingStatsColumns": kept}
            with self.table.staged() as staged:
                staged.create(new, self.contract.description, {**own, **self.properties})
                staged.write(frame, "overwrite", options)
            return
        is_replaced = mode.startswith("replace")
        if is_replaced and had.keys() - {column.name for column in new}:
            # A name is spelled in another case: the columns are written anew with the rows.
            options["overwriteSchema"] = "true"
        else:
            added = [column for column in new if column.name not in had]
            loosened = [c.name for c in new if c.nullable and not had.get(c.name, True)]
            if added or loosened:
                self.table.alter(added, loosened)
        self.table.write(frame, "overwrite" if is_replaced else "append", options)
