"""The project's pipelines."""

from kedro.pipeline import Pipeline

from nbx_medallion.config import current_config
from nbx_medallion.pipelines import bronze, gold_core, gold_ml, ml_registry, silver


def register_pipelines() -> dict[str, Pipeline]:
    """One pipeline a layer, and `__default__`, which runs them all.

    Raises:
        UserError: The model list or the contract of a source table is not valid.
    """
    declared = current_config().declared
    layers = {
        "bronze": bronze.create_pipeline(declared.sources),
        "silver": silver.create_pipeline(declared.sources),
        "gold_core": gold_core.create_pipeline(),
        "gold_ml": gold_ml.create_pipeline(declared.models),
        "ml_registry": ml_registry.create_pipeline(declared.models),
    }
    return {"__default__": sum(layers.values(), Pipeline([])), **layers}
