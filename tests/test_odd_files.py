"""Files with odd headers, separators and characters, the whole way on each engine."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from test_run import Lakehouse

HEADER = "order_id,customer_id,amount,order_date,product,channel"
FILES = {
    "name.csv": "\ufefforder_id\u00a0,customer_id,\u200bamount\n1,0042,10.50\n1,0042,12.50\n",
    "none.csv": "2,0043,11.00,2025-01-03\n3,0043,12.00,2025-01-03\n",
    "again.csv": f"{HEADER}\n4,0044,13.00,,,\n"
    "amount,customer_id,order_id,channel,product,order_date\n43.00,11,5,,,\n",
    "last.csv": f"{HEADER}\n6,0045,14.00,,,,\n7,0045,15.00,,,,\n",
    "sep.csv": "sep=;\r\norder_id;customer_id;amount\r\n8;0046;16.00\r\n",
    "nul.csv": f"{HEADER}\n9,00\x0042,17.00,,,\n10,\x00,18.00,,,\n"
    "\x00,0047\x00,19.00,,,\n11,0048,1\x00.0,,,\n",
}


@pytest.fixture
def lakehouse(
    engine_name: str, engine_session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Lakehouse:
    """A lakehouse with these files, on each engine; Spark's environment is staging."""
    made = Lakehouse(tmp_path, "local" if engine_name == "sail" else "staging")
    for name, content in FILES.items():
        (made.landing / name).write_text(content, newline="")
    monkeypatch.setenv("RAW_SALES_PATH", str(made.landing))
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(made.root))
    return made


def test_each_record_is_told_for_what_it_is(
    lakehouse: Lakehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    lakehouse.run()
    told = capsys.readouterr().out

    received = [field.name for field in lakehouse.table("bronze.sales_raw").schema().fields]
    assert sorted(name for name in received if name[0] != "_") == sorted(HEADER.split(","))
    clean = ("order_id", "customer_id", "amount")
    assert lakehouse.rows("silver.sales_clean", *clean) == [
        ("1", "0042", Decimal("12.50")),
        ("4", "0044", Decimal("13.00")),
        ("8", "0046", Decimal("16.00")),
        ("9", "00\x0042", Decimal("17.00")),
        (None, "0047\x00", Decimal("19.00")),
    ]
    quarantine = lakehouse.rows(
        "silver.sales_quarantine", "_source_file", "_row_number", "_reasons"
    )
    assert quarantine == [
        ("again.csv", 2, ["record: header"]),
        ("again.csv", 3, ["record: after another header"]),
        ("last.csv", 1, ["record: 7 fields, header has 6"]),
        ("last.csv", 2, ["record: 7 fields, header has 6"]),
        ("none.csv", 1, ["record: header not mapped"]),
        ("none.csv", 2, ["record: header not mapped"]),
        ("nul.csv", 2, ["customer_id: required"]),
        ("nul.csv", 4, ["amount: type"]),
    ]
    assert len(lakehouse.rows("bronze.sales_raw")) == 14
    corrupt = ("_source_file", "_row_number", "_corrupt_reason")
    assert [row for row in lakehouse.rows("bronze.sales_raw", *corrupt) if row[2]] == [
        (file, row, reasons[0]) for file, row, reasons in quarantine if "record" in reasons[0]
    ]
    assert lakehouse.rows("ops.landing_files", "path", "records", "header") == [
        ("again.csv", 3, HEADER),
        ("last.csv", 2, HEADER),
        ("name.csv", 2, "order_id\u00a0,customer_id,\u200bamount"),
        ("none.csv", 2, ""),
        ("nul.csv", 4, HEADER),
        ("sep.csv", 1, "order_id;customer_id;amount"),
    ]
    for note in (
        "  name.csv: names are taken without the white space and invisible characters around them:"
        r" 'order_id\xa0', '\u200bamount'",
        "  none.csv: no record could be mapped to columns: the first line is no header: none of"
        " the contract's names, but a number or a date; set csv: {header: [names]} at"
        " landing_sales for such files",
        "  last.csv: each record ends in a separator that the header lacks, so it has a field too"
        " many: add a separator to the header, or take that of the records away",
        "  values that hold NUL characters, kept unless they hold nothing else: nul.csv (5)",
        "  2  record: 7 fields, header has 6",
    ):
        assert f"{note}\n" in told
    rejected = lakehouse.rows("ops.rule_counts", "name", "records")
    assert ("record: after another header", 1) in rejected
