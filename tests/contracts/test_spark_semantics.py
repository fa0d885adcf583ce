"""SQL in a contract means what Spark says: each function and operator, over odd values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from nbx_medallion.contracts.functions import OPERATIONS, to_column
from nbx_medallion.contracts.sql import parse_expression
from nbx_medallion.contracts.types import parse_type

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

D = Decimal
#: Name, type, values: each column repeats its own, of co-prime numbers, so that they meet.
COLUMNS: list[tuple[str, str, list[Any]]] = [
    ("s", "string", [
        None, "", " ", "a", "b", "abc", "ABC", "  ab ", "\tab\n", "aXbXc", "a/b/c", "//", "aaa",
        "é€😀x", "ß", "İI", "ΑΣ", "a\nb", "50%", "a_b", "a\\b", "a$1", "\u00a0x\u00a0", "e\u0301",
        "12", "-3", "12.50", "true", "A.B",
    ]),
    ("t", "string", [
        None, "", "2020", "2020-1", "2020-01", "2020-1-2", "2020-01-02", " 2020-01-02 ",
        "2020-01-02 10:11:12", "2010-12-01 08:26:00", "2020-01-02T10:11:12", "2020-01-02 junk",
        "2020-01-02x", "2020-02-30", "2020-13-01", "2020-02-30 10:00:00", "0001-01-01",
        "9999-12-31", "20200102", "2020/01/02", "02-01-2020", "today", "2020-01-02T",
        "2020-01-02 25:00:00", "2020-01-02 10", "2020-01-02 1:2:3", "2020-01-02 10:11:12.1234567",
        "2020-01-02 10:11:12 Z", "2020-01-02 10:11:12+01:00", "2020-07-02 10:11:12 Europe/Lisbon",
        "2020-01-02 23:59:60", "2020 10:11:12", "31/12/2020", "1/2/2020", "31/02/2020",
        "31/12/20", "31/12/70", "31/12/2020x", "31/12/2020 10:11:12", "31/12/2020 1:02",
        "31/12/2020 12:30 AM", "31/12/2020 1:30 pm", "31/12/2020 13:30 PM", "31-dec-2020",
        "31-December-2020", "20201231", "12/2020", "31/12/2020 10:11:12.123",
    ]),
    ("d", "decimal(9,2)", [
        None, D("0.00"), D("12.50"), D("-3.00"), D("1234567.89"), D("0.01"), D("-0.05"),
        D("9999999.99"), D("2.50"), D("-2.50"), D("12.00"),
    ]),
    ("i", "int", [None, 0, 1, -1, 7, 12, 2**31 - 1]),
    ("f", "double", [
        None, 0.0, 1.005, -1.005, 2.5, -2.5, 1e300, 1e-7, 0.285, 1.115, 10.0, 123456789.125, 1e15,
    ]),
    ("day", "date", [None, date(2020, 1, 2), date(2010, 12, 1), date(9999, 12, 31)]),
    ("at", "timestamp", [
        None, datetime(2020, 1, 2, 10, 11, 12, tzinfo=UTC),
        datetime(2020, 1, 2, 23, 59, 59, 500000, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC),
    ]),
    ("ok", "boolean", [None, True, False]),
]  # fmt: skip
TYPES = {name: parse_type(kind) for name, kind, _ in COLUMNS}
ROWS = 160
EXPRESSIONS = r"""
d + i; d - 1.5; d * i; i * 2L; -d; -f; f + d; f * 2; d / 4; d / i; f / d; i / 2; d / 100; i / 1000
abs(d); abs(f); abs(i - 5); round(d); round(d, 1); round(d, 5); round(f); round(f, 2); round(f, 10)
d = 12.5; d <> i; d < f; i <= 7; d > -3; i >= d; d <=> i; s = 'a'; s <> 'a'; s < 'b'; s <=> null
s = d; s > 3; s <= f; day > '2020-01-01'; day = date '2020-01-02'; ok = 'true'; not ok; ok <=> true
at >= timestamp '2020-01-02 10:11:12'; at < '2020-01-02 10:11:12'
s in ('a', 'abc', null); d in (0, 12.50); i not in (1, 7); s between 'a' and 'b'; d between 0 and i
d not between -1 and 3; ok and s = 'a'; ok or d > 0; not (ok and d > 0) or i = 1; ok is true
ok is not false; s is null; d is not null; isnull(s); not isnull(d)
case when d > 0 then 'pos' when d < 0 then s end
case s when 'a' then 1 when 'abc' then 2.5 else 0 end
if(ok, d, i); if(d > 1, s, 'small'); nullif(s, 'a'); nullif(d, 0); nullif(d, 12.5); nullif(i, d)
coalesce(s, t, 'none'); coalesce(d, i, 0); coalesce(d, f); coalesce(d, s); nvl(s, 'none'); nvl(d, i)
ifnull(d, f); coalesce(day, s)
date(t); date(at); date(day); to_date(t); to_date(at); to_date(t, 'dd/MM/yyyy')
to_date(t, 'd/M/yyyy')
to_date(t, 'dd/MM/yy'); to_date(t, 'dd-MMM-yyyy'); to_date(t, 'yyyyMMdd'); to_date(t, 'MM/yyyy')
to_date(at, 'yyyy'); to_timestamp(t); to_timestamp(day); to_timestamp(at); try_to_timestamp(t)
to_timestamp(t, 'dd/MM/yyyy HH:mm:ss'); to_timestamp(t, 'dd/MM/yyyy H:mm'); to_timestamp(at, 'yyyy')
try_to_timestamp(t, 'dd/MM/yyyy h:mm a'); to_timestamp(t, 'dd/MM/yyyy HH:mm:ss.SSS')
cast(at as date); cast(day as timestamp); cast(ok as string); cast(d as string); cast(i as string)
cast(day as string); cast(i as decimal(12,2)); cast(i as double)
concat(s, '-', d); concat(s, day); s || ok || i; concat(at, s); concat_ws('-', s, d, 'b')
concat_ws('', s, t)
contains(s, 'b'); contains(s, ''); startswith(s, 'a'); startswith(s, t); endswith(s, 'c')
endswith(s, '')
s like 'a%'; s like 'a_b'; s like ''; s like '%\\%'; s like 'a\\_b'; s like 'a\\\\b'
s not like '%b%'; like(s, '_')
left(s, 2); left(s, 0); left(s, -1); left(s, 99); right(s, 2); right(s, 0); right(s, -1)
right(s, 99)
length(s); length(d); lower(s); upper(s); left(d, 3)
lpad(s, 4); lpad(s, 4, '0'); lpad(s, 7, 'xy'); lpad(s, -1, '0'); lpad(s, 5, ''); lpad(i, 4, '0')
rpad(s, 4); rpad(s, 4, '0'); rpad(s, 7, 'xy'); rpad(s, 0, '0'); rpad(s, 5, '')
trim(s); ltrim(s); rtrim(s); btrim(s); btrim(s, 'a '); btrim(s, ''); trim(both 'a' from s)
trim(leading 'a' from s); trim(trailing 'cb' from s); trim('a' from s)
replace(s, 'a'); replace(s, 'a', 'bb'); replace(s, '', 'b'); replace(s, 'aa', 'a')
replace(d, '.', ',')
translate(s, 'ab', 'xy'); translate(s, 'ab', 'x'); translate(s, 'aa', 'xy'); translate(s, '', 'x')
split_part(s, '/', 1); split_part(s, '/', 2); split_part(s, '/', -1); split_part(s, '/', -9)
split_part(s, '', 1); split_part(s, '.', 2); split_part(d, '.', 1)
substring(s, 2); substring(s, 0); substring(s, -2); substring(s, -99); substring(s, 2, 2)
substring(s, 0, 2); substring(s, -2, 1); substring(s, -5, 3); substring(s, -3, -1)
substring(s, 2, -1)
substr(s, 1, 99); substr(s, -99, 2); substring(s from 2 for 1); substring(d, 1, 2)
s rlike 'a.b'; s rlike '^\\w+$'; regexp_like(s, '^[^\\s]*b'); rlike(s, '\\d{2}')
regexp_extract(s, '(a)(b)?'); regexp_extract(s, '(a)(b)?', 2); regexp_extract(s, '[b-z]', 0)
regexp_replace(s, '[^0-9]', ''); regexp_replace(s, '(a)(b)', '$2-$1')
regexp_replace(s, 'a+', '$0$0')
s = 'e\u0301'; s = 'a\nb'; s = "a\\b"; s = 'it\'s'; d > 1e1; 1.5d * i; 7L + i
"""
SQL = [text.strip() for line in EXPRESSIONS.strip().splitlines() for text in line.split(";")]


def answers(session: SparkSession, columns: list[Column]) -> list[list[Any]]:
    """Each column's values; points in time as text, since Python has fewer of them."""
    from pyspark.sql import functions as F

    given = [list(islice(cycle(values), ROWS)) for _, _, values in COLUMNS]
    schema = "at_row int, " + ", ".join(f"{name} {kind}" for name, kind, _ in COLUMNS)
    frame = session.createDataFrame(list(zip(range(ROWS), *given, strict=True)), schema)
    found = frame.select("at_row", *(column.alias(f"c{at}") for at, column in enumerate(columns)))
    texts = [
        F.col(name).cast("string").alias(name) if kind in {"date", "timestamp"} else F.col(name)
        for name, kind in found.dtypes
    ]
    return [list(row)[1:] for row in sorted(found.select(*texts).collect())]


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, float | int | Decimal) and not isinstance(expected, bool):
        return found is not None and math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-12)
    return found == expected and type(found) is type(expected)


