"""The model list with every error it can have, and what follows from a definition."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.errors import UserError
from nbx_medallion.model_versions import (
    ModelDefinition,
    check_write_once,
    dataset_name,
    derive_contract,
    parse_models,
    split_namespace,
)

SHIPPED = Path(__file__).parents[1] / "conf/base/ml_models.json"
TABLE = "gold_core.customer_metrics"
COLUMNS = ("customer_id", "frequency", "total_spent", "avg_ticket")
SOURCES = {
    TABLE: Contract(
        table=TABLE,
        columns=tuple(Column(name=name, physical_type="string") for name in COLUMNS),
        primary_key=COLUMNS[:1],
    )
}
ENTRY = {
    "model_name": "churn_model",
    "version": 1,
    "source_table": TABLE,
    "feature_columns": ["frequency", "total_spent", "avg_ticket"],
    "target_column": "frequency",
}
CHURN = ModelDefinition(
    model_name="churn_model",
    version=1,
    source_table=TABLE,
    entity_key=("customer_id",),
    feature_columns=("frequency", "total_spent", "avg_ticket"),
    target_column="frequency",
)


def _entry(**changes: Any) -> dict[str, Any]:
    """An entry that is valid but for the changes; a key changed to `...` is left out."""
    return {key: value for key, value in {**ENTRY, **changes}.items() if value is not ...}


def _errors(document: object) -> list[str]:
    """The lines of the message for a document, given as text or as what JSON would give."""
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(UserError) as refused:
        parse_models(text, "ml_models.json", SOURCES)
    first, *lines = str(refused.value).split("\n")
    assert first == "ml_models.json: the model list cannot be used:"
    assert all(line.startswith("  - ") for line in lines)
    return [line[4:] for line in lines]


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else json.dumps(value)


def _check_named(line: str, path: str, parts: tuple[str, ...]) -> None:
    assert line.startswith(f"{path}: ")
    whole = [f"{part}." if part.startswith("found") else part for part in parts]
    assert [part for part in whole if part not in f"{line}."] == []


def test_the_shipped_models_are_these() -> None:
    clv = replace(
        CHURN,
        model_name="clv_model",
        version=2,
        feature_columns=("frequency", "avg_ticket"),
        target_column="total_spent",
    )
    assert parse_models(SHIPPED.read_text("utf-8"), SHIPPED.name, SOURCES) == (CHURN, clv)


def test_versions_may_have_gaps_and_any_order_and_a_byte_order_mark_is_no_error() -> None:
    entries = [_entry(version=7), _entry(version=2), _entry(model_name="churn_model_v7")]
    found = parse_models("\ufeff" + json.dumps({"models": entries}), "f", SOURCES)
    assert [d.namespace for d in found] == ["churn_model_v7", "churn_model_v2", "churn_model_v7_v1"]


LIST = "expected a list"
KEYS = "model_name, version, source_table, feature_columns, target_column"


@pytest.mark.parametrize(
    ("document", "path", "parts"),
    [
        ("[]", "$", ("expected keys and values", "found []")),
        ("null", "$", ("expected keys and values", "found null")),
        ({}, "models", ("expected a value", "found nothing")),
        ({"models": []}, "models", (LIST, "at least one", "found []")),
        ({"models": {}}, "models", (LIST, "found {}")),
        ({"models": "é" * 99}, "models", (LIST, f"found '{'é' * 79}...")),
        ({"models": [7]}, "models[0]", ("expected keys and values", "found 7")),
        ({"models": [ENTRY], "model": 1}, "model", ("not supported", "mean 'models'?")),
    ],
)
def test_a_document_of_another_shape_is_refused(
    document: object, path: str, parts: tuple[str, ...]
) -> None:
    (line,) = _errors(document)
    _check_named(line, path, parts)


NAME = "lower-case letters, digits and underscores"
INTEGER, TEXT, VALUE = "a whole number", "expected text", "expected a value"
SOURCE = ("expected a table of gold_core", f"There are: {TABLE}.")
COLUMN = (f"a column of {TABLE}", f"There are: {', '.join(COLUMNS)}.")


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        *(
            ("model_name", value, (NAME, "100", f"found {_shown(value)}"))
            for value in ("Churn", "1st", "a-b", "a.b", "churn\n", "é", "")
        ),
        ("model_name", None, (TEXT, "found null")),
        *((key, ..., (VALUE, "found nothing")) for key in ENTRY),
        ("model_name", "x" * 101, (NAME, f"found '{'x' * 79}...")),
        *(
            ("version", value, (INTEGER, f"found {_shown(value)}"))
            for value in (True, 1.0, 1e300, "1", None)
        ),
        ("version", 0, ("greater than or equal to 1", "found 0")),
        ("version", -1, ("greater than or equal to 1", "found -1")),
        ("version", 2**31, ("less than or equal to 2147483647", f"found {2**31}")),
        ("version", int("7" * 4000), ("less than or equal to 2147483647", f"found {'7' * 80}...")),
        ("source_table", 3, (TEXT, "found 3")),
        ("source_table", "silver.sales_clean", (*SOURCE, "found 'silver.sales_clean'")),
        ("source_table", "customer_metrics", (*SOURCE, f"mean '{TABLE}'?")),
        ("source_table", "gold_core.customer_metric", (*SOURCE, f"mean '{TABLE}'?")),
        ("feature_columns", [], (LIST, "at least one", "found []")),
        ("feature_columns", "frequency", (LIST, "found 'frequency'")),
        ("feature_columns", {"frequency": 1}, (LIST, 'found {"frequency": 1}')),
        ("feature_columns[1]", ["frequency", 1], (TEXT, "found 1")),
        ("feature_columns[0]", ["avg_tickets"], (*COLUMN, "'avg_tickets'", "mean 'avg_ticket'?")),
        (
            "feature_columns[2]",
            ["frequency", "avg_ticket", "frequency"],
            ("'frequency' is there more than once", "keep one"),
        ),
        ("target_column", [], (TEXT, "found []")),
        ("target_column", "churned", (*COLUMN, "found 'churned'")),
        ("target", 1, ("not supported", "mean 'target_column'?", KEYS)),
        ("entity_key", ["customer_id"], ("not supported", KEYS)),
        ('["a b"]', 1, ("not supported", KEYS)),
        ('["\\n"]', 1, ("not supported", KEYS)),
    ],
)
def test_an_entry_with_one_error_is_refused(key: str, value: Any, parts: tuple[str, ...]) -> None:
    name = json.loads(key)[0] if key.startswith("[") else key.partition("[")[0]
    other = _entry(model_name="other_model")
    (line,) = _errors({"models": [other, _entry(**{name: value})]})
    _check_named(line, f"models[1]{'' if key.startswith('[') else '.'}{key}", parts)


def test_a_version_that_is_listed_twice_is_refused() -> None:
    entries = [_entry(), _entry(version=2), _entry(target_column="avg_ticket"), _entry()]
    again, same = _errors({"models": entries})
    _check_named(again, "models[2].version", ("churn_model_v1 is listed already", "remove it"))
    _check_named(same, "models[3]", ('"churn_model"', "more than once", "keep one"))


def test_a_source_without_a_key_is_refused() -> None:
    sources = {TABLE: Contract(table=TABLE, columns=SOURCES[TABLE].columns)}
    with pytest.raises(UserError) as refused:
        parse_models(json.dumps({"models": [ENTRY]}), "f.json", sources)
    _, line = str(refused.value).split("\n  - ")
    _check_named(line, "models[0].source_table", ("has a primaryKey", f"found '{TABLE}'"))


def test_a_key_that_is_there_twice_is_refused() -> None:
    entry = json.dumps(ENTRY)
    text = f'{{"models": [7], "models": [{entry[:-1]}, "version": 1, "target_column": "x"}}]}}'
    assert _errors(text) == ["models: the key is there more than once; keep one."]
    assert _errors(text.replace('"models": [7], ', "")) == [
        "models[0].version: the key is there more than once; keep one.",
        "models[0].target_column: the key is there more than once; keep one.",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "line 1 column 0"),
        ('{"models": [\n  nothing\n]}', "line 2 column 4"),
        ('{"models" []}', "line 1 column 11"),
        ("{} {}", "line 1 column 4"),
        ('{"models": NaN}', "line 1 column 12"),
        ('{"models": -Infinity}', "line 1 column 13"),
        ("[" * 200_000, "line 1 column 20"),
        (f"[{'7' * 5000}]", "out of range at line 1 column"),
        ('{"models": "\\ud800"}', "line 1 column"),
        ('{"models": "\ud800"}', "position 12"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_models(text, "ml_models.json", SOURCES)
    assert str(refused.value).startswith("ml_models.json: not JSON: ")
    assert place in str(refused.value)
    assert str(refused.value).isprintable()


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
    assert [line.partition(": ")[0] for line in _errors(text)] == [
        "models[0].version",
        "models[0].feature_columns[1]",
        "models[0].feature_columns[2]",
        "models[0].extra",
        "models[1]",
        "models[2].model_name",
        "models[2].source_table",
        "models[2].target_column",
        "extra",
    ]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
_NEARLY = st.fixed_dictionaries({}, optional={key: st.just(v) | _JSON for key, v in ENTRY.items()})


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


def test_names_and_columns_follow_from_the_definition() -> None:
    """Each column comes once, the key first and the target last."""
    assert (CHURN.namespace, CHURN.table) == ("churn_model_v1", "gold_ml.churn_model_v1")
    assert dataset_name(TABLE) == "gold_core_customer_metrics"
    assert CHURN.columns == ("customer_id", "frequency", "total_spent", "avg_ticket")
    clv = replace(CHURN, feature_columns=("avg_ticket", "frequency"), target_column="total_spent")
    assert clv.columns == ("customer_id", "avg_ticket", "frequency", "total_spent")


_VERSIONS = st.tuples(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.integers(1, 120))


@given(_VERSIONS, _VERSIONS)
def test_a_namespace_belongs_to_one_version(one: tuple[str, int], other: tuple[str, int]) -> None:
    namespaces = [
        replace(CHURN, model_name=name, version=version).namespace for name, version in (one, other)
    ]
    assert [split_namespace(namespace) for namespace in namespaces] == [one, other]
    assert (namespaces[0] == namespaces[1]) == (one == other)


def test_the_canonical_json_is_fixed() -> None:
    assert CHURN.to_json() == (
        '{"entity_key":["customer_id"],"feature_columns":["frequency","total_spent","avg_ticket"],'
        '"source_table":"gold_core.customer_metrics","target_column":"frequency"}'
    )
    assert CHURN.hash == "0162e5073f32f78c4fed65bffd7c2215a70793b2ec8a1cf88b503545623cbb22"


@pytest.mark.parametrize(
    ("changes", "is_another"),
    [
        ({"model_name": "other", "version": 9}, False),
        ({"source_table": "gold_core.other"}, True),
        ({"entity_key": ("order_id",)}, True),
        ({"feature_columns": ("total_spent", "frequency", "avg_ticket")}, True),
        ({"target_column": "avg_ticket"}, True),
    ],
)
def test_a_definition_is_all_but_name_and_version(
    changes: dict[str, Any], is_another: bool
) -> None:
    assert (replace(CHURN, **changes).hash != CHURN.hash) == is_another


def test_differences_are_told_field_by_field() -> None:
    registered = {
        "entity_key": ["customer_id"],
        "feature_columns": ["frequency", "total_spent"],
        "source_table": "gold_core.customer_metrics",
        "sampling": 0.5,
    }
    assert CHURN.difference(CHURN.to_json()) == []
    assert CHURN.difference(json.loads(CHURN.to_json())) == []
    assert CHURN.difference(registered) == [
        'feature_columns: registered ["frequency", "total_spent"],'
        ' now ["frequency", "total_spent", "avg_ticket"]',
        "sampling: registered 0.5, now absent",
        'target_column: registered absent, now "frequency"',
    ]


def test_the_next_free_version_is_told_of_each_that_was_changed() -> None:
    changed = replace(CHURN, target_column="avg_ticket")
    clv = replace(CHURN, model_name="clv_model")
    registered = {changed: CHURN.to_json(), clv: clv.to_json()}
    with pytest.raises(UserError) as refused:
        check_write_once(
            registered,
            [changed, clv, replace(CHURN, version=3)],
            exists={"churn_model_v4", "churn_model_v6"}.__contains__,
        )
    assert str(refused.value) == (
        "churn_model_v1 is written already, with another definition:\n"
        '  target_column: registered "frequency", now "avg_ticket"\n'
        "  Versions are write-once: list the new definition as version 5 of churn_model, or take"
        " the change back.\n"
        "Nothing was written."
    )


def test_what_is_seldom_meant_is_a_warning() -> None:
    clean = replace(CHURN, target_column="total_spent", feature_columns=("frequency",))
    assert clean.warnings == ()
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
    def column(name: str, kind: str, text: str, **more: Any) -> Column:
        return Column(name=name, physical_type=kind, description=text, **more)

    source = Contract(
        table=TABLE,
        version="1.4.0",
        description="What each customer bought.",
        columns=(
            column("customer_id", "string", "Customer.", required=True),
            column("frequency", "bigint", "Sales.", required=True, minimum=1),
            column("total_spent", "decimal(28,2)", "Sum."),
            column("avg_ticket", "double", "Mean."),
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
            column("customer_id", "string", "Customer.", required=True),
            column("avg_ticket", "double", "Mean."),
            column("frequency", "bigint", "Sales.", required=True),
        ),
        primary_key=("customer_id",),
        definition={"definition": definition.to_json(), "definition_hash": definition.hash},
    )
