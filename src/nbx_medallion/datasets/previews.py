"""Previews of datasets, as Kedro-Viz takes them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from kedro_datasets._typing import TablePreview

__all__ = ["TablePreview", "preview_rows"]


def preview_rows(columns: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> TablePreview:
    """A table of rows as text; a missing value is empty, a timestamp is in UTC.

    Args:
        columns: Names, in order.
        rows: Values by name.
    """
    names = list(columns)
    shown = [[_text(row.get(name)) for name in names] for row in rows]
    return TablePreview({"index": list(range(len(shown))), "columns": names, "data": shown})


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        # Spark's files hold timestamps without a zone, Sail's in UTC; both mean UTC.
        return str(value.replace(tzinfo=None))
    return "" if value is None else str(value)
