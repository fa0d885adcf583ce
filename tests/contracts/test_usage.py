"""What a contract must be for its layer, and for the code that reads it."""

import pytest

from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.contracts.usage import check_layer, check_usage
from nbx_medallion.errors import UserError


def sales(*columns: Column) -> Contract:
    """A contract of the clean sales."""
    return Contract("silver.sales_clean", columns)


@pytest.mark.parametrize(
    "amount", ["decimal(18,2)", "decimal(10,2)", "decimal(5,0)", "decimal(16,0)"]
)
def test_amounts_that_fit_are_accepted(amount: str) -> None:
    check_usage(sales(Column("amount", amount), Column("customer_id", "string")))


def test_columns_of_the_customer_metrics_are_needed() -> None:
    with pytest.raises(UserError) as raised:
        check_usage(sales(Column("customer_id", "bigint")))

    assert str(raised.value) == (
        "silver.sales_clean: gold_core.customer_metrics is computed from columns that the contract"
        " does not have so:\n"
        "  customer_id: expected string, found bigint\n"
        "  amount: expected decimal(18,2), found no such column\n"
        "Give them in the contract; a transformLogic can compute them from other columns."
    )


@pytest.mark.parametrize("amount", ["double", "decimal(18,3)", "decimal(19,2)", "bigint"])
def test_amounts_that_lose_digits_are_refused(amount: str) -> None:
    with pytest.raises(UserError, match=r"amount: expected decimal\(18,2\), found"):
        check_usage(sales(Column("amount", amount), Column("customer_id", "string")))


def test_bronze_is_as_received() -> None:
    contract = Contract(
        "bronze.sales_raw",
        (Column("total", "string", expression="sum(amount)"),),
        primary_key=("total",),
        open=True,
    )

    with pytest.raises(UserError) as raised:
        check_layer(contract)

    assert str(raised.value) == (
        "bronze.sales_raw: bronze is kept as received, and its contract has entries that compute,"
        " reject or deduplicate:\n"
        "  total: transformLogic\n"
        "  total: primaryKey\n"
        "Move them to the contract of a silver table."
    )
