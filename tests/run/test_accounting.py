"""What a run has to say of the files that it read."""

from pathlib import Path

import pytest

from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.scan import scan_landing
from nbx_medallion.run.accounting import landing_notes

GOOD = "customer_id,amount,order_id,order_date,product,channel\n1,2,3,,,\n"


@pytest.fixture
def notes(project_config: MedallionConfigLoader, tmp_path: Path) -> "Notes":
    """A landing folder and what is said of it."""
    return Notes(project_config, tmp_path)


class Notes:
    """A landing folder and what is said of it."""

    def __init__(self, config: MedallionConfigLoader, folder: Path) -> None:
        self._contract = config.contract("silver.sales_clean")
        self._folder = folder

    def __call__(self, **files: str) -> list[str]:
        for name, text in files.items():
            (self._folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
        scan = scan_landing(str(self._folder), "RAW_SALES_PATH", CsvDialect())
        return landing_notes(scan, self._contract)


def test_files_of_the_contract_need_no_note(notes: Notes) -> None:
    assert notes(a_csv=GOOD) == []


def test_each_kind_of_note_is_one_line_however_many_files(notes: Notes) -> None:
    others = {f"z{at:02}_txt": "" for at in range(12)}
    twice = {f"u{at}_csv": "a,A\n1,2\n" for at in range(2)}
    assert notes(a_csv=GOOD, b_csv=GOOD, **twice, **others) == [
        "not read, neither .csv nor .csv.gz: " + ", ".join(f"z{at:02}.txt" for at in range(10))
        + " and 2 more",
        "u0.csv, u1.csv: no record could be mapped to columns: the names 'a' and 'A' differ only in"
        " case",
        "the same content under several names, each counted: a.csv, b.csv",
        "the same content under several names, each counted: u0.csv, u1.csv",
    ]  # fmt: skip


def test_very_long_column_name_is_shortened(notes: Notes) -> None:
    assert notes(a_csv=f"customer_id,amount,{'x' * 5000}\n1,2,3\n") == [
        "columns that the contract does not use, kept in bronze: " + "x" * 80 + "… (5,000"
        " characters)"
    ]


def test_column_that_the_contract_requires_and_no_file_has(notes: Notes) -> None:
    assert notes(a_csv="customer_id;amount\n1;2\n") == [
        "no file has what customer_id, amount is made from, which the contract requires, so every"
        " record is in quarantine: check header, separator and encoding of the files",
        "columns that the contract does not use, kept in bronze: customer_id;amount",
    ]
