"""Wiring of the silver layer."""

from kedro.pipeline import Pipeline, node

from nbx_medallion.pipelines.silver.nodes import (
    clean_sales,
    find_superseded,
    profile_sales,
    quarantine_sales,
)


def create_pipeline() -> Pipeline:
    """Create the silver pipeline.

    Returns:
        Bronze records split into clean, quarantined and superseded ones, and a profile of them.
    """
    contract = "silver_sales_contract"
    return Pipeline(
        [
            node(
                quarantine_sales,
                inputs=["bronze_sales_raw", contract],
                outputs="silver_sales_quarantine",
                name="quarantine_sales",
            ),
            node(
                find_superseded,
                inputs=["bronze_sales_raw", "silver_sales_quarantine", contract],
                outputs="silver_sales_superseded",
                name="find_superseded",
            ),
            node(
                clean_sales,
                inputs=["bronze_sales_raw", "silver_sales_superseded", contract],
                outputs="silver_sales_clean",
                name="clean_sales",
            ),
            node(
                profile_sales,
                inputs=["silver_sales_clean", "silver_sales_quarantine", contract],
                outputs="silver_sales_profile",
                name="profile_sales",
            ),
        ],
        tags="silver",
    )
