"""Bronze: every record, as received."""

from nbx_medallion.pipelines.bronze.pipeline import create_pipeline

__all__ = ["create_pipeline"]
