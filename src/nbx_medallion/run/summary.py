"""What a run has to say at its end, as text for a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from nbx_medallion.run.ledger import LedgerRow


@dataclass
class RunReport:
    """What a run has to say at its end.

    Attributes:
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


def render(report: RunReport, seconds: float) -> str:
    """The summary of a run, as text for a terminal."""
    header = ("table", "rows", "quarantined", "superseded", "version", "seconds")
    table = [header] + [
        (
            row.table_name,
            f"{row.rows_out:,}",
            f"{row.rows_quarantined:,}" if row.rows_quarantined else "-",
            f"{row.rows_superseded:,}" if row.rows_superseded else "-",
            str(row.delta_version_after) + " unchanged" * row.left_alone,
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
    form = "  ".join(["  {:<{}}", *["{:>{}}"] * (len(widths) - 1)])
    rows = [table[0], ["-" * width for width in widths], *table[1:]]
    return [form.format(*chain(*zip(row, widths, strict=True))).rstrip() for row in rows]
