"""What a frame must be, and is made, before it is written to a table."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nbx_medallion.errors import UserError
from nbx_medallion.tables.log import TableColumn
from nbx_medallion.tables.types import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


# What Sail, deltalake and Delta on Spark say where somebody else committed first.
_CONFLICTS = ("Failed to commit transaction", "DELTA_CONCURRENT", "DELTA_METADATA_CHANGED")


@contextmanager
def one_writer(table: str) -> Iterator[None]:
    """Turn a conflict with another writer of the table into a message.

    Raises:
        UserError: Another program wrote the table meanwhile.
    """
    try:
        yield
    except Exception as error:
        # A new table is moved to its place, where another may be by now.
        is_taken = isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST)
        if not is_taken and not any(sign in str(error) for sign in _CONFLICTS):
            raise
        raise UserError(
            f"{table}: another run wrote the table while this one was writing it; the rows of this"
            " run were not written. Run again, one run at a time."
        ) from error


def further_columns(frame: "DataFrame", target: list[TableColumn]) -> list[TableColumn]:
    """Columns of the frame that an open table does not have yet: strings, whatever they hold."""
    known = {column.name for column in target}
    return [TableColumn(name, "string") for name in frame.columns if name not in known]


def respelled_columns(frame: "DataFrame", target: list[TableColumn]) -> list[TableColumn]:
    """Columns that an open table has and the frame spells in another case.

    A table cannot hold both. Its rows are replaced, so the one that the frame lacks is empty.
    """
    spelling = {name.lower(): name for name in frame.columns}
    return [
        column for column in target if spelling.get(column.name.lower()) not in (None, column.name)
    ]


def check_frame(table: str, frame: "DataFrame", target: list[TableColumn], is_open: bool) -> None:
    """Refuse a frame whose columns are not the table's; an open table may have more.

    Raises:
        UserError: It differs; the message lists every difference.
    """
    found = {item.name: item.dataType.simpleString() for item in frame.schema.fields}
    differences = []
    for column in target:
        kind = found.pop(column.name, None)
        if kind is None and not is_open:
            differences.append(f"{column.name}: expected {column.type}, found no such column")
        elif kind is not None and kind != column.type:
            differences.append(f"{column.name}: expected {column.type}, found {kind}")
    differences += [
        f"{name}: expected no such column, found {kind}" for name, kind in found.items()
    ]
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        raise UserError(
            f"{table}: the rows to be written do not match the table; nothing was written:\n"
            f"{listed}\n"
            "Correct the node that makes them, or the contract of the table."
        )


def in_order(frame: "DataFrame", target: list[TableColumn]) -> "DataFrame":
    """The columns in the table's order; one that an open table has and the frame lacks is NULL."""
    from pyspark.sql import functions as F

    present = set(frame.columns)
    return frame.select(
        *(
            F.col(quoted(column.name))
            if column.name in present
            else F.lit(None).cast(column.type).alias(column.name)
            for column in target
        )
    )
