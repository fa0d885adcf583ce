"""The project's tables and files as Kedro's catalog knows them."""

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NewType, NoReturn

from kedro.io import AbstractDataset, DatasetError

from nbx_medallion.config import current_config, path_from_variable
from nbx_medallion.contracts.model import Contract
from nbx_medallion.contracts.source import Source
from nbx_medallion.engines import active_session, check_folder, runs_delta_on_spark
from nbx_medallion.errors import ConfigurationError, TableError, UserError
from nbx_medallion.landing.book import Book
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.files import list_landing
from nbx_medallion.landing.inbox import ON_REWRITE, Receipt, receive
from nbx_medallion.landing.scan import LandingScan, preview_rows, scan_landing
from nbx_medallion.tables.columns import check_contract, quoted
from nbx_medallion.tables.log import Commit
from nbx_medallion.tables.run import RunTables, Way
from nbx_medallion.tables.table import PathTable, Table
from nbx_medallion.tables.writing import MODES, Target

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger(__name__)

#: A table in pandas' "split" form. Kedro-Viz knows it by this name in a method's annotation.
TablePreview = NewType("TablePreview", dict[str, list[Any]])

_Options = dict[str, Any] | None
_WORD = "[a-z][a-z0-9_]*"


class DeltaTableDataset(AbstractDataset["DataFrame | Sequence[Mapping[str, Any]]", "DataFrame"]):
    """A Delta table with a contract, in a directory or in a catalog.

    A load is pinned to a version, so a lazy frame means one state of the table however late it is
    computed; within a run every load has the same, until the run writes the table itself.

    Args:
        table: ``<schema>.<table>``, which has a contract in the configuration.
        path: Folder of all tables: each is ``<path>/<schema>/<table>``.
        by_name: Whether the table is ``<catalog>.<schema>.<table>``, and no directory.
        mode: How rows are saved, see `Target.write`, where a run does not say it.
        properties: Delta table properties of a new table.

    Attributes:
        run: What the run knows of its tables. None outside a run: a load then reads the current
            version, and commits carry nothing.
    """

    _SINGLE_PROCESS = True

    def __init__(  # noqa: PLR0913
        self,
        *,
        table: str,
        path: str,
        catalog: str | None = None,
        by_name: bool = False,
        mode: str = "replace",
        properties: Mapping[str, str] | None = None,
        metadata: _Options = None,
    ) -> None:
        name = f"{catalog}.{table}" if by_name else table
        if not re.fullmatch(r"\.".join([_WORD] * (3 if by_name else 2)), name):
            raise ConfigurationError(
                f"{name}: expected a table name of lower-case letters, digits and underscores,"
                " starting with a letter, after its schema's. Correct it in the catalog."
            )
        if mode not in MODES:
            raise ConfigurationError(
                f"{table}: mode: expected one of {', '.join(MODES)}; found {mode!r}."
            )
        directory = f"{path}/{table.replace('.', '/')}"
        self.table = Table(name, _session) if by_name else PathTable(directory, _session)
        self.table_name = table
        self.mode = mode
        self.metadata = metadata
        self.run: RunTables | None = None
        self._properties = dict(properties or {})

    def check(self) -> None:
        """Find what would make a run fail, without an engine and without a change.

        Raises:
            UserError: The contract is missing or wrong, or see `check_contract`, `PathTable.check`.
        """
        contract = _contract(self.table_name)
        if isinstance(self.table, PathTable):
            check_folder(self.table.location, current_config().engines)
            self.table.check()
            if self.table.exists():
                check_contract(contract, self.table.columns(), self.table.location)

    def load(self) -> "DataFrame":
        """The rows of one version, lazily; a `UserError` where there is no such table."""
        self.refuse_missing()
        version = self.run.version(self.table_name) if self.run else None
        return self.table.read(self.table.version() if version is None else version)

    def refuse_missing(self) -> None:
        """Raise a `UserError` where there is no such table."""
        if not self.table.exists():
            raise TableError(
                f"{self.table_name}: there is no such table at {self.table.location}. It is"
                " written by an earlier layer: run that first, for example with `kedro run`."
            )

    def save(self, data: "DataFrame | Sequence[Mapping[str, Any]]") -> None:
        """Write a frame, or rows as mappings, in one commit; errors as in `Target.write`."""
        contract, run = _contract(self.table_name), self.run
        carried = run.metadata(self.table_name) if run else {}
        target = Target(self.table, contract, self._properties, {**carried, **contract.definition})
        if self.mode == "append_new" and not isinstance(data, Sequence):
            data = [row.asDict() for row in data.collect()]
        if isinstance(data, Sequence) and self.mode.startswith("append"):
            write = partial(target.append_rows, data, only_new=self.mode == "append_new")
        else:
            if isinstance(data, Sequence):
                values = [tuple(row[name] for name, _ in contract.schema) for row in data]
                data = _session().createDataFrame(values, _ddl(contract))
            way = run.ways.get(self.table_name, Way(self.mode)) if run else Way(self.mode)
            where = way.where() if way.where else None
            judge = partial(run.judge, self.table_name) if run and contract.row_limits else None
            write = partial(target.write, data, way.mode, where=where, judge=judge)
            if run and self.table_name in run.found:
                write = partial(write, seen=run.version(self.table_name))
        if run:
            if not self.table_name.startswith("ops."):
                logger.info("writing %s", self.table_name)
            run.save(self.table_name, write)
        else:
            write()

    def preview(self) -> TablePreview:
        """The first rows of a directory's table, read without an engine."""
        if isinstance(self.table, PathTable) and self.table.exists():
            names = [column.name for column in self.table.columns()]
            rows = self.table.head(20)
        else:
            names, rows = list(dict(_contract(self.table_name).schema)), []
        shown = [[_text(row.get(name)) for name in names] for row in rows]
        return TablePreview({"index": list(range(len(shown))), "columns": names, "data": shown})

    def _exists(self) -> bool:
        return self.table.exists()

    def _describe(self) -> dict[str, Any]:
        where = "filepath" if isinstance(self.table, PathTable) else "table"
        return {"contract": self.table_name, where: self.table.location, "mode": self.mode}


