"""What a run says of itself."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbx_medallion.errors import UserError
from nbx_medallion.run.checks import check_balance, check_run
from nbx_medallion.run.summary import RunReport, render


def row(table: str, **changes: object) -> dict[str, Any]:
    """A ledger row of a table that the run made."""
    return {
        "run_id": "2026-01-31T10.00.00.000Z",
        "environment": "local",
        "table_name": table,
        "action": "extend",
        "rows_in": 1200,
        "rows_out": 1200,
        "rows_quarantined": 0,
        "rows_superseded": 0,
        "delta_version_before": None,
        "delta_version_after": 1,
        "seconds": 0.25,
        **changes,
    }


def test_balance_names_the_numbers_of_what_is_lost() -> None:
    with pytest.raises(UserError) as raised:
        check_balance("bronze.sales_raw", 1200, {"silver.sales_clean": 1000, "quarantine": 150})

    assert str(raised.value) == (
        "Records are not accounted for: bronze.sales_raw 1,200, but silver.sales_clean 1,000 +"
        " quarantine 150 = 1,150 (50 lost). A table was changed by another program, or a layer has"
        " a fault. Run again with --params full_refresh=true to make silver again; if it does not"
        " balance then, report it with this message."
    )


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=4), st.integers(-5, 5))
def test_balance_holds_exactly_where_the_parts_add_up(parts: list[int], off: int) -> None:
    named = {f"part {number}": count for number, count in enumerate(parts)}

    if off == 0:
        check_balance("received", sum(parts), named)
    else:
        with pytest.raises(UserError):
            check_balance("received", sum(parts) + off, named)


def test_summary_of_a_run() -> None:
    report = RunReport("2026-01-31T10.00.00.000Z", "local")
    report.rows = [
        row("bronze.sales_raw"),
        row("silver.sales_clean", action="rebuild", rows_out=1000),
        row("gold_ml.m_v1", action="skip", rows_out=7, seconds=0.0),
    ]
    report.changes = {"bronze.sales_raw": 1200, "silver.sales_clean": -3, "gold_ml.m_v1": 0}
    report.why = {"bronze.sales_raw": "1,200 new records", "gold_ml.m_v1": "nothing changed"}
    report.reasons = {"amount: type": 100, "customer_id: required": 1050}
    report.warnings = {"amount_not_negative": 3}
    report.notes = ["not read, neither .csv nor .csv.gz: readme.txt"]

    assert render(report, 2.345) == (
        "\n"
        "Run 2026-01-31T10.00.00.000Z in local: 2.3 s\n"
        "\n"
        "Notes:\n"
        "  not read, neither .csv nor .csv.gz: readme.txt\n"
        "\n"
        "  table               action    rows  change  version  seconds  why\n"
        "  ------------------  -------  -----  ------  -------  -------  -----------------\n"
        "  bronze.sales_raw    extend   1,200  +1,200        1      0.2  1,200 new records\n"
        "  silver.sales_clean  rebuild  1,000      -3        1      0.2\n"
        "  gold_ml.m_v1        skip         7       -        1        -  nothing changed\n"
        "\n"
        "Quarantined now for (a record can have several reasons):\n"
        "  1,050  customer_id: required\n"
        "    100  amount: type\n"
        "\n"
        "Kept now, with a warning:\n"
        "  3  amount_not_negative"
    )


def test_summary_of_many_tables_shows_those_that_were_written() -> None:
    report = RunReport("2026-01-31T10.00.00.000Z", "dev", rows=[row("bronze.sales_raw")])
    report.rows += [row(f"gold_ml.m_v{n}", action="skip", seconds=0.0) for n in range(1, 31)]

    assert render(report, 1).splitlines()[1:] == [
        "Run 2026-01-31T10.00.00.000Z in dev: 1.0 s",
        "",
        "  table             action   rows  change  version  seconds  why",
        "  ----------------  ------  -----  ------  -------  -------  ---",
        "  bronze.sales_raw  extend  1,200       -        1      0.2",
        "  and 30 tables that were left alone",
    ]


def test_summary_of_many_reasons_shows_the_most_frequent() -> None:
    report = RunReport("2026-01-31T10.00.00.000Z", "dev")
    report.reasons = {f"record: {n} fields, header has 2": n for n in range(3, 103)}

    shown = render(report, 1).splitlines()[-22:]
    assert shown[0].startswith("Quarantined now for")
    assert shown[1] == "  102  record: 102 fields, header has 2"
    assert shown[-2:] == [
        "   83  record: 83 fields, header has 2", "  and 80 more, see ops.rule_counts"
    ]  # fmt: skip


def test_run_that_lost_records_is_refused() -> None:
    ledger = [
        row("bronze.sales_raw", rows_in=3, rows_out=3),
        row("silver.sales_clean", rows_in=3, rows_out=1, rows_quarantined=1),
    ]
    with pytest.raises(UserError) as raised:
        check_run("42", ledger, ["bronze.sales_raw", "silver.sales_clean"])
    assert str(raised.value).startswith(
        "Records are not accounted for: bronze.sales_raw 3, but silver.sales_clean 1 + quarantined"
        " 1 + superseded 0 = 2 (1 lost)."
    )


def test_last_state_of_a_retried_table_counts_for_each_source() -> None:
    ledger = [
        row(f"bronze.{source}_raw", rows_in=rows, rows_out=rows, delta_version_after=after)
        for source in ("sales", "returns")
        for rows, after in ((3, 2), (2, 1))
    ] + [
        row(f"silver.{source}_clean", rows_in=3, rows_out=2, rows_superseded=1)
        for source in ("sales", "returns")
    ]
    report = check_run("42", ledger, [])
    for source in ("sales", "returns"):
        assert f"| bronze.{source}_raw | 3 | 3 | 0 | 0 | 2 |" in report
    ledger[-1] = row("silver.returns_clean", rows_in=2, rows_out=2)
    with pytest.raises(UserError, match=r"read for silver\.returns_clean 2"):
        check_run("42", ledger, [])
