"""The strict rule, the fast way to the same, and that one never differs from the other."""

import csv
import gc
import io
import random
import time
from collections.abc import Callable, Iterable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nasty_csv import CASES, Case, Row

from nbx_medallion.errors import UserError
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.files import Header
from nbx_medallion.landing.parse import RecordParser
from nbx_medallion.landing.records import LIMIT, BlockReader, StrictReader
from nbx_medallion.landing.scan import read_header

WINDOWS = (1, 2, 3, 7, 64, 1 << 20)
FILES = (b'ab,"\n', b'a,"\r\n', b'a,"\n\xff', b'",\n', b'"\n\r', b',\n\n"\xef\xbb\xbf')
byte_soup = st.sampled_from(FILES).flatmap(
    lambda alphabet: st.lists(st.sampled_from(list(alphabet)), max_size=80).map(bytes)
)


def read_all(
    content: bytes,
    dialect: CsvDialect = CsvDialect(),  # noqa: B008
    *,
    suffix: str = ".csv",
    window: int = 1 << 20,
    limit: int = LIMIT,
) -> tuple[Header, list[Row]]:
    """The header and the records of a file, after checks that hold for each file."""
    text = dialect.open_utf8(io.BytesIO(content), "file" + suffix)
    reader = BlockReader(text, dialect, window=window, limit=limit)
    header = read_header(reader.header(), dialect)
    blocks = list(reader)
    names = header.columns
    parser = RecordParser(names or (), names, "f.csv", reader.dialect)
    batches = list(parser.parse(blocks, 1))
    rows = pa.Table.from_batches(batches, parser.schema).to_pylist()
    assert len(rows) == sum(reader.count(block) for block in blocks)
    assert [row["_row_number"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["_source_file"] for row in rows} <= {"f.csv"}
    return header, [to_row(row, names or ()) for row in rows]


def to_row(row: dict[str, object], names: Iterable[str]) -> Row:
    fields = tuple(row[name] for name in names)
    text = row["_corrupt_record"]
    assert (text is None) == (row["_corrupt_reason"] is None)
    if text is None:
        return fields  # type: ignore[return-value]
    assert not any(fields), "a malformed record has NULL in each received column"
    return text  # type: ignore[return-value]


def reference(text: bytes, width: int) -> list[tuple[Row, str | None]]:
    """Records and reasons by the rule of `records`, character by character, however slowly."""
    rows: list[tuple[Row, str | None]] = []
    start = 0
    while start < len(text):
        if text[start] in b"\r\n":
            start += 1
            continue
        fields, end = reference_fields(text, start)
        if isinstance(fields, str):
            end = start
            while end < len(text) and text[end] not in b"\r\n":
                end += 1
        raw = text[start:end]
        if isinstance(fields, str):
            why = fields
        elif raw.decode("utf-8", "replace").encode() != raw:
            why = "bytes not in utf-8"
        elif len(fields) == width:
            rows.append((tuple(field.decode() or None for field in fields), None))
            start = end
            continue
        else:
            found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
            why = f"{found}, header has {width}"
        rows.append((raw.decode("utf-8", "replace"), f"record: {why}"))
        start = end
    return rows


def reference_fields(text: bytes, at: int) -> tuple[list[bytes] | str, int]:
    """Fields, or what is wrong with the quotes."""
    fields, field, state, opened = [], b"", "start", at
    while True:
        char = text[at : at + 1]
        if state == "quoted":
            if not char:
                return "quote not closed", at
            if char != b'"':
                field += char
            elif text[at + 1 : at + 2] == b'"':
                field, at = field + char, at + 1
            else:
                state = "closed"
        elif char in (b"", b",", b"\r", b"\n"):
            fields.append(field)
            if char != b",":
                return fields, at
            field, state = b"", "start"
        elif state == "closed":
            is_on_a_line = not {*b"\r\n"} & {*text[opened:at]}
            return "text after a closing quote" if is_on_a_line else "quote not closed", at
        elif state == "start" and char == b'"':
            state, opened = "quoted", at
        else:
            field, state = field + char, "unquoted"
        at += 1


@pytest.mark.parametrize("name", CASES)
def test_each_nasty_file_gives_its_records(name: str) -> None:
    case: Case = CASES[name]
    header, rows = read_all(case.content, suffix=case.suffix)
    assert header.columns == case.columns
    assert rows == case.rows


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("long_")])
def test_the_block_size_changes_nothing(name: str) -> None:
    case: Case = CASES[name]
    for window in WINDOWS:
        assert read_all(case.content, suffix=case.suffix, window=window)[1] == case.rows


