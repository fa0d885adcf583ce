"""The Kedro dataset of received CSV files."""

import threading
from dataclasses import asdict
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from nbx_medallion.config import contract as contract_of
from nbx_medallion.errors import UserError
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.files import list_landing
from nbx_medallion.landing.frames import Landing, landing_frames
from nbx_medallion.landing.preview import preview_rows
from nbx_medallion.landing.scan import LandingScan, scan_landing

# One for all datasets: a lock in a dataset would keep Kedro from copying it.
_scanning = threading.Lock()


class LandingFilesDataset(AbstractDataset[NoReturn, Landing]):
    """Received CSV files, each record of them, malformed ones too. Read-only.

    Example:
        ```yaml
        landing_sales:
          type: nbx_medallion.datasets.landing.LandingFilesDataset
          path: /data/landing/sales
          variable: RAW_SALES_PATH
          csv: {separator: ";", encoding: cp1252}
        ```

    Args:
        path: Absolute path of a file, a glob, or a folder: its `*.csv` and `*.csv.gz`,
            recursively.
        variable: The environment variable that sets the path, to be named in errors.
        csv: Any of `separator`, `quote` and `encoding`.
        contract: Table, ``<schema>.<table>``, that the records are cleaned into. Where files spell
            a name in different cases, that of the table's contract wins, otherwise the first
            file's.
        metadata: For Kedro plugins.

    Raises:
        UserError: A reader option is unknown or cannot be used.
    """

    _SINGLE_PROCESS = True

    def __init__(
        self,
        *,
        path: str,
        variable: str,
        csv: dict[str, Any] | None = None,
        contract: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._path = str(path)
        self._variable = variable
        self._dialect = CsvDialect.from_config(csv)
        self._contract = contract
        self.metadata = metadata
        self._scan: LandingScan | None = None
        self._is_current = False

    @property
    def scan(self) -> LandingScan | None:
        """What the last load found; None before the first. It outlives a release."""
        return self._scan

    def load(self) -> Landing:
        """List and scan the files, then start the engine if none runs.

        Loads up to the next release share one listing.

        Returns:
            The files, and their records as a lazy frame.

        Raises:
            UserError: The path holds no file, or one cannot be read. No engine was started.
        """
        with _scanning:
            if self._scan is None or not self._is_current:
                used = contract_of(self._contract).inputs if self._contract else ()
                self._scan = scan_landing(self._path, self._variable, self._dialect, tuple(used))
                self._is_current = True
            scan = self._scan
        from nbx_medallion.engines import active_session, runs_delta_on_spark

        return landing_frames(active_session(), scan, all_at_once=not runs_delta_on_spark())

    def save(self, data: NoReturn) -> None:
        """Refuse: what was received is never written.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError(f"{self._path}: received files are read-only.")

    def preview(self, nrows: int = 20) -> TablePreview:
        """The first records, read without an engine.

        Args:
            nrows: How many at most.

        Returns:
            A table in pandas' "split" form.

        Raises:
            UserError: The path holds no file, or the first one cannot be read.
        """
        return TablePreview(preview_rows(self._path, self._variable, self._dialect, nrows))

    def _exists(self) -> bool:
        try:
            list_landing(self._path, self._variable)
        except UserError:
            return False
        return True

    def _release(self) -> None:
        self._is_current = False

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path, "variable": self._variable, "csv": asdict(self._dialect)}
