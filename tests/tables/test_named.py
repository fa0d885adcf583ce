"""Tables that a catalog names, on each engine with a real catalog: what Unity Catalog runs use."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import REPOSITORY
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError

from nbx_medallion import engines
from nbx_medallion.contracts.model import Column, Contract
from nbx_medallion.datasets.commits import DeltaCommitsDataset
from nbx_medallion.datasets.delta_table import DeltaTableDataset, Write
from nbx_medallion.errors import UserError
from nbx_medallion.run.session import MedallionSession
from nbx_medallion.tables.named import NamedTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CUSTOMERS = Contract(
    table="gold_core.customers",
    description="It's what a customer bought.",
    columns=(
        Column("customer_id", "string", "Who.", required=True),
        Column("spent", "bigint", "How much."),
    ),
    primary_key=("customer_id",),
)
RETENTION = {
    "delta.deletedFileRetentionDuration": "interval 3650 days",
    "delta.logRetentionDuration": "interval 3650 days",
}


class Catalog:
    """The engine's own catalog, and where its new schemas keep their tables."""

    def __init__(self, session: "SparkSession", engine: str, folder: Path) -> None:
        self.session = session
        self.name = "spark_catalog" if engine == "spark" else session.catalog.currentCatalog()
        self.folder = folder

    def make_schema(self, name: str) -> str:
        """Create a schema whose tables are in the test's folder."""
        self.session.sql(f"CREATE SCHEMA {self.name}.{name} LOCATION '{self.folder / name}'")
        return f"{self.name}.{name}"

    def drop(self) -> None:
        """Drop every schema that was made."""
        for found in self.session.catalog.listDatabases():
            if found.name != "default":
                self.session.sql(f"DROP SCHEMA IF EXISTS {self.name}.{found.name} CASCADE")


@pytest.fixture(autouse=True)
def engine_of_the_test(engine_session: "SparkSession") -> Iterator[None]:
    """Let go of the session that datasets have come to use, which is the test's own."""
    engines.stop_session()
    yield
    engines.stop_session()


@pytest.fixture
def catalog(engine_session: "SparkSession", engine_name: str, tmp_path: Path) -> Iterator[Catalog]:
    """A catalog of each engine in turn, empty."""
    if engine_name == "sail":
        before = engine_session.conf.get("spark.sql.warehouse.dir", None)
        engine_session.conf.set("spark.sql.warehouse.dir", str(tmp_path / "warehouse"))
    made = Catalog(engine_session, engine_name, tmp_path)
    yield made
    made.drop()
    if engine_name == "sail" and before is not None:
        engine_session.conf.set("spark.sql.warehouse.dir", before)


def customers(session: "SparkSession", *rows: tuple[str, int | None]) -> "DataFrame":
    """A frame of the contract."""
    return session.createDataFrame(list(rows), "customer_id string, spent bigint")


def dataset(catalog: Catalog, schema: str, contract: Contract = CUSTOMERS) -> DeltaTableDataset:
    """A dataset of that name, as the catalog makes it on Databricks."""
    made = DeltaTableDataset(
        contract=contract,
        table=f"{catalog.name}.{schema}.customers",
        by_name=True,
        properties=RETENTION,
    )
    made.provenance = {"run_id": "run-1", "sources": {"silver_sales_clean": 4}}
    return made


def rows(frame: "DataFrame") -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in frame.collect())


def test_new_table_appears_with_rows_columns_and_metadata(
    catalog: Catalog, engine_name: str
) -> None:
    catalog.make_schema("named_new")
    table = dataset(catalog, "named_new")
    assert not table.exists()
    assert table.commits() == []

    table.save(customers(catalog.session, ("a", 1), ("b", None)))

    assert table.exists()
    assert table.last_write == Write(before=None, after=1, rows=2)
    assert rows(table.load()) == [("a", 1), ("b", None)]
    assert table.row_count() == 2
    assert [
        (column.name, column.type, column.nullable, column.comment)
        for column in table.table.columns()
    ] == [
        # NOT NULL only where the engine checks it after the filters of the frame.
        ("customer_id", "string", engine_name == "sail", "Who."),
        ("spent", "bigint", True, "How much."),
    ]
    (commit,) = table.commits()
    assert (commit.version, commit.row_count) == (1, 2)
    assert commit.metadata == {"run_id": "run-1", "sources": {"silver_sales_clean": 4}}


def test_replaced_rows_stay_readable_by_version(catalog: Catalog) -> None:
    catalog.make_schema("named_replace")
    table = dataset(catalog, "named_replace")
    table.save(customers(catalog.session, ("a", 1), ("b", 2)))
    pinned = table.load()

    table.save(customers(catalog.session, ("c", 3)))

    assert table.last_write == Write(before=1, after=2, rows=1)
    assert rows(pinned) == [("a", 1), ("b", 2)]
    assert rows(table.load()) == [("c", 3)]
    assert (table.row_count(1), table.row_count(2)) == (2, 1)
    assert [commit.version for commit in table.commits()] == [1, 2]
    commits = DeltaCommitsDataset(
        contract=CUSTOMERS, table=table.table.location, by_name=True
    ).load()
    assert [commit.row_count for commit in commits] == [2, 1]


