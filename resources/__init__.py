"""Resources of the Databricks bundle that follow from the project: `databricks.yml` names them."""

from resources.medallion_job import load_resources

__all__ = ["load_resources"]
