"""What becomes of a table's columns, without a table and an engine."""

from typing import Any

import pytest

from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.errors import UserError
from nbx_medallion.tables.columns import TableColumn, check_contract, planned_columns

KEY, SPENT = TableColumn("key", "string", comment="Who."), TableColumn("spent", "decimal(18,2)")
CONTRACT = Contract(
    "gold_core.customers",
    (Column("key", "string", "Who.", required=True), Column("spent", "decimal(18,2)")),
)
RAW = Contract("bronze.raw", (Column("_row_number", "bigint"),), open=True)
NUMBER, A = TableColumn("_row_number", "bigint"), TableColumn("a", "string")
GIVEN = [("key", "string"), ("spent", "decimal(18,2)")]
BEFORE_NOT_NULL = TableColumn("key", "string", nullable=False)


@pytest.mark.parametrize(
    ("contract", "found", "given", "planned"),
    [
        (CONTRACT, [], GIVEN, [KEY, SPENT]),
        (CONTRACT, [SPENT, KEY], GIVEN, [SPENT, KEY]),
        (CONTRACT, [KEY], GIVEN, [KEY, SPENT]),
        (CONTRACT, [BEFORE_NOT_NULL, SPENT], GIVEN, [KEY, SPENT]),
        (RAW, [], [("a", "string"), ("_row_number", "bigint")], [A, NUMBER]),
        (RAW, [NUMBER, A], [("b", "string"), ("_row_number", "bigint")],
            [NUMBER, A, TableColumn("b", "string")]),
        (RAW, [NUMBER, A], [("A", "string"), ("_row_number", "bigint")],
            [NUMBER, TableColumn("A", "string")]),
    ],
)  # fmt: skip
def test_planned_columns(contract: Contract, found: Any, given: Any, planned: Any) -> None:
    assert planned_columns(contract, found, given, "/lake/table") == planned


def test_required_columns_of_a_new_table_may_be_not_null() -> None:
    for found in ([], [BEFORE_NOT_NULL, SPENT]):
        columns = planned_columns(CONTRACT, found, GIVEN, "/lake/table", strict=True)
        assert [column.nullable for column in columns] == [False, True]


@pytest.mark.parametrize(
    ("contract", "given", "differences"),
    [
        (CONTRACT, [("key", "bigint"), ("extra", "string")],
            ["key: expected string, found bigint", "spent: expected decimal(18,2), is missing",
             "extra: not in the contract, found string"]),
        (CONTRACT, GIVEN[::-1], ["order: expected key, spent, found spent, key"]),
        (RAW, [("a", "double"), ("_row_number", "bigint")],
            ["a: expected string, as every received column, found double"]),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused(
    contract: Contract, given: Any, differences: list[str]
) -> None:
    with pytest.raises(UserError) as raised:
        planned_columns(contract, [], given, "/lake/table")
    for named in (
        f"{contract.table}: ",
        "nothing was written to /lake/table",
        "Correct",
        *differences,
    ):
        assert named in str(raised.value)


@pytest.mark.parametrize(
    ("contract", "found", "differences"),
    [
        (CONTRACT, [TableColumn("spent", "double"), TableColumn("tags", "array<string>")],
            ["key: expected string, is missing", "spent: expected decimal(18,2), found double",
             "tags: not in the contract, found array<string>"]),
        (RAW, [NUMBER, TableColumn("a", "bigint")],
            ["a: expected string, as every received column, found bigint"]),
    ],
)  # fmt: skip
def test_contract_that_moved_on_otherwise_is_refused(
    contract: Contract, found: Any, differences: list[str]
) -> None:
    with pytest.raises(UserError) as raised:
        check_contract(contract, found, "/lake/table")
    for named in (f"{contract.table}: ", "/lake/table", "drop the table", *differences):
        assert named in str(raised.value)
    assert str(raised.value).count("\n  ") == len(differences)
