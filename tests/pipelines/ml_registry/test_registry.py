"""The registry's rows from commits, and where its node stands."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from nbx_medallion.model_versions import ModelDefinition
from nbx_medallion.pipelines import gold_core, gold_ml, ml_registry
from nbx_medallion.pipelines.ml_registry.nodes import collect_versions
from nbx_medallion.tables.log import Commit

CHURN = ModelDefinition(
    "churn_model",
    1,
    "gold_core.customer_metrics",
    ("customer_id",),
    ("frequency", "avg_ticket"),
    "frequency",
)
CLV = ModelDefinition(
    "clv_model", 12, "gold_core.customer_metrics", ("customer_id",), ("frequency",), "total_spent"
)
COLUMNS = [
    "model_name",
    "version",
    "registered_at",
    "table_name",
    "definition",
    "definition_hash",
    "feature_columns",
    "target_column",
    "source_table",
    "source_delta_version",
    "delta_version",
    "row_count",
    "content_hash",
    "environment",
    "run_id",
    "git_sha",
]


def _commit(model: ModelDefinition, version: int, **metadata: Any) -> Commit:
    return Commit(
        version=version,
        timestamp=datetime(2026, 1, 1, 12, version, tzinfo=UTC),
        row_count=100 + version,
        metadata={
            "definition": model.to_json(),
            "definition_hash": model.hash,
            "content_hash": f"content {version}",
            "environment": "local",
            "inputs": {
                "gold_core.customer_metrics": {"version": version + 3, "rows": 9},
                "gold_core.other": {"version": 99, "rows": 9},
            },
            "run_id": f"run {version}",
            "git_sha": "0a1b2c",
            **metadata,
        },
    )


def test_a_commit_gives_a_row() -> None:
    rows = collect_versions(churn_model_v1=[_commit(CHURN, 4)])
    assert list(rows[0]) == COLUMNS
    assert rows == [
        {
            "model_name": "churn_model",
            "version": 1,
            "registered_at": datetime(2026, 1, 1, 12, 4, tzinfo=UTC),
            "table_name": "gold_ml.churn_model_v1",
            "definition": CHURN.to_json(),
            "definition_hash": CHURN.hash,
            "feature_columns": ["frequency", "avg_ticket"],
            "target_column": "frequency",
            "source_table": "gold_core.customer_metrics",
            "source_delta_version": 7,
            "delta_version": 4,
            "row_count": 104,
            "content_hash": "content 4",
            "environment": "local",
            "run_id": "run 4",
            "git_sha": "0a1b2c",
        }
    ]


def test_every_commit_of_every_version_comes_in_order() -> None:
    rows = collect_versions(
        churn_model_v1=[_commit(CHURN, 1), _commit(CHURN, 2)],
        clv_model_v12=[_commit(CLV, 1)],
    )
    assert [(row["model_name"], row["version"], row["delta_version"]) for row in rows] == [
        ("churn_model", 1, 1),
        ("churn_model", 1, 2),
        ("clv_model", 12, 1),
    ]


def test_a_state_is_registered_once_by_the_first_commit_that_has_it() -> None:
    rows = collect_versions(
        churn_model_v1=[
            _commit(CHURN, 1, content_hash="a"),
            _commit(CHURN, 2, content_hash="b"),
            _commit(CHURN, 3, content_hash="a"),
            _commit(CHURN, 4, content_hash="b", definition_hash="another"),
            _commit(CHURN, 5, content_hash="b"),
        ],
        clv_model_v12=[_commit(CLV, 1, content_hash="a")],
    )
    assert [
        (row["table_name"], row["delta_version"], row["content_hash"], row["run_id"])
        for row in rows
    ] == [
        ("gold_ml.churn_model_v1", 1, "a", "run 1"),
        ("gold_ml.churn_model_v1", 2, "b", "run 2"),
        ("gold_ml.churn_model_v1", 4, "b", "run 4"),
        ("gold_ml.clv_model_v12", 1, "a", "run 1"),
    ]


def test_commits_without_a_definition_are_no_versions() -> None:
    creation, restored = (Commit(at, datetime.now(UTC), row_count=0) for at in (0, 2))
    commits = [creation, _commit(CHURN, 1), replace(restored, restored=1)]
    rows = collect_versions(churn_model_v1=commits, clv_model_v12=[])
    assert [row["delta_version"] for row in rows] == [1]


def test_outside_git_there_is_no_sha() -> None:
    commit = _commit(CHURN, 1)
    without = {key: value for key, value in commit.metadata.items() if key != "git_sha"}
    assert collect_versions(churn_model_v1=[_commit(CHURN, 1, git_sha=None)])[0]["git_sha"] is None
    outside = Commit(1, commit.timestamp, 1, without)
    assert collect_versions(churn_model_v1=[outside])[0]["git_sha"] is None


def test_a_definition_given_as_an_object_is_written_canonically() -> None:
    given = dict(reversed(json.loads(CHURN.to_json()).items()))
    rows = collect_versions(churn_model_v1=[_commit(CHURN, 1, definition=given)])
    assert rows[0]["definition"] == CHURN.to_json()


def test_the_node_reads_commits_after_the_tables_are_written() -> None:
    pipeline = (
        ml_registry.create_pipeline([CHURN, CLV])
        + gold_ml.create_pipeline([CHURN, CLV])
        + gold_core.create_pipeline()
    )
    assert [node.name for node in pipeline.nodes] == [
        "build_customer_metrics",
        "churn_model_v1.build_ml_dataset",
        "clv_model_v12.build_ml_dataset",
        "collect_versions",
    ]
    assert pipeline.inputs() == {
        "silver_sales_clean",
        "gold_core_customer_metrics_earlier",
        "gold_core_customer_metrics_new_batches",
        "churn_model_v1.dataset_contract",
        "clv_model_v12.dataset_contract",
    }
    assert pipeline.outputs() == {"ml_registry_model_versions"}


def test_the_node_gets_commits_by_namespace() -> None:
    (node,) = ml_registry.create_pipeline([CHURN, CLV]).nodes
    assert node.namespace is None
    assert node.tags == {"ml_registry"}
    assert set(node.inputs) == {"churn_model_v1.dataset@commit", "clv_model_v12.dataset@commit"}
    rows = node.run(
        {
            "churn_model_v1.dataset@commit": [_commit(CHURN, 1)],
            "clv_model_v12.dataset@commit": [_commit(CLV, 2)],
        }
    )["ml_registry_model_versions"]
    assert [row["table_name"] for row in rows] == [
        "gold_ml.churn_model_v1",
        "gold_ml.clv_model_v12",
    ]


def test_no_models_make_an_empty_pipeline() -> None:
    assert ml_registry.create_pipeline([]).nodes == []


def test_kedro_has_nothing_to_warn_of() -> None:
    # A process of its own: Kedro gives this warning once a process.
    script = (
        "from nbx_medallion.model_versions import ModelDefinition\n"
        "from nbx_medallion.pipelines import gold_ml, ml_registry\n"
        "models = [ModelDefinition('m', 1, 'gold_core.s', ('k',), ('a',), 'b')]\n"
        "gold_ml.create_pipeline(models) + ml_registry.create_pipeline(models)\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
