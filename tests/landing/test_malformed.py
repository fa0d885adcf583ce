"""Each malformed record says why, and headers within a file are found, wherever it is cut."""

import gzip
import tempfile
from pathlib import Path

import pytest
from desk import Desk, states
from hypothesis import given, settings
from hypothesis import strategies as st
from test_parse import byte_soup, reference

from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.inbox import scan_landing
from nbx_medallion.landing.scan import LandingScan
from nbx_medallion.landing.source import read_range

Told = tuple[str, str | None]
"""A record's fields with a bar between them, or its text, and why it is malformed."""


def scan(path: Path, dialect: CsvDialect | None = None, *known: str) -> LandingScan:
    return scan_landing(str(path), "RAW_SALES_PATH", dialect or CsvDialect(), known)


def told(found: LandingScan) -> list[Told]:
    """The records of all files, in order."""
    rows = [
        row
        for file in found.files
        for part in file.ranges
        for batch in read_range(part, found.columns, found.dialect)
        for row in batch.to_pylist()
    ]
    assert len(rows) == found.records
    return [
        (row["_corrupt_record"], row["_corrupt_reason"])
        if row["_corrupt_record"] is not None
        else ("|".join(row[name] or "" for name in found.columns), row["_corrupt_reason"])
        for row in rows
    ]


def cut_at(window: int, patch: pytest.MonkeyPatch) -> None:
    """Have files read in blocks of so many bytes, and cut after eight times as many."""
    for module in ("scan", "source"):
        patch.setattr(f"nbx_medallion.landing.{module}.WINDOW", window)


