"""Whatever files arrive, each record of them is where the contract says, on each engine."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sales_folders import (
    COLUMNS,
    Account,
    Folder,
    Place,
    account_for,
    make_file,
    make_folder,
    read_records,
)
from test_run import Lakehouse

BATCHES = ("2026-01-31T10.00.00.000Z", "2026-02-01T09.30.00.000Z")

# Few records, of which Hypothesis makes each choice; and many, of which it chooses the seed. The
# first seed it tries makes five files, in two batches, with columns of their own.
small_folders = st.randoms(use_true_random=False).map(
    lambda rng: make_folder(rng, most=8, files=3, batches=2)
)
large_folders = st.integers(5, 2**32).map(
    lambda seed: make_folder(Random(seed), most=900, files=5, batches=2)  # noqa: S311
)


def property_of(examples: int, folders: st.SearchStrategy[Folder]) -> Callable[[Any], Any]:
    """A property of folders, tried on so many of them."""

    def decorate(test: Any) -> Any:
        checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
        checks += [HealthCheck.data_too_large, HealthCheck.large_base_example]
        options = settings(
            max_examples=examples,
            deadline=None,
            suppress_health_check=checks,
            # To shrink would be hundreds of runs.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        )
        return options(given(folder=folders)(test))

    return decorate


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_account_reads_what_was_written(rng: Random) -> None:
    file = make_file(rng, "a.csv", records=8, orders=5)
    if file.rows is None:
        return
    found = [
        raw if isinstance(row, bytes) else tuple(one.decode() for one in fields or ())
        for (raw, fields), row in zip(
            read_records(file.content.removeprefix(b"\xef\xbb\xbf"))[1:], file.rows, strict=True
        )
    ]
    assert found == file.rows


@pytest.fixture
def check_folder(
    engine_name: str, engine_session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Folder], None]:
    """Receives a folder batch by batch, and compares all tables with the account of it."""

    def check(folder: Folder) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as place:
            lakehouse = Lakehouse(Path(place), "local" if engine_name == "sail" else "staging")
            monkeypatch.setenv("RAW_SALES_PATH", str(lakehouse.landing))
            monkeypatch.setenv("LAKEHOUSE_ROOT", str(lakehouse.root))
            received = list(zip(BATCHES, folder.batches, strict=False))
            for batch, files in received:
                for file in files:
                    file.write(lakehouse.landing)
                lakehouse.run(pipeline_names=["bronze", "silver"], runtime_params={"run_id": batch})
            account = account_for(received)
            check_records(engine_session, lakehouse, account)
            check_ledger(lakehouse, account, received[-1][0])

    return check


def rows_of(session: Any, lakehouse: Lakehouse, table: str) -> dict[Place, dict[str, Any]]:
    """Rows of a table by file and row number.

    deltalake does not read what Spark writes under names with spaces. Sail, of a file in which a
    decimal column has one value only, reads that value from the statistics, as a double.
    """
    if lakehouse.env == "local":
        found = lakehouse.table(table).to_pyarrow_table().to_pylist()
    else:
        frame = session.read.format("delta").load(str(lakehouse.path(table)))
        found = [dict(zip(frame.columns, row, strict=True)) for row in frame.collect()]
    by_place = {(row["_source_file"], row["_row_number"]): row for row in found}
    assert len(by_place) == len(found), f"{table}: a record is there twice"
    return by_place


def check_records(session: Any, lakehouse: Lakehouse, account: Account) -> None:
    """Each record is in bronze as received, and in one further table as the account says."""

    def received(row: dict[str, Any], place: Place) -> Any:
        assert row["_batch_id"] == account.batch[place[0]]
        names = [
            name for name in row if name not in ("_corrupt_record", "_corrupt_reason", "_reasons")
        ]
        values = {name: row[name] for name in names if name[0] != "_" or name in account.columns}
        if row["_corrupt_record"] is None:
            return {name: value for name, value in values.items() if value is not None}
        assert set(values.values()) <= {None}
        return row["_corrupt_record"]

    def given_values(place: Place) -> Any:
        record = account.bronze[place]
        if isinstance(record, str):
            return record
        return {name: value for name, value in record.items() if value is not None}

    bronze = rows_of(session, lakehouse, "bronze.sales_raw")
    expected = {place: given_values(place) for place in account.bronze}
    assert {place: received(row, place) for place, row in bronze.items()} == expected
    reasons = {place: row["_corrupt_reason"] for place, row in bronze.items()}
    assert {place: why for place, why in reasons.items() if why} == account.malformed

    silver = rows_of(session, lakehouse, "silver.sales_clean")
    found = {place: tuple(row[name] for name in COLUMNS) for place, row in silver.items()}
    assert found == account.silver
    assert all(row["_batch_id"] == account.batch[file] for (file, _), row in silver.items())

    quarantine = rows_of(session, lakehouse, "silver.sales_quarantine")
    assert {place: row["_reasons"] for place, row in quarantine.items()} == account.quarantine
    for place, row in quarantine.items():
        assert received(row, place) == expected[place]

    superseded = rows_of(session, lakehouse, "silver.sales_superseded")
    kept = {
        place: (row["_superseded_by_file"], row["_superseded_by_row"])
        for place, row in superseded.items()
    }
    assert kept == account.superseded
    assert len(bronze) == len(silver) + len(quarantine) + len(superseded)


def check_ledger(lakehouse: Lakehouse, account: Account, run_id: str) -> None:
    """The ledger balances, with the account's own numbers."""
    counts = ("rows_in", "rows_out", "rows_quarantined", "rows_superseded")
    entries = lakehouse.rows("ops.run_ledger", "run_id", "table_name", *counts)
    by_table = {name: numbers for run, name, *numbers in entries if run == run_id}
    records = len(account.bronze)
    rejected, replaced = len(account.quarantine), len(account.superseded)
    assert by_table["bronze.sales_raw"] == [records, records, 0, 0]
    assert by_table["silver.sales_clean"] == [records, len(account.silver), rejected, replaced]


@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
@property_of(4, small_folders)
def test_each_record_of_few_is_where_it_belongs(
    check_folder: Callable[[Folder], None], folder: Folder
) -> None:
    check_folder(folder)


@property_of(1, large_folders)
def test_each_record_of_many_is_where_it_belongs(
    check_folder: Callable[[Folder], None], folder: Folder
) -> None:
    check_folder(folder)


@pytest.mark.slow
@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
@property_of(200, small_folders)
def test_each_record_of_few_is_where_it_belongs_long(
    check_folder: Callable[[Folder], None], folder: Folder
) -> None:
    check_folder(folder)


@pytest.mark.slow
@property_of(20, large_folders)
def test_each_record_of_many_is_where_it_belongs_long(
    check_folder: Callable[[Folder], None], folder: Folder
) -> None:
    check_folder(folder)