class ReadOnlyDataset(AbstractDataset[NoReturn, Any]):
    """Something that nodes read, and that is changed elsewhere."""

    def save(self, data: NoReturn) -> None:
        """Refuse."""
        raise DatasetError(f"{self}: it is read only, found something to save.")


class DeltaCommitsDataset(ReadOnlyDataset):
    """The commits that this project made to a table. Takes `DeltaTableDataset`'s arguments."""

    _SINGLE_PROCESS = True

    def __init__(self, **table: Any) -> None:
        self.table = DeltaTableDataset(**table)
        self.metadata = self.table.metadata

    def load(self) -> list[Commit]:
        """The commits, oldest first; a `UserError` where there is no such table."""
        self.table.refuse_missing()
        return self.table.table.commits()

    def _exists(self) -> bool:
        return self.table._exists()

    def _describe(self) -> dict[str, Any]:
        return self.table._describe()


class EarlierDataset(ReadOnlyDataset):
    """A table as it was before this run. Takes `DeltaTableDataset`'s arguments.

    Args:
        only_replaced: Whether only those rows are given that the run's write of it will replace.

    Attributes:
        run: What the run knows of its tables.
    """

    _SINGLE_PROCESS = True

    def __init__(self, only_replaced: bool = False, **table: Any) -> None:
        self.table = DeltaTableDataset(**table)
        self.metadata = self.table.metadata
        self.run: RunTables | None = None
        self._only_replaced = only_replaced

    def load(self) -> "DataFrame":
        """The rows, lazily; none where the table is made anew, or outside a run."""
        name, run = self.table.table_name, self.run
        where = run.ways[name].where if run else None
        if not run or not where:
            # Engines leave out what is joined with a frame that they know to be empty.
            return _session().createDataFrame([], _ddl(_contract(name))).limit(0)
        frame = self.table.table.read(run.version(name))
        return frame.where(where()) if self._only_replaced else frame

    def _describe(self) -> dict[str, Any]:
        return self.table._describe()


class BatchesDataset(ReadOnlyDataset):
    """The batches that the silver tables of a source take in."""

    def __init__(self, source: str, metadata: _Options = None) -> None:
        self._source = source
        self.metadata = metadata
        self.run: RunTables | None = None

    def load(self) -> list[str] | None:
        """Batch ids, None for all records."""
        return self.run.batches[self._source] if self.run else None

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source}


