"""Gold ML: one dataset a model version."""

from nbx_medallion.pipelines.gold_ml.pipeline import create_pipeline

__all__ = ["create_pipeline"]
