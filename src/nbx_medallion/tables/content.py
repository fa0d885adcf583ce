"""A hash of what is in a dataset, the same for any order of rows and on every engine."""

import json

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

_AS_THEY_ARE = (BinaryType, BooleanType, DateType, StringType, TimestampNTZType, TimestampType)
_INTEGERS = (ByteType, IntegerType, LongType, ShortType)
_NOT_A_NUMBER = float("nan")


def content_hash(frame: DataFrame) -> Column:
    """An aggregate that hashes a frame's column names and rows.

    Each row gives two independent 64-bit hashes, which are summed exactly over all rows: the order
    of rows and how they are spread over files do not matter, how often a row occurs does. Two
    datasets that differ by accident have the same hash with a chance of about 2^-128; against
    somebody who looks for such a pair it is no protection.

    Values that are equal in SQL hash alike: 0.0 and -0.0, one NaN and another, a number in a wider
    integer or a decimal of a higher precision and the same scale. NULL equals only NULL.

    Args:
        frame: Rows with columns of the types a contract knows. It is analysed, not computed.

    Returns:
        A string column of 64 hexadecimal digits, to be computed by ``frame.agg(...)``.

    Raises:
        TypeError: A column has a type without a known representation on every engine.
    """
    fields = frame.schema.fields
    values: list[Column] = []
    for field in fields:
        column = F.col(f"`{field.name.replace('`', '``')}`")
        values += [column.isNull(), _portable(column, field.dataType, field.name)]
    names = json.dumps([field.name for field in fields])
    parts = [F.count(F.lit(1)), *(_sum_of_hashes(seed, values) for seed in ("first", "second"))]
    text = F.concat_ws(" ", F.lit(names), *(part.cast("string") for part in parts))
    return F.sha2(text, 256).alias("content_hash")


def _sum_of_hashes(seed: str, values: list[Column]) -> Column:
    # A sum of bigint overflows; this decimal is exact for 10^19 rows.
    hashed = F.xxhash64(F.lit(seed), *values).cast("decimal(38,0)")
    return F.coalesce(F.sum(hashed), F.lit(0).cast("decimal(38,0)"))


def _portable(column: Column, kind: DataType, name: str) -> Column:
    """The column in a form that every engine gives the same bytes, and so the same hash."""
    if isinstance(kind, _AS_THEY_ARE):
        return column
    if isinstance(kind, _INTEGERS):
        return column.cast("bigint")
    if isinstance(kind, DoubleType | FloatType):
        # Text of a double differs between engines, its bits do not, but for the sign of a NaN.
        return F.when(F.isnan(column), F.lit(_NOT_A_NUMBER)).otherwise(column.cast("double"))
    if isinstance(kind, DecimalType):
        return column.cast("string")  # engines hash decimals of a precision above 18 differently
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, StringType):
        return F.array_join(F.transform(column, _marked), "")
    raise TypeError(f"content_hash: {name}: no portable hash for the type {kind.simpleString()}")


def _marked(element: Column) -> Column:
    """An element with its length before it, so that no two arrays give the same text."""
    return F.coalesce(F.concat(F.length(element).cast("string"), F.lit(":"), element), F.lit("-"))
