"""The dataset: Kedro's side of it, and the frames on each engine."""

import copy
import gzip
from collections import defaultdict
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import command
from desk import Desk
from kedro.io import AbstractDataset, DatasetError
from nasty_csv import CASES
from test_parse import to_row

import nbx_medallion
from nbx_medallion.datasets import LandingDataset
from nbx_medallion.engines import session_is_running
from nbx_medallion.errors import UserError
from nbx_medallion.landing.book import read_book
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.inbox import scan_landing
from nbx_medallion.landing.source import landing_records

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
        "on_rewrite": "replace",
        "separator": ";",
        "quote": '"',
        "encoding": "utf-8",
        "header": None,
    }


def test_preview(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    (tmp_path / "b.csv").write_bytes(b"a,b\n1,\nx\n" + b"3,4\n" * 3_000_000)
    landing = dataset(tmp_path)
    table = landing.preview(nrows=3)
    assert table == {
        "index": [1, 2, 3],
        "columns": ["a", "b", "_corrupt_record", "_corrupt_reason", "_source_file", "_row_number"],
        "data": [
            ["1", None, None, None, "b.csv", 1],
            [None, None, "x", "record: 1 field, header has 2", "b.csv", 2],
            ["3", "4", None, None, "b.csv", 3],
        ],
    }
    assert len(landing.preview()["data"]) == 20
    assert signature(landing.preview).return_annotation.__name__ == "TablePreview"


def test_preview_of_files_without_records(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n")
    assert dataset(tmp_path).preview() == {
        "index": [],
        "columns": ["a", "_corrupt_record", "_corrupt_reason", "_source_file", "_row_number"],
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
    records = landing_records(engine_session, scan, all_at_once=False)
    assert records.columns == [
        *scan.columns,
        "_corrupt_record",
        "_corrupt_reason",
        "_source_file",
        "_row_number",
    ]
    found = defaultdict(list)
    for row in records.collect():
        # By position: names here hold dots and backquotes.
        found[row["_source_file"]].append(dict(zip(records.columns, row, strict=True)))
    for name, case in CASES.items():
        rows = sorted(found.pop(name + case.suffix, []), key=lambda row: row["_row_number"])
        assert [to_row(row, case.columns or ()) for row in rows] == case.rows, name
        assert [row["_row_number"] for row in rows] == list(range(1, len(rows) + 1)), name
        others = set(scan.columns) - set(case.columns or ())
        assert not any(row[other] for row in rows for other in others), name
    assert not found


@pytest.mark.parametrize("columns", [["a", "b"], []])
def test_files_without_records_give_an_empty_frame(
    tmp_path: Path, engine_session: "SparkSession", columns: list[str]
) -> None:
    (tmp_path / "a.csv").write_bytes(",".join(columns).encode())
    records = dataset(tmp_path).load()
    assert records.collect() == []
    assert records.dtypes == [
        *((name, "string") for name in columns),
        ("_corrupt_record", "string"),
        ("_corrupt_reason", "string"),
        ("_source_file", "string"),
        ("_row_number", "bigint"),
    ]


def test_what_a_file_has_grown_by_and_nothing_new(
    tmp_path: Path, engine_session: "SparkSession"
) -> None:
    desk = Desk(tmp_path)
    desk.put("a.csv", "a,b\n1,2\n")
    desk.put("b.csv", "a,b\n3,4\n")
    desk.run()
    desk.append("a.csv", "5,6\n7,8\n")
    receipt = desk.run()
    records = landing_records(engine_session, receipt.scan, all_at_once=False)
    assert sorted(map(tuple, records.collect())) == [
        ("5", "6", None, None, "a.csv", 2),
        ("7", "8", None, None, "a.csv", 3),
    ]
    records = landing_records(engine_session, desk.run().scan, all_at_once=True)
    assert records.collect() == []
    assert records.columns == [
        "_corrupt_record", "_corrupt_reason", "_source_file", "_row_number"
    ]  # fmt: skip


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
    dataset(source).load().write.format("delta").save(str(table))
    written = engine_session.read.format("delta").load(str(table))
    counts = written.selectExpr(
        "count(*)", "count(a)", "count(_corrupt_record)", "count(distinct _source_file)"
    ).collect()
    assert tuple(counts[0]) == (654_000, 352_000, 302_000, 2_002)
    assert len(list(table.glob("*.parquet"))) <= 4


def test_a_file_that_changes_after_the_scan_stops_the_read(
    tmp_path: Path, engine_session: "SparkSession"
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    records = dataset(tmp_path).load()
    path.write_bytes(b"a,b\n1,2\n3,4\n")
    with pytest.raises(Exception, match="the file changed while it was being read"):
        records.collect()


@pytest.mark.parametrize("engine_name", ["sail"])
def test_a_run_reads_what_it_received_and_else_each_load_what_is_there(
    tmp_path: Path, engine_session: "SparkSession"
) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n1\n")
    landing = dataset(tmp_path)
    (tmp_path / "b.csv").write_bytes(b"a\n2\n")
    assert landing.load().count() == 2
    landing.scan = landing.receive(read_book([]), "001", []).scan
    (tmp_path / "c.csv").write_bytes(b"a\n3\n")
    assert landing.load().count() == 2
    assert copy.deepcopy(landing).scan == landing.scan
