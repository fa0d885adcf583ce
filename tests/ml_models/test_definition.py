"""A definition, its hash, and the contract that follows from it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.ml_models.definition import (
    ModelDefinition,
    dataset_name,
    derive_contract,
    next_version,
    split_namespace,
)

CHURN = ModelDefinition(
    model_name="churn_model",
    version=1,
    source_table="gold_core.customer_metrics",
    entity_key=("customer_id",),
    feature_columns=("frequency", "total_spent", "avg_ticket"),
    target_column="frequency",
)
_VERSIONS = st.tuples(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.integers(1, 120))


def test_names_follow_from_the_definition() -> None:
    assert CHURN.namespace == "churn_model_v1"
    assert CHURN.table == "gold_ml.churn_model_v1"
    assert CHURN.source_dataset == dataset_name("gold_core.customer_metrics")
    assert CHURN.source_dataset == "gold_core_customer_metrics"


def test_each_column_comes_once_key_first_target_last() -> None:
    assert CHURN.columns == ("customer_id", "frequency", "total_spent", "avg_ticket")
    clv = replace(CHURN, feature_columns=("avg_ticket", "frequency"), target_column="total_spent")
    assert clv.columns == ("customer_id", "avg_ticket", "frequency", "total_spent")


@given(_VERSIONS, _VERSIONS)
def test_a_namespace_belongs_to_one_version(one: tuple[str, int], other: tuple[str, int]) -> None:
    namespaces = [
        replace(CHURN, model_name=name, version=version).namespace for name, version in (one, other)
    ]
    assert [split_namespace(namespace) for namespace in namespaces] == [one, other]
    assert (namespaces[0] == namespaces[1]) == (one == other)


def test_a_model_named_like_a_version_keeps_its_own_table() -> None:
    assert replace(CHURN, model_name="a_v1", version=2).table == "gold_ml.a_v1_v2"
    assert split_namespace("a_v1_v2") == ("a_v1", 2)


def test_the_next_version_leaves_gaps_alone() -> None:
    taken = ["churn_model_v1", "churn_model_v7", "churn_model_v2_v9", "clv_model_v30"]
    assert next_version("churn_model", taken) == 8
    assert next_version("new_model", taken) == 1


def test_the_canonical_json_is_fixed() -> None:
    assert CHURN.to_json() == (
        '{"entity_key":["customer_id"],"feature_columns":["frequency","total_spent","avg_ticket"],'
        '"source_table":"gold_core.customer_metrics","target_column":"frequency"}'
    )
    assert CHURN.hash == "0162e5073f32f78c4fed65bffd7c2215a70793b2ec8a1cf88b503545623cbb22"


def test_name_and_version_are_no_part_of_the_definition() -> None:
    assert replace(CHURN, model_name="other", version=9).hash == CHURN.hash


@pytest.mark.parametrize(
    "changes",
    [
        {"source_table": "gold_core.other"},
        {"entity_key": ("order_id",)},
        {"feature_columns": ("total_spent", "frequency", "avg_ticket")},
        {"target_column": "avg_ticket"},
    ],
)
def test_everything_else_is(changes: dict[str, object]) -> None:
    assert replace(CHURN, **changes).hash != CHURN.hash  # type: ignore[arg-type]


def test_an_equal_definition_has_no_difference() -> None:
    assert CHURN.difference(CHURN.to_json()) == []
    assert CHURN.difference(json.loads(CHURN.to_json())) == []


def test_differences_are_told_field_by_field() -> None:
    registered = {
        "entity_key": ["customer_id"],
        "feature_columns": ["frequency", "total_spent"],
        "source_table": "gold_core.customer_metrics",
        "sampling": 0.5,
    }
    assert CHURN.difference(registered) == [
        'feature_columns: registered ["frequency", "total_spent"],'
        ' now ["frequency", "total_spent", "avg_ticket"]',
        "sampling: registered 0.5, now absent",
        'target_column: registered absent, now "frequency"',
    ]


def test_leakage_is_a_warning() -> None:
    assert CHURN.leaks
    assert CHURN.warnings == (
        "churn_model_v1: the target frequency is also a feature, so the model is given the answer.",
    )
    clean = replace(CHURN, target_column="total_spent", feature_columns=("frequency",))
    assert not clean.leaks
    assert clean.warnings == ()


def test_the_entity_key_as_feature_or_target_is_a_warning() -> None:
    odd = replace(CHURN, feature_columns=("frequency", "customer_id"), target_column="customer_id")
    assert odd.columns == ("customer_id", "frequency")
    assert odd.warnings == (
        "churn_model_v1: the target customer_id is also a feature, so the model is given the"
        " answer.",
        "churn_model_v1: the feature customer_id is part of the entity key, which only identifies"
        " a row.",
        "churn_model_v1: the target customer_id is part of the entity key, which only identifies"
        " a row.",
    )


def test_a_contract_takes_its_columns_from_the_source() -> None:
    source = Contract(
        table="gold_core.customer_metrics",
        version="1.4.0",
        description="What each customer bought.",
        columns=(
            Column("customer_id", "string", "Customer.", required=True),
            Column("frequency", "bigint", "Sales.", required=True, minimum=1),
            Column("total_spent", "decimal(28,2)", "Sum."),
            Column("avg_ticket", "double", "Mean."),
        ),
        primary_key=("customer_id",),
    )
    definition = replace(CHURN, feature_columns=("avg_ticket",))
    assert derive_contract(definition, source) == Contract(
        table="gold_ml.churn_model_v1",
        version="1.4.0",
        description=(
            "Dataset of churn_model version 1, a row of gold_core.customer_metrics each: entity"
            " key customer_id, features avg_ticket, target frequency."
        ),
        columns=(
            Column("customer_id", "string", "Customer.", required=True),
            Column("avg_ticket", "double", "Mean."),
            Column("frequency", "bigint", "Sales.", required=True),
        ),
        primary_key=("customer_id",),
        definition=definition,
    )
