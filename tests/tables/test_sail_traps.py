"""What Sail gets wrong and the package works around: where a test fails here, that can go."""

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable

from nbx_medallion.tables.columns import TableColumn, to_delta

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.parametrize("engine_name", ["sail"], indirect=True)


def test_decimals_are_read_from_statistics_that_are_doubles(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    """`tables.writing` keeps them out of the statistics."""
    exact = Decimal("9999999999999999.01")
    frame = engine_session.createDataFrame([(exact,), (exact,)], "spent decimal(18,2)")
    frame.write.format("delta").save(str(tmp_path / "t"))

    found = engine_session.read.format("delta").load(str(tmp_path / "t")).collect()

    assert {row.spent for row in found} != {exact}


def test_doubles_are_read_from_statistics_but_for_the_last_bit(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    """`tables.writing` keeps them out of the statistics."""
    exact = 3.5034615384615386
    frame = engine_session.createDataFrame([(exact,), (exact,)], "spent double")
    frame.write.format("delta").save(str(tmp_path / "t"))

    found = engine_session.read.format("delta").load(str(tmp_path / "t")).collect()

    assert {row.spent for row in found} != {exact}


def test_not_null_is_checked_before_the_filters_of_a_frame(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    """`tables.writing` makes NOT NULL columns on Spark only."""
    DeltaTable.create(tmp_path, to_delta([TableColumn("key", "string", nullable=False)]))
    frame = engine_session.createDataFrame([("a",), (None,)], "key string").where("key is not null")

    with pytest.raises(Exception, match=r"(?i)null"):
        frame.write.format("delta").mode("append").save(str(tmp_path))


def test_arrays_are_not_written_beside_rows_that_stay_in_a_file(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    """`tables.writing` writes all rows of such a table anew."""
    ddl = "key string, tags array<string>"
    frame = engine_session.createDataFrame([("a", ["x"]), ("b", ["x"])], ddl)
    frame.coalesce(1).write.format("delta").save(str(tmp_path))
    new = engine_session.createDataFrame([("a", ["y"])], ddl).write.format("delta")

    with pytest.raises(Exception, match="requires all inputs to have the same data type"):
        new.mode("overwrite").option("replaceWhere", "key = 'a'").save(str(tmp_path))


def test_lists_in_replace_where_take_the_square_of_their_length(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    """`tables.columns` hides long ones."""
    frame = engine_session.createDataFrame([("a",), ("b",)], "key string")
    texts, seconds = [str(number) for number in range(400)], []
    for name, condition in (("plain", "{}"), ("hidden", "if({}, true, false)")):
        frame.write.format("delta").save(str(tmp_path / name))
        where = condition.format(f"key IN ({', '.join(map(repr, texts))})")
        write = frame.limit(0).write.format("delta").mode("overwrite")
        started = time.monotonic()
        write.option("replaceWhere", where).save(str(tmp_path / name))
        seconds.append(time.monotonic() - started)

    assert seconds[0] > 5 * seconds[1]


def test_no_rows_are_no_commit(engine_session: "SparkSession", tmp_path: Path) -> None:
    """`tables.writing` makes an empty one."""
    DeltaTable.create(tmp_path, to_delta([TableColumn("key", "string")]))
    carried = {"userMetadata": json.dumps({"run_id": "run-1"})}

    frame = engine_session.createDataFrame([], "key string")
    frame.write.format("delta").mode("append").options(**carried).save(str(tmp_path))

    assert DeltaTable(tmp_path).version() == 0
