"""The Delta table dataset: contract, commit metadata and write modes for every table."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kedro.io import AbstractDataset

from nbx_medallion.config import contract as contract_of
from nbx_medallion.contracts.model import Contract
from nbx_medallion.datasets.previews import TablePreview, preview_rows
from nbx_medallion.engines import active_session, check_folder, runs_delta_on_spark
from nbx_medallion.errors import UserError
from nbx_medallion.ml_models.definition import ModelDefinition
from nbx_medallion.tables.frames import (
    check_frame,
    further_columns,
    in_order,
    one_writer,
    respelled_columns,
)
from nbx_medallion.tables.log import Commit, Table, TableColumn, TableSpec
from nbx_medallion.tables.named import NamedTable
from nbx_medallion.tables.path import PathTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Mode = Literal["replace", "replace_changed", "append", "append_new"]
_PREVIEW_ROWS = 20
_WITH_STATISTICS = ("string", "bigint", "int", "double", "date", "timestamp")
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


@dataclass(frozen=True)
class Write:
    """What a save did to its table.

    Attributes:
        before: Version before, None where the table was made.
        after: Version after; equal to `before` where the table was left alone.
        rows: Rows that were written; rows of the table where it was left alone.
    """

    before: int | None
    after: int
    rows: int

    @property
    def changed(self) -> bool:
        """Whether there was a commit."""
        return self.before != self.after


class DeltaTableDataset(AbstractDataset["DataFrame | Sequence[Mapping[str, Any]]", "DataFrame"]):
    """A Delta table with a contract, in a directory or in a catalog.

    A load is pinned to the version that is current then, so a lazy frame means one state of the
    table however late it is computed. A save compares the frame with the table before it writes:
    some engines cast what does not fit to NULL. A new table appears with its rows or not at all.

    Args:
        contract: Name of the table, ``<schema>.<table>``, whose contract is in the configuration;
            or the contract itself.
        path: Directory of the table.
        table: ``<catalog>.<schema>.<table>``.
        by_name: Whether `table` says where the table is, not `path`.
        mode: ``replace`` the rows as a whole; ``replace_changed``, the same unless content and
            definition equal those of the last commit; ``append``; ``append_new``, only rows whose
            primary key the table does not have.
        properties: Delta table properties of a new table.
        metadata: Free metadata, read by Kedro-Viz.

    Example:
        ```yaml
        "silver_{table}":
          type: nbx_medallion.datasets.DeltaTableDataset
          contract: silver.{table}
          path: data/lakehouse/local/silver/{table}
        ```
    """

    _SINGLE_PROCESS = True

    def __init__(  # noqa: PLR0913
        self,
        *,
        contract: str | Contract,
        path: str | None = None,
        table: str | None = None,
        by_name: bool = False,
        mode: Mode = "replace",
        properties: Mapping[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._contract = contract
        self._mode = mode
        self._properties = dict(properties or {})
        self.metadata = metadata
        name = contract if isinstance(contract, str) else contract.table
        for checked in (name, table if by_name else name):
            if not _NAME.fullmatch(str(checked)):
                raise UserError(
                    f"{checked}: expected a table name of lower-case letters, digits and"
                    " underscores, starting with a letter."
                )
        self.table: Table = NamedTable(str(table)) if by_name else PathTable(str(path))
        self.table_name = name
        self.provenance: dict[str, Any] = {}
        self.loaded_version: int | None = None
        self.last_write: Write | None = None

    @property
    def contract(self) -> Contract:
        """The table's contract.

        Raises:
            UserError: There is none, or it is not valid.
        """
        named = self._contract
        return contract_of(named) if isinstance(named, str) else named

    def check(self, is_made_anew: bool = False) -> None:
        """Find what would make a run fail, without an engine and without a change.

        Args:
            is_made_anew: Whether the run replaces the table before anything reads it.

        Raises:
            UserError: The contract is missing or not valid, it has moved on from the table in a
                way that cannot be applied, the directory cannot be written or holds something
                else, or a file of the table is damaged or gone.
        """
        contract = self.contract
        if isinstance(self.table, PathTable):
            check_folder(self.table.location)
            _check_writable(Path(self.table.location).parent)
            if self.table.exists():
                self._refuse_changes(contract, self.table.columns())
                self.table.check_whole(log_only=is_made_anew and self._mode == "replace")
            else:
                self.table.check_free()

    def load(self) -> "DataFrame":
        """The rows of the current version, lazily.

        Raises:
            UserError: There is no such table.
        """
        self.refuse_missing()
        self.loaded_version = self.table.version()
        return self.table.read(active_session(), self.loaded_version)

    def refuse_missing(self) -> None:
        """See that there is a table.

        Raises:
            UserError: There is none.
        """
        if not self.table.exists():
            raise UserError(
                f"{self.table_name}: there is no such table at {self.table.location}. It is"
                " written by an earlier layer: run that first, for example with `kedro run`."
            )

    def save(self, data: "DataFrame | Sequence[Mapping[str, Any]]") -> None:
        """Write rows as the mode says, in one commit.

        Args:
            data: A frame with the contract's columns, or rows as mappings of them.

        Raises:
            UserError: The frame does not match the table, the contract has moved on from the
                table in a way that cannot be applied, or another run wrote it meanwhile.
        """
        contract = self.contract
        exists = self.table.exists()
        before = self.table.version() if exists else None
        found = self.table.columns() if exists else []
        target = self._target(contract, found)
        frame = self._as_frame(data, target)
        respelled: list[TableColumn] = []
        if contract.open:
            target += further_columns(frame, target)
            respelled = respelled_columns(frame, target)
            target = [column for column in target if column not in respelled]
            if not exists:
                target.sort(key=lambda column: frame.columns.index(column.name))
        check_frame(self.table_name, frame, target, contract.open)
        provenance = dict(self.provenance)
        if isinstance(contract.definition, ModelDefinition):
            provenance["definition"] = contract.definition.to_json()
            provenance["definition_hash"] = contract.definition.hash
        if self._mode == "replace_changed":
            provenance["content_hash"] = _content_hash(frame)
            if exists and self._is_unchanged(provenance):
                self.last_write = Write(before, self.table.version(), self.table.row_count())
                return
        if self._mode == "append_new" and exists:
            frame = self._only_new(frame, contract)
            if frame.isEmpty():
                self.last_write = Write(before, self.table.version(), 0)
                return
        frame = in_order(frame, target)
        options = {"userMetadata": json.dumps(provenance)} if provenance else {}
        with one_writer(self.table_name):
            if respelled:
                options["overwriteSchema"] = "true"
                self.table.write(frame, "overwrite", options)
            elif exists:
                self._apply(found, target)
                mode = "append" if "append" in self._mode else "overwrite"
                self.table.write(frame, mode, options)
            else:
                properties = {} if contract.open else _statistics(target)
                properties |= self._properties
                spec = TableSpec(target, contract.description, properties)
                self.table.create(spec, frame, options)
        after = self.table.version()
        self.last_write = Write(before, after, self.table.rows_written(after))

    def row_count(self, version: int | None = None) -> int:
        """Rows at a version (default: now), from the statistics of the Delta log."""
        return self.table.row_count(version)

    def commits(self) -> list[Commit]:
        """The commits of this project, oldest first; none where there is no table."""
        return self.table.commits() if self.table.exists() else []

    def preview(self) -> TablePreview:
        """The first rows, read without an engine, for Kedro-Viz."""
        if not isinstance(self.table, PathTable) or not self.table.exists():
            return preview_rows(self.contract.comments, [])
        return preview_rows(
            [column.name for column in self.table.columns()], self.table.head(_PREVIEW_ROWS)
        )

    def _exists(self) -> bool:
        return self.table.exists()

    def _describe(self) -> dict[str, Any]:
        where = "table" if isinstance(self.table, NamedTable) else "filepath"
        return {"contract": self.table_name, where: self.table.location, "mode": self._mode}

    def _target(self, contract: Contract, found: list[TableColumn]) -> list[TableColumn]:
        """The columns that the table has after the save, but for new ones of an open table."""
        required = _required(contract) if runs_delta_on_spark() else set()
        declared = [
            TableColumn(name, kind, name not in required, contract.comments.get(name, ""))
            for name, kind in contract.schema
        ]
        if not found:
            return declared
        self._refuse_changes(contract, found)
        wanted = {column.name: column for column in declared}
        kept = [wanted.pop(column.name, column) for column in found]
        return kept + list(wanted.values())

    def _refuse_changes(self, contract: Contract, found: list[TableColumn]) -> None:
        """Refuse a contract that has moved on from the table, but for added nullable columns."""
        present = {column.name: column for column in found}
        declared = dict(contract.schema)
        differences = [
            f"{name}: the contract says {kind}, the table has {present[name].type}"
            for name, kind in declared.items()
            if name in present and present[name].type != kind
        ]
        differences += [
            f"{name}: the contract requires it, and the table does not have it"
            for name in declared
            if name not in present and name in _required(contract)
        ]
        for name in sorted(present.keys() - declared):
            if not contract.open:
                differences.append(f"{name}: the table has it, the contract no longer")
            elif present[name].type != "string":
                differences.append(
                    f"{name}: received columns are string, the table has {present[name].type}"
                )
        if differences:
            listed = "\n".join(f"  {line}" for line in differences)
            raise UserError(
                f"{self.table_name}: the contract does not fit the table at"
                f" {self.table.location}:\n"
                f"{listed}\n"
                "Only new columns that are not required can be added to a table. Take the change"
                " back, or drop the table (delete its folder) to have it rebuilt."
            )

    def _apply(self, found: list[TableColumn], target: list[TableColumn]) -> None:
        """Bring the table's schema to the target: add columns, drop NOT NULL where it is gone."""
        present = {column.name: column for column in found}
        added = [column for column in target if column.name not in present]
        if added:
            self.table.add_columns(added)
        for column in target:
            if column.nullable and column.name in present and not present[column.name].nullable:
                self.table.drop_not_null(column.name)

    def _as_frame(
        self, data: "DataFrame | Sequence[Mapping[str, Any]]", target: list[TableColumn]
    ) -> "DataFrame":
        if not isinstance(data, Sequence):
            return data
        ddl = ", ".join(f"{column.name} {column.type}" for column in target)
        rows = [tuple(row[column.name] for column in target) for row in data]
        return active_session().createDataFrame(rows, ddl)

    def _is_unchanged(self, provenance: Mapping[str, Any]) -> bool:
        ours = self.table.commits()
        if not ours or ours[-1].version != self.table.version():
            return False
        keys = ("definition_hash", "content_hash")
        return all(ours[-1].metadata.get(key) == provenance.get(key) for key in keys)

    def _only_new(self, frame: "DataFrame", contract: Contract) -> "DataFrame":
        key = list(contract.primary_key)
        known = self.table.read(active_session(), self.table.version()).select(key)
        return frame.join(known, on=key, how="left_anti")


def _statistics(columns: list[TableColumn]) -> dict[str, str]:
    """The property that keeps decimals out of the log's statistics, which Sail reads as doubles.

    Where all values of a file are equal it takes them from there, instead of from the file. Set for
    a table without decimals too: its contract may get one later. An open table has strings only.
    """
    kept = [column.name for column in columns if column.type in _WITH_STATISTICS]
    return {"delta.dataSkippingStatsColumns": ",".join(kept)}


def _required(contract: Contract) -> set[str]:
    return {column.name for column in contract.columns if column.required}


def _content_hash(frame: "DataFrame") -> str:
    from nbx_medallion.tables.content import content_hash

    return str(frame.agg(content_hash(frame)).collect()[0][0])


def _check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written; make it where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{folder}: expected a folder that tables can be written to, found:"
            f" {(error.strerror or str(error)).lower()}. Set LAKEHOUSE_ROOT to another folder, or"
            " correct its permissions."
        ) from error
