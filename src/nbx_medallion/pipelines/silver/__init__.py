"""From received records to valid, typed ones, one row a key; the rest accounted for."""

from nbx_medallion.pipelines.silver.pipeline import create_pipeline

__all__ = ["create_pipeline"]
