"""Limits on the quarantine, records that leave it, and equal files, on each engine."""

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from test_run import Lakehouse

UP_TO_SILVER = ["bronze", "silver"]
CONTRACT = "base/contracts/silver/sales_clean.odcs.yaml"
HEADER = b"order_id,customer_id,amount,order_date,channel\n"
GOOD = HEADER + b"1,0042,10.50,2024-01-02,web\n2,0042,3,2024-01-03,store\n"
BAD = (
    HEADER + b"3,77,5,2024-01-02,web\n4,,abc,2024-01-02,web\n5,,1,2024-01-02,web\n6,78,2\n"
    b"7,79,1,2024-02-30,web\n"
)
MORE = b"".join(b"%d,81,1,2024-01-02,web\n" % order for order in range(10, 30))
MENDED = HEADER + b"".join(b"%d,77,%d,2024-01-02,web\n" % (order, order) for order in range(3, 8))


class ContractedLakehouse(Lakehouse):
    """A lakehouse whose project has a contract of its own."""

    def __init__(self, folder: Path, env: str) -> None:
        super().__init__(folder, env)
        self.conf = folder / "conf"
        shutil.copytree(REPOSITORY / "conf", self.conf)
        self._default = (self.conf / CONTRACT).read_text()

    def limit(self, **entries: Any) -> None:
        """Give the default contract a limit on the quarantine."""
        listed = "".join(f"        {key}: {value}\n" for key, value in entries.items())
        limit = f"    quality:\n      - metric: invalidValues\n{listed}    properties:\n"
        self.contract(("    properties:\n", limit))

    def contract(self, *replaced: tuple[str, str]) -> None:
        """Change the text of the default contract."""
        text = self._default
        for old, new in replaced:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (self.conf / CONTRACT).write_text(text)

    @property
    def summary(self) -> dict[str, Any]:
        """What the last run had to say."""
        found: dict[str, Any] = json.loads((self.root / self.env / "run_summary.json").read_text())
        return found

    def ledger(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """The ledger's entries of a table, the oldest first."""
        entries = self.table("ops.run_ledger").to_pyarrow_table().to_pylist()
        of_table = [row for row in entries if row["table_name"] == table]
        in_order = sorted(of_table, key=lambda row: row["run_id"])
        return [tuple(row[column] for column in columns) for row in in_order]


# What engines have no part in but for counting.
on_sail = pytest.mark.parametrize("engine_name", ["sail"], indirect=True)


@pytest.fixture
def lakehouse(
    engine_name: str, engine_session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ContractedLakehouse:
    """A lakehouse with one file without a fault, on each engine."""
    made = ContractedLakehouse(tmp_path, "local" if engine_name == "sail" else "staging")
    (made.landing / "a.csv").write_bytes(GOOD)
    monkeypatch.setenv("RAW_SALES_PATH", str(made.landing))
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(made.root))
    return made


def test_too_many_rejected_records_stop_the_run_before_silver(
    lakehouse: ContractedLakehouse,
) -> None:
    lakehouse.limit(name="few_rejected", mustBeLessOrEqualTo=25, unit="percent")
    lakehouse.run(pipeline_names=UP_TO_SILVER)
    before = lakehouse.versions()
    clean = lakehouse.rows("silver.sales_clean")
    (lakehouse.landing / "b.csv").write_bytes(BAD)

    late = "2026-12-01T10.00.00.000Z"
    assert lakehouse.refused(runtime_params={"run_id": late}) == (
        f"silver.sales_clean: 4 of 5 records (80.0%) of batch {late} are in quarantine, and the"
        " contract allows at most 25% (few_rejected). Most frequent:\n"
        "  2  customer_id: required\n"
        "  1  amount: type\n"
        "  1  order_date: type\n"
        "  1  record: 3 fields, header has 5\n"
        f"They are in silver.sales_quarantine ({lakehouse.path('silver.sales_quarantine')}), column"
        " _reasons. No table after it was changed. Correct the files or the contract, or take the"
        " files out with `kedro lakehouse retract sales PATH --why TEXT`, and run again."
    )

    after = lakehouse.versions()
    changed = {name for name in after if after[name] != before[name]}
    assert "silver.sales_quarantine" in changed
    assert changed == {
        "bronze.sales_raw", "silver.sales_quarantine",
        "ops.landing_files", "ops.run_ledger", "ops.runs",
    }  # fmt: skip
    assert lakehouse.rows("silver.sales_clean") == clean
    assert lakehouse.rows("silver.sales_quarantine", "_source_file", "_row_number") == [
        ("b.csv", 2), ("b.csv", 3), ("b.csv", 4), ("b.csv", 5)
    ]  # fmt: skip
    entries = lakehouse.ledger("silver.sales_quarantine", "rows_in", "rows_out")
    assert entries == [(2, 0), (7, 4)]
    assert lakehouse.ledger("silver.sales_clean", "rows_in") == [(2,)]

    # To run again passes no limit, and other records of a later day do not either.
    (lakehouse.landing / "c.csv").write_bytes(HEADER + MORE)
    later = "2026-12-02T10.00.00.000Z"
    again = lakehouse.refused(pipeline_names=UP_TO_SILVER, runtime_params={"run_id": later})
    assert f"(80.0%) of batch {late} are" in again
    (lakehouse.landing / "c.csv").write_bytes(HEADER)

    (lakehouse.landing / "b.csv").write_bytes(MENDED)
    lakehouse.run(runtime_params={"run_id": "2026-12-03T10.00.00.000Z"})

    assert lakehouse.rows("silver.sales_quarantine") == []
    assert lakehouse.rows("silver.sales_clean", "order_id") == [(str(n),) for n in range(1, 8)]
    columns = ("rows_in", "rows_out", "rows_quarantined", "rows_superseded")
    assert lakehouse.ledger("silver.sales_clean", *columns) == [(2, 2, 0, 0), (7, 7, 0, 0)]
    assert lakehouse.rows("gold_core.customer_metrics", "customer_id", "total_spent") == [
        ("0042", Decimal("13.50")), ("77", Decimal("25.00"))
    ]  # fmt: skip


@on_sail
def test_a_limit_of_rows_with_severity_warning_is_only_told(
    lakehouse: ContractedLakehouse,
) -> None:
    (lakehouse.landing / "b.csv").write_bytes(BAD)
    lakehouse.limit(name="a_few", mustBeLessThan=4, unit="rows", severity="warning")

    run_id = {"run_id": "2026-12-01T10.00.00.000Z"}
    lakehouse.run(pipeline_names=UP_TO_SILVER, runtime_params=run_id)

    told = (
        "silver.sales_clean: 4 of 7 records (57.1%) of batch 2026-12-01T10.00.00.000Z are in"
        " quarantine, and the contract allows less than 4 records (a_few)."
    )
    assert lakehouse.summary["notes"] == [told]
    assert lakehouse.ledger("silver.sales_clean", "rows_in", "rows_out", "rows_quarantined") == [
        (7, 3, 4)
    ]


@on_sail
def test_a_limit_of_rows_is_kept_up_to_its_edge(lakehouse: ContractedLakehouse) -> None:
    (lakehouse.landing / "b.csv").write_bytes(BAD)
    lakehouse.limit(mustBeLessOrEqualTo=4)
    lakehouse.run(pipeline_names=UP_TO_SILVER)
    assert not any("quarantine" in note for note in lakehouse.summary["notes"])

    lakehouse.limit(mustBeLessThan=4)
    lakehouse.run(pipeline_names=["silver"])  # what passed its limit is not judged again
    message = lakehouse.refused(pipeline_names=["silver"], runtime_params={"full_refresh": True})
    assert message.startswith(
        "silver.sales_clean: 4 of 7 records (57.1%) of all batches are in quarantine, and the"
        " contract allows less than 4 records (quarantined_records). Most frequent:\n"
        "  2  customer_id: required\n"
    )


def test_records_that_a_mended_contract_accepts_leave_quarantine_once(
    lakehouse: ContractedLakehouse,
) -> None:
    (lakehouse.landing / "b.csv").write_bytes(
        HEADER + b'8,80,"1,25",2024-01-02,web\n1,0042,"7,75",2024-01-04,web\n9,,2,2024-01-02,web\n'
    )
    lakehouse.run(pipeline_names=UP_TO_SILVER)
    assert lakehouse.rows("silver.sales_quarantine", "_row_number", "_reasons") == [
        (1, ["amount: type"]), (2, ["amount: type"]), (3, ["customer_id: required"])
    ]  # fmt: skip
    bronze = lakehouse.rows("bronze.sales_raw")
    lakehouse.contract(
        (
            "physicalType: decimal(18,2)\n",
            "physicalType: decimal(18,2)\n        transformLogic: replace(amount, ',', '.')\n",
        )
    )

    for _ in range(2):
        lakehouse.run(pipeline_names=UP_TO_SILVER)

        assert lakehouse.rows("silver.sales_clean", "order_id", "amount", "_source_file") == [
            ("1", Decimal("7.75"), "b.csv"),
            ("2", Decimal("3.00"), "a.csv"),
            ("8", Decimal("1.25"), "b.csv"),
        ]
        assert lakehouse.rows("silver.sales_quarantine", "_row_number", "_reasons") == [
            (3, ["customer_id: required"])
        ]
        superseded = ("_source_file", "_row_number", "_superseded_by_row")
        assert lakehouse.rows("silver.sales_superseded", *superseded) == [("a.csv", 1, 2)]
    assert lakehouse.rows("bronze.sales_raw") == bronze
    columns = ("rows_in", "rows_out", "rows_quarantined", "rows_superseded")
    assert lakehouse.ledger("silver.sales_clean", *columns) == [
        (5, 2, 3, 0), (5, 3, 1, 1), (5, 3, 1, 1)
    ]  # fmt: skip


@on_sail
def test_files_of_equal_content_are_pointed_out(lakehouse: ContractedLakehouse) -> None:
    (lakehouse.landing / "again.csv").write_bytes(GOOD)

    lakehouse.run(pipeline_names=UP_TO_SILVER)

    assert lakehouse.summary["notes"] == [
        "the same content under several names, each counted: a.csv, again.csv"
    ]
    assert lakehouse.ledger("bronze.sales_raw", "rows_out") == [(4,)]
    superseded = ("_source_file", "_row_number", "_superseded_by_file")
    assert lakehouse.rows("silver.sales_superseded", *superseded) == [
        ("a.csv", 1, "again.csv"), ("a.csv", 2, "again.csv")
    ]  # fmt: skip
