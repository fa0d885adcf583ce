"""Which files a landing path stands for, what is known of them, and errors in paths."""

import gzip
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nasty_csv import CASES

from nbx_medallion.errors import UserError
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.files import FileRange
from nbx_medallion.landing.inbox import scan_landing
from nbx_medallion.landing.scan import LandingScan
from nbx_medallion.landing.source import plan_partitions, read_range

CSV = b"a,b\n1,2\n"


def scan(path: Path | str, **options: object) -> LandingScan:
    return scan_landing(str(path), "RAW_SALES_PATH", CsvDialect(), **options)  # type: ignore[arg-type]


def write(root: Path, **files: bytes) -> None:
    for name, content in files.items():
        put(root / f"{name}.csv", content)


def put(path: Path, content: bytes = CSV) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def paths(found: LandingScan) -> list[str]:
    return [file.path for file in found.files]


def rows_of(found: LandingScan) -> list[dict[str, object]]:
    return [
        row
        for part in ranges_of(found)
        for batch in read_range(part, found.columns, found.dialect)
        for row in batch.to_pylist()
    ]


def problems(found: LandingScan) -> dict[str, str]:
    return {file.path: file.header.problem for file in found.files if file.header.problem}


def error_of(path: Path | str) -> str:
    with pytest.raises(UserError) as error:
        scan(path)
    return error.value.message


def ranges_of(found: LandingScan) -> list[FileRange]:
    return [
        part for partition in plan_partitions(found, 2, all_at_once=False) for part in partition
    ]


# Which files.


def test_a_folder_stands_for_its_csv_files_and_names_the_others(tmp_path: Path) -> None:
    for name in ("b.csv", "a.CSV", "x/y/c.csv", "x.csv/e.csv"):
        put(tmp_path / name)
    put(tmp_path / "z.csv.gz", gzip.compress(CSV))
    for name in ("README.md", "x/.hidden.csv", ".git/c.csv", "x/old.csv.bak", "_SUCCESS"):
        put(tmp_path / name)
    found = scan(tmp_path)
    assert paths(found) == ["a.CSV", "b.csv", "x.csv/e.csv", "x/y/c.csv", "z.csv.gz"]
    assert found.skipped == (
        ".git/c.csv",
        "README.md",
        "_SUCCESS",
        "x/.hidden.csv",
        "x/old.csv.bak",
    )
    assert found.records == 5


def test_a_single_file_may_have_any_name(tmp_path: Path) -> None:
    put(tmp_path / "sales[1].txt")
    put(tmp_path / "other.csv")
    found = scan(tmp_path / "sales[1].txt")
    assert (paths(found), found.skipped) == (["sales[1].txt"], ())


def test_a_glob_takes_what_it_matches_relative_to_its_fixed_part(tmp_path: Path) -> None:
    for name in ("in/2024/a.csv", "in/2025/b.dat", "in/2025/c.csv", "out/d.csv"):
        put(tmp_path / name)
    found = scan(tmp_path / "in" / "20*" / "*")
    assert paths(found) == ["2024/a.csv", "2025/b.dat", "2025/c.csv"]
    assert paths(scan(tmp_path / "**" / "*.csv")) == ["in/2024/a.csv", "in/2025/c.csv", "out/d.csv"]


def test_a_name_that_is_not_utf8_is_read_and_shown_with_replacement(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"S\xe3o.csv")).write_bytes(CSV)
    found = scan(tmp_path)
    assert paths(found) == ["S\ufffdo.csv"]
    assert len(rows_of(found)) == 1


# Errors in paths.


@pytest.mark.parametrize(
    ("path", "expected", "found"),
    [
        ("nope", "a CSV file, a folder of *.csv and *.csv.gz files, or a glob", "no such file"),
        (".", "expected *.csv and *.csv.gz files in this folder", "none among 2 other files"),
        ("x*", "expected a glob that matches files", "none below "),
    ],
)
def test_a_path_without_files(tmp_path: Path, path: str, expected: str, found: str) -> None:
    put(tmp_path / "sales.xlsx")
    put(tmp_path / "x" / ".a.csv")
    message = error_of(tmp_path / path)
    assert message.startswith(f"{tmp_path / path}: ")
    assert expected in message
    assert found in message
    assert message.endswith(", or set RAW_SALES_PATH to where they are.")


def unreadable(path: Path, why: str) -> str:
    return (
        f"{path}: expected a readable file; found: {why}. Mend the file or move it away, or set"
        " RAW_SALES_PATH to another path."
    )


@pytest.mark.parametrize(
    ("make", "pattern", "why"),
    [
        (Path.mkdir, "*", "a folder"),
        (lambda path: path.symlink_to("."), "", "a folder"),
        (lambda path: path.symlink_to("gone"), "", "a link to a file that does not exist"),
        (lambda path: path.symlink_to("gone"), "b.csv", "a link to a file that does not exist"),
        (lambda path: path.symlink_to("gone"), "*.csv", "a link to a file that does not exist"),
        (os.mkfifo, "", "a device, pipe or socket"),
    ],
)
def test_what_is_named_as_a_file_and_is_none(
    tmp_path: Path, make: Callable[[Path], None], pattern: str, why: str
) -> None:
    put(tmp_path / "a.csv")
    make(tmp_path / "b.csv")
    assert error_of(tmp_path / pattern) == unreadable(tmp_path / "b.csv", why)


