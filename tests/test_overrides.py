"""What an environment's folder holds is used in place of base's, and named."""

import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from conftest import REPOSITORY
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from test_quality import GOOD, ContractedLakehouse
from test_run import Lakehouse

from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.errors import UserError
from nbx_medallion.run.session import own_engine

CONTRACT = "contracts/silver/sales_clean.odcs.yaml"
MINE = """{"models": [{"model_name": "mine", "version": 1, "target_column": "total_spent",
"source_table": "gold_core.customer_metrics", "feature_columns": ["frequency"]}]}"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A copy of the project's configuration."""
    bootstrap_project(REPOSITORY)
    return Path(shutil.copytree(REPOSITORY / "conf", tmp_path / "conf"))


def loader(conf: Path, env: str | None = None) -> MedallionConfigLoader:
    """A loader of a configuration."""
    return MedallionConfigLoader(str(conf), env, **settings.CONFIG_LOADER_ARGS)


@pytest.mark.parametrize("env", [None, "staging"])
def test_contracts_and_models_of_an_environment_win(conf: Path, env: str | None) -> None:
    folder = conf / (env or "local")
    (folder / "contracts/silver").mkdir(parents=True)
    text = (conf / "base" / CONTRACT).read_text()
    (folder / CONTRACT).write_text(text.replace("decimal(18,2)", "decimal(16,2)"))
    (folder / "ml_models.json").write_text(MINE)

    declared = loader(conf, env).declared

    assert declared.contract("silver.sales_clean").column("amount").physical_type == "decimal(16,2)"
    assert [model.namespace for model in declared.models] == ["mine_v1"]
    name = env or "local"
    assert declared.overrides == [f"conf/{name}/{CONTRACT}", f"conf/{name}/ml_models.json"]
    other = loader(conf, "prod").declared
    assert other.overrides == []
    assert other.contract("silver.sales_clean").column("amount").physical_type == "decimal(18,2)"


def test_a_source_may_be_of_one_environment(conf: Path) -> None:
    (conf / "dev/contracts/silver").mkdir(parents=True)
    text = (conf / "base" / CONTRACT).read_text().replace("sales_clean", "returns_clean")
    (conf / "dev/contracts/silver/returns_clean.odcs.yaml").write_text(text)

    assert [source.name for source in loader(conf, "dev").declared.sources] == ["returns", "sales"]
    assert [source.name for source in loader(conf, "prod").declared.sources] == ["sales"]


def test_a_source_named_as_a_model_version_is_refused(conf: Path) -> None:
    text = (conf / "base" / CONTRACT).read_text().replace("sales_clean", "churn_model_v1_clean")
    (conf / "base/contracts/silver/churn_model_v1_clean.odcs.yaml").write_text(text)

    with pytest.raises(UserError, match="names of sources and of model versions that differ"):
        _ = loader(conf).declared.models


def test_single_keys_of_a_catalog_entry_are_overridden(conf: Path) -> None:
    before = loader(conf)["catalog"]
    (conf / "local/catalog.yml").write_text(
        "landing_sales: {csv: {separator: ';'}}\n"
        "gold_core_customer_metrics: {properties: {delta.appendOnly: 'false'}}\n"
        "run_summary: {metadata: {owner: me}}\n"
    )

    after = loader(conf)["catalog"]

    landing = before["landing_{source}"]
    assert after["landing_sales"] == {
        **landing,
        "source": "sales",
        "path": "data/landing/sales",
        "csv": {"separator": ";"},
    }
    metrics = after["gold_core_customer_metrics"]
    assert metrics["table"] == "gold_core.customer_metrics"
    assert metrics["properties"] == {
        **before["gold_core_{table}"]["properties"], "delta.appendOnly": "false"
    }  # fmt: skip
    assert after["run_summary"] == {**before["run_summary"], "metadata": {"owner": "me"}}
    assert loader(conf, "dev")["catalog"].keys() == before.keys()


