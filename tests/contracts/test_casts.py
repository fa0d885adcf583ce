"""Every cast, every edge, on each engine, ANSI mode or not."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbx_medallion.contracts.casts import strict_cast
from nbx_medallion.contracts.patterns import UNSEEN
from nbx_medallion.contracts.types import STRING, parse_type

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

D = Decimal
FITTING: dict[str, dict[str, Any]] = {
    "string": {
        "a": "a",
        " a b ": "a b",
        "\t\u00a0x\u3000\r\n": "x",
        "\ufeffx": "x",
        "0042": "0042",
        "NULL": "NULL",
    },
    "decimal(18,2)": {
        "12": D("12.00"),
        "12.5": D("12.50"),
        " +12.50 ": D("12.50"),
        "-0": D("0.00"),
        "-0.01": D("-0.01"),
        "12.3000000000000000000000000000000000000000": D("12.30"),
        "00000000000000000000000000000000000000000000007.10": D("7.10"),
        "9999999999999999.99": D("9999999999999999.99"),
        "-9999999999999999.99": D("-9999999999999999.99"),
        "9999999999999": D("9999999999999.00"),
        "-999999999.99": D("-999999999.99"),
        "0" * 999 + "5": D("5.00"),
        "12.5\n": D("12.50"),
        "12.5\u2028": D("12.50"),
    },
    "decimal(38,0)": {
        "9" * 38: D("9" * 38),
        "-" + "9" * 38: D("-" + "9" * 38),
        "1.000": D(1),
        "0": D(0),
    },
    "bigint": {
        "0": 0,
        "+7": 7,
        " -7\t": -7,
        "0007": 7,
        "7\r\n": 7,
        "7\x85": 7,
        "9223372036854775807": 2**63 - 1,
        "-9223372036854775808": -(2**63),
    },
    "int": {"2147483647": 2**31 - 1, "-2147483648": -(2**31)},
    "double": {
        "0.1": 0.1,
        "-1": -1.0,
        "+1.5": 1.5,
        "1e3": 1000.0,
        "1.5E-3": 0.0015,
        "1.7976931348623157e308": 1.7976931348623157e308,
        "1e-400": 0.0,
    },
    "date": {
        "2020-02-29": date(2020, 2, 29),
        " 2020-01-02 ": date(2020, 1, 2),
        "2020-01-02\r": date(2020, 1, 2),
        "2020-01-02\u2029": date(2020, 1, 2),
        "2020-12-31": date(2020, 12, 31),
        "0001-01-01": date(1, 1, 1),
        "9999-12-31": date(9999, 12, 31),
        "1582-10-10": date(1582, 10, 10),
    },
    "boolean": {"true": True, "FALSE": False, " True ": True},
    "timestamp": {
        "2020-01-02T10:11:12": "2020-01-02 10:11:12",
        " 2020-01-02 10:11:12.123456Z ": "2020-01-02 10:11:12.123456",
        "2020-01-02 10:11:12Z\n": "2020-01-02 10:11:12",
        "2020-01-02 10:11:12.5+02:00": "2020-01-02 08:11:12.5",
        "2020-01-02 10:11:00-05:30": "2020-01-02 15:41:00",
    },
}
UNFIT: dict[str, list[str]] = {
    "string": ["", "  ", "\t\r\n\u2003"],
    "decimal(18,2)": [
        "",
        " ",
        "x",
        "12.345",
        "12.001",
        "1e2",
        "1E2",
        "12.",
        ".5",
        "1,5",
        "1 000",
        "1_000",
        "--1",
        "+-1",
        "- 1",
        "10000000000000000.00",
        "1" * 60,
        "0" * 1000 + "5",
        "9" * 4_000_000,
        "NaN",
        "Infinity",
        "0x10",
        "12.5f",
        "12.5d",
        "٣",
        "12\n13",
        "$12",
    ],
    "decimal(38,0)": ["1" + "0" * 38, "1.5", "1.0001"],
    "bigint": ["9223372036854775808", "-9223372036854775809", "1.0", "1e3", "7L", "x", "", "٣"],
    "int": ["2147483648", "-2147483649"],
    "double": ["1e400", "-1e400", "NaN", "inf", "Infinity", "1.", ".5", "1d", "1f", "", "0x1p3"],
    "date": [
        "2020-02-30",
        "2020-02-30\n",
        "2019-02-29",
        "1900-02-29",
        "2020-13-01",
        "2020-00-10",
        "2020-01-00",
        "0000-01-01",
        "2020",
        "2020-01",
        "2020-1-2",
        "2020-01-02 10:00:00",
        "2020-01-02T",
        "20200102",
        "02/01/2020",
        "+2020-01-02",
        "12020-01-02",
        "today",
        "epoch",
        "",
    ],
    "boolean": ["yes", "no", "1", "0", "t", "f", "y", "", "truee"],
    "timestamp": [
        "2020-01-02",
        "2020-01-02 10:11",
        "2020-01-02 25:00:00",
        "2020-01-02 23:60:00",
        "2020-01-02 23:59:60",
        "2020-01-02 24:00:00",
        "2020-02-30 10:00:00",
        "2020-01-02 10:11:12.1234567",
        "2020-01-02 10:11:12 UTC",
        "10:11",
        "now",
        "",
    ],
}


def cast_all(session: SparkSession, texts: list[str | None], kinds: list[str]) -> list[list[Any]]:
    """Cast each text to each type in one job."""
    from pyspark.sql import functions as F

    frame = session.createDataFrame(list(enumerate(texts)), "at int, text string")
    casts = []
    for kind in kinds:
        target = parse_type(kind)
        assert target is not None
        value = strict_cast(F.col("text"), STRING, target)
        casts.append(value.cast("string") if kind == "timestamp" else value)
    named = [value.alias(f"c{at}") for at, value in enumerate(casts)]
    return [list(row)[1:] for row in sorted(frame.select("at", *named).collect())]


def test_each_text_becomes_the_value_it_says_or_null(session: SparkSession) -> None:
    kinds = list(FITTING)
    texts: list[str | None] = [None]
    for kind in kinds:
        texts += [*FITTING[kind], *UNFIT[kind]]
    texts = list(dict.fromkeys(texts))
    found = cast_all(session, texts, kinds)
    wrong = []
    for text, values in zip(texts, found, strict=True):
        for kind, value in zip(kinds, values, strict=True):
            if text in FITTING[kind]:
                expected = FITTING[kind][text]
            elif text is None or text in UNFIT[kind]:
                expected = None
            else:
                continue
            if value != expected or type(value) is not type(expected):
                wrong.append(f"{text!r} as {kind}: expected {expected!r}, found {value!r}")
    assert wrong == []


def oracle(text: str, precision: int, scale: int) -> Decimal | None:
    """What a text is as a decimal, by Python's own arithmetic."""
    text = text.strip(UNSEEN)
    if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text):
        return None
    scaled = D(text).scaleb(scale)
    if scaled != scaled.to_integral_value() or abs(scaled) >= 10**precision:
        return None
    return D(text)


numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "+", "-", " ", "-0"]),
    st.text("0123456789", min_size=0, max_size=18),
    st.sampled_from(["", ".", ".0", ".50", ".500000", ".501", ".999"]),
    st.sampled_from(["", " ", "e1", "0"]),
)


@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(texts=st.lists(numbers | st.text(max_size=6), min_size=150, max_size=200))
def test_a_decimal_is_what_python_says_it_is(
    engine_session: SparkSession, texts: list[str]
) -> None:
    texts = [text.replace("\x00", "") for text in texts]
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    kinds = ["decimal(18,2)", "decimal(9,0)", "decimal(12,6)"]
    found = cast_all(engine_session, list(texts), kinds)
    expected = [[oracle(text, p, s) for p, s in ((18, 2), (9, 0), (12, 6))] for text in texts]
    assert found == expected
