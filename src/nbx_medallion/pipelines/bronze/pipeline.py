"""Wiring of the bronze layer."""

from kedro.pipeline import Node, Pipeline

from nbx_medallion.pipelines.bronze.nodes import ingest_sales, register_files


def create_pipeline() -> Pipeline:
    """Landing files to ``ops.landing_files`` and ``bronze.sales_raw``."""
    return Pipeline(
        [
            Node(
                register_files,
                inputs=["landing_sales", "params:run_id"],
                outputs="ops_landing_files",
                name="register_files",
            ),
            Node(
                ingest_sales,
                inputs=["landing_sales", "ops_landing_files"],
                outputs="bronze_sales_raw",
                name="ingest_sales",
            ),
        ]
    )