@settings(max_examples=300, deadline=None)
@given(byte_soup, st.sampled_from(WINDOWS), st.integers(1, 3))
def test_any_bytes_give_what_the_rule_says(text: bytes, window: int, width: int) -> None:
    header = b",".join(b"h%d" % at for at in range(width)) + b"\n"
    expected = [row for row, _ in reference(text, width)]
    assert read_all(header + text, window=window)[1] == expected


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(WINDOWS))
def test_any_bytes_with_any_header_never_raise(content: bytes, window: int) -> None:
    assert read_all(content, window=window) == read_all(content)


@settings(max_examples=150, deadline=None)
@given(byte_soup, st.sampled_from([1, 2, 5, 10]), st.sampled_from(WINDOWS))
def test_the_limit_of_quoted_fields_does_not_depend_on_the_block_size(
    text: bytes, limit: int, window: int
) -> None:
    content = b"a,b\n" + text
    assert read_all(content, limit=limit, window=window) == read_all(content, limit=limit)


@settings(max_examples=100, deadline=None)
@given(byte_soup)
def test_no_byte_is_lost_but_line_ends(text: bytes) -> None:
    records, _ = StrictReader(CsvDialect()).read(text, 0, len(text), final=True)
    at = 0
    for raw, *_ in records:
        while text[at] in b"\r\n":
            at += 1
        assert text.startswith(raw, at)
        at += len(raw)
    assert not text[at:].strip(b"\r\n")


characters = st.characters(codec="utf-8", exclude_characters="\0")
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.text(characters, max_size=6) | st.sampled_from(['"', "\r\n", ",", ""]),
                 min_size=width, max_size=width),
        max_size=12,
    ).map(lambda rows: (width, rows))
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    tables,
    st.builds(CsvDialect, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(['"', "'"])),
    # csv quotes a CR or LF of its own accord only where it is in the line end.
    st.sampled_from(
        [("\r\n", csv.QUOTE_MINIMAL), *((end, csv.QUOTE_ALL) for end in ("\n", "\r\n", "\r"))]
    ),
    st.sampled_from(WINDOWS),
)
def test_what_csv_writes_comes_back(
    table: tuple[int, list[list[str]]],
    dialect: CsvDialect,
    style: tuple[str, int],
    window: int,
) -> None:
    width, rows = table
    written = io.StringIO(newline="")
    writer = csv.writer(
        written,
        delimiter=dialect.separator,
        quotechar=dialect.quote,
        lineterminator=style[0],
        quoting=style[1],  # type: ignore[arg-type]
    )
    writer.writerow([f"h{at}" for at in range(width)])
    writer.writerows(rows)
    content = written.getvalue().encode()
    _, found = read_all(content, dialect, window=window)
    assert found == [tuple(field or None for field in row) for row in rows]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-be", "UTF8", "utf-32"])
@pytest.mark.parametrize("window", [1, 5, 1 << 20])
def test_declared_encodings_are_transcoded(encoding: str, window: int) -> None:
    content = 'preço,b\né,"x\nã"\n1\n'.encode(encoding)
    header, rows = read_all(content, CsvDialect(encoding=encoding), window=window)
    assert header.columns == ("preço", "b")
    assert rows == [("é", "x\nã"), "1"]


@pytest.mark.parametrize(
    ("encoding", "bad", "shown"),
    [
        ("cp1252", b"\x81", "\ufffd"),
        ("ascii", b"\xe9\xe9", "\ufffd\ufffd"),
        ("utf-16-le", b"\x00\xdc", "\ufffd"),
    ],
)
def test_what_is_invalid_in_a_declared_encoding_is_malformed(
    encoding: str, bad: bytes, shown: str
) -> None:
    content = "a,b\n1,".encode(encoding) + bad + "\n2,3\n".encode(encoding)
    _, rows = read_all(content, CsvDialect(encoding=encoding))
    assert rows == [f"1,{shown}", ("2", "3")]


def test_a_replacement_character_that_was_received_is_data() -> None:
    content = "a,b\n1,\ufffd\n".encode("utf-16")
    assert read_all(content, CsvDialect(encoding="utf-16"))[1] == [("1", "\ufffd")]


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"a,b\n" + b'1,"2\n' * 40_000,
        lambda: b"a,b\n" + b'"x","y\nx","y\n' * 20_000,
        lambda: b'a,b\n"' + b"1,2\n" * 50_000,
        lambda: b"a,b\n" + b'"\n' * 100_000 + b'"',
        lambda: b"a,b\r" + b'1,"2\r' * 40_000,
        lambda: b"a,b\n" + b'"\n",' * 50_000 + b'"x',
    ],
    ids=["each_unclosed", "chain", "first_unclosed", "lone_quotes", "lone_cr", "one_long_chain"],
)
def test_hostile_files_take_time_in_proportion_to_their_size(make: Callable[[], bytes]) -> None:
    content = make()
    start = time.process_time()
    read_all(content)
    assert time.process_time() - start < 5