class ContractDataset(ReadOnlyDataset):
    """The contract of a table, from the configuration."""

    def __init__(self, table: str, metadata: _Options = None) -> None:
        self._table = table
        self.metadata = metadata

    def load(self) -> Contract:
        """The contract; a `UserError` where the table has none, or a wrong one."""
        return _contract(self._table)

    def _describe(self) -> dict[str, Any]:
        return {"table": self._table}


class LandingDataset(ReadOnlyDataset):
    """Received CSV files of a source, each record of them, malformed ones too.

    Where files spell a column's name in different cases, that of the contract of the source's
    clean table wins, then that of bronze, otherwise the first file's.

    Args:
        path: A file, a glob, or a folder: its `*.csv` and `*.csv.gz`, recursively. The variable
            ``RAW_<SOURCE>_PATH`` wins.
        csv: Any of `separator`, `quote` and `encoding`.
        on_rewrite: What a file is that is there again with other content: ``replace``, a correction
            of the records it had; ``add``, a delivery of its own.

    Attributes:
        scan: What a run receives; None outside a run, where each file that is there is read.

    Example:
        ```yaml
        landing_sales:
          type: nbx_medallion.datasets.LandingDataset
          source: sales
          path: /data/landing/sales
          csv: {separator: ";", encoding: cp1252}
        ```
    """

    _SINGLE_PROCESS = True

    def __init__(
        self,
        *,
        source: str,
        path: str,
        csv: _Options = None,
        on_rewrite: str = "replace",
        metadata: _Options = None,
    ) -> None:
        if on_rewrite not in ON_REWRITE:
            raise ConfigurationError(
                f"landing_{source}: on_rewrite: expected one of {', '.join(ON_REWRITE)}; found"
                f" {on_rewrite!r}. Correct it in the catalog."
            )
        self._source = Source(source)
        self._default = path
        self._dialect = CsvDialect.from_config(csv)
        self._on_rewrite = on_rewrite
        self.metadata = metadata
        self.scan: LandingScan | None = None

    def receive(
        self, book: Book, run_id: str, columns: Sequence[str], verify: bool = False
    ) -> Receipt:
        """Find and scan what is new, beside what was received, without an engine.

        Args:
            book: What was received.
            run_id: Id of the run.
            columns: Columns that bronze has.
            verify: Whether files that look as they were are read too.

        Raises:
            UserError: The path holds no file and never did, or one cannot be read.
        """
        return receive(
            book, self._source.name, *self._place, run_id, self._dialect,
            on_rewrite=self._on_rewrite, prefer=self._used, existing=columns, verify=verify,
        )  # fmt: skip

    def load(self) -> "DataFrame":
        """The records, lazily.

        Raises:
            UserError: The path holds no file, or one cannot be read. No engine was started.
        """
        scan = self.scan or scan_landing(*self._place, self._dialect, self._used)
        session = _session()
        from nbx_medallion.landing.source import landing_records

        return landing_records(session, scan, all_at_once=not runs_delta_on_spark(session))

    def preview(self, nrows: int = 20) -> TablePreview:
        """The first records at most, read without an engine."""
        return TablePreview(preview_rows(*self._place, self._dialect, nrows))

    @property
    def _place(self) -> tuple[str, str]:
        """The path, and the variable that sets it."""
        variable = self._source.variable
        return path_from_variable(variable, self._default), variable

    @property
    def _used(self) -> Sequence[str]:
        """Columns that the contract of the clean table reads."""
        return _contract(self._source.clean).inputs

    def _exists(self) -> bool:
        with suppress(UserError):
            return bool(list_landing(*self._place))
        return False

    def _describe(self) -> dict[str, Any]:
        return {
            "path": self._default,
            "variable": self._source.variable,
            "on_rewrite": self._on_rewrite,
            **asdict(self._dialect),
        }


def _session() -> "SparkSession":
    return active_session(current_config().engines)


def _contract(table: str) -> Contract:
    return current_config().declared.contract(table)


def _ddl(contract: Contract) -> str:
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in contract.schema)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        # Spark's files hold timestamps without a zone, Sail's in UTC; both mean UTC.
        return str(value.replace(tzinfo=None))
    return "" if value is None else str(value)
