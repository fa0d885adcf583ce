"""What a `transformLogic` computes: the same on each engine, and no value stops a run."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from nbx_medallion.contracts.casts import strict_cast
from nbx_medallion.contracts.functions import to_column
from nbx_medallion.contracts.sql import parse_expression
from nbx_medallion.contracts.types import STRING, ExpressionError, convert, parse_type

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

D = Decimal
MONEY = "decimal(18,2)"
#: Expression, values of a and b, physical type, expected value.
CASES: list[tuple[str, str | None, str | None, str, Any]] = [
    # arithmetic on received strings is exact
    ("a * b", "6", "2.55", MONEY, D("15.30")),
    ("a * b", " 6 ", "2.550000", MONEY, D("15.30")),
    ("a * b", "6", "x", MONEY, None),
    ("a * b", "3", "0.333", MONEY, None),
    ("round(a * b, 2)", "3", "0.335", MONEY, D("1.01")),
    ("round(a * b, 2)", "-3", "0.335", MONEY, D("-1.01")),
    ("round(a)", "2.5", None, MONEY, D("3.00")),
    ("a * b", "999999999999.999999", "999999999999", MONEY, None),
    ("a + b", "0.1", "0.2", MONEY, D("0.30")),
    ("a - b - 1", "5", "0.5", MONEY, D("3.50")),
    ("a * b", "1e3", "2", MONEY, None),
    ("-a", "5", None, MONEY, D("-5.00")),
    ("abs(a)", "-5.5", None, MONEY, D("5.50")),
    ("a / 100", "1234", None, MONEY, D("12.34")),
    ("a / 100", "1234.5", None, MONEY, None),
    ("a / b", "10", "4", MONEY, D("2.50")),
    ("a / b", "10", "0", MONEY, None),
    ("a / b", "10", "3", MONEY, None),
    ("round(a / b, 2)", "10", "3", MONEY, D("3.33")),
    ("round(a / b, 2)", "-10", "3", MONEY, D("-3.33")),
    ("round(cast(a as double), 2)", "1.005", None, "double", 1.01),
    ("cast(a as double) * 2", "1e308", None, "double", None),
    ("cast(a as int) * cast(b as int)", "2147483647", "2147483647", "bigint", (2**31 - 1) ** 2),
    ("cast(a as bigint) + 1", "9223372036854775807", None, "bigint", None),
    # casts are strict
    ("cast(a as int)", "abc", None, "bigint", None),
    ("cast(a as int)", "3.7", None, "bigint", None),
    ("a::int", "7", None, "bigint", 7),
    ("cast(a as decimal(18,2))", "12.345", None, MONEY, None),
    ("cast(a as decimal(18,4))", "12.34", None, MONEY, D("12.34")),
    ("cast(a as decimal(18,4))", "12.3456", None, MONEY, None),
    ("cast(cast(a as decimal(18,4)) as bigint)", "12.5", None, "bigint", None),
    ("cast(cast(a as decimal(18,4)) as bigint)", "12.0", None, "bigint", 12),
    ("cast(a as double)", "15.3", None, MONEY, D("15.30")),
    ("cast(a as double)", "1e30", None, MONEY, None),
    ("cast(a as double)", "12345678.5", None, MONEY, D("12345678.50")),
    ("cast(a as double)", "7", None, "bigint", 7),
    ("cast(a as double)", "7.5", None, "bigint", None),
    ("cast(a as double)", "1e30", None, "bigint", None),
    ("cast(a as boolean)", "yes", None, "boolean", None),
    ("cast(a as decimal(18,6))", "0", None, "string", "0.000000"),
    ("cast(a as date)", "2020-01-02", None, "string", "2020-01-02"),
    # text
    ("replace(replace(a, '.', ''), ',', '.')", "1.234,56", None, MONEY, D("1234.56")),
    ("translate(a, '.,', '')", "1.2,3", None, "bigint", 123),
    ("regexp_replace(a, '[^0-9]', '')", "EUR 12", None, "bigint", 12),
    (r"regexp_extract(a, '(\\d+)-(\\d+)', 2)", "x12-34", None, "bigint", 34),
    # dates
    ("to_date(a, 'dd/MM/yyyy')", "31/12/2020", None, "date", date(2020, 12, 31)),
    ("to_date(a, 'dd/MM/yyyy')", "31/02/2020", None, "date", None),
    ("to_date(a, 'dd/MM/yyyy')", "junk", None, "date", None),
    ("to_date(a, 'M/d/yyyy H:mm')", "12/1/2010 8:26", None, "date", date(2010, 12, 1)),
    ("to_timestamp(a, 'M/d/yyyy H:mm')", "12/1/2010 8:26", None, "date", None),
    (
        "cast(to_timestamp(a, 'M/d/yyyy H:mm') as date)",
        "1/2/2010 8:26",
        None,
        "date",
        date(2010, 1, 2),
    ),
    ("to_date(a)", "2020-01-02", None, "date", date(2020, 1, 2)),
    ("to_date(a)", "2010-12-01 08:26:00", None, "date", date(2010, 12, 1)),
    ("to_date(a)", "12020-01-02", None, "date", None),
    ("cast(a as date)", "2010-12-01 08:26:00", None, "date", None),
    ("cast(to_timestamp(a) as string)", "10:11:12", None, "string", None),
    ("to_date(a, 'd/M/yyyy')", " 1/2/2020 ", None, "date", date(2020, 2, 1)),
    ("to_date(a, 'd/M/yyyy')", "001/2/2020", None, "date", None),
    ("to_date(a, 'dd/MM/yyyy')", "31/12/0000", None, "date", None),
    ("to_date(a, 'dd-MMM-yyyy')", "31-December-2020", None, "date", None),
    (r"regexp_like(a, '^\\d$')", "1\n", None, "boolean", False),
    ("date(a)", "2020-1-2", None, "date", date(2020, 1, 2)),
    (
        "case when a > date '2020-01-01' then 'new' else 'old' end",
        "2021-05-05",
        None,
        "string",
        "new",
    ),
    # conditions
    ("case when a = 'x' then 1 when a = 'y' then 2.5 end", "y", None, MONEY, D("2.50")),
    ("if(a > 10, 'big', 'small')", "9.5", None, "string", "small"),
    ("if(a > 10, 'big', 'small')", "junk", None, "string", "small"),
    ("coalesce(a, b, 0)", None, None, MONEY, D("0.00")),
    ("coalesce(a, b)", None, "5", MONEY, D("5.00")),
    ("a is not null and b like 'x%'", "1", "xyz", "boolean", True),
    ("a in ('x', 'y') or b between 1 and 3", "z", "2", "boolean", True),
    (r"regexp_like(a, '^\\d{2}$')", "٣٣", None, "boolean", False),
    (r"'it\'s'", None, None, "string", "it's"),
    ("1.50", None, None, MONEY, D("1.50")),
    ("null", None, None, MONEY, None),
]


def test_each_expression_gives_what_it_says_on_every_engine(session: SparkSession) -> None:
    from pyspark.sql import functions as F

    names = [f"{side}{at}" for at in range(len(CASES)) for side in "ab"]
    row = tuple(value for case in CASES for value in case[1:3])
    frame = session.createDataFrame([row], ", ".join(f"{name} string" for name in names))
    columns = []
    for at, (text, _, _, kind, _) in enumerate(CASES):
        expression, target = parse_expression(text), parse_type(kind)
        assert target is not None
        value = to_column(expression, {"a": F.col(f"a{at}"), "b": F.col(f"b{at}")})
        columns.append(strict_cast(value, expression.type, target).alias(f"r{at}"))
    found = frame.select(*columns).collect()[0]
    wrong = [
        f"{text} with a={a!r}, b={b!r} as {kind}: expected {expected!r}, found {value!r}"
        for (text, a, b, kind, expected), value in zip(CASES, found, strict=True)
        if value != expected
    ]
    assert wrong == []


def test_a_plain_name_is_the_received_column() -> None:
    assert parse_expression("`Order Date`") == parse_expression("(`Order Date`)")
    assert parse_expression("a").type == STRING
    assert convert(parse_expression("a"), STRING) == parse_expression("a")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("lpad(a)", "lpad(): takes 2 to 3 arguments, found 1"),
        ("nvl(a, b, a)", "nvl(): takes 2 arguments, found 3"),
        ("if(a = b, a)", "takes 3 arguments, found 2"),
        ("left(a, length(b))", "left(): an integer constant is needed"),
        ("split_part(a, '/', 0)", "split_part(): a part's number starts from 1"),
        ("round(a, -1)", "round(): an integer constant is needed, from 0 to 18"),
        (r"a like 'x\\y'", "has a \\ that is not before %, _ or \\"),
        ("regexp_extract(a, '(b)', 2)", "regexp_extract(): the pattern has 1 groups, found 2"),
        ("regexp_extract(a, '(')", "regexp_extract(): is not a regular expression: missing )"),
        ("regexp_replace(a, 'b*', '-')", "the pattern 'b*' is found in an empty string too"),
        ("regexp_replace(a, '(b)', '$1x')", "the replacement '$1x' is not the same on every"),
        ("regexp_replace(a, '(b)', '$2')", "the replacement '$2' is not the same on every"),
        ("to_date(a, 'yyyyMd')", "the format 'yyyyMd' has 'Md', known are H, HH"),
        ("to_date(a, 'd/M/yyyy hh:mm')", "needs 'h' or 'hh' with 'a', else 'H' or 'HH'"),
        ("a in (select 1)", "'(SELECT 1)' is not supported: it is a subquery"),
        ("t.a", "a column has a name alone"),
        ("a % 2", "'a % 2' is not supported"),
    ],
)
def test_what_the_engines_would_not_compute_alike_is_refused(text: str, what: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert what in str(caught.value)


@pytest.mark.parametrize("items", [300, 3000])
def test_long_lists_and_small_constants_are_computed(session: SparkSession, items: int) -> None:
    listed = ", ".join(f"'{item}'" for item in range(items))
    frame = session.createDataFrame([("7", "1"), ("x", "0")], "a string, b string")
    inputs = {"a": F.col("a"), "b": F.col("b")}

    within = to_column(parse_expression(f"a in ({listed})"), inputs)
    small = to_column(parse_expression("cast(b as decimal(10,2)) > 0.00000000001"), inputs)

    assert [tuple(row) for row in frame.select(within, small).collect()] == [
        (True, True), (False, False)
    ]  # fmt: skip
