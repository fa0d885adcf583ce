"""Tables that a catalog names, on Spark with a real catalog: what Unity Catalog runs use."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import REPOSITORY
from kedro.framework.startup import bootstrap_project

from nbx_medallion import engines
from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.errors import UserError
from nbx_medallion.run.session import MedallionSession
from nbx_medallion.tables.run import Write
from nbx_medallion.tables.table import Table
from nbx_medallion.tables.writing import Target

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

on_spark = pytest.mark.parametrize("engine_name", ["spark"], indirect=True)
on_sail = pytest.mark.parametrize("engine_name", ["sail"], indirect=True)

CUSTOMERS = Contract(
    table="gold_core.customers",
    description="It's what a customer bought.",
    columns=(
        Column("customer_id", "string", "Who.", required=True),
        Column("spent", "bigint", "How much."),
    ),
    primary_key=("customer_id",),
)
CARRIED = {"run_id": "run-1", "sources": {"silver.orders": 4}}
RETENTION = {
    "delta.deletedFileRetentionDuration": "interval 3650 days",
    "delta.logRetentionDuration": "interval 3650 days",
}


class Catalog:
    """Spark's own catalog, and where its new schemas keep their tables."""

    name = "spark_catalog"

    def __init__(self, session: "SparkSession", folder: Path) -> None:
        self.session = session
        self.folder = folder

    def make_schema(self, name: str) -> None:
        """Create a schema whose tables are in the test's folder."""
        self.session.sql(f"CREATE SCHEMA {self.name}.{name} LOCATION '{self.folder / name}'")

    def drop(self) -> None:
        """Drop every schema that was made."""
        for found in self.session.catalog.listDatabases():
            if found.name != "default":
                self.session.sql(f"DROP SCHEMA IF EXISTS {self.name}.{found.name} CASCADE")


@pytest.fixture(autouse=True)
def engine_of_the_test(engine_session: "SparkSession") -> Iterator[None]:
    """Let go of the session that tables have come to use, which is the test's own."""
    engines.stop_session()
    yield
    engines.stop_session()


@pytest.fixture
def catalog(engine_session: "SparkSession", tmp_path: Path) -> Iterator[Catalog]:
    """An empty catalog."""
    made = Catalog(engine_session, tmp_path)
    yield made
    made.drop()


def customers(session: "SparkSession", *rows: tuple[str | None, int | None]) -> "DataFrame":
    """A frame of the contract."""
    return session.createDataFrame(list(rows), "customer_id string, spent bigint")


def target(catalog: Catalog, schema: str, contract: Contract = CUSTOMERS) -> Target:
    """A table of the contract in the schema."""
    return Target(
        Table(f"{catalog.name}.{schema}.customers", lambda: catalog.session),
        contract,
        RETENTION,
        CARRIED,
    )


def rows(frame: "DataFrame") -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in frame.collect())


@on_spark
def test_table_is_made_replaced_and_appended_to(catalog: Catalog) -> None:
    catalog.make_schema("named")
    to = target(catalog, "named")
    assert not to.table.exists()
    assert to.table.commits() == []

    assert to.write(customers(catalog.session, ("a", 1), ("b", None)), "replace") == Write(
        None, 1, 2
    )
    pinned = to.table.read(1)
    assert to.write(customers(catalog.session, ("c", 3)), "replace") == Write(1, 2, 1)
    assert to.write(customers(catalog.session, ("d", 4)), "append") == Write(2, 3, 2)
    assert to.write(customers(catalog.session), "append") == Write(3, 3, 2)
    for version in (4, 5):
        assert to.write(customers(catalog.session), "replace") == Write(version - 1, version, 0)

    assert rows(pinned) == [("a", 1), ("b", None)]
    assert rows(to.table.read(3)) == [("c", 3), ("d", 4)]
    assert [to.table.row_count(version) for version in (1, 2, 3, None)] == [2, 1, 2, 0]
    assert [(c.version, c.row_count, c.metadata) for c in to.table.commits()] == [
        (version, count, {**CARRIED, "kind": "append" if version == 3 else "replace"})
        for version, count in ((1, 2), (2, 1), (3, 1), (4, 0), (5, 0))
    ]
    assert [(c.name, c.type, c.nullable, c.comment) for c in to.table.columns()] == [
        ("customer_id", "string", False, "Who."),
        ("spent", "bigint", True, "How much."),
    ]
    described = catalog.session.sql(f"DESCRIBE TABLE EXTENDED {to.table.location}").collect()
    details = {row[0]: row[1] for row in described}
    assert details["Comment"] == "It's what a customer bought."
    assert "delta.deletedFileRetentionDuration=interval 3650 days" in details["Table Properties"]


