"""What a file's first lines say: names, that there are none, the separator."""

import gzip
from pathlib import Path

import pytest
from desk import Desk, states
from hypothesis import given, settings
from hypothesis import strategies as st
from test_malformed import scan, told, window  # noqa: F401

from nbx_medallion.contracts.patterns import UNSEEN
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.names import column_names, find_problem
from nbx_medallion.landing.scan import NO_HEADER, preview_rows

KNOWN = ("order_id", "customer_id", "amount")
NOT_MAPPED = "record: header not mapped"
OPTION = CsvDialect.from_config({"header": list(KNOWN)})

# Names.

unseen = st.text(UNSEEN.translate({10: None, 13: None}), max_size=3)
plain = st.text(st.characters(codec="utf-8", exclude_characters=UNSEEN + ',"\0'), min_size=1)


@settings(max_examples=100)
@given(st.lists(st.tuples(unseen, plain, unseen), min_size=1, max_size=4))
def test_names_are_taken_without_what_nobody_sees_around_them(
    written: list[tuple[str, str, str]],
) -> None:
    received = ["".join(parts) for parts in written]
    names = tuple(name for _, name, _ in written)
    assert column_names(received) == names
    assert (find_problem(received) is None) == (len({n.lower() for n in names}) == len(names))


def test_the_header_is_kept_as_received(tmp_path: Path) -> None:
    text = '\ufeff order_id\u200b,\u00a0,"customer_id ",amount'
    (tmp_path / "a.csv").write_text(f"\ufeff{text}\n1,2,3,4\n")
    found = scan(tmp_path)
    header = found.files[0].header
    assert found.columns == ("order_id", "_c1", "customer_id", "amount")
    assert header.text == text.removeprefix("\ufeff")
    assert header.trimmed == (" order_id\u200b", "customer_id ")
    assert header.blank == (1,)
    assert told(found) == [("1|2|3|4", None)]


# No header.

