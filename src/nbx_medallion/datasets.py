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
from nbx_medallion.landing.inbox import ON_REWRITE, Receipt, receive, scan_landing
from nbx_medallion.landing.scan import LandingScan, preview_rows
from nbx_medallion.tables.columns import check_contract, to_frame
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


class ReadOnlyDataset(AbstractDataset[NoReturn, Any]):
    """Something that nodes read, and that is changed elsewhere."""

    def save(self, data: NoReturn) -> None:
        """Refuse."""
        raise DatasetError(f"{self}: it is read only, found something to save.")


class _OfTable(AbstractDataset[Any, Any]):
    """Something that is kept in a Delta table with a contract, in a directory or in a catalog.

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
                " starting with a letter, after its schema's."
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
        """Find what of folder and files would make a run fail, as `PathTable.check` does."""
        if isinstance(self.table, PathTable):
            check_folder(self.table.location, current_config().engines)
            self.table.check()

    def check_columns(self) -> None:
        """Find what of contract and columns would make a run fail, as `check_contract` does."""
        contract = _contract(self.table_name)
        if isinstance(self.table, PathTable) and self.table.exists():
            check_contract(contract, self.table.columns(), self.table.location)

    def refuse_missing(self) -> int:
        """Give the current version; a `UserError` where there is no such table."""
        if (version := self.table.current()) is None:
            raise TableError(
                f"{self.table_name}: there is no such table at {self.table.location}. It is"
                " written by an earlier layer: run that first, for example with `kedro run`."
            )
        return version

    def _exists(self) -> bool:
        return self.table.exists()

    def _describe(self) -> dict[str, Any]:
        where = "filepath" if isinstance(self.table, PathTable) else "table"
        return {"contract": self.table_name, where: self.table.location, "mode": self.mode}


class DeltaTableDataset(_OfTable):
    """A Delta table.

    A load is pinned to a version, so a lazy frame means one state of the table however late it is
    computed; within a run every load has the same, until the run writes the table itself.
    """

    def load(self) -> "DataFrame":
        """The rows of one version, lazily; a `UserError` where there is no such table."""
        version = self.run.version(self.table_name) if self.run else None
        is_known = version is not None and version >= 0
        return self.table.read(version if is_known else self.refuse_missing())

    def save(self, data: "DataFrame | Sequence[Mapping[str, Any]]") -> None:
        """Write a frame, or rows as mappings, in one commit; errors as in `Target.write`."""
        name, contract, run = self.table_name, _contract(self.table_name), self.run
        carried = run.metadata(name) if run else {}
        target = Target(self.table, contract, self._properties, {**carried, **contract.definition})
        if isinstance(data, Sequence) and self.mode.startswith("append"):
            write = partial(target.append_rows, data, only_new=self.mode == "append_new")
        else:
            if isinstance(data, Sequence):
                data = to_frame(_session(), data, contract.schema)
            way = run.ways.get(name, Way(self.mode)) if run else Way(self.mode)
            where = way.where() if way.where else None
            mode = "append" if where == "" else way.mode
            judge = partial(run.judge, name) if run and contract.row_limits else None
            seen = run.version(name) if run else None
            write = partial(target.write, data, mode, where=where, seen=seen, judge=judge)
        if run:
            if not name.startswith("ops."):
                logger.info("writing %s", name)
            run.save(name, write)
        else:
            write()

    def preview(self) -> TablePreview:
        """The first rows of a directory's table, read without an engine."""
        names, rows = list(dict(_contract(self.table_name).schema)), []
        if isinstance(self.table, PathTable) and self.table.exists():
            names, rows = [one.name for one in self.table.columns()], self.table.head(20)
        shown = [[_text(row.get(name)) for name in names] for row in rows]
        return TablePreview({"index": list(range(len(shown))), "columns": names, "data": shown})


class DeltaCommitsDataset(_OfTable, ReadOnlyDataset):
    """The commits that this project made to a table."""

    def load(self) -> list[Commit]:
        """The commits, oldest first; a `UserError` where there is no such table."""
        self.refuse_missing()
        return self.table.commits()


class EarlierDataset(_OfTable, ReadOnlyDataset):
    """A table as it was before this run. Takes the arguments of any table.

    Args:
        only_replaced: Whether only those rows are given that the run's write of it will replace.
    """

    def __init__(self, only_replaced: bool = False, **table: Any) -> None:
        super().__init__(**table)
        self._only_replaced = only_replaced

    def load(self) -> "DataFrame":
        """The rows, lazily; none where the table is made anew, or outside a run."""
        name, run = self.table_name, self.run
        way = run.ways.get(name) if run else None
        where = way.where() if way and way.where and self._only_replaced else "true"
        if not run or not way or way.anew or not where:
            # Engines leave out what is joined with a frame that they know to be empty.
            return to_frame(_session(), [], _contract(name).schema).limit(0)
        frame = self.table.read(run.version(name))
        return frame.where(where) if self._only_replaced else frame


class BatchesDataset(ReadOnlyDataset):
    """The batches of its input that a table takes in, with the others of its unit."""

    def __init__(self, table: str, metadata: _Options = None) -> None:
        self.table_name = table
        self.metadata = metadata
        self.run: RunTables | None = None

    def load(self) -> list[str] | None:
        """Batch ids, None for all records."""
        return self.run.batches.get(self.table_name) if self.run else None

    def _describe(self) -> dict[str, Any]:
        return {"table": self.table_name}


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
        csv: Any of `separator`, `quote`, `encoding` and `header`, the names in order where files
            have none.
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
                f"on_rewrite: expected one of {', '.join(ON_REWRITE)}; found {on_rewrite!r}."
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
        """Find and scan what is new, without an engine; arguments and errors as in `receive`."""
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
        return TablePreview(preview_rows(*self._place, self._dialect, nrows, self._used))

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


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        # Spark's files hold timestamps without a zone, Sail's in UTC; both mean UTC.
        return str(value.replace(tzinfo=None))
    return "" if value is None else str(value)
