"""Columns of a Delta table: how log and SQL write them, and what becomes of them in a write."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbx_medallion.contracts.differences import Schema, schema_differences
from nbx_medallion.contracts.model import Contract
from nbx_medallion.errors import TableError

if TYPE_CHECKING:
    import deltalake
    from pyspark.sql import DataFrame, SparkSession

_TO_SPARK = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}
_TO_DELTA: dict[str, Any] = {spark: delta for delta, spark in _TO_SPARK.items()} | {
    "array<string>": {"type": "array", "elementType": "string", "containsNull": True}
}


@dataclass(frozen=True)
class TableColumn:
    """A column as a Delta table has it: type as Spark writes it (``decimal(18,2)``)."""

    name: str
    type: str
    nullable: bool = True
    comment: str = ""


Columns = Sequence[TableColumn]


def from_json(schema: str) -> list[TableColumn]:
    """Columns of a schema in JSON, as Delta's log and Spark have it."""
    return [
        TableColumn(f["name"], _spark(f["type"]), f["nullable"], f["metadata"].get("comment", ""))
        for f in json.loads(schema)["fields"]
    ]


def to_delta(columns: Columns) -> "deltalake.Schema":
    """Columns as deltalake takes them."""
    import deltalake

    fields = []
    for c in columns:
        kind, metadata = _TO_DELTA.get(c.type, c.type), {"comment": c.comment} if c.comment else {}
        fields.append({"name": c.name, "type": kind, "nullable": c.nullable, "metadata": metadata})
    return deltalake.Schema.from_json(json.dumps({"type": "struct", "fields": fields}))


def to_sql(columns: Columns) -> str:
    """Columns as SQL defines them."""
    return ", ".join(
        f"{quoted(column.name)} {column.type}{'' if column.nullable else ' NOT NULL'}"
        + (f" COMMENT {literal(column.comment)}" if column.comment else "")
        for column in columns
    )


def to_frame(
    session: "SparkSession", rows: Iterable[Mapping[str, Any]], schema: Schema
) -> "DataFrame":
    """Rows as a frame, with the columns of a schema."""
    values = [tuple(row[name] for name, _ in schema) for row in rows]
    ddl = ", ".join(f"{quoted(name)} {kind}" for name, kind in schema)
    return session.createDataFrame(values, ddl)


def quoted(name: str) -> str:
    """A column name as SQL takes it, whatever it holds."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A text as SQL takes it, whatever it holds."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def planned_columns(
    contract: Contract, found: Columns, given: Schema, location: str, strict: bool = False
) -> list[TableColumn]:
    """The columns of a table once rows are written to it: those found in it, then new ones.

    A column of an open table that the rows spell in another case gives way to theirs: a table
    cannot hold both. Nothing is found where the table is still to be made; given are name and type
    of each column of the rows; in a strict table those that are required are NOT NULL.

    Raises:
        UserError: The rows are not those of the contract, or see `check_contract`; the message
            lists every difference.
    """
    if differences := schema_differences(contract.schema, given, is_open=contract.open):
        raise TableError(
            f"{contract.table}: the rows to be written are not those of the contract; nothing was"
            f" written to {location}:\n  " + "\n  ".join(differences) + "\nCorrect the node that"
            " makes them, or the contract of the table."
        )
    if found:
        check_contract(contract, found, location)
    not_null = {column.name for column in contract.columns if column.required and strict}
    wanted = {
        name: TableColumn(name, kind, name not in not_null, contract.comments.get(name, ""))
        for name, kind in given
    }
    spelled = {name.lower() for name in wanted}
    kept = {c.name: c for c in found if c.name in wanted or c.name.lower() not in spelled}
    return list((kept | wanted).values())


def check_contract(contract: Contract, found: Columns, location: str) -> None:
    """Refuse a contract that has left its table's columns, but for added nullable ones."""
    place = {column.name: at for at, column in enumerate(found)}
    required = {column.name for column in contract.columns if column.required}
    expected = [item for item in contract.schema if item[0] in place or item[0] in required]
    expected.sort(key=lambda item: place.get(item[0], len(place)))
    table = [(column.name, column.type) for column in found]
    if differences := schema_differences(expected, table, is_open=contract.open):
        raise TableError(
            f"{contract.table}: the table at {location} is not as the contract has it:\n  "
            + "\n  ".join(differences)
            + "\nOnly new columns that are not required can be added to a table. Take the change"
            " back, or drop the table (delete its folder) to have it rebuilt."
        )


def _spark(delta_type: Any) -> str:
    if isinstance(delta_type, dict):
        return f"array<{_spark(delta_type['elementType'])}>"
    return _TO_SPARK.get(delta_type, str(delta_type))
