"""Column types and definitions in the forms of Delta's log, of deltalake and of SQL."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltalake import Field

    from nbx_medallion.tables.log import TableColumn, TableSpec

_TO_SPARK = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}
_TO_DELTA = {spark: delta for delta, spark in _TO_SPARK.items()}
_MAPPED_CHARACTERS = re.compile(r"[ ,;{}()\n\t=]")


def from_delta(delta_type: Any) -> str:
    """A type of Delta's log, as Spark writes it."""
    if isinstance(delta_type, dict):
        return f"array<{from_delta(delta_type['elementType'])}>"
    return _TO_SPARK.get(delta_type, str(delta_type))


def to_fields(columns: Iterable["TableColumn"]) -> "list[Field]":
    """Columns as deltalake takes them."""
    from deltalake import Field
    from deltalake.schema import ArrayType, PrimitiveType

    def delta_type(spark_type: str) -> ArrayType | PrimitiveType:
        if spark_type.startswith("array<"):
            return ArrayType(delta_type(spark_type[len("array<") : -1]), contains_null=True)
        return PrimitiveType(_TO_DELTA.get(spark_type, spark_type))

    return [
        Field(
            column.name,
            delta_type(column.type),
            nullable=column.nullable,
            metadata={"comment": column.comment} if column.comment else None,
        )
        for column in columns
    ]


def needs_column_mapping(columns: Iterable["TableColumn"]) -> bool:
    """Whether a name has a character that Spark writes only with Delta's column mapping."""
    return any(_MAPPED_CHARACTERS.search(column.name) for column in columns)


def column_ddl(column: "TableColumn") -> str:
    """A column definition in SQL."""
    comment = f" COMMENT {_literal(column.comment)}" if column.comment else ""
    not_null = "" if column.nullable else " NOT NULL"
    return f"{quoted(column.name)} {column.type}{not_null}{comment}"


def create_statement(target: str, spec: "TableSpec") -> str:
    """The SQL that makes an empty Delta table.

    Args:
        target: A name, or ``delta.`<path>` ``.
        spec: What to make.
    """
    properties = dict(spec.properties)
    if needs_column_mapping(spec.columns):
        properties["delta.columnMapping.mode"] = "name"
    listed = ", ".join(column_ddl(column) for column in spec.columns)
    pairs = ", ".join(f"{_literal(key)} = {_literal(value)}" for key, value in properties.items())
    with_properties = f" TBLPROPERTIES ({pairs})" if pairs else ""
    return (
        f"CREATE TABLE {target} ({listed}) USING DELTA"
        f" COMMENT {_literal(spec.comment)}{with_properties}"
    )


def quoted(name: str) -> str:
    """A column name as SQL takes it, whatever it holds."""
    return "`" + name.replace("`", "``") + "`"


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
