"""What follows from a source's name and from the contract of its clean table."""

import pytest

from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.contracts.source import Source, derive_contracts

SALES = Source("sales")


def test_names_follow_from_the_name() -> None:
    source = Source("web_returns")
    assert (source.landing, source.variable) == ("landing_web_returns", "RAW_WEB_RETURNS_PATH")
    tables = (source.raw, source.clean, source.quarantine, source.superseded)
    assert tables == (
        "bronze.web_returns_raw",
        "silver.web_returns_clean",
        "silver.web_returns_quarantine",
        "silver.web_returns_superseded",
    )
    assert {Source.of_table(table) for table in tables} == {source}


@pytest.mark.parametrize(
    "table",
    ["gold_core.x_clean", "bronze.x_clean", "silver.x_raw", "silver._clean", "silver.X_clean",
     "silver.1_clean", "silver.x", "x_raw", ""],
)  # fmt: skip
def test_other_tables_are_of_no_source(table: str) -> None:
    assert Source.of_table(table) is None


def test_contracts_follow_from_that_of_the_clean_table() -> None:
    """Their words are held by the reference in the docs."""
    clean = Contract(SALES.clean, (Column("order_id", "string"),), version="1.2.0")
    lineage = [("_source_file", "string"), ("_row_number", "bigint")]
    received = [*lineage, ("_ingested_at", "timestamp"), ("_batch_id", "string")]

    contracts = derive_contracts(SALES, clean)

    assert {table: list(contract.schema) for table, contract in contracts.items()} == {
        SALES.raw: [("_corrupt_record", "string"), ("_corrupt_reason", "string"), *received],
        SALES.quarantine: [
            ("_corrupt_record", "string"),
            ("_reasons", "array<string>"),
            *received,
        ],
        SALES.superseded: [
            *lineage,
            ("_batch_id", "string"),
            ("_superseded_by_file", "string"),
            ("_superseded_by_row", "bigint"),
            ("_superseded_by_batch", "string"),
        ],
    }
    for table, contract in contracts.items():
        assert (contract.table, contract.version) == (table, "1.2.0")
        assert contract.open == (table != SALES.superseded)
        record = ("_source_file", "_row_number", "_batch_id")
        key = record if table == SALES.superseded else ()
        assert contract.primary_key == key
        optional = [column.name for column in contract.columns if not column.required]
        corrupt = [name for name, _ in contract.schema if name.startswith("_corrupt")]
        assert optional == corrupt
