"""resources/schemas.sql has the schemas that the catalog's tables are in, and runs."""

import re
from typing import TYPE_CHECKING

from conftest import REPOSITORY, config_for

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FILE = REPOSITORY / "resources/schemas.sql"


def statements() -> list[str]:
    """The statements of the file."""
    lines = [line for line in FILE.read_text().splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


def test_schemas_are_those_of_the_catalog() -> None:
    entries = config_for("dev")["catalog"].values()
    tables = [entry["table"] for entry in entries if entry.get("catalog") == "dev"]
    in_file = [re.findall(r"IF NOT EXISTS (\w+) COMMENT", text) for text in statements()]
    assert sorted(name for (name,) in in_file) == sorted({table.split(".")[0] for table in tables})


def test_file_can_be_run_again_on_each_engine(engine_session: "SparkSession") -> None:
    names = [re.findall(r"EXISTS (\w+)", text)[0] for text in statements()]
    try:
        for text in statements() * 2:
            engine_session.sql(text).collect()
        found = {database.name for database in engine_session.catalog.listDatabases()}
        assert set(names) <= found
    finally:
        for name in names:
            engine_session.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
