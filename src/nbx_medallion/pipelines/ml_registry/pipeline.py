"""Wiring of the ML registry."""

import warnings
from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

from nbx_medallion.model_versions import ModelDefinition
from nbx_medallion.pipelines.ml_registry.nodes import collect_versions


def create_pipeline(definitions: Iterable[ModelDefinition]) -> Pipeline:
    """One node that reads the commits of every listed dataset.

    It belongs to no namespace, so a run of one namespace leaves it out.

    Args:
        definitions: The listed model versions.
    """
    commits = {d.namespace: f"{d.namespace}.dataset@commit" for d in definitions}
    if not commits:
        return Pipeline([])
    with warnings.catch_warnings():
        # Kedro advises against reading another namespace's dataset, which is this node's purpose.
        # It warns once a process, at the first such node, wherever that is copied later.
        warnings.filterwarnings(
            "ignore", message="One or more dataset names contain '.' characters"
        )
        node = Node(
            collect_versions,
            inputs=commits,
            outputs="ml_registry_model_versions",
            name="collect_versions",
            tags="ml_registry",
        )
        return Pipeline([node])