def test_an_entry_without_a_type_or_a_pattern_is_refused(conf: Path) -> None:
    (conf / "local/catalog.yml").write_text("lending_sales: {csv: {separator: ';'}}\n")

    with pytest.raises(UserError) as raised:
        _ = loader(conf)["catalog"]

    for named in ("lending_sales", "type", "pattern", "csv", "conf/local/catalog.yml"):
        assert named in str(raised.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("landing_sale", "'sale'. Did you mean 'sales'?"),
        ("silver_sales_cleen", "'silver.sales_cleen'. Did you mean 'silver.sales_clean'?"),
        ("churn_model_v2.dataset@table", "'gold_ml.churn_model_v2'."),
    ],
)
def test_an_entry_of_what_is_not_there_is_refused(conf: Path, name: str, meant: str) -> None:
    (conf / "local/catalog.yml").write_text(f"{name}: {{metadata: {{owner: me}}}}\n")

    with pytest.raises(UserError) as raised:
        _ = loader(conf)["catalog"]

    assert str(raised.value).startswith(f"{name}: expected an entry of something that ")
    assert f" found {meant}" in str(raised.value)
    assert str(raised.value).endswith(" Correct the name in conf/local/catalog.yml.")


@pytest.mark.parametrize("entry", ["null", "5", "[a]"])
def test_an_entry_that_is_no_mapping_is_refused(conf: Path, entry: str) -> None:
    (conf / "local/catalog.yml").write_text(f"landing_sales: {entry}\n")

    with pytest.raises(UserError) as raised:
        _ = loader(conf)["catalog"]

    message = str(raised.value)
    assert message.startswith("landing_sales: expected an entry of keys and values, found ")
    assert message.endswith(" Correct it in conf/local/catalog.yml.")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{csv: {separator: ';;'}}", "csv.separator: expected one ASCII character"),
        ("{csv: ';'}", "csv: expected a mapping of any of separator, quote, encoding"),
        ("{on_rewrite: never}", "on_rewrite: expected one of replace, add; found 'never'."),
        ("{cvs: {}}", "LandingDataset.__init__() got an unexpected keyword argument 'cvs'."),
        ("{type: nope.Dataset}", "An exception occurred when parsing config for dataset"),
    ],
)
@pytest.mark.parametrize("file", ["local/catalog.yml", "local/catalog_mine.yml", "dev/catalog.yml"])
def test_a_mistake_in_an_entry_names_its_file(
    conf: Path, tmp_path: Path, entry: str, problem: str, file: str
) -> None:
    lakehouse = Lakehouse(tmp_path, Path(file).parent.name)
    lakehouse.conf = conf
    (conf / file).write_text(f"landing_sales: {entry}\n")

    with pytest.raises(UserError) as raised, lakehouse.session() as session, own_engine():
        session.plan()

    assert str(raised.value).startswith(problem)
    assert str(raised.value).endswith(f" Correct landing_sales in conf/{file}.")


def test_a_list_that_the_variable_replaces_is_not_said_to_be_used(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (conf / "local/ml_models.json").write_text(MINE)
    monkeypatch.setenv("PIPELINE_CONFIG_PATH", str(conf / "base/ml_models.json"))

    declared = loader(conf).declared

    assert [model.model_name for model in declared.models] == ["churn_model", "clv_model"]
    assert declared.overrides == []


def test_a_run_uses_what_conf_local_holds_and_says_so(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_engine: object
) -> None:
    start_engine("sail")  # type: ignore[operator]
    (tmp_path / "own").mkdir()
    lakehouse = ContractedLakehouse(tmp_path / "own", "local")
    local = lakehouse.conf / "local"
    (local / "catalog.yml").write_text("landing_sales: {csv: {separator: ';'}}\n")
    (local / "ml_models.json").write_text(MINE)
    (lakehouse.landing / "a.csv").write_bytes(GOOD.replace(b",", b";"))
    monkeypatch.setenv("RAW_SALES_PATH", str(lakehouse.landing))
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(lakehouse.root))

    lakehouse.run()

    assert lakehouse.rows("gold_ml.mine_v1", "frequency", "total_spent") == [(2, Decimal("13.50"))]
    assert "gold_ml.churn_model_v1" not in lakehouse.versions()
    assert lakehouse.summary["notes"] == ["conf/local/ml_models.json is used"]
