"""What a run did to each table, whether every record is accounted for, and how to say so."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nbx_medallion.errors import UserError


@dataclass(frozen=True)
class LedgerRow:
    """A row of ``ops.run_ledger``: a table that a run wrote or left alone.

    Attributes:
        run_id: The run.
        environment: Its environment.
        table_name: ``<schema>.<table>``.
        rows_in: Rows of the main input: records received for bronze.
        rows_out: Rows of the table afterwards; for a table that is appended to, rows appended.
        rows_quarantined: For a cleaned table, input rows that are in its quarantine; otherwise 0.
        rows_superseded: For a cleaned table, valid input rows that a later row of their primary
            key replaced; otherwise 0.
        delta_version_before: NULL where the run made the table.
        delta_version_after: Equal to the version before where the table was left alone.
        seconds: Time that the write took, what it is computed from included.
    """

    run_id: str
    environment: str
    table_name: str
    rows_in: int
    rows_out: int
    rows_quarantined: int
    rows_superseded: int
    delta_version_before: int | None
    delta_version_after: int
    seconds: float

    @property
    def left_alone(self) -> bool:
        """Whether there was nothing to write."""
        return self.delta_version_before == self.delta_version_after


@dataclass
class RunReport:
    """What a run has to say at its end.

    Attributes:
        run_id: The run.
        environment: Its environment.
        rows: Ledger rows, in the order of writing.
        notes: What a person should know, in the order it was found.
        reasons: Records quarantined for each reason; a record can have several.
        warnings: Records that break a rule of severity warning, by rule.
    """

    run_id: str
    environment: str
    rows: list[LedgerRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


def check_balance(what: str, received: int, parts: Mapping[str, int]) -> None:
    """Compare what went into a layer with what came out of it.

    Args:
        what: What was counted on the way in, for the message.
        received: How many went in.
        parts: How many came out, by where they are.

    Raises:
        UserError: They differ.
    """
    found = sum(parts.values())
    if found == received:
        return
    listed = " + ".join(f"{name} {count:,}" for name, count in parts.items())
    total = f" = {found:,}" if len(parts) > 1 else ""
    direction = (
        f"{received - found:,} lost" if found < received else f"{found - received:,} too many"
    )
    raise UserError(
        f"Records are not accounted for: {what} {received:,}, but {listed}{total} ({direction})."
        " A table was changed by another program, or a layer has a fault. Run the whole pipeline"
        " again to rebuild the tables from the landing files; if it does not balance then, report"
        " it with this message."
    )


def render(report: RunReport, seconds: float) -> str:
    """The summary of a run, as text for a terminal."""
    header = ("table", "rows", "quarantined", "superseded", "version", "seconds")
    table = [header] + [
        (
            row.table_name,
            f"{row.rows_out:,}",
            f"{row.rows_quarantined:,}" if row.rows_quarantined else "-",
            f"{row.rows_superseded:,}" if row.rows_superseded else "-",
            f"{row.delta_version_after} unchanged"
            if row.left_alone
            else str(row.delta_version_after),
            f"{row.seconds:.1f}",
        )
        for row in report.rows
    ]
    lines = ["", f"Run {report.run_id} in {report.environment}: {seconds:.1f} s", ""]
    lines += _aligned(table)
    lines += _counts("Quarantined for (a record can have several reasons):", report.reasons)
    lines += _counts("Kept, with a warning:", report.warnings)
    if report.notes:
        lines += ["", "Notes:", *(f"  {note}" for note in report.notes)]
    return "\n".join(lines)


def _counts(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    width = max(len(f"{count:,}") for count in counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ["", title, *(f"  {count:>{width},}  {name}" for name, count in ordered)]


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        first, *others = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  " + "  ".join([first, *others]).rstrip())
    lines.insert(1, "  " + "  ".join("-" * width for width in widths))
    return lines