def test_long_mixes_of_regular_and_irregular_text() -> None:
    rng = random.Random(1)  # noqa: S311
    lines = [b"1,2", b'"1","2"', b'"x\n""y",2', b"1", b'"a"b,2', b'1,"2', b"\xff,2", b"", b'a"b,c']
    weights = [500, 500, 50, 5, 1, 1, 1, 5, 1]
    text = b"\n".join(rng.choices(lines, weights, k=60_000))
    expected = [row for row, _ in reference(text, 2)]
    for window in (1 << 10, 1 << 14, 1 << 20):
        assert read_all(b"a,b\n" + text, window=window)[1] == expected


def test_batches_hold_memory_of_arrow_alone() -> None:
    """Memory of NumPy in a batch can make Sail hang when it writes much: seldom in a small test."""
    dialect = CsvDialect()
    text = b"1,2\n" * 10_000 + b"x\n" + b'1,"2' + b"\n3,4" * 10_000
    gc.collect()
    before = pa.total_allocated_bytes()
    parser = RecordParser(["a", "b"], ["a", "b"], "f.csv", dialect)
    batches = list(parser.parse(BlockReader(io.BytesIO(text), dialect), 1))
    # A column of NULLs alone has one buffer for two.
    assert pa.total_allocated_bytes() - before >= 0.99 * sum(batch.nbytes for batch in batches)


@pytest.mark.parametrize(
    ("options", "subject", "expected", "found"),
    [
        ({"sep": ";"}, "csv", "any of separator, quote, encoding, header", "{'sep': ';'}"),
        ([1], "csv", "a mapping of any of separator", "[1]"),
        ({"separator": "||"}, "csv.separator", "one ASCII character", "'||'"),
        ({"separator": "\n"}, "csv.separator", "not a line end", "'\\n'"),
        ({"separator": "§"}, "csv.separator", "one ASCII character", "'§'"),
        ({"quote": ""}, "csv.quote", "one ASCII character", "''"),
        ({"quote": 1}, "csv.quote", "one ASCII character", "1"),
        ({"quote": ","}, "csv.quote", "another character than the separator", "','"),
        ({"encoding": "utf-9"}, "csv.encoding", "utf-8, latin-1, cp1252 or utf-16", "'utf-9'"),
        ({"encoding": "base64"}, "csv.encoding", "the name of a text encoding", "'base64'"),
        ({"encoding": 8}, "csv.encoding", "the name of a text encoding", "8"),
        ({"header": "a,b"}, "csv.header", "a list of names", "'a,b'"),
        ({"header": []}, "csv.header", "a list of names", "[]"),
        ({"header": ["a", " "]}, "csv.header", "a list of names", "['a', ' ']"),
        ({"header": [1]}, "csv.header", "a list of names", "[1]"),
        ({"header": ["a", "A"]}, "csv.header", "'a' and 'A' differ only in case", "['a', 'A']"),
    ],
)
def test_options_that_cannot_be_used(
    options: object, subject: str, expected: str, found: str
) -> None:
    with pytest.raises(UserError) as error:
        CsvDialect.from_config(options)  # type: ignore[arg-type]
    message = error.value.message
    assert message.startswith(f"{subject}: expected ")
    assert expected in message
    assert message.endswith(f"found {found}.")


def test_options_left_out_take_their_defaults() -> None:
    assert CsvDialect.from_config(None) == CsvDialect(None, '"', "utf-8", None)
    assert CsvDialect.from_config({"separator": ";"}) == CsvDialect(";", '"', "utf-8")
    named = CsvDialect.from_config({"header": [" a", "b\u200b"]})  # type: ignore[dict-item]
    assert named.header == ("a", "b")


@pytest.mark.parametrize(
    ("text", "limit", "is_open"),
    [
        (b'a\n"1\n', LIMIT, True),
        (b'"a\n1\n', LIMIT, True),
        (b'a\n"1\n"\n"2"3\n4"\n', LIMIT, False),
        (b'a\n"' + b"1" * 20 + b"\n", 10, False),
    ],
    ids=["record", "header", "closed", "limit"],
)
def test_text_that_ends_within_quotes_is_known(text: bytes, limit: int, is_open: bool) -> None:
    reader = BlockReader(io.BytesIO(text), CsvDialect(), limit=limit)
    reader.header()
    list(reader)
    assert reader.is_open == is_open
