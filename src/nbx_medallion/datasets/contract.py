"""A data contract as a dataset, so that nodes get it as an input."""

from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from nbx_medallion.config import contract
from nbx_medallion.contracts.model import Contract


class ContractDataset(AbstractDataset[NoReturn, Contract]):
    """The contract of a table, read from the project's configuration.

    Args:
        table: ``<schema>.<table>``.
        metadata: Free metadata, read by Kedro-Viz.
    """

    def __init__(self, table: str, metadata: dict[str, Any] | None = None) -> None:
        self._table = table
        self.metadata = metadata

    def load(self) -> Contract:
        """The contract.

        Raises:
            UserError: There is none for the table, or it is not valid.
        """
        return contract(self._table)

    def save(self, data: NoReturn) -> None:
        """Refuse: a contract is changed in its file."""
        raise DatasetError(f"The contract of {self._table} is changed in its file.")

    def _describe(self) -> dict[str, Any]:
        return {"table": self._table}
