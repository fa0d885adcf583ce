"""The content hash is what its definition says, on each engine."""

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from nbx_medallion.tables.content import content_hash

SCHEMA = (
    "`a key` string, n bigint, small int, d decimal(28,2), x double, day date, b boolean,"
    " tags array<string>"
)
NAMES = ["a key", "n", "small", "d", "x", "day", "b", "tags"]
ROWS = [
    ("0042", 1, 1, Decimal("1.50"), 0.1 + 0.2, date(2020, 2, 29), True, ["a", "b"]),
    ("", 2**63 - 1, -(2**31), Decimal("99999999999999999999999999.99"), 1e21, None, False, []),
    (None, -(2**63), None, Decimal("-0.01"), -0.0, date(1, 1, 1), None, None),
    ("é日本\U0001f600", 0, 0, Decimal("0.00"), math.nan, date(9999, 12, 31), True, [None, ""]),
    ('a\x00b\nc,"d"' * 9, None, 7, None, -math.inf, date(1969, 12, 31), False, ["a,b"]),
    ("x", 3, 3, Decimal("123456789012345678.91"), 5e-324, None, None, ["1:a", "é\U0001f600"]),
    ("x", 3, 3, None, 1e-7, None, None, ["-"]),
    (None,) * 8,
]
_TEXT = st.none() | st.text(st.characters(codec="utf-8"), max_size=40)
_ROW = st.tuples(
    _TEXT,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(-(10**28) + 1, 10**28 - 1).map(lambda n: Decimal(n).scaleb(-2)),
    st.none() | st.floats(),
    st.none() | st.dates(),
    st.none() | st.booleans(),
    st.none() | st.lists(_TEXT, max_size=3),
)


def test_awkward_values_are_hashed_as_defined(engine_session: SparkSession) -> None:
    assert _hash(engine_session.createDataFrame(ROWS, SCHEMA)) == expected_hash(NAMES, ROWS)


@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(_ROW, min_size=1, max_size=6), min_size=20, max_size=60))
def test_any_values_are_hashed_as_defined(
    engine_session: SparkSession, frames: list[list[tuple[object, ...]]]
) -> None:
    found = _hash_each(engine_session, frames, SCHEMA)
    assert found == {i: expected_hash(NAMES, frame) for i, frame in enumerate(frames)}


def test_order_and_partitions_do_not_matter(engine_session: SparkSession) -> None:
    one_way = engine_session.createDataFrame(ROWS, SCHEMA)
    other_way = engine_session.createDataFrame(ROWS[::-1], SCHEMA).repartition(3)
    assert _hash(one_way) == _hash(other_way)


def test_no_rows_have_a_hash(engine_session: SparkSession) -> None:
    frame = engine_session.createDataFrame(ROWS, SCHEMA).where("false")
    assert _hash(frame) == expected_hash(NAMES, [])


def test_what_differs_has_another_hash(engine_session: SparkSession) -> None:
    schema = "s string, t string, tags array<string>, x double"
    pairs: list[tuple[list[tuple[object, ...]], ...]] = [
        ([("ab", "c", None, None)], [("a", "bc", None, None)]),
        ([(None, "x", None, None)], [("x", None, None, None)]),
        ([(None, "", None, None)], [("", None, None, None)]),
        ([("NULL", None, None, None)], [(None, None, None, None)]),
        ([(None, None, None, None)], [(None, None, None, None)] * 2),
        (
            [("a", "b", None, None), ("c", "d", None, None)],
            [("a", "d", None, None), ("c", "b", None, None)],
        ),
        ([(None, None, ["a,b"], None)], [(None, None, ["a", "b"], None)]),
        ([(None, None, ["1:a"], None)], [(None, None, ["1", "a"], None)]),
        ([(None, None, ["-"], None)], [(None, None, [None], None)]),
        ([(None, None, [], None)], [(None, None, None, None)]),
        ([(None, None, [""], None)], [(None, None, [], None)]),
        ([(None, None, None, 1.5)], [(None, None, None, math.nextafter(1.5, 2))]),
    ]
    frames = [frame for pair in pairs for frame in pair]
    found = _hash_each(engine_session, frames, schema)
    assert [pair for i, pair in enumerate(pairs) if found[2 * i] == found[2 * i + 1]] == []


def test_names_of_columns_count(engine_session: SparkSession) -> None:
    frame = engine_session.range(2)
    assert _hash(frame) != _hash(frame.withColumnRenamed("id", "key"))