@on_spark
def test_contract_that_moved_on_adds_and_loosens_columns(catalog: Catalog) -> None:
    catalog.make_schema("named_columns")
    target(catalog, "named_columns").write(customers(catalog.session, ("a", 1)), "replace")
    columns = (Column("customer_id", "string"), CUSTOMERS.columns[1])
    to = target(catalog, "named_columns", replace(CUSTOMERS, columns=columns, open=True))

    frame = customers(catalog.session, (None, 1)).selectExpr("*", "'Lisboa' `the city`")
    to.write(frame, "replace")

    assert rows(to.table.read(to.table.version())) == [(None, 1, "Lisboa")]
    assert rows(to.table.read(1))[0][:2] == ("a", 1)


@on_spark
def test_failed_first_write_leaves_no_table(catalog: Catalog) -> None:
    catalog.make_schema("named_failure")
    to = target(catalog, "named_failure")
    failing = catalog.session.sql(
        "SELECT 'a' AS customer_id, cast(raise_error('the node failed') AS bigint) AS spent"
    )

    with pytest.raises(Exception, match="the node failed"):
        to.write(failing, "replace")

    assert not catalog.session.catalog.tableExists(to.table.location)


@on_spark
def test_table_that_a_killed_run_left_empty_is_made_anew(catalog: Catalog) -> None:
    catalog.make_schema("named_killed")
    to = target(catalog, "named_killed")
    catalog.session.sql(f"CREATE TABLE {to.table.location} (other string) USING DELTA")
    assert not to.table.exists()

    assert to.write(customers(catalog.session, ("a", 1)), "replace").before is None

    assert rows(to.table.read(to.table.version())) == [("a", 1)]


@on_spark
def test_missing_schema_is_created(catalog: Catalog) -> None:
    to = target(catalog, "named_missing")
    try:
        to.write(customers(catalog.session, ("a", 1)), "replace")
        assert rows(to.table.read(1)) == [("a", 1)]
    finally:
        catalog.session.sql(f"DROP TABLE IF EXISTS {to.table.location}")


@on_spark
def test_catalog_that_does_not_answer_is_the_users_to_mend(engine_session: "SparkSession") -> None:
    with pytest.raises(UserError) as raised:
        Table("system.gold_core.customers", lambda: engine_session).exists()

    assert str(raised.value).startswith(
        "system.gold_core.customers: the catalog could not be asked for the table: "
    )
    assert str(raised.value).endswith(
        ". Have an administrator create the catalog, run resources/schemas.sql in it, and grant"
        " the principal that runs the job its use."
    )


@on_sail
def test_tables_by_name_are_refused_on_sail(engine_session: "SparkSession") -> None:
    table = Table("dev.gold_core.customers", lambda: engine_session)
    with pytest.raises(UserError) as raised:
        Target(table, CUSTOMERS).write(customers(engine_session, ("a", 1)), "replace")
    for named in ("dev.gold_core.customers: ", "Delta on Spark", "'sail'", "by_name", "--env"):
        assert named in str(raised.value)


@on_spark
def test_whole_run_into_a_catalog_is_registered_and_balances(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas = ("bronze", "silver", "gold_core", "gold_ml", "ml_registry", "ops")
    for schema in schemas:
        catalog.make_schema(schema)
    conf = tmp_path / "conf"
    shutil.copytree(REPOSITORY / "conf", conf)
    entries = conf / "base/catalog.yml"
    entries.write_text(entries.read_text().replace("by_name: ${on_databricks:}", "by_name: true"))
    (conf / "dev/globals.yml").write_text(f"catalog: {catalog.name}\nengine: spark\n")
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(tmp_path / "paths"))
    bootstrap_project(REPOSITORY)

    with MedallionSession.create(REPOSITORY, env="dev", conf_source=str(conf)) as session:
        session.run()

    def select(query: str) -> list[tuple[Any, ...]]:
        return rows(catalog.session.sql(query.replace("$", catalog.name)))

    counts = {
        name: catalog.session.table(f"{catalog.name}.{name}").count()
        for name in ("bronze.sales_raw", "silver.sales_clean", "silver.sales_quarantine",
                     "silver.sales_superseded", "gold_ml.churn_model_v1",
                     "gold_core.customer_metrics")
    }  # fmt: skip
    assert counts["bronze.sales_raw"] == sum(
        counts[f"silver.sales_{part}"] for part in ("clean", "quarantine", "superseded")
    )
    assert counts["gold_ml.churn_model_v1"] == counts["gold_core.customer_metrics"] > 0
    assert select("SELECT model_name, version, environment FROM $.ml_registry.model_versions") == [
        ("churn_model", 1, "dev"),
        ("clv_model", 2, "dev"),
    ]
    assert select(
        "SELECT count(DISTINCT run_id), count(*) FROM $.ops.run_ledger"
        " WHERE table_name = 'gold_core.customer_metrics'"
    ) == [(1, 1)]
    assert not list(tmp_path.glob("paths/**/_delta_log"))