def test_each_expression_is_what_spark_says(start_engine: Callable[[str], SparkSession]) -> None:
    from pyspark.sql import functions as F

    spark = start_engine("spark")
    spark.conf.set("spark.sql.ansi.enabled", "false")
    expected = answers(spark, [F.expr(text) for text in SQL])
    spark.conf.set("spark.sql.ansi.enabled", "true")
    wrong = []
    for name in ("spark", "sail"):
        session = start_engine(name)
        inputs = {column: F.col(column) for column, _, _ in COLUMNS}
        columns = [to_column(parse_expression(text, TYPES), inputs) for text in SQL]
        for at, row in enumerate(answers(session, columns)):
            for text, value, answer in zip(SQL, row, expected[at], strict=True):
                if not same(value, answer):
                    given = {n: v[at % len(v)] for n, _, v in COLUMNS if n in text}
                    wrong.append(f"{name}: {text} of {given}: expected {answer!r}, found {value!r}")
    assert wrong == [], "\n".join(wrong)


def test_every_function_and_operator_is_among_them() -> None:
    def names(expression: Any) -> set[str]:
        return {expression.op}.union(*(names(arg) for arg in expression.args))

    computed = set().union(*(names(parse_expression(text, TYPES)) for text in SQL))
    written = {name for text in SQL for name in re.findall(r"([a-z_]+)\(", text)}
    assert set(OPERATIONS) - computed - written == set()