VALUES = (
    "2", "-11.00", "1.234,56", "0042", "1e5", "12%", "R$ 10", "2025-01-03", "03/01/2025", "3.1.25",
    "2025-01-03T10:11:12Z", "2025-01-03 10:11:12.5+02:00", "03-Jan-2025", "20250103T101112",
    "10:11",
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_a_first_line_of_values_is_a_record(tmp_path: Path, value: str) -> None:
    (tmp_path / "a.csv").write_text(f'ann,"{value}",\nbob,3,\n')
    found = scan(tmp_path, None, *KNOWN)
    assert (found.columns, found.files[0].header.problem) == ((), NO_HEADER)
    assert found.files[0].header.text == ""
    assert told(found) == [(f'ann,"{value}",', NOT_MAPPED), ("bob,3,", NOT_MAPPED)]


@pytest.mark.parametrize("header", ["2;0043;11.00", "0043\tann", "1|x"])
def test_so_is_one_with_another_separator(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(header)
    assert told(scan(tmp_path, None, *KNOWN)) == [(header, NOT_MAPPED)]


@pytest.mark.parametrize(
    "header",
    ["amount,2025-01-03", "AMOUNT ,1", "who,what", "order_id;2024", "q1,1st,v2,3 men", "a-1-b,x"],
)
def test_names_of_the_contract_or_without_a_value_are_a_header(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n")
    assert scan(tmp_path, None, *KNOWN).files[0].header.problem is None


def test_many_files_without_a_header_add_no_column_and_lose_no_record(tmp_path: Path) -> None:
    for at in range(300):
        (tmp_path / f"{at}.csv").write_text(f"{at},00{at},{at}.50\n")
    (tmp_path / "z.csv").write_text("order_id,customer_id,amount\n1,2,3\n")
    found = scan(tmp_path, None, *KNOWN)
    assert (found.records, found.columns) == (301, KNOWN)
    assert told(found)[-1] == ("1|2|3", None)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("mark", ["", "\ufeff", "\r\n"])
@pytest.mark.usefixtures("window")
def test_the_reader_option_gives_the_names(tmp_path: Path, pack: type[bytes], mark: str) -> None:
    suffix = ".csv" if pack is bytes else ".csv.gz"
    texts = {
        "a": "1,c,2\n3,d,4",
        "b": "order_id,customer_id ,amount\n5,e,6\n",
        "c": "amount,order_id,customer_id\n7,8,f\n",
        "d": '"9\n9\n',
        "e": "",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}{suffix}").write_bytes(pack((mark + text).encode()))
    found = scan(tmp_path, OPTION, *KNOWN)
    assert [file.header.text for file in found.files] == [
        "", "order_id,customer_id ,amount", "", "", None
    ]  # fmt: skip
    assert found.columns == KNOWN
    assert told(found) == [
        ("1|c|2", None),
        ("3|d|4", None),
        ("5|e|6", None),
        ("amount,order_id,customer_id", "record: header"),
        ("7,8,f", "record: after another header"),
        ('"9', "record: quote not closed"),
        ("9", "record: 1 field, header has 3"),
    ]


@pytest.mark.parametrize("dialect", [CsvDialect(), OPTION], ids=["unmapped", "named"])
def test_a_file_without_a_header_grows(tmp_path: Path, dialect: CsvDialect) -> None:
    desk = Desk(tmp_path, dialect)
    desk.prefer = KNOWN
    desk.put("a.csv", "1,c,2\n")
    assert states(desk.run()) == {"a.csv": ("received", 1)}
    desk.append("a.csv", "3,d,4\n5,e,6\n")
    assert states(desk.run()) == {"a.csv": ("grown", 2)}
    assert [row[2] for row in desk.bronze] == [1, 2, 3]
    assert desk.run().events == ()


def test_an_empty_file_that_gets_its_header_is_read_from_the_start(tmp_path: Path) -> None:
    desk = Desk(tmp_path, OPTION)
    desk.put("a.csv", "\n")
    desk.run()
    desk.append("a.csv", "order_id,customer_id,amount\n1,c,2\n")
    assert states(desk.run()) == {"a.csv": ("changed", 1)}


def test_files_are_read_again_where_the_option_comes(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.prefer = KNOWN
    desk.put("a.csv", "1,c,2\n")
    desk.run()
    desk.dialect = OPTION
    receipt = desk.run()
    assert states(receipt) == {"a.csv": ("changed", 1)}
    assert told(receipt.scan) == [("1|c|2", None)]
    assert 'read with {"header": ["order_id", "customer_id", "amount"]}' in str(desk.events[-1])


def test_preview_of_a_file_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,c,2\n")
    seen = preview_rows(str(tmp_path), "X", OPTION, 9)
    assert seen["columns"][:4] == [*KNOWN, "_corrupt_record"]
    assert seen["data"] == [["1", "c", "2", None, None, "a.csv", 1]]
    assert preview_rows(str(tmp_path), "X", CsvDialect(), 9, KNOWN)["data"] == [
        ["1,c,2", NOT_MAPPED, "a.csv", 1]
    ]


# Excel's line that names the separator.


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("line", ["sep=;", "SEP=;", "\ufeffsep=;", '"sep=;"', "sep=;;;", "\nsep=;"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.usefixtures("window")
def test_the_first_line_names_the_separator(
    tmp_path: Path, pack: type[bytes], line: str, end: str
) -> None:
    name = "a.csv" if pack is bytes else "a.csv.gz"
    lines = [line, "a;b", '1,5;"x;y"', "2;z", "a;b", "3"]
    (tmp_path / name).write_bytes(pack(end.join(lines).encode()))
    (tmp_path / "b.csv").write_bytes(b"a,b\n3;4,5\n")
    found = scan(tmp_path)
    assert [(file.named, file.header.text) for file in found.files] == [(";", "a;b"), (None, "a,b")]
    assert told(found) == [
        ("1,5|x;y", None),
        ("2|z", None),
        ("a;b", "record: header"),
        ("3", "record: 1 field, header has 2"),
        ("3;4|5", None),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_any_separator_in_any_encoding(tmp_path: Path, separator: str, encoding: str) -> None:
    text = f"sep={separator}\r\nä{separator}b\r\n1{separator}2\r\n"
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    assert told(scan(tmp_path, CsvDialect(encoding=encoding))) == [("1|2", None)]


@pytest.mark.parametrize("first", ["sep=", "sep=ab", "xsep=;", "sep=;x", 'sep="'])
def test_other_first_lines_are_headers(tmp_path: Path, first: str) -> None:
    (tmp_path / "a.csv").write_text(f"{first}\n1\n")
    assert scan(tmp_path).columns == (first,)


def test_the_entry_has_the_last_word(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\na,b\n1;1,2\n")
    found = scan(tmp_path, CsvDialect(separator=","))
    assert found.files[0].named == ";"
    assert told(found) == [("1;1|2", None)]


def test_a_file_with_such_a_line_grows_and_is_previewed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.put("a.csv", "sep=;\na;b\n1;2\n")
    desk.run()
    desk.append("a.csv", "3;4\n")
    receipt = desk.run()
    assert states(receipt) == {"a.csv": ("grown", 1)}
    assert told(receipt.scan) == [("3|4", None)]
    seen = preview_rows(str(tmp_path), "X", CsvDialect(), 9)
    assert [row[:2] for row in seen["data"]] == [["1", "2"], ["3", "4"]]
    desk.dialect = CsvDialect(separator=",")
    assert states(desk.run()) == {"a.csv": ("changed", 2)}


# Records that end in a separator.


@pytest.mark.parametrize(
    ("content", "is_so"),
    [
        ("a,b\n1,2,\n3,4,\n", True),
        ("a,b\r\n1,2,\r\n\r\n3,,", True),
        ('a,b\n"1,",2,\n"x\ny",4,\n', True),
        ("a,b\n1,2,\n3,4\n", False),
        ("a,b\n1,\n3,\n", False),
        ("a,b,\n1,2,\n", False),
        ("a,b\n1,2,,\n", False),
        ("a,b\n", False),
        ("a,a\n1,2,\n", False),
    ],
)
@pytest.mark.usefixtures("window")
def test_records_that_end_in_a_separator_that_the_header_lacks(
    tmp_path: Path, content: str, is_so: bool
) -> None:
    (tmp_path / "a.csv").write_bytes(content.encode())
    assert scan(tmp_path).files[0].all_end_in_separator == is_so
