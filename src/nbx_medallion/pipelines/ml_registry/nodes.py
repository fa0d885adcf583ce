"""Nodes of the ML registry."""

from operator import itemgetter
from typing import Any

from nbx_medallion.model_versions import canonical_json, read_definition, split_namespace
from nbx_medallion.tables.log import Commit


def collect_versions(**commits: list[Commit]) -> list[dict[str, Any]]:
    """Give the registry's rows: one a state of a dataset, of the first commit that has it.

    A state is a definition with a content. Commits without one (the table's creation, maintenance,
    another writer's) give no row.

    Args:
        **commits: Commits of each dataset, oldest first, by its namespace ``<model>_v<version>``.

    Returns:
        Rows with the registry's columns in order, keyed by `table_name`, `definition_hash` and
        `content_hash`.
    """
    key = itemgetter("table_name", "definition_hash", "content_hash")
    found: dict[Any, dict[str, Any]] = {}
    for namespace, of_table in commits.items():
        for commit in of_table:
            if "content_hash" in commit.metadata:
                row = _row(namespace, commit)
                found.setdefault(key(row), row)
    return list(found.values())


def _row(namespace: str, commit: Commit) -> dict[str, Any]:
    model_name, version = split_namespace(namespace)
    metadata = commit.metadata
    definition = read_definition(metadata["definition"])
    return {
        "model_name": model_name,
        "version": version,
        "registered_at": commit.timestamp,
        "table_name": f"gold_ml.{namespace}",
        "definition": canonical_json(definition),
        "definition_hash": metadata["definition_hash"],
        "feature_columns": definition["feature_columns"],
        "target_column": definition["target_column"],
        "source_table": definition["source_table"],
        "source_delta_version": metadata["inputs"][definition["source_table"]]["version"],
        "delta_version": commit.version,
        "row_count": commit.row_count,
        "content_hash": metadata["content_hash"],
        "environment": metadata["environment"],
        "run_id": metadata["run_id"],
        "git_sha": metadata.get("git_sha"),
    }