def test_a_file_that_the_system_refuses_to_read() -> None:
    path = Path("/proc/self/mem")
    assert error_of(path) == unreadable(path, "Input/output error")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            gzip.compress(CSV)[:-9],
            "Compressed file ended before the end-of-stream marker was reached",
        ),
        (CSV, "Not a gzipped file (b'a,')"),
        (gzip.compress(CSV) + b"x", "Not a gzipped file (b'x')"),
        (
            gzip.compress(CSV)[:10] + b"\xff\xff\xff\xff",
            "Error -3 while decompressing data: invalid block type",
        ),
    ],
    ids=["truncated", "no_gzip", "more_after_it", "corrupt"],
)
def test_a_gzip_file_that_cannot_be_read(tmp_path: Path, content: bytes, why: str) -> None:
    put(tmp_path / "a.csv")
    put(tmp_path / "b.csv.gz", content)
    assert error_of(tmp_path) == unreadable(tmp_path / "b.csv.gz", why)


# What is known of a file.


def test_what_is_known_of_a_file(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf\r\n"a",b,\r\n1,2,3\r\nx\r\n\r\n'
    put(tmp_path / "a.csv", content)
    os.utime(tmp_path / "a.csv", ns=(0, 1_700_000_000_123_456_789))
    found = scan(tmp_path)
    (file,) = found.files
    assert (file.path, file.listed.size_bytes, file.records) == ("a.csv", len(content), 2)
    assert file.listed.modified_at == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    assert file.fingerprint == hashlib.sha256(content).hexdigest()
    assert (file.header.text, file.header.columns) == ('"a",b,', ("a", "b", "_c2"))
    assert file.header.blank == (2,)


def test_the_fingerprint_is_of_the_bytes_received(tmp_path: Path) -> None:
    content = gzip.compress(CSV)
    put(tmp_path / "a.csv.gz", content)
    (file,) = scan(tmp_path).files
    assert file.listed.size_bytes == len(content)
    assert file.fingerprint == hashlib.sha256(content).hexdigest()


# Headers.


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b'a,"b', "the header is unreadable: a quote does not close"),
        (b"a,\xe3", "the header is unreadable: not in the declared encoding"),
        (b"a,\0", "the header is unreadable: it holds NUL characters"),
        (b"a,b,a", "the name 'a' stands 2 times in the header"),
        (b"a,b, a", "the names 'a' and ' a' differ only in what is trimmed"),
        (b"A\xc2\xa0,a", "the names 'A' and 'a' differ only in case"),
        (b" _batch_id,a", "the name '_batch_id' is kept for a column of ours"),
        (b"a,,_c1", "the name '_c1' stands 2 times in the header"),
        (b"Amount,amount", "the names 'Amount' and 'amount' differ only in case"),
        (b"a,_row_number", "the name '_row_number' is kept for a column of ours"),
        (b"a,_Batch_ID", "the name '_Batch_ID' is kept for a column of ours"),
    ],
)
def test_a_header_that_cannot_be_mapped(tmp_path: Path, header: bytes, why: str) -> None:
    write(tmp_path, bad=header + b"\n1,2\n3,4\n", good=b"c\n1\n")
    found = scan(tmp_path)
    assert problems(found) == {"bad.csv": why}
    assert found.columns == ("c",)
    assert [file.header.columns for file in found.files] == [None, ("c",)]
    assert found.records == 3


def test_columns_are_the_union_in_the_order_first_seen(tmp_path: Path) -> None:
    write(tmp_path, b=b"z,a\n1,2\n", a=b"a,A a\n1,2\n", c=b"", d=b"y\n")
    found = scan(tmp_path)
    assert found.columns == ("a", "A a", "z", "y")
    assert problems(found) == {}
    assert not any(file.header.blank for file in found.files)


def test_where_files_differ_in_case_the_first_one_wins(tmp_path: Path) -> None:
    write(tmp_path, a=b"Id,x\n1,2\n", b=b"y,id\n1,2\n", c=b"Y\n1\n", d=b"ID\n1\n")
    found = scan(tmp_path)
    assert found.columns == ("Id", "x", "Y")
    assert problems(found) == {
        "b.csv": "the column 'id' differs only in case from 'Id' of a.csv",
        "d.csv": "the column 'ID' differs only in case from 'Id' of a.csv",
    }


