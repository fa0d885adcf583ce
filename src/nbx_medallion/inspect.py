"""What the lakehouse answers: its history."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from textwrap import shorten
from typing import Any

from nbx_medallion.contracts.definition import definition_changes
from nbx_medallion.run.summary import aligned
from nbx_medallion.run.survey import RUNS, Lakehouse

Rows = list[dict[str, Any]]


def runs(lakehouse: Lakehouse, most: int) -> Rows:
    """The last runs, newest first: `run`, `started`, `status`, `seconds`, and what each did."""
    found = sorted(lakehouse.rows(RUNS), key=lambda row: (row["started_at"], row["run_id"]))
    return [
        {
            "run": row["run_id"],
            "started": _when(row["started_at"]),
            "status": row["status"],
            "seconds": row["seconds"],
            "git": (row["git_sha"] or "")[:12]
            + "-dirty" * (row["git_sha"] or "").endswith("-dirty"),
            "what": row["error"] or row["pipelines"],
        }
        for row in reversed(found[-most:])
    ]


def states(lakehouse: Lakehouse, table: str, most: int) -> Rows:
    """The last states of a table, newest first: `version`, `when`, `run`, `operation`, `rows`.

    `changed` names what changed in its definition since the state before.
    """
    found: Rows = []
    before: Mapping[str, str] = {}
    for commit in lakehouse.log(table).commits:
        made = commit.metadata
        now = made.get("defined_by", before)
        row = {
            "version": commit.version,
            "when": _when(commit.timestamp),
            "run": made.get("run_id", commit.user or "-"),
            "operation": made.get("kind", commit.operation),
            "rows": commit.row_count,
            "changed": ", ".join(definition_changes(before, now)) if before and made else "",
        }
        found.append(row)
        before = now
    return found[::-1][:most]


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table for a terminal."""
    if not rows:
        return "  nothing yet"
    cells = [
        [shorten(str(value), 100, placeholder=" ...") for value in row.values()] for row in rows
    ]
    return "\n".join(aligned([list(rows[0]), *cells]))


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"
