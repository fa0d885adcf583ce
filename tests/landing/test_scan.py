"""Which files a landing path stands for, what is known of them, and errors in paths."""

import gzip
import hashlib
import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from nasty_csv import CASES

from nbx_medallion.errors import UserError
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.scan import FileRange, LandingScan, Sizes, scan_landing
from nbx_medallion.landing.source import PlannedRange, plan_partitions, read_range

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


def error_of(path: Path | str) -> str:
    with pytest.raises(UserError) as error:
        scan(path)
    return error.value.message


def ranges_of(found: LandingScan) -> list[PlannedRange]:
    return [part for partition in plan_partitions(found, cores=2) for part in partition]


# Which files.


def test_a_folder_stands_for_its_csv_files_and_names_the_others(tmp_path: Path) -> None:
    for name in ("b.csv", "a.CSV", "x/y/c.csv", "x.csv/e.csv"):
        put(tmp_path / name)
    put(tmp_path / "z.csv.gz", gzip.compress(CSV))
    for name in ("README.md", "x/.hidden.csv", ".git/c.csv", "x/old.csv.bak", "_SUCCESS"):
        put(tmp_path / name)
    found = scan(tmp_path)
    assert found.root == str(tmp_path)
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
    assert (found.root, paths(found), found.skipped) == (str(tmp_path), ["sales[1].txt"], ())


def test_a_glob_takes_what_it_matches_relative_to_its_fixed_part(tmp_path: Path) -> None:
    for name in ("in/2024/a.csv", "in/2025/b.dat", "in/2025/c.csv", "out/d.csv"):
        put(tmp_path / name)
    found = scan(tmp_path / "in" / "20*" / "*")
    assert found.root == str(tmp_path / "in")
    assert paths(found) == ["2024/a.csv", "2025/b.dat", "2025/c.csv"]
    assert paths(scan(tmp_path / "**" / "*.csv")) == ["in/2024/a.csv", "in/2025/c.csv", "out/d.csv"]


def test_a_name_that_is_not_utf8_is_read_and_shown_with_replacement(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"S\xe3o.csv")).write_bytes(CSV)
    found = scan(tmp_path)
    assert paths(found) == ["S\ufffdo.csv"]
    assert sum(b.num_rows for b in read_range(ranges_of(found)[0], ["a"], found.dialect)) == 1


# Errors in paths.


def test_a_path_that_is_missing(tmp_path: Path) -> None:
    assert error_of(tmp_path / "nope") == (
        f"{tmp_path}/nope: there is no such file or folder. Expected a CSV file, a folder of"
        " *.csv and *.csv.gz files, or a glob. Set RAW_SALES_PATH to where the sales files are."
    )


def test_a_folder_without_csv_files(tmp_path: Path) -> None:
    put(tmp_path / "sales.xlsx")
    put(tmp_path / "x" / ".a.csv")
    assert error_of(tmp_path) == (
        f"{tmp_path}: expected *.csv and *.csv.gz files in this folder or below; found none among"
        " 2 other files. Put the sales files there, or set RAW_SALES_PATH to where they are."
    )


def test_a_glob_without_a_match(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert error_of(tmp_path / "*") == (
        f"{tmp_path}/*: expected a glob that matches files; found none below {tmp_path}."
        " Mend the glob, or set RAW_SALES_PATH to where the sales files are."
    )


def unreadable(path: Path, why: str) -> str:
    return (
        f"{path}: expected a readable file; found: {why}. Mend the file or move it away, or set"
        " RAW_SALES_PATH to another path."
    )


def test_a_glob_that_matches_a_folder_named_as_a_file(tmp_path: Path) -> None:
    put(tmp_path / "a.csv")
    (tmp_path / "x.csv").mkdir()
    assert error_of(tmp_path / "*") == unreadable(tmp_path / "x.csv", "a folder")


def test_a_link_to_a_folder_named_as_a_file(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "b.csv")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.csv").symlink_to(tmp_path / "elsewhere")
    assert error_of(tmp_path / "in") == unreadable(tmp_path / "in" / "x.csv", "a folder")


@pytest.mark.parametrize("pattern", ["", "a.csv", "*.csv"])
def test_a_link_to_nothing(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "a.csv").symlink_to("gone.csv")
    assert error_of(tmp_path / pattern) == unreadable(
        tmp_path / "a.csv", "a link to a file that does not exist"
    )


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    assert error_of(tmp_path) == unreadable(tmp_path / "a.csv", "a device, pipe or socket")


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
    assert (file.path, file.size_bytes, file.records) == ("a.csv", len(content), 2)
    assert file.modified_at == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=timezone.utc)
    assert file.fingerprint == hashlib.sha256(content).hexdigest()
    assert (file.header, file.columns) == ('"a",b,', ("a", "b", "_c2"))
    assert found.blank_headers == {"a.csv": (2,)}


def test_the_fingerprint_is_of_the_bytes_received(tmp_path: Path) -> None:
    content = gzip.compress(CSV)
    put(tmp_path / "a.csv.gz", content)
    (file,) = scan(tmp_path).files
    assert file.size_bytes == len(content)
    assert file.fingerprint == hashlib.sha256(content).hexdigest()