def test_wider_types_and_equal_values_have_the_same_hash(engine_session: SparkSession) -> None:
    one = engine_session.sql(
        "select 1 n, cast(1.5 as decimal(18,2)) d, cast(1.5 as float) f, 0.0D z,"
        " cast('NaN' as double) nan"
    )
    other = engine_session.sql(
        "select cast(1 as bigint) n, cast(1.5 as decimal(28,2)) d, 1.5D f, -0.0D z,"
        " -sqrt(-1.0D) nan"
    )
    assert _hash(one) == _hash(other)


def test_timestamps_are_hashed_as_defined(engine_session: SparkSession) -> None:
    frame = engine_session.sql("select timestamp'2026-01-31 23:59:59.999999' as t")
    assert _hash(frame) == expected_hash(["t"], [[datetime(2026, 1, 31, 23, 59, 59, 999999)]])


def test_another_type_is_refused(engine_session: SparkSession) -> None:
    frame = engine_session.range(1).select(F.struct("id").alias("s"))
    with pytest.raises(TypeError) as refused:
        content_hash(frame)
    assert str(refused.value) == (
        "content_hash: s: no portable hash for the type struct<id:bigint>"
    )


def _hash(frame: DataFrame) -> str:
    return str(frame.agg(content_hash(frame)).collect()[0][0])


def _hash_each(
    session: SparkSession, frames: Sequence[Sequence[tuple[object, ...]]], schema: str
) -> dict[int, str]:
    """The hash of each frame, by its place, in one query."""
    rows = [(i, *row) for i, frame in enumerate(frames) for row in frame]
    numbered = session.createDataFrame(rows, f"frame int, {schema}")
    aggregate = content_hash(numbered.drop("frame"))
    return dict(map(tuple, numbered.groupBy("frame").agg(aggregate).collect()))


_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_MASK = 2**64 - 1


def _xxhash64(data: bytes, seed: int) -> int:
    """XXH64 as its specification has it: the hash of bytes, unsigned."""
    at, length = 0, len(data)
    if length >= 32:
        lanes = [seed + _P1 + _P2, seed + _P2, seed, seed - _P1]
        while at <= length - 32:
            for lane in range(4):
                (word,) = struct.unpack_from("<Q", data, at)
                lanes[lane] = _round(lanes[lane], word)
                at += 8
        result = sum(_rotate(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True))
        for lane in lanes:
            result = ((result ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        result = seed + _P5
    result = (result + length) & _MASK
    while at <= length - 8:
        (word,) = struct.unpack_from("<Q", data, at)
        result = (_rotate(result ^ _round(0, word), 27) * _P1 + _P4) & _MASK
        at += 8
    if at <= length - 4:
        (word,) = struct.unpack_from("<I", data, at)
        result = (_rotate(result ^ (word * _P1 & _MASK), 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        result = _rotate(result ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    result = (result ^ result >> 33) * _P2 & _MASK
    result = (result ^ result >> 29) * _P3 & _MASK
    return result ^ result >> 32


def expected_hash(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """What `content_hash` must give for these rows, by its definition."""
    rows = list(rows)
    sums = []
    for seed in ("first", "second"):
        total = 0
        for row in rows:
            hashed = _xxhash64(seed.encode(), 42)
            for value in row:
                hashed = _xxhash64(_bytes(value is None), hashed)
                hashed = hashed if value is None else _xxhash64(_bytes(value), hashed)
            total += hashed - 2**64 if hashed >= 2**63 else hashed
        sums.append(total)
    text = " ".join(map(str, [json.dumps(list(names)), len(rows), *sums]))
    return hashlib.sha256(text.encode()).hexdigest()


def _bytes(value: object) -> bytes:  # noqa: PLR0911
    if isinstance(value, bool):
        return struct.pack("<i", value)
    if isinstance(value, int):
        return struct.pack("<q", value)
    if isinstance(value, float):
        canonical = 0.0 if value == 0 else math.nan if math.isnan(value) else value
        return struct.pack("<d", canonical)
    if isinstance(value, datetime):
        return struct.pack("<q", (value - datetime(1970, 1, 1)) // timedelta(microseconds=1))
    if isinstance(value, date):
        return struct.pack("<i", (value - date(1970, 1, 1)).days)
    if isinstance(value, Decimal):
        return f"{value:f}".encode()
    if isinstance(value, list):
        return "".join("-" if v is None else f"{len(v)}:{v}" for v in value).encode()
    assert isinstance(value, str)
    return value.encode()


def _round(lane: int, word: int) -> int:
    return _rotate((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def _rotate(word: int, by: int) -> int:
    word &= _MASK
    return (word << by | word >> (64 - by)) & _MASK
