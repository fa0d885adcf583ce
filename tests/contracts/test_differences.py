"""A schema beside the expected one, and a contract beside those of the tables it reads."""

import pytest

from nbx_medallion.contracts.differences import check_reads, schema_differences
from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.errors import UserError

EXPECTED = (("a", "string"), ("b", "decimal(18,2)"), ("c", "date"))


@pytest.mark.parametrize(
    ("found", "is_open", "differences"),
    [
        (EXPECTED, False, []),
        ((("x y", "string"), *EXPECTED), True, []),
        ((("a", "string"), ("C", "date")), False, [
            "b: expected decimal(18,2), is missing",
            "c: expected date, is missing (there is 'C')",
            "C: not in the contract, found date",
        ]),
        ((("b", "decimal(18,2)"), ("a", "string"), ("c", "timestamp")), False, [
            "c: expected date, found timestamp",
            "order: expected a, b, c, found b, a, c",
        ]),
        ((*EXPECTED, ("d", "int")), True, [
            "d: expected string, as every received column, found int",
        ]),
        ((*EXPECTED, ("a", "string")), True, ["a: 2 columns have this name"]),
    ],
)  # fmt: skip
def test_each_difference_is_named(
    found: tuple[tuple[str, str], ...], is_open: bool, differences: list[str]
) -> None:
    assert schema_differences(EXPECTED, found, is_open=is_open) == differences


READER = Contract(
    "gold_core.totals",
    (Column("total", "decimal(28,2)"),),
    reads={"silver.x_clean": {"who": "string", "amount": "decimal(18,2)", "_batch_id": "string"}},
)


def check(**columns: str) -> None:
    """Check `READER` where the clean table has these columns."""
    tables = {
        "silver.x_clean": Contract("silver.x_clean", tuple(Column(*c) for c in columns.items()))
    }
    check_reads(READER, tables.__getitem__)


@pytest.mark.parametrize(
    "amount", ["decimal(18,2)", "decimal(10,2)", "decimal(5,0)", "decimal(16,0)"]
)
def test_columns_that_fit_are_accepted(amount: str) -> None:
    check(amount=amount, who="string", more="int")


@pytest.mark.parametrize("amount", ["double", "decimal(18,3)", "decimal(19,2)", "bigint"])
def test_columns_that_are_missing_or_lose_digits_are_refused(amount: str) -> None:
    with pytest.raises(UserError) as raised:
        check(amount=amount)

    subject, *wrong, remedy = str(raised.value).split("\n")
    assert "silver.x_clean" in subject
    assert "gold_core.totals" in subject
    assert wrong == [
        "  who: expected string, found no such column",
        f"  amount: expected decimal(18,2), found {amount}",
    ]
    assert "transformLogic" in remedy
    assert "reads" in remedy
