"""Nodes of the gold ML layer."""

from pyspark.sql import DataFrame

from nbx_medallion.contracts.model import Contract


def build_ml_dataset(source: DataFrame, contract: Contract) -> DataFrame:
    """Take the columns of a model version's contract from its source table.

    Args:
        source: The source table.
        contract: Contract of the dataset, derived from its definition.

    Returns:
        A row a row of the source: entity key, features in order, target, each once.
    """
    return source.select(*(column.name for column in contract.columns))
