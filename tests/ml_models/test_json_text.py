"""Strict JSON: what Python's reader lets through is kept and located."""

import pytest

from nbx_medallion.errors import UserError
from nbx_medallion.ml_models.json_text import (
    duplicate_keys,
    json_path,
    non_json_numbers,
    parse_json,
    shown,
)


def test_a_byte_order_mark_is_ignored() -> None:
    assert parse_json('\ufeff{"a": [1, 2.5, null, true, "x"]}', "f") == {
        "a": [1, 2.5, None, True, "x"]
    }


def test_text_that_is_not_json_is_refused_with_its_place() -> None:
    with pytest.raises(UserError) as refused:
        parse_json('{\n  "models": [\n    {]\n', "ml_models.json")
    assert str(refused.value) == (
        "ml_models.json: not JSON at line 3, column 6:"
        " expecting property name enclosed in double quotes."
    )


def test_nesting_beyond_reason_is_refused() -> None:
    with pytest.raises(UserError) as refused:
        parse_json("[" * 200_000, "ml_models.json")
    assert str(refused.value) == "ml_models.json: not a model list: it is nested too deeply."


def test_repeated_keys_are_found_where_they_are() -> None:
    document = parse_json('{"a": [{"b": 1, "c": 2, "b": 3}], "a": [{"b": 1, "b": 1, "b": 1}]}', "f")
    message = "the key is there more than once; keep one."
    assert sorted(duplicate_keys(document)) == [(("a",), message), (("a", 0, "b"), message)]


def test_numbers_that_json_lacks_are_found_where_they_are() -> None:
    document = parse_json('{"a": NaN, "b": [1, -Infinity]}', "f")
    assert sorted(non_json_numbers(document)) == [
        (("a",), "expected a JSON value, found NaN."),
        (("b", 1), "expected a JSON value, found -Infinity."),
    ]


def test_a_number_of_thousands_of_digits_is_found() -> None:
    document = parse_json("[" + "7" * 5000 + "]", "f")
    assert list(non_json_numbers(document)) == [
        ((0,), f"expected a JSON value, found {'7' * 80}...."),
    ]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), "$"),
        (("models",), "models"),
        (("models", 1, "feature_columns", 0), "models[1].feature_columns[0]"),
        (("models", 0, "target column"), 'models[0]["target column"]'),
        (("",), '[""]'),
        (("é",), '["é"]'),
    ],
)
def test_paths_are_readable(location: tuple[str | int, ...], path: str) -> None:
    assert json_path(location) == path


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.0, "1.0"),
        ('a"b\n', '"a\\"b\\n"'),
        ("é", '"é"'),
        ("\ud800", '"\\ud800"'),
        ("x" * 100, '"' + "x" * 79 + "..."),
        ([], "an empty list"),
        ([1], "a list"),
        ({}, "an object"),
    ],
)
def test_values_are_shown_on_one_printable_line(value: object, text: str) -> None:
    assert shown(value) == text