# Headers.


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b'a,"b', "the header is unreadable: a quote does not close"),
        (b"a,\xe3", "the header is unreadable: not in the declared encoding"),
        (b"a,\0", "the header is unreadable: it holds NUL characters"),
        (b"a,b,a", "the name 'a' stands 2 times in the header"),
        (b"a,,_c1", "the name '_c1' stands 2 times in the header"),
        (b"Amount,amount", "the names 'Amount' and 'amount' differ only in case"),
        (b"a,_row_number", "the name '_row_number' is kept for a column of ours"),
        (b"a,_Batch_ID", "the name '_Batch_ID' is kept for a column of ours"),
    ],
)
def test_a_header_that_cannot_be_mapped(tmp_path: Path, header: bytes, why: str) -> None:
    write(tmp_path, bad=header + b"\n1,2\n3,4\n", good=b"c\n1\n")
    found = scan(tmp_path)
    assert found.unmapped == {"bad.csv": why}
    assert found.columns == ("c",)
    assert [file.columns for file in found.files] == [None, ("c",)]
    assert found.records == 3


def test_columns_are_the_union_in_the_order_first_seen(tmp_path: Path) -> None:
    write(tmp_path, b=b"z,a\n1,2\n", a=b"a, a\n1,2\n", c=b"", d=b"y\n")
    found = scan(tmp_path)
    assert found.columns == ("a", " a", "z", "y")
    assert (found.unmapped, found.blank_headers) == ({}, {})


def test_where_files_differ_in_case_the_first_one_wins(tmp_path: Path) -> None:
    write(tmp_path, a=b"Id,x\n1,2\n", b=b"y,id\n1,2\n", c=b"Y\n1\n", d=b"ID\n1\n")
    found = scan(tmp_path)
    assert found.columns == ("Id", "x", "Y")
    assert found.unmapped == {
        "b.csv": "the column 'id' differs only in case from 'Id' of a.csv",
        "d.csv": "the column 'ID' differs only in case from 'Id' of a.csv",
    }


def test_where_files_differ_in_case_a_preferred_name_wins(tmp_path: Path) -> None:
    write(tmp_path, a=b"Id,x\n1,2\n", b=b"id\n1\n")
    found = scan(tmp_path, prefer=["id", "X"])
    assert found.columns == ("id",)
    assert found.unmapped == {
        "a.csv": "the column 'Id' differs only in case from 'id' of other files"
    }


# Ranges and the second pass.


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("long_")])
def test_ranges_give_the_records_that_were_counted(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    put(tmp_path / ("f" + case.suffix), case.content)
    sizes = Sizes(window=4, split=1)
    found = scan(tmp_path, sizes=sizes)
    rows = [
        row
        for part in ranges_of(found)
        for batch in read_range(part, list(found.columns), found.dialect, sizes)
        for row in batch.to_pylist()
    ]
    assert found.records == len(case.rows)
    assert [row["_row_number"] for row in rows] == list(range(1, len(rows) + 1))
    texts = [row["_corrupt_record"] for row in rows]
    assert texts == [row if isinstance(row, str) else None for row in case.rows]


def test_a_big_file_is_shared_out_and_small_ones_are_grouped(tmp_path: Path) -> None:
    for at in range(300):
        put(tmp_path / "small" / f"{at:03}.csv")
    put(tmp_path / "big.csv", b"a,b\n" + b"1,2\n" * 6_000_000)
    found = scan(tmp_path)
    partitions = plan_partitions(found, cores=2)
    assert len(partitions) == 2
    sizes = [sum(part.length for part in partition) for partition in partitions]
    assert max(sizes) < 2 * min(sizes)
    assert sum(part.records for partition in partitions for part in partition) == found.records
    assert len(plan_partitions(scan(tmp_path / "small"), cores=8)) == 1


@pytest.mark.parametrize(("all_at_once", "expected"), [(False, [12, 13, 12, 13]), (True, [25] * 2)])
def test_large_input_is_cut_smaller_where_partitions_take_turns(
    tmp_path: Path, all_at_once: bool, expected: list[int]
) -> None:
    put(tmp_path / "big.csv")
    found = scan(tmp_path)
    ranges = tuple(FileRange(at * 10 << 20, 10 << 20, at + 1, 1) for at in range(50))
    large = replace(found, files=(replace(found.files[0], ranges=ranges),))
    partitions = plan_partitions(large, 2, all_at_once)
    assert [len(partition) for partition in partitions] == expected


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (CSV + b"3,4\n", "its size is another"),
        (b"a,b\n1\n2\n", "it has 2 records where 1 were counted"),
        (None, "[Errno 2] No such file or directory: '{path}'"),
    ],
    ids=["grown", "same_size", "gone"],
)
def test_a_file_that_changes_between_the_passes(
    tmp_path: Path, content: bytes | None, how: str
) -> None:
    path = tmp_path / "a.csv"
    put(path)
    found = scan(tmp_path)
    path.unlink()
    if content is not None:
        put(path, content)
    with pytest.raises(UserError) as error:
        list(read_range(ranges_of(found)[0], ["a", "b"], found.dialect))
    assert error.value.message == (
        f"{path}: the file changed while it was being read: {how.format(path=path)}. Nothing was"
        " written. Run again when the file is complete."
    )


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
    assert found.unmapped == {"wide.csv": problem}
    assert (found.columns, found.records) == ((), 1)
    assert found.files[0].header is not None
    assert len(found.files[0].header) == kept
