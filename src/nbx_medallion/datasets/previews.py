"""Previews of datasets, as Kedro-Viz takes them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kedro_datasets._typing import TablePreview

__all__ = ["TablePreview", "preview_rows"]


def preview_rows(columns: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> TablePreview:
    """A table of rows as text; a missing value is empty.

    Args:
        columns: Names, in order.
        rows: Values by name.
    """
    names = list(columns)
    shown = [["" if row.get(name) is None else str(row[name]) for name in names] for row in rows]
    return TablePreview({"index": list(range(len(shown))), "columns": names, "data": shown})
