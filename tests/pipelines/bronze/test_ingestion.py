"""Bronze on each engine: records as received, with the run that received them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from nbx_medallion.contracts.source import Source
from nbx_medallion.pipelines.bronze.nodes import ingest_records
from nbx_medallion.pipelines.bronze.pipeline import create_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RUN_ID = "2026-01-31T23.59.59.987Z"


def test_records_get_the_run_that_receives_them(engine_session: SparkSession) -> None:
    received = "`a.b` string, `A B` string, `q``` string, _corrupt_record string"
    landing = engine_session.createDataFrame(
        [("1", None, "x", None, "a.csv", 1), (None, None, None, "raw", "a.csv", 2)],
        f"{received}, _source_file string, _row_number bigint",
    )

    frame = ingest_records(landing, RUN_ID)

    assert frame.columns == [*landing.columns, "_ingested_at", "_batch_id"]
    assert [kind for _, kind in frame.dtypes[-2:]] == ["timestamp", "string"]
    started = datetime(2026, 1, 31, 23, 59, 59, 987000)
    as_text = frame.selectExpr("*", "cast(_ingested_at AS string) AS t").drop("_ingested_at")
    assert [tuple(row) for row in as_text.collect()] == [
        ("1", None, "x", None, "a.csv", 1, RUN_ID, str(started)[:-3]),
        (None, None, None, "raw", "a.csv", 2, RUN_ID, str(started)[:-3]),
    ]


def test_the_pipeline_brings_what_was_received_to_bronze() -> None:
    pipeline = create_pipeline([Source("sales"), Source("returns")])

    of_sales = pipeline.filter(node_namespaces=["sales"])
    assert of_sales.inputs() == {"landing_sales", "params:run_id"}
    assert of_sales.all_outputs() == {"bronze_sales_raw"}
    assert {node.name for node in pipeline.nodes} == {
        "sales.ingest_records",
        "returns.ingest_records",
    }
