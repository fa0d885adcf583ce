"""Wiring of the gold core layer."""

from kedro.pipeline import Node, Pipeline

from nbx_medallion.pipelines.gold_core.nodes import build_customer_metrics


def create_pipeline() -> Pipeline:
    """From clean sales to customer metrics."""
    return Pipeline(
        [
            Node(
                build_customer_metrics,
                inputs=[
                    "silver_sales_clean",
                    "gold_core_customer_metrics_earlier",
                    "gold_core_customer_metrics_new_batches",
                ],
                outputs="gold_core_customer_metrics",
                name="build_customer_metrics",
            )
        ],
        tags="gold_core",
    )