def test_properties_and_description_outlive_a_replacement(catalog: Catalog) -> None:
    catalog.make_schema("named_properties")
    table = dataset(catalog, "named_properties")
    table.save(customers(catalog.session, ("a", 1)))
    table.save(customers(catalog.session, ("b", 2)))

    described = catalog.session.sql(f"DESCRIBE TABLE EXTENDED {table.table.location}").collect()
    details = {row[0]: row[1] for row in described}
    assert details["Comment"] == "It's what a customer bought."
    assert "delta.deletedFileRetentionDuration=interval 3650 days" in details["Table Properties"]
    assert table.table.columns()[0].comment == "Who."


def test_rows_are_appended_and_no_rows_are_a_commit(catalog: Catalog) -> None:
    catalog.make_schema("named_append")
    table = dataset(catalog, "named_append")
    table.save(customers(catalog.session, ("a", 1)))

    table.table.write(customers(catalog.session, ("b", 2)), "append", {})
    table.save(customers(catalog.session))

    assert table.last_write == Write(before=2, after=3, rows=0)
    assert rows(table.load()) == []
    assert table.row_count(2) == 2


def test_new_columns_of_the_contract_are_added(catalog: Catalog) -> None:
    catalog.make_schema("named_columns")
    dataset(catalog, "named_columns").save(customers(catalog.session, ("a", 1)))
    moved_on = Contract(
        table=CUSTOMERS.table,
        description=CUSTOMERS.description,
        columns=(*CUSTOMERS.columns, Column("city", "string", "Where.")),
        primary_key=CUSTOMERS.primary_key,
    )
    table = dataset(catalog, "named_columns", moved_on)

    table.save(
        catalog.session.createDataFrame(
            [("a", 1, "Lisboa")], "customer_id string, spent bigint, city string"
        )
    )

    assert rows(table.load()) == [("a", 1, "Lisboa")]
    assert rows(table.table.read(catalog.session, 1))[0][:2] == ("a", 1)


def test_failed_first_write_leaves_no_table(catalog: Catalog) -> None:
    catalog.make_schema("named_failure")
    table = dataset(catalog, "named_failure")
    failing = catalog.session.sql(
        "SELECT 'a' AS customer_id, cast(raise_error('the node failed') AS bigint) AS spent"
    )

    with pytest.raises(DatasetError, match="the node failed"):
        table.save(failing)

    assert not catalog.session.catalog.tableExists(table.table.location)


def test_table_that_a_killed_run_left_empty_is_made_anew(catalog: Catalog) -> None:
    schema = catalog.make_schema("named_killed")
    catalog.session.sql(f"CREATE TABLE {schema}.customers (other string) USING DELTA")
    table = dataset(catalog, "named_killed")
    assert not table.exists()

    table.save(customers(catalog.session, ("a", 1)))

    assert rows(table.load()) == [("a", 1)]
    assert table.last_write is not None
    assert table.last_write.before is None


def test_missing_schema_is_created(catalog: Catalog) -> None:
    table = dataset(catalog, "named_missing")
    try:
        table.save(customers(catalog.session, ("a", 1)))
        assert rows(table.load()) == [("a", 1)]
    finally:
        catalog.session.sql(f"DROP TABLE IF EXISTS {table.table.location}")


def test_schema_that_cannot_be_created_is_the_users_to_mend(
    engine_session: "SparkSession", engine_name: str
) -> None:
    table = NamedTable("system.gold_core.customers")
    made = DeltaTableDataset(contract=CUSTOMERS, table=table.location, by_name=True)

    with pytest.raises(DatasetError) as raised:
        made.save(customers(engine_session, ("a", 1)))

    cause = raised.value.__cause__
    assert isinstance(cause, UserError)
    # Spark does not know the catalog; Sail's is not to be written to.
    why = {
        "spark": "the catalog could not be asked for the table: ",
        "sail": "its schema is missing and cannot be created: ",
    }
    assert str(cause).startswith(f"system.gold_core.customers: {why[engine_name]}")
    assert str(cause).endswith(
        ". Have an administrator create the catalog, run resources/schemas.sql in it, and grant"
        " the principal that runs the job its use."
    )


def test_missing_table_is_named_with_what_to_run(catalog: Catalog) -> None:
    table = dataset(catalog, "named_nothing")

    with pytest.raises(DatasetError) as raised:
        table.load()

    assert str(raised.value.__cause__) == (
        f"gold_core.customers: there is no such table at {catalog.name}.named_nothing.customers."
        " It is written by an earlier layer: run that first, for example with `kedro run`."
    )


def test_whole_run_into_a_catalog_is_registered_and_balances(
    catalog: Catalog, engine_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas = ("bronze", "silver", "gold_core", "gold_ml", "ml_registry", "ops")
    for schema in schemas:
        catalog.make_schema(schema)
    conf = tmp_path / "conf"
    shutil.copytree(REPOSITORY / "conf", conf)
    entries = conf / "base/catalog.yml"
    entries.write_text(entries.read_text().replace("by_name: ${on_databricks:}", "by_name: true"))
    (conf / "dev/globals.yml").write_text(f"catalog: {catalog.name}\nengine: {engine_name}\n")
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(tmp_path / "paths"))
    bootstrap_project(REPOSITORY)

    # The second run, which changes tables that are there, is the other tests' on Spark: it is slow.
    runs = 2 if engine_name == "sail" else 1
    for _ in range(runs):
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
    ) == [(runs, runs)]
    assert not list(tmp_path.glob("paths/**/_delta_log"))