@pytest.fixture(params=[1, 1 << 20], ids=["cut", "whole"])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are cut as small as can be, or not."""
    cut_at(request.param, monkeypatch)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"1", "1 field, header has 3"),
        (b"1,2", "2 fields, header has 3"),
        (b"1,2,3,", "4 fields, header has 3"),
        (b'"1","2","3","4","5"', "5 fields, header has 3"),
        (b"1;2;3", "1 field, header has 3"),
        (b'1,"2"x,3', "text after a closing quote"),
        (b'1,"2" ,3', "text after a closing quote"),
        (b'1,"2\\"x",3', "text after a closing quote"),
        (b'1,2,"3', "quote not closed"),
        (b'1,"2,3\n"4",5,6', "quote not closed"),
        (b"1,S\xe3o,3", "bytes not in utf-8"),
        (b"\xff", "bytes not in utf-8"),
        (b"a,b,c", "header"),
    ],
)
@pytest.mark.usefixtures("window")
def test_each_kind_of_malformed_record_has_its_reason(
    tmp_path: Path, line: bytes, why: str
) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b,c\n1,2,3\n" + line + b"\n7,8,9\n")
    found = told(scan(tmp_path))
    assert found[:2] == [
        ("1|2|3", None),
        (line.partition(b"\n")[0].decode("utf-8", "replace"), f"record: {why}"),
    ]
    assert found[-1] == ("7|8|9", None)


def test_the_declared_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,\x81\n")
    found = told(scan(tmp_path, CsvDialect(encoding="cp1252")))
    assert found == [("1,\ufffd", "record: bytes not in cp1252")]


def test_records_of_a_header_that_cannot_be_mapped(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,a\n1,2\na,a\n1\n")
    not_mapped = "record: header not mapped"
    assert told(scan(tmp_path)) == [("1,2", not_mapped), ("a,a", not_mapped), ("1", not_mapped)]


@settings(max_examples=200, deadline=None)
@given(byte_soup, st.sampled_from([1, 1 << 20]))
def test_any_bytes_have_the_reason_that_the_rule_says(text: bytes, window: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        cut_at(window, patch)
        (Path(folder) / "a.csv").write_bytes(b"h,i\n" + text)
        found = told(scan(Path(folder)))
    expected = [
        (row if isinstance(row, str) else "|".join(value or "" for value in row), why)
        for row, why in reference(text, 2)
    ]
    assert found == expected


# A header again.

NAMES = ("order_id", "customer_id", "amount")
MIXED = ("amount", "order_id", "customer_id")
WRITTEN = {
    "plain": ",".join,
    "quoted": lambda fields: ",".join(f'"{field}"' for field in fields),
    "spaced": lambda fields: " , ".join(f"{field}\u200b" for field in fields),
    "marked": lambda fields: "\ufeff" + ",".join(f'"{field}"' for field in fields),
}


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize(
    ("suffix", "encoding"), [(".csv", "utf-8"), (".csv.gz", "utf-8"), (".csv", "utf-16")]
)
@pytest.mark.usefixtures("window")
def test_what_follows_a_header_in_another_order_is_never_taken(
    tmp_path: Path, form: str, suffix: str, encoding: str
) -> None:
    again, mixed = WRITTEN[form](NAMES), WRITTEN[form](MIXED)
    lines = [",".join(NAMES), "1,c,2", again, "3,d,4", mixed, "5,6,e", "x", again, "7,f,8"]
    data = ("\r\n".join(lines) + "\r\n").encode(encoding)
    (tmp_path / f"a{suffix}").write_bytes(gzip.compress(data) if suffix == ".csv.gz" else data)
    header, after = "record: header", "record: after another header"
    assert told(scan(tmp_path, CsvDialect(encoding=encoding))) == [
        ("1|c|2", None), (again, header), ("3|d|4", None), (mixed, header), ("5,6,e", after),
        ("x", after), (again, header), ("7,f,8", after),
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["amount,order_id,amount", "order_id,customer_id,Amount", ",,"])
def test_what_has_not_all_the_names_is_no_header(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.csv").write_text(f"{','.join(NAMES)}\n{line}\n{'_'.join(NAMES)},customer_id,\n")
    assert [why for _, why in told(scan(tmp_path))] == [None, None]


def test_blank_names_are_names_of_a_header_and_none_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,,b\n1,2,3\na, ,b\n,b,a\n")
    (tmp_path / "b.csv").write_bytes(b",\n,\n")
    assert [why for _, why in told(scan(tmp_path))] == [
        None, "record: header", "record: header", None
    ]  # fmt: skip


def test_ranges_of_a_large_file_know_what_was_before_them(tmp_path: Path) -> None:
    some = (b"1," + b"c" * 600 + b",2\n") * 20_000
    lines = [b",".join(map(str.encode, names)) + b"\n" + some for names in (NAMES, MIXED)]
    (tmp_path / "a.csv").write_bytes(b"".join(lines) + some)
    found = scan(tmp_path)
    ranges = found.files[0].ranges
    assert [part.is_after_another for part in ranges] == [False, False, True, True]
    for at, part in enumerate(ranges):
        batches = [*read_range(part, found.columns, found.dialect)]
        whys = [why for batch in batches for why in batch["_corrupt_reason"].to_pylist()]
        expected = {0: {None}, 1: {None, "record: header", "record: after another header"}}
        assert set(whys) == expected.get(at, {"record: after another header"})


def test_a_file_with_another_header_is_read_whole_where_it_grows(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.put("a.csv", "a,b\n1,2\n")
    desk.run()
    desk.append("a.csv", "a,b\n3,4\nb,a\n5,6\n")
    assert states(desk.run()) == {"a.csv": ("grown", 4)}
    desk.append("a.csv", "7,8\n")
    receipt = desk.run()
    assert states(receipt) == {"a.csv": ("changed", 6)}
    assert told(receipt.scan)[-1] == ("7,8", "record: after another header")
    assert desk.run().events == ()


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 3), st.sampled_from([1, 1 << 20]))
def test_files_put_together_in_any_order(data: st.DataObject, width: int, window: int) -> None:
    names = ["a", "b_name", "c"][:width]
    lines, expected = [",".join(names)], list[Told]()
    is_after = False
    for _ in range(data.draw(st.integers(0, 8))):
        if data.draw(st.integers(0, 2)) == 0:
            fields = data.draw(st.permutations(names))
            is_after = is_after or fields != names
            expected.append((",".join(fields), "record: header"))
        else:
            fields = data.draw(st.lists(st.sampled_from(["a", "b_name", "1", '"b"']),
                                        min_size=width, max_size=width))  # fmt: skip
            if sorted(fields) == sorted(names):
                continue
            row = ",".join(fields) if is_after else "|".join(fields).replace('"', "")
            expected.append((row, "record: after another header" if is_after else None))
        lines.append(",".join(fields))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        cut_at(window, patch)
        (Path(folder) / "a.csv").write_text("\n".join(lines))
        assert told(scan(Path(folder))) == expected


# Values with NUL characters.


def test_values_with_nul_are_counted_where_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n\0,x\0y\n1,2\n\0\n" + b'1,"\0\n"\n' + b"a\0,b\n")
    (tmp_path / "b.csv").write_bytes(b"a,a\n\0,\0\n")
    assert [file.with_nul for file in scan(tmp_path).files] == [4, 0]
