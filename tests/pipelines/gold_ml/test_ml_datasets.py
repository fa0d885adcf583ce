"""ML datasets: their columns, and one namespace a version."""

from pyspark.sql import SparkSession

from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.model_versions import ModelDefinition
from nbx_medallion.pipelines import gold_core, gold_ml, ml_registry
from nbx_medallion.pipelines.gold_ml.nodes import build_ml_dataset


def _definition(model_name: str, version: int) -> ModelDefinition:
    return ModelDefinition(
        model_name, version, "gold_core.customer_metrics", ("customer_id",), ("a",), "b"
    )


DEFINITIONS = (
    _definition("churn_model", 1),
    _definition("churn_model", 10),
    _definition("clv_model", 2),
)


def test_a_dataset_has_the_contracts_columns_in_order(engine_session: SparkSession) -> None:
    source = engine_session.createDataFrame(
        [("0042", 2, 1.5), ("42", 1, None)], "customer_id string, frequency bigint, avg double"
    )
    contract = Contract(
        "gold_ml.m_v1",
        (Column("customer_id", "string"), Column("avg", "double"), Column("frequency", "bigint")),
    )
    found = build_ml_dataset(source, contract)
    assert found.columns == ["customer_id", "avg", "frequency"]
    assert sorted(map(tuple, found.collect())) == [("0042", 1.5, 2), ("42", None, 1)]


def test_each_version_is_a_namespace_of_its_own() -> None:
    pipeline = gold_ml.create_pipeline(DEFINITIONS)
    assert {node.name: (node.inputs, node.outputs, node.tags) for node in pipeline.nodes} == {
        f"{d.namespace}.build_ml_dataset": (
            ["gold_core_customer_metrics", f"{d.namespace}.dataset_contract"],
            [f"{d.namespace}.dataset@table"],
            {"gold_ml", d.model_name},
        )
        for d in DEFINITIONS
    }


def test_a_namespace_runs_alone_on_what_is_stored() -> None:
    whole = (
        gold_core.create_pipeline()
        + gold_ml.create_pipeline(DEFINITIONS)
        + ml_registry.create_pipeline(DEFINITIONS)
    )
    alone = whole.filter(node_namespaces=["churn_model_v1"])
    assert [node.name for node in alone.nodes] == ["churn_model_v1.build_ml_dataset"]
    assert alone.inputs() == {"gold_core_customer_metrics", "churn_model_v1.dataset_contract"}
    assert alone.outputs() == {"churn_model_v1.dataset@table"}


def test_a_tag_runs_all_versions_of_a_model() -> None:
    pipeline = gold_ml.create_pipeline(DEFINITIONS).filter(tags=["churn_model"])
    assert sorted(node.namespace or "" for node in pipeline.nodes) == [
        "churn_model_v1",
        "churn_model_v10",
    ]


def test_no_models_make_an_empty_pipeline() -> None:
    assert gold_ml.create_pipeline([]).nodes == []
