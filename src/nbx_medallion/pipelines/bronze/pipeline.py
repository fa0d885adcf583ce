"""Wiring of the bronze layer."""

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

from nbx_medallion.contracts.source import Source
from nbx_medallion.model_versions import dataset_name
from nbx_medallion.pipelines.bronze.nodes import ingest_records


def create_pipeline(sources: Iterable[Source]) -> Pipeline:
    """Landing files to ``bronze.<source>_raw``, a namespace a source."""
    template = Pipeline(
        [
            Node(
                ingest_records,
                inputs=["landing", "params:run_id"],
                outputs="raw",
                name="ingest_records",
            ),
        ],
        tags="bronze",
    )
    return sum(
        (
            Pipeline(
                template,
                namespace=source.name,
                inputs={"landing": source.landing},
                outputs={"raw": dataset_name(source.raw)},
                parameters={"params:run_id"},
            )
            for source in sources
        ),
        Pipeline([]),
    )
