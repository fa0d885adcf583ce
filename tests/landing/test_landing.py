"""The dataset: Kedro's side of it, and the frames on each engine."""

import copy
import gzip
import threading
from collections import defaultdict
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import command
from kedro.io import AbstractDataset, DatasetError
from nasty_csv import CASES
from test_parse import to_row

import nbx_medallion
from nbx_medallion.datasets import LandingDataset
from nbx_medallion.engines import session_is_running
from nbx_medallion.errors import UserError
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.scan import scan_landing
from nbx_medallion.landing.source import landing_frames

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def dataset(path: Path | str, **options: object) -> LandingDataset:
    config = {
        "type": "nbx_medallion.datasets.LandingDataset",
        "source": "sales",
        "path": str(path),
        **options,
    }
    made = AbstractDataset.from_config("landing_sales", config)
    assert isinstance(made, LandingDataset)
    return made


# Kedro's side.


def test_a_path_error_starts_no_engine(tmp_path: Path) -> None:
    landing = dataset(tmp_path)
    assert not landing.exists()
    with pytest.raises(DatasetError) as error:
        landing.load()
    assert isinstance(error.value.__cause__, UserError)
    assert landing.scan is None
    assert not session_is_running()


def test_received_files_are_read_only(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="read only"):
        dataset(tmp_path).save("something")  # type: ignore[arg-type]


def test_reader_options_are_checked_when_the_catalog_is_built_and_shown(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"csv: expected .* found {'sep': ';'}"):
        dataset(tmp_path, csv={"sep": ";"})
    assert dataset(tmp_path, csv={"separator": ";"})._describe() == {
        "path": str(tmp_path),
        "variable": "RAW_SALES_PATH",
        "separator": ";",
        "quote": '"',
        "encoding": "utf-8",
    }


def test_preview(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    (tmp_path / "b.csv").write_bytes(b"a,b\n1,\nx\n" + b"3,4\n" * 3_000_000)
    landing = dataset(tmp_path)
    table = landing.preview(nrows=3)
    assert table == {
        "index": [1, 2, 3],
        "columns": ["a", "b", "_corrupt_record", "_source_file", "_row_number"],
        "data": [
            ["1", None, None, "b.csv", 1],
            [None, None, "x", "b.csv", 2],
            ["3", "4", None, "b.csv", 3],
        ],
    }
    assert len(landing.preview()["data"]) == 20
    assert signature(landing.preview).return_annotation.__name__ == "TablePreview"


def test_preview_of_files_without_records(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n")
    assert dataset(tmp_path).preview() == {
        "index": [],
        "columns": ["a", "_corrupt_record", "_source_file", "_row_number"],
        "data": [],
    }


# On the engines.


def test_what_runs_in_the_workers_of_spark_imports_little() -> None:
    code = "import sys, nbx_medallion.landing.source; print(*sys.modules)"
    source = Path(str(nbx_medallion.__file__)).parents[1]
    loaded = command("-c", code, cwd=source).stdout.split()
    assert "nbx_medallion.landing.source" in loaded
    assert not {"kedro", "omegaconf", "pydantic", "sqlglot", "nbx_medallion.config"} & {*loaded}


def test_every_nasty_file_in_one_folder(tmp_path: Path, engine_session: "SparkSession") -> None:
    for name, case in CASES.items():
        (tmp_path / (name + case.suffix)).write_bytes(case.content)
    scan = scan_landing(str(tmp_path), "RAW_SALES_PATH", CsvDialect())
    landing = landing_frames(engine_session, "sales", scan, all_at_once=False)
    assert landing.records.columns == [
        *scan.columns,
        "_corrupt_record",
        "_source_file",
        "_row_number",
    ]
    found = defaultdict(list)
    for row in landing.records.collect():
        # By position: names here hold dots and backquotes.
        found[row["_source_file"]].append(dict(zip(landing.records.columns, row, strict=True)))
    for name, case in CASES.items():
        rows = sorted(found.pop(name + case.suffix, []), key=lambda row: row["_row_number"])
        assert [to_row(row, case.columns or ()) for row in rows] == case.rows, name
        assert [row["_row_number"] for row in rows] == list(range(1, len(rows) + 1)), name
        others = set(scan.columns) - set(case.columns or ())
        assert not any(row[other] for row in rows for other in others), name
    assert not found
    assert {(row.path, row.records) for row in landing.files.collect()} == {
        (name + case.suffix, len(case.rows)) for name, case in CASES.items()
    }


def test_files_without_records_are_listed_and_give_an_empty_frame(
    tmp_path: Path, engine_session: "SparkSession"
) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n")
    (tmp_path / "b.csv").write_bytes(b"")
    landing = dataset(tmp_path).load()
    assert landing.files.dtypes == [
        ("source", "string"),
        ("path", "string"),
        ("size_bytes", "bigint"),
        ("modified_at", "timestamp"),
        ("fingerprint", "string"),
        ("records", "bigint"),
        ("header", "string"),
    ]
    rows = landing.files.selectExpr(
        "path", "size_bytes", "unix_micros(modified_at) as at", "records", "header"
    ).collect()
    modified = [(tmp_path / name).stat().st_mtime_ns // 1000 for name in ("a.csv", "b.csv")]
    assert [tuple(row) for row in rows] == [
        ("a.csv", 4, modified[0], 0, "a,b"),
        ("b.csv", 0, modified[1], 0, None),
    ]
    assert landing.records.collect() == []
    assert landing.records.columns == ["a", "b", "_corrupt_record", "_source_file", "_row_number"]


@pytest.mark.parametrize("engine_name", ["sail"])
def test_thousands_of_files_written_to_a_table(
    tmp_path: Path, engine_session: "SparkSession"
) -> None:
    """Small files are grouped. Only a write shows a batch that makes Sail hang."""
    source, table = tmp_path / "in", tmp_path / "table"
    source.mkdir()
    for at in range(2_000):
        (source / f"{at}.csv").write_bytes(b"a,b\n%d,2\nx\n" % at)
    (source / "big.csv").write_bytes(b"a,b\n" + b'1,"2"\n3\n' * 300_000)
    (source / "packed.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 50_000))
    landing = dataset(source).load()
    landing.records.write.format("delta").save(str(table))
    written = engine_session.read.format("delta").load(str(table))
    counts = written.selectExpr(
        "count(*)", "count(a)", "count(_corrupt_record)", "count(distinct _source_file)"
    ).collect()
    assert tuple(counts[0]) == (654_000, 352_000, 302_000, 2_002)
    assert landing.files.count() == 2_002
    assert len(list(table.glob("*.parquet"))) <= 4


def test_a_file_that_changes_after_the_scan_stops_the_read(
    tmp_path: Path, engine_session: "SparkSession"
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    records = dataset(tmp_path).load().records
    path.write_bytes(b"a,b\n1,2\n3,4\n")
    with pytest.raises(Exception, match="the file changed while it was being read"):
        records.collect()


@pytest.mark.parametrize("engine_name", ["sail"])
def test_loads_share_one_listing_until_the_release(
    tmp_path: Path, engine_session: "SparkSession"
) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n1\n")
    landing = dataset(tmp_path)
    landing.load()
    first = landing.scan
    (tmp_path / "b.csv").write_bytes(b"a\n1\n")
    threads = [threading.Thread(target=landing.load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert landing.scan is first
    landing.release()
    assert landing.scan is first, "the summary of a run reads it after the release"
    assert copy.deepcopy(landing).scan == first
    landing.load()
    assert landing.scan is not None
    assert landing.scan.records == 2