def test_where_files_differ_in_case_a_preferred_name_wins(tmp_path: Path) -> None:
    write(tmp_path, a=b"Id,x\n1,2\n", b=b"id\n1\n")
    found = scan(tmp_path, prefer=["id", "X"])
    assert found.columns == ("id",)
    assert problems(found) == {
        "a.csv": "the column 'Id' differs only in case from 'id' of other files"
    }
    assert [(row["id"], row["_corrupt_record"]) for row in rows_of(found)] == [
        (None, "1,2"),
        ("1", None),
    ]


# Ranges and the second pass.


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("long_")])
def test_ranges_give_the_records_that_were_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in ("scan", "source"):
        monkeypatch.setattr(f"nbx_medallion.landing.{module}.WINDOW", 1)
    case = CASES[name]
    put(tmp_path / ("f" + case.suffix), case.content)
    found = scan(tmp_path)
    rows = rows_of(found)
    assert found.records == len(case.rows)
    assert [row["_row_number"] for row in rows] == list(range(1, len(rows) + 1))
    texts = [row["_corrupt_record"] for row in rows]
    assert texts == [row if isinstance(row, str) else None for row in case.rows]


def test_a_big_file_is_shared_out_and_small_ones_are_grouped(tmp_path: Path) -> None:
    for at in range(300):
        put(tmp_path / "small" / f"{at:03}.csv")
    put(tmp_path / "big.csv", b"a,b\n" + b"1,2\n" * 6_000_000)
    found = scan(tmp_path)
    partitions = plan_partitions(found, 2, all_at_once=False)
    assert len(partitions) == 2
    sizes = [sum(part.length for part in partition) for partition in partitions]
    assert max(sizes) < 2 * min(sizes)
    assert sum(part.records for partition in partitions for part in partition) == found.records
    assert len(plan_partitions(scan(tmp_path / "small"), 8, all_at_once=False)) == 1


@pytest.mark.parametrize(("all_at_once", "expected"), [(False, [12, 13, 12, 13]), (True, [25] * 2)])
def test_large_input_is_cut_smaller_where_partitions_take_turns(
    tmp_path: Path, all_at_once: bool, expected: list[int]
) -> None:
    put(tmp_path / "big.csv")
    found = scan(tmp_path)
    ranges = tuple(
        FileRange("big.csv", "", 0, "", [], ",", at * 10 << 20, 10 << 20, at + 1, 1, False)
        for at in range(50)
    )
    large = replace(found, files=(replace(found.files[0], ranges=ranges),))
    partitions = plan_partitions(large, 2, all_at_once)
    assert [len(partition) for partition in partitions] == expected


@pytest.mark.parametrize(
    ("content", "seconds", "how"),
    [
        (CSV + b"3,4\n", 0, "it has 12 bytes where 8 were listed"),
        (CSV, 1, "it was written at 1970-01-01 00:00:01+00:00, after it was listed"),
        (b"a,b\n1\n2\n", 0, "it has 2 records where 1 were counted"),
        (None, 0, "[Errno 2] No such file or directory: '{path}'"),
    ],
    ids=["grown", "same_size", "same_size_and_time", "gone"],
)
def test_a_file_that_changes_between_the_passes(
    tmp_path: Path, content: bytes | None, seconds: int, how: str
) -> None:
    path = tmp_path / "a.csv"
    put(path)
    os.utime(path, (0, 0))
    found = scan(tmp_path)
    path.unlink()
    if content is not None:
        put(path, content)
        os.utime(path, (seconds, seconds))
    with pytest.raises(UserError) as error:
        rows_of(found)
    assert error.value.message == (
        f"{path}: the file changed while it was being read: {how.format(path=path)}. Nothing new of"
        " it was written. Run again when the file is complete."
    )


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_file_that_changes_while_records_of_it_are_read(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "a.csv"
    put(path, b"a,b\n" + b"1,2\n" * 1_000_000)
    os.utime(path, (0, 0))
    [part] = scan(tmp_path).files[0].ranges
    batches = read_range(part, ["a", "b"], CsvDialect())
    next(batches)
    with path.open("r+b") as file:
        file.write(b"b,a")
    os.utime(path, (seconds, seconds))
    if seconds:
        with pytest.raises(UserError, match="it was written at 1970-01-01 00:00:01"):
            list(batches)
    else:
        list(batches)  # what neither size nor time shows


@pytest.mark.parametrize(
    ("header", "problem", "kept"),
    [
        (b"a" * 2_000_000, "the header has 2,000,000 bytes, more than 1,048,576", 1003),
        (
            b",".join(b"c%d" % at for at in range(5000)),
            "the header has 5,000 names, more than 4,096",
            28_889,
        ),
    ],
    ids=["bytes", "names"],
)
def test_a_header_beyond_measure_cannot_be_mapped(
    tmp_path: Path, header: bytes, problem: str, kept: int
) -> None:
    put(tmp_path / "wide.csv", header + b"\n1,2\n")
    found = scan(tmp_path)
    assert problems(found) == {"wide.csv": problem}
    assert (found.columns, found.records) == ((), 1)
    assert len(found.files[0].header.text or "") == kept
