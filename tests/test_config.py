"""The model list: the shipped file, and every error it can have, word for word."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.errors import UserError
from nbx_medallion.ml_models.config import parse_models
from nbx_medallion.ml_models.definition import ModelDefinition

SHIPPED = Path(__file__).parents[1] / "conf/base/ml_models.json"
TABLE = "gold_core.customer_metrics"
COLUMNS = ("customer_id", "frequency", "total_spent", "avg_ticket")
SOURCES = {
    TABLE: Contract(TABLE, tuple(Column(c, "string") for c in COLUMNS), primary_key=(COLUMNS[0],))
}
CHURN = {
    "model_name": "churn_model",
    "version": 1,
    "source_table": TABLE,
    "feature_columns": ["frequency", "total_spent", "avg_ticket"],
    "target_column": "frequency",
}
NAME = (
    "expected a name of lower-case letters, digits and underscores that starts with a letter and"
    " has at most 100 characters"
)
VERSION = "expected a whole number from 1 to 2147483647"
KEYS = "model_name, version, source_table, feature_columns, target_column"
HINT = "Columns: customer_id, frequency, total_spent, avg_ticket."


def _entry(**changes: Any) -> dict[str, Any]:
    """An entry that is valid but for the changes; a key changed to `...` is left out."""
    return {key: value for key, value in {**CHURN, **changes}.items() if value is not ...}


def _errors(document: object) -> list[str]:
    """The lines of the message for a document, given as text or as what JSON would give."""
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(UserError) as refused:
        parse_models(text, "ml_models.json", SOURCES)
    first, *lines = str(refused.value).split("\n")
    assert first == f"ml_models.json: {len(lines)} error{'s' if len(lines) > 1 else ''}."
    assert all(line.startswith("  ") for line in lines)
    return [line[2:] for line in lines]


def test_the_shipped_models_are_these() -> None:
    assert parse_models(SHIPPED.read_text("utf-8"), SHIPPED.name, SOURCES) == (
        ModelDefinition(
            model_name="churn_model",
            version=1,
            source_table="gold_core.customer_metrics",
            entity_key=("customer_id",),
            feature_columns=("frequency", "total_spent", "avg_ticket"),
            target_column="frequency",
        ),
        ModelDefinition(
            model_name="clv_model",
            version=2,
            source_table="gold_core.customer_metrics",
            entity_key=("customer_id",),
            feature_columns=("frequency", "avg_ticket"),
            target_column="total_spent",
        ),
    )


def test_versions_may_have_gaps_and_any_order() -> None:
    entries = [_entry(version=7), _entry(version=2), _entry(model_name="churn_model_v7")]
    found = parse_models(json.dumps({"models": entries}), "f", SOURCES)
    assert [d.namespace for d in found] == ["churn_model_v7", "churn_model_v2", "churn_model_v7_v1"]


def test_a_byte_order_mark_is_no_error() -> None:
    text = "\ufeff" + json.dumps({"models": [_entry()]})
    assert len(parse_models(text, "f", SOURCES)) == 1


def test_a_target_among_the_features_is_no_error() -> None:
    (found,) = parse_models(json.dumps({"models": [_entry()]}), "f", SOURCES)
    assert found.leaks


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[]", '$: expected an object with the key "models", found an empty list.'),
        ("null", '$: expected an object with the key "models", found null.'),
        ({}, "models: expected a list of at least one model, found nothing."),
        ({"models": []}, "models: expected a list of at least one model, found an empty list."),
        ({"models": {}}, "models: expected a list of at least one model, found an object."),
        (
            {"models": NAME},
            f'models: expected a list of at least one model, found "{NAME[:79]}....',
        ),
        ({"models": [7]}, f"models[0]: expected an object with the keys {KEYS}, found 7."),
        (
            {"models": [_entry()], "model": 1},
            'model: unknown key. Did you mean "models"? Expected models.',
        ),
    ],
)
def test_a_document_of_another_shape_is_refused(document: object, message: str) -> None:
    assert _errors(document) == [message]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_name": ...}, f"model_name: {NAME}, found nothing."),
        ({"model_name": "Churn"}, f'model_name: {NAME}, found "Churn".'),
        ({"model_name": "1st"}, f'model_name: {NAME}, found "1st".'),
        ({"model_name": "a-b"}, f'model_name: {NAME}, found "a-b".'),
        ({"model_name": "a.b"}, f'model_name: {NAME}, found "a.b".'),
        ({"model_name": "churn\n"}, f'model_name: {NAME}, found "churn\\n".'),
        ({"model_name": "é"}, f'model_name: {NAME}, found "é".'),
        ({"model_name": ""}, f'model_name: {NAME}, found "".'),
        ({"model_name": None}, f"model_name: {NAME}, found null."),
        ({"model_name": "x" * 101}, f'model_name: {NAME}, found "{"x" * 79}....'),
        ({"version": ...}, f"version: {VERSION}, found nothing."),
        ({"version": 0}, f"version: {VERSION}, found 0."),
        ({"version": -1}, f"version: {VERSION}, found -1."),
        ({"version": 2**31}, f"version: {VERSION}, found 2147483648."),
        ({"version": True}, f"version: {VERSION}, found true."),
        ({"version": 1.0}, f"version: {VERSION}, found 1.0."),
        ({"version": "1"}, f'version: {VERSION}, found "1".'),
        ({"version": float("nan")}, "version: expected a JSON value, found NaN."),
        ({"version": float("inf")}, "version: expected a JSON value, found Infinity."),
        (
            {"source_table": ...},
            "source_table: expected the name of a gold_core table, found nothing.",
        ),
        ({"source_table": 3}, "source_table: expected the name of a gold_core table, found 3."),
        (
            {"source_table": "silver.sales_clean"},
            "source_table: expected a table of gold_core, in no other schema, found"
            ' "silver.sales_clean". Tables: gold_core.customer_metrics.',
        ),
        (
            {"source_table": "customer_metrics"},
            "source_table: expected a table of gold_core, in no other schema, found"
            ' "customer_metrics". Did you mean "gold_core.customer_metrics"?'
            " Tables: gold_core.customer_metrics.",
        ),
        (
            {"source_table": "gold_core.customer_metric"},
            'source_table: expected a table of gold_core, found "gold_core.customer_metric". Did'
            ' you mean "gold_core.customer_metrics"? Tables: gold_core.customer_metrics.',
        ),
        (
            {"feature_columns": ...},
            "feature_columns: expected a list of at least one column of the source table, found"
            " nothing.",
        ),
        (
            {"feature_columns": []},
            "feature_columns: expected a list of at least one column of the source table, found an"
            " empty list.",
        ),
        (
            {"feature_columns": "frequency"},
            "feature_columns: expected a list of at least one column of the source table, found"
            ' "frequency".',
        ),
        (
            {"feature_columns": ["frequency", 1]},
            "feature_columns[1]: expected the name of a column of the source table, found 1.",
        ),
        (
            {"feature_columns": ["avg_tickets"]},
            "feature_columns[0]: expected a column of gold_core.customer_metrics, found"
            f' "avg_tickets". Did you mean "avg_ticket"? {HINT}',
        ),
        (
            {"feature_columns": ["frequency", "avg_ticket", "frequency"]},
            'feature_columns[2]: "frequency" is listed already, at feature_columns[0].',
        ),
        (
            {"target_column": ...},
            "target_column: expected a column of the source table, found nothing.",
        ),
        (
            {"target_column": []},
            "target_column: expected a column of the source table, found an empty list.",
        ),
        (
            {"target_column": "churned"},
            'target_column: expected a column of gold_core.customer_metrics, found "churned".'
            f" {HINT}",
        ),
        (
            {"target": 1},
            f'target: unknown key. Did you mean "target_column"? Expected {KEYS}.',
        ),
        ({"a b": 1}, f"unknown key. Expected {KEYS}."),
    ],
)
def test_an_entry_with_one_error_is_refused(changes: dict[str, Any], message: str) -> None:
    path = 'models[1]["a b"]: ' if "a b" in changes else "models[1]."
    other = _entry(model_name="other_model")
    assert _errors({"models": [other, _entry(**changes)]}) == [path + message]


def test_a_version_that_is_listed_twice_is_refused() -> None:
    assert _errors(
        {"models": [_entry(), _entry(version=2), _entry(target_column="avg_ticket")]}
    ) == [
        'models[2].version: version 1 of "churn_model" is listed already, at models[0]. Give this'
        " one another version, or remove it."
    ]


def test_a_source_without_a_key_is_refused() -> None:
    sources = {TABLE: Contract(TABLE, SOURCES[TABLE].columns)}
    with pytest.raises(UserError) as refused:
        parse_models(json.dumps({"models": [_entry()]}), "f.json", sources)
    assert str(refused.value) == (
        "f.json: 1 error.\n"
        "  models[0].source_table: expected a table whose contract has a primary key, found"
        ' "gold_core.customer_metrics". Add primaryKey to its contract.'
    )


def test_a_key_that_is_there_twice_is_refused() -> None:
    entry = json.dumps(_entry())
    text = f'{{"models": [{entry[:-1]}, "version": 1, "target_column": "x"}}]}}'
    assert _errors(text) == [
        "models[0].version: the key is there more than once; keep one.",
        "models[0].target_column: the key is there more than once; keep one.",
        'models[0].target_column: expected a column of gold_core.customer_metrics, found "x".'
        f" {HINT}",
    ]


def test_an_unpaired_surrogate_is_shown_as_written() -> None:
    text = json.dumps({"models": [_entry(model_name="\ud800", **{"\udfff": 1})]})
    assert _errors(text) == [
        f'models[0].model_name: {NAME}, found "\\ud800".',
        f'models[0]["\\\\udfff"]: unknown key. Expected {KEYS}.',
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "line 1, column 1: expecting value."),
        ('{"models": [\n  nothing\n]}', "line 2, column 3: expecting value."),
        ('{"models" []}', "line 1, column 11: expecting ':' delimiter."),
        ("{} {}", "line 1, column 4: extra data."),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_models(text, "ml_models.json", SOURCES)
    assert str(refused.value) == f"ml_models.json: not JSON at {place}"


def test_all_errors_are_told_at_once_in_the_files_order() -> None:
    text = json.dumps(
        {
            "extra": 1,
            "models": [
                _entry(version=True, feature_columns=["frequency", "nope", 3], extra=None),
                "churn_model",
                _entry(model_name="A", source_table="bronze.sales_raw", target_column=...),
            ],
        }
    )
    assert _errors(text) == [
        f"models[0].version: {VERSION}, found true.",
        "models[0].feature_columns[1]: expected a column of gold_core.customer_metrics, found"
        f' "nope". {HINT}',
        "models[0].feature_columns[2]: expected the name of a column of the source table, found 3.",
        f"models[0].extra: unknown key. Expected {KEYS}.",
        f'models[1]: expected an object with the keys {KEYS}, found "churn_model".',
        f'models[2].model_name: {NAME}, found "A".',
        "models[2].source_table: expected a table of gold_core, in no other schema, found"
        ' "bronze.sales_raw". Tables: gold_core.customer_metrics.',
        "models[2].target_column: expected a column of the source table, found nothing.",
        "extra: unknown key. Expected models.",
    ]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
_NEARLY = st.fixed_dictionaries({}, optional={key: st.just(v) | _JSON for key, v in CHURN.items()})


@given(_JSON | st.fixed_dictionaries({"models": st.lists(_NEARLY, max_size=3)}))
def test_any_document_is_read_or_refused_in_plain_words(document: object) -> None:
    found: tuple[ModelDefinition, ...] = ()
    refusal = "f.json: "
    try:
        found = parse_models(json.dumps(document), "f.json", SOURCES)
    except UserError as error:
        refusal = str(error)
    assert refusal.encode().startswith(b"f.json: ")
    assert len({definition.table for definition in found}) == len(found)
