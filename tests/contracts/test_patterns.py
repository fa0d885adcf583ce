"""Patterns: the same matches by both engines, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nbx_medallion.contracts.patterns import portable_pattern
from nbx_medallion.contracts.types import ExpressionError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Pattern, values that have a match, values that have none.
CASES: list[tuple[str, list[str], list[str]]] = [
    (r"^\d{3}-\w+$", ["123-a_b"], ["12-a", "١٢٣-a", "123-é"]),
    ("b", ["abc"], ["ac"]),
    ("^a.c$", ["abc", "a€c", "a😀c"], ["ac", "a\nc", "a\u2028c"]),
    (r"^[^\s-]+$", ["a", "é"], ["a b", "a-b"]),
    (r"^(?:x|yy){1,2}?$", ["x", "yyx"], ["", "xxx"]),
    (r"^\{\}\.\$$", ["{}.$"], ["{}x$"]),
    (r"^[\]\[&~^]+$", ["[]&~^"], ["a"]),
    (r"^[A-Z]{2}\d{2,}$", ["NL12", "NL1234"], ["nl12", "NL1"]),
    (r"^[\W\d]$", ["-", "1", "é"], ["a", "_"]),
    (r"^[^\D5-]$", ["1"], ["5", "a", "-"]),
    ("^\\W\\D\\S$", ["é-x"], ["a-x", "é1x", "é- "]),
]


def test_both_engines_find_the_same(engine_session: SparkSession) -> None:
    from pyspark.sql import functions as F

    values = sorted({value for _, yes, no in CASES for value in yes + no})
    frame = engine_session.createDataFrame([(value,) for value in values], "v string")
    tests = [F.col("v").rlike(portable_pattern(case[0])).alias(f"c{i}")
             for i, case in enumerate(CASES)]  # fmt: skip
    found = {row[0]: row[1:] for row in frame.select("v", *tests).collect()}
    for at, (_, yes, no) in enumerate(CASES):
        assert [found[value][at] for value in yes] == [True] * len(yes)
        assert [found[value][at] for value in no] == [False] * len(no)


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("(", "is not a regular expression: missing ), unterminated subpattern at position 0"),
        ("(?=a)", "'(?=a' is not the same on every engine"),
        ("(?i)a", "'(?i)' is not the same on every engine"),
        (r"(a)\1", r"'\1' is not the same on every engine"),
        (r"\bfoo", r"'\b' is not the same on every engine"),
        ("a++", "'++' is not the same on every engine"),
        ("[a&&b]", "'[a&&' is not the same on every engine"),
        ("[[:alpha:]]", "'[[:' is not the same on every engine"),
        ("a{", r"a literal '{' has to be written '\{'"),
        ("a}", r"a literal '}' has to be written '\}'"),
        ("[^]a]", r"a literal ']' has to be written '\]'"),
        ("[]a]", r"a literal ']' has to be written '\]'"),
    ],
)
def test_what_has_no_common_meaning_is_refused(pattern: str, what: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        portable_pattern(pattern)
    assert str(caught.value) == what
