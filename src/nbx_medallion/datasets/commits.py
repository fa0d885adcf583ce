"""A Delta table seen as the commits that this project made to it."""

from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from nbx_medallion.datasets.delta_table import DeltaTableDataset
from nbx_medallion.tables.log import Commit


class DeltaCommitsDataset(AbstractDataset[NoReturn, list[Commit]]):
    """Reads what `DeltaTableDataset` wrote, as commits. Takes the same arguments."""

    _SINGLE_PROCESS = True

    def __init__(self, **table: Any) -> None:
        self.table = DeltaTableDataset(**table)
        self.metadata = self.table.metadata

    def load(self) -> list[Commit]:
        """The commits of this project, oldest first.

        Raises:
            UserError: There is no such table.
        """
        self.table.refuse_missing()
        return self.table.commits()

    def save(self, data: NoReturn) -> None:
        """Refuse: commits are made by writing the table."""
        raise DatasetError("Commits are made by writing the table; this dataset only reads them.")

    def _exists(self) -> bool:
        return bool(self.table.exists())

    def _describe(self) -> dict[str, Any]:
        return dict(self.table._describe())
