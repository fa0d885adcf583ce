"""The project's tables and files as Kedro's catalog knows them."""

import logging
import re
import threading
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
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.files import list_landing
from nbx_medallion.landing.scan import LandingScan, preview_rows, scan_landing
from nbx_medallion.tables.columns import check_contract, quoted
from nbx_medallion.tables.run import RunTables
from nbx_medallion.tables.table import Commit, PathTable, Table
from nbx_medallion.tables.writing import MODES, Target

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from nbx_medallion.landing.source import Landing

logger = logging.getLogger(__name__)

#: A table in pandas' "split" form. Kedro-Viz knows it by this name in a method's annotation.
TablePreview = NewType("TablePreview", dict[str, list[Any]])

_Options = dict[str, Any] | None
_WORD = "[a-z][a-z0-9_]*"
# One for all datasets: a lock in a dataset would keep Kedro from copying it.
_scanning = threading.Lock()


class DeltaTableDataset(AbstractDataset["DataFrame | Sequence[Mapping[str, Any]]", "DataFrame"]):
    """A Delta table with a contract, in a directory or in a catalog.

    A load is pinned to a version, so a lazy frame means one state of the table however late it is
    computed; within a run every load has the same, until the run writes the table itself.

    Args:
        table: ``<schema>.<table>``, which has a contract in the configuration.
        path: Folder of all tables: each is ``<path>/<schema>/<table>``.
        by_name: Whether the table is ``<catalog>.<schema>.<table>``, and no directory.
        mode: How rows are saved, see `Target.write`.
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

    def check(self, is_made_anew: bool = False) -> None:
        """Find what would make a run fail, without an engine and without a change.

        Args:
            is_made_anew: Whether the run replaces the table before anything reads it.

        Raises:
            UserError: The contract is missing or wrong, or see `check_contract`, `PathTable.check`.
        """
        contract = _contract(self.table_name)
        if isinstance(self.table, PathTable):
            check_folder(self.table.location, current_config())
            self.table.check(log_only=is_made_anew and self.mode == "replace")
            if self.table.exists():
                check_contract(contract, self.table.columns(), self.table.location)

    def load(self) -> "DataFrame":
        """The rows of one version, lazily; a `UserError` where there is no such table."""
        self.refuse_missing()
        current = self.table.version
        version = self.run.version(self.table_name, current) if self.run else current()
        return self.table.read(version)

    def refuse_missing(self) -> None:
        """Raise a `UserError` where there is no such table."""
        if not self.table.exists():
            raise TableError(
                f"{self.table_name}: there is no such table at {self.table.location}. It is"
                " written by an earlier layer: run that first, for example with `kedro run`."
            )

    def save(self, data: "DataFrame | Sequence[Mapping[str, Any]]") -> None:
        """Write a frame, or rows as mappings, in one commit; errors as in `Target.write`."""
        contract = _contract(self.table_name)
        if isinstance(data, Sequence):
            ddl = ", ".join(f"{quoted(name)} {kind}" for name, kind in contract.schema)
            rows = [tuple(row[name] for name, _ in contract.schema) for row in data]
            data = _session().createDataFrame(rows, ddl)
        carried = self.run.metadata(self.table_name) if self.run else {}
        target = Target(self.table, contract, self._properties, {**carried, **contract.definition})
        write = partial(target.write, data, self.mode)
        if self.run:
            logger.info("writing %s", self.table_name)
            self.run.save(self.table_name, write)
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
    clean table wins, otherwise the first file's.

    Args:
        path: A file, a glob, or a folder: its `*.csv` and `*.csv.gz`, recursively. The variable
            ``RAW_<SOURCE>_PATH`` wins.
        csv: Any of `separator`, `quote` and `encoding`.

    Attributes:
        run: What the run knows of its tables, None outside a run.
        scan: What the last load found; None before the first. It outlives a release.

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
        self, *, source: str, path: str, csv: _Options = None, metadata: _Options = None
    ) -> None:
        self._source = Source(source)
        self._default = path
        self._dialect = CsvDialect.from_config(csv)
        self.metadata = metadata
        self.run: RunTables | None = None
        self.scan: LandingScan | None = None
        self._is_current = False

    def load(self) -> "Landing":
        """Scan the files, once up to the next release, then start the engine if none runs.

        Raises:
            UserError: The path holds no file, or one cannot be read. No engine was started.
        """
        with _scanning:
            if self.scan is None or not self._is_current:
                used = _contract(self._source.clean).inputs
                self.scan = scan_landing(*self._place, self._dialect, used)
                self._is_current = True
            scan = self.scan
        if self.run:
            self.run.note(self._source.raw, records_received=scan.records)
        session = _session()
        from nbx_medallion.landing.source import landing_frames

        on_spark = runs_delta_on_spark(session)
        return landing_frames(session, self._source.name, scan, all_at_once=not on_spark)

    def check(self) -> None:
        """Find what would make a run fail, before it starts.

        Raises:
            UserError: The path holds no file, or one cannot be read.
        """
        list_landing(*self._place)

    def preview(self, nrows: int = 20) -> TablePreview:
        """The first records at most, read without an engine."""
        return TablePreview(preview_rows(*self._place, self._dialect, nrows))

    @property
    def _place(self) -> tuple[str, str]:
        """The path, and the variable that sets it."""
        variable = self._source.variable
        return path_from_variable(variable, self._default), variable

    def _exists(self) -> bool:
        with suppress(UserError):
            return bool(list_landing(*self._place))
        return False

    def _release(self) -> None:
        self._is_current = False

    def _describe(self) -> dict[str, Any]:
        return {"path": self._default, "variable": self._source.variable} | asdict(self._dialect)


def _session() -> "SparkSession":
    return active_session(current_config())


def _contract(table: str) -> Contract:
    return current_config().declared.contract(table)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        # Spark's files hold timestamps without a zone, Sail's in UTC; both mean UTC.
        return str(value.replace(tzinfo=None))
    return "" if value is None else str(value)
