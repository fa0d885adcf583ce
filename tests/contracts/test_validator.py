"""Frames that do not look as their contract says are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kedro.validation.core import Validator, ValidatorSpec, resolve_validator

from nbx_medallion.contracts.validator import ContractValidator, schema_differences
from nbx_medallion.errors import UserError

if TYPE_CHECKING:
    from kedro.config import OmegaConfigLoader
    from pyspark.sql import SparkSession

EXPECTED = (("a", "string"), ("b", "decimal(18,2)"), ("c", "date"))


def test_equal_schemas_do_not_differ() -> None:
    assert schema_differences(EXPECTED, EXPECTED) == []
    assert schema_differences(EXPECTED, (("x y", "string"), *EXPECTED), is_open=True) == []


@pytest.mark.parametrize(
    ("found", "is_open", "differences"),
    [
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


def test_kedro_makes_the_validator_from_the_catalog() -> None:
    path = f"{ContractValidator.__module__}.ContractValidator"
    spec = ValidatorSpec.from_dataset_config(
        "silver_sales_clean", {"class": path, "options": {"table": "silver.sales_clean"}}
    )
    assert isinstance(resolve_validator(spec), Validator)


def test_a_frame_is_compared_with_the_contract(
    engine_session: SparkSession, project_config: OmegaConfigLoader
) -> None:
    validator = ContractValidator("gold_core.customer_metrics")
    columns = "customer_id string, frequency bigint, total_spent decimal(28,2), avg_ticket double"
    frame = engine_session.createDataFrame([], columns)
    assert validator.validate(frame) is frame
    with pytest.raises(UserError) as caught:
        validator.validate(engine_session.createDataFrame([], columns.replace("28", "18")))
    assert str(caught.value) == (
        "gold_core.customer_metrics: the columns to be written are not those of its contract"
        " (version 1.0.0):\n"
        "  - total_spent: expected decimal(28,2), found decimal(18,2)\n"
        "Nothing was written. Change the node or the contract so that they agree."
    )
