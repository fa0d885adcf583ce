"""What a run did to each table, and whether a run is whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nbx_medallion.contracts.source import Source
from nbx_medallion.errors import TableError
from nbx_medallion.run.checks import check_balance


@dataclass(frozen=True)
class LedgerRow:
    """A table that a run wrote or left alone: a row of ``ops.run_ledger``, as its contract says."""

    run_id: str
    environment: str
    table_name: str
    action: str
    rows_in: int
    rows_out: int
    rows_quarantined: int
    rows_superseded: int
    delta_version_before: int | None
    delta_version_after: int
    seconds: float


_HEADER = (
    "| table | rows in | rows out | quarantined | superseded | version |",
    "|---|--:|--:|--:|--:|--:|",
)


def check_run(run_id: str, ledger: Iterable[Mapping[str, Any]], expected: Iterable[str]) -> str:
    """Check a run by its ledger rows, and give them as a Markdown table.

    A task that was retried has entered its tables again: the last state of each table counts.

    Raises:
        UserError: A table that is expected is missing, or records are not accounted for.
    """
    in_order = sorted(ledger, key=lambda row: row["delta_version_after"])
    rows = {row["table_name"]: row for row in in_order}
    missing = sorted(set(expected) - rows.keys())
    if missing:
        raise TableError(
            f"Run {run_id} is not whole: the ledger has no entry for {', '.join(missing)}. Look at"
            " the tasks of the job run: one failed, or another run id was passed to it."
        )
    for source in dict.fromkeys(filter(None, map(Source.of_table, sorted(rows)))):
        received, cleaned = rows[source.raw], rows[source.clean]
        parts = {source.clean: cleaned["rows_out"]}
        parts |= {part: cleaned[f"rows_{part}"] for part in ("quarantined", "superseded")}
        read = {f"read for {source.clean}": cleaned["rows_in"]}
        check_balance("received", received["rows_in"], {source.raw: received["rows_out"]})
        check_balance(source.raw, cleaned["rows_in"], parts)
        check_balance(source.raw, received["rows_out"], read)
    lines = [f"Run `{run_id}` is whole and balances.", "", *_HEADER]
    lines += [
        f"| {name} | {row['rows_in']:,} | {row['rows_out']:,} | {row['rows_quarantined']:,}"
        f" | {row['rows_superseded']:,} | {row['delta_version_after']} |"
        for name, row in sorted(rows.items())
    ]
    return "\n".join(lines)
