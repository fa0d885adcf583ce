"""The catalog and the configuration of every environment."""

import re
from pathlib import Path

import pytest
from conftest import REPOSITORY, config_for
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from nbx_medallion.datasets import DeltaCommitsDataset, DeltaTableDataset
from nbx_medallion.run.session import MedallionSession

ENVIRONMENTS = ("local", "dev", "staging", "prod")
CONVENTION = re.compile(
    r"(landing|bronze|silver|gold_core|ml_registry|ops)_[a-z0-9_]+|run_summary"
    r"|[a-z][a-z0-9_]*_v[1-9][0-9]*\.(dataset_contract|dataset(@table|@commit)?)"
    r"|sales\.silver_(batches|new_records|clean_before|clean_replaced|contract|profile)"
)


def load(env: str) -> tuple[DataCatalog, Pipeline]:
    """Catalog and whole pipeline of an environment, as a run gets them."""
    bootstrap_project(REPOSITORY)
    with MedallionSession.create(REPOSITORY, env=None if env == "local" else env) as session:
        catalog = session.load_context().catalog
        return catalog, pipelines["__default__"]


@pytest.fixture(params=ENVIRONMENTS)
def env(request: pytest.FixtureRequest) -> str:
    """Each environment in turn."""
    return str(request.param)


def test_each_dataset_of_the_pipelines_resolves_to_a_declared_one(env: str) -> None:
    catalog, pipeline = load(env)

    in_memory = [
        name
        for name in pipeline.datasets()
        if not name.startswith("params:") and type(catalog.get(name)) is MemoryDataset
    ]
    assert sorted(in_memory) == ["sales.silver_new_records", "sales.silver_profile"]


def test_names_follow_the_convention(env: str) -> None:
    catalog, pipeline = load(env)

    declared = {*pipeline.datasets(), *catalog.keys()}
    strange = [
        name
        for name in declared
        if not name.startswith(("params:", "parameters")) and not CONVENTION.fullmatch(name)
    ]
    assert strange == []


def test_each_catalog_entry_and_pattern_is_used(env: str) -> None:
    catalog, pipeline = load(env)
    by_hooks = {
        "ops_landing_files", "ops_runs", "ops_run_ledger", "ops_rule_counts", "run_summary"
    }  # fmt: skip
    used = pipeline.datasets() | by_hooks

    unused = [
        name
        for name in catalog
        if not name.startswith(("params:", "parameters")) and name not in used
    ]
    patterns = {catalog.config_resolver.match_dataset_pattern(name) for name in used}
    assert unused == []
    kedros_own = {"{default}"}
    assert set(catalog.config_resolver.list_patterns()) - patterns == kedros_own


def test_tables_lie_in_the_environment_schema_and_table(
    env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(tmp_path))
    catalog, pipeline = load(env)

    for name in pipeline.datasets() | {"ops_run_ledger"}:
        dataset = catalog.get(name)
        if isinstance(dataset, DeltaTableDataset | DeltaCommitsDataset):
            relative = dataset.table_name.replace(".", "/")
            assert dataset.table.location == f"{tmp_path}/{env}/{relative}"


def test_default_root_is_the_projects_and_a_relative_one_the_working_directorys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    def location() -> str:
        catalog, _ = load("local")
        table = catalog.get("bronze_sales_raw")
        assert isinstance(table, DeltaTableDataset)
        return table.table.location

    assert location() == f"{REPOSITORY}/data/lakehouse/local/bronze/sales_raw"
    monkeypatch.setenv("LAKEHOUSE_ROOT", "here")
    assert location() == f"{tmp_path}/here/local/bronze/sales_raw"


def test_environments_differ_in_a_few_leaves_only() -> None:
    expected = {
        "local": ("sail", "local"),
        "dev": ("spark", "dev"),
        "staging": ("spark", "staging"),
        "prod": ("spark", "prod"),
    }

    for env, (engine, catalog) in expected.items():
        config = config_for(None if env == "local" else env)
        assert config["globals"] == {
            "engine": engine, "catalog": catalog, "memory": "2g", "parallelism": 2
        }  # fmt: skip
        assert config["engines"]["engine"] == engine


def test_layers_of_the_lineage_view_are_in_order() -> None:
    catalog, pipeline = load("local")
    order = ["landing", "ops", "bronze", "silver", "gold_core", "gold_ml", "ml_registry"]

    def layer(name: str) -> int | None:
        metadata = getattr(catalog.get(name), "metadata", None) or {}
        found = metadata.get("kedro-viz", {}).get("layer")
        return order.index(found) if found else None

    for node in pipeline.nodes:
        for source in node.inputs:
            for target in node.outputs:
                if not source.startswith("params:"):
                    assert layer(source) is not None, source
                    assert layer(target) is not None, target
                    assert layer(source) <= layer(target), (source, target)  # type: ignore[operator]


def test_registered_pipelines() -> None:
    load("local")

    assert list(pipelines) == [
        "__default__", "bronze", "silver", "gold_core", "gold_ml", "ml_registry"
    ]  # fmt: skip
    assert issubclass(MedallionSession, KedroSession)


def test_each_source_and_model_version_is_a_namespace() -> None:
    _, pipeline = load("local")

    def nodes(namespace: str) -> list[str]:
        return [node.name for node in pipeline.filter(node_namespaces=[namespace]).nodes]

    namespaces = {node.namespace for node in pipeline.nodes}
    assert namespaces == {None, "sales", "churn_model_v1", "clv_model_v2"}
    assert nodes("churn_model_v1") == ["churn_model_v1.build_ml_dataset"]
    assert nodes("sales") == [
        f"sales.{name}"
        for name in (
            "ingest_records", "select_records", "quarantine_records", "find_superseded",
            "clean_records", "profile_records",
        )
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["landing_files", "gold_core_x", "ml_registry_x", "ops_x"])
def test_names_inside_a_namespace_are_told_from_those_of_tables(name: str) -> None:
    catalog, _ = load("local")
    of = catalog.config_resolver.match_dataset_pattern

    inside = (
        "silver_batches", "silver_new_records", "silver_clean_before", "silver_clean_replaced",
        "silver_contract",
        "silver_profile",
    )  # fmt: skip
    assert [of(f"{name}.{part}") for part in inside] == [f"{{source}}.{part}" for part in inside]
    parts = ("dataset_contract", "dataset@table", "dataset@commit")
    assert [of(f"{name}_v1.{part}") for part in parts] == [f"{{model}}.{part}" for part in parts]
