"""Gold core: facts about customers, known to no model."""

from nbx_medallion.pipelines.gold_core.pipeline import create_pipeline

__all__ = ["create_pipeline"]
