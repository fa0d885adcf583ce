"""A hash of what is in a dataset, the same for any order of rows and on every engine."""

import json
import math

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from nbx_medallion.tables.columns import quoted


def content_hash(frame: DataFrame) -> Column:
    """An aggregate of a frame's column names and rows: a hash of 64 hexadecimal digits.

    Each row gives two independent 64-bit hashes, which are summed exactly over all rows: the order
    of rows and how they are spread over files do not matter, how often a row occurs does. Two
    datasets that differ by accident have the same hash with a chance of about 2^-128; against
    somebody who looks for such a pair it is no protection.

    Values that are equal in SQL hash alike: 0.0 and -0.0, one NaN and another, a number in a wider
    integer or a decimal of a higher precision and the same scale. NULL equals only NULL.

    Raises:
        TypeError: A column has a type without a known representation on every engine.
    """
    values: list[Column] = []
    for field in frame.schema.fields:
        column = F.col(quoted(field.name))
        values += [column.isNull(), _portable(column, field.dataType, field.name)]
    parts = [F.count(F.lit(1)), *(_sum_of_hashes(seed, values) for seed in ("first", "second"))]
    names = F.lit(json.dumps(frame.columns))
    text = F.concat_ws(" ", names, *(part.cast("string") for part in parts))
    return F.sha2(text, 256).alias("content_hash")


def _sum_of_hashes(seed: str, values: list[Column]) -> Column:
    # A sum of bigint overflows; this decimal is exact for 10^19 rows.
    hashed = F.xxhash64(F.lit(seed), *values).cast("decimal(38,0)")
    return F.coalesce(F.sum(hashed), F.lit(0).cast("decimal(38,0)"))


def _portable(column: Column, kind: T.DataType, name: str) -> Column:
    """The column in a form that every engine gives the same bytes, and so the same hash."""
    match kind:
        case T.StringType() | T.BinaryType() | T.BooleanType() | T.DatetimeType():
            return column
        case T.ByteType() | T.ShortType() | T.IntegerType() | T.LongType():
            return column.cast("bigint")
        case T.FloatType() | T.DoubleType():
            # Text of a double differs between engines, its bits do not, but for a NaN's sign.
            return F.when(F.isnan(column), F.lit(math.nan)).otherwise(column.cast("double"))
        case T.DecimalType():
            return column.cast("string")  # engines hash a precision above 18 differently
        case T.ArrayType(elementType=T.StringType()):
            return F.array_join(F.transform(column, _marked), "")
    raise TypeError(f"content_hash: {name}: no portable hash for the type {kind.simpleString()}")


def _marked(element: Column) -> Column:
    """An element with its length before it, so that no two arrays give the same text."""
    return F.coalesce(F.concat(F.length(element).cast("string"), F.lit(":"), element), F.lit("-"))
