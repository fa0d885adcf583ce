"""Wiring of the gold ML layer."""

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

from nbx_medallion.model_versions import ModelDefinition, dataset_name
from nbx_medallion.pipelines.gold_ml.nodes import build_ml_dataset


def create_pipeline(definitions: Iterable[ModelDefinition]) -> Pipeline:
    """One instance of the template a model version, in a namespace of its own.

    Args:
        definitions: The listed model versions.

    Returns:
        A pipeline that writes ``<model>_v<version>.dataset@table`` of each; the tag of a node is
        its model's name, so that ``--tags churn_model`` runs all versions of one model.
    """
    template = Pipeline(
        [
            Node(
                build_ml_dataset,
                inputs=["source", "dataset_contract"],
                outputs="dataset@table",
                name="build_ml_dataset",
            )
        ],
        tags="gold_ml",
    )
    return sum(
        (
            Pipeline(
                template,
                namespace=definition.namespace,
                inputs={"source": dataset_name(definition.source_table)},
                tags=definition.model_name,
            )
            for definition in definitions
        ),
        Pipeline([]),
    )
