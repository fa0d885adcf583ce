"""What a run has to say at its end, as text for a terminal."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

_MANY = 20


@dataclass
class RunReport:
    """What a run has to say at its end.

    Attributes:
        rows: Those of `ops.run_ledger`, in the order of writing.
        changes: Rows that each table has more than before the run.
        why: Why each was written or left alone.
        notes: What a person should know, what has to be acted on first.
        reasons: New records quarantined for each reason; a record can have several.
        warnings: New records that break a rule of severity warning, by rule.
    """

    run_id: str
    environment: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)


def render(report: RunReport, seconds: float, outcome: str = "") -> str:
    """The summary of a run, as text for a terminal."""
    lines = ["", f"Run {report.run_id} in {report.environment}: {outcome}{seconds:.1f} s", ""]
    if report.notes:
        lines += ["Notes:", *(f"  {note}" for note in report.notes), ""]
    header = ("table", "action", "rows", "change", "version", "seconds", "why")
    shown = [row for row in report.rows if len(report.rows) <= _MANY or row["action"] != "skip"]
    table = [header] + [
        (
            row["table_name"],
            row["action"],
            f"{row['rows_out']:,}",
            f"{change:+,}" if (change := report.changes.get(row["table_name"], 0)) else "-",
            str(row["delta_version_after"]),
            f"{row['seconds']:.1f}" if row["seconds"] else "-",
            report.why.get(row["table_name"], ""),
        )
        for row in shown
    ]
    lines += aligned(table, numbers=range(2, 6))
    if len(shown) < len(report.rows):
        lines.append(f"  and {len(report.rows) - len(shown)} tables that were left alone")
    lines += _counts("Quarantined now for (a record can have several reasons):", report.reasons)
    lines += _counts("Kept now, with a warning:", report.warnings)
    return "\n".join(lines)


def _counts(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    width = max(len(f"{count:,}") for count in counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"  {count:>{width},}  {name}" for name, count in ordered[:_MANY]]
    more = [f"  and {len(ordered) - _MANY} more, see ops.rule_counts"] * (len(ordered) > _MANY)
    return ["", title, *lines, *more]


def aligned(table: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> list[str]:
    """Lines of a table, its first row as a header; columns of numbers are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    form = "".join("  {:>{}}" if at in numbers else "  {:<{}}" for at in range(len(widths)))
    rows = [table[0], ["-" * width for width in widths], *table[1:]]
    return [form.format(*chain(*zip(row, widths, strict=True))).rstrip() for row in rows]
