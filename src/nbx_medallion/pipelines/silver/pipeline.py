"""Wiring of the silver layer."""

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

from nbx_medallion.contracts.source import Source
from nbx_medallion.model_versions import dataset_name
from nbx_medallion.pipelines.silver.nodes import (
    clean_records,
    find_superseded,
    profile_records,
    quarantine_records,
    select_records,
)


def create_pipeline(sources: Iterable[Source]) -> Pipeline:
    """Bronze records to clean, quarantined and superseded ones, a namespace a source."""
    template = Pipeline(
        [
            Node(
                select_records,
                inputs=["raw", "silver_batches"],
                outputs="silver_new_records",
                name="select_records",
            ),
            Node(
                quarantine_records,
                inputs=["silver_new_records", "silver_contract"],
                outputs="quarantine",
                name="quarantine_records",
            ),
            Node(
                find_superseded,
                inputs=[
                    "silver_new_records",
                    "quarantine",
                    "silver_clean_before",
                    "silver_batches",
                    "silver_contract",
                ],
                outputs="superseded",
                name="find_superseded",
            ),
            Node(
                clean_records,
                inputs=[
                    "silver_new_records",
                    "superseded",
                    "silver_clean_replaced",
                    "silver_batches",
                    "silver_contract",
                ],
                outputs="clean",
                name="clean_records",
            ),
            Node(
                profile_records,
                inputs=["clean", "quarantine", "silver_batches", "silver_contract"],
                outputs="silver_profile",
                name="profile_records",
            ),
        ],
        tags="silver",
    )
    return sum(
        (
            Pipeline(
                template,
                namespace=source.name,
                inputs={"raw": dataset_name(source.raw)},
                outputs={
                    "clean": dataset_name(source.clean),
                    "quarantine": dataset_name(source.quarantine),
                    "superseded": dataset_name(source.superseded),
                },
            )
            for source in sources
        ),
        Pipeline([]),
    )
