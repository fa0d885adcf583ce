"""ML registry: every version of every ML dataset, derived from the tables' own commits."""

from nbx_medallion.pipelines.ml_registry.pipeline import create_pipeline

__all__ = ["create_pipeline"]
