"""The notebooks run from top to bottom on the embedded engine, and are stored without output."""

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import REPOSITORY
from nbclient import NotebookClient

NOTEBOOKS = REPOSITORY / "notebooks"


def execute(name: str) -> str:
    """Run a notebook in a kernel of its own, and return all it printed and showed."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs
    ]
    images = ["image" for output in outputs if "image/png" in output.get("data", {})]
    return "\n".join(shown + images)


def test_notebooks_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.delenv("SPARK_CONNECT_MODE_ENABLED", raising=False)
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )

    bootstrap = execute("databricks_bootstrap.ipynb")
    assert "churn_model" in bootstrap
    assert "customer_id: required" in bootstrap

    exploration = execute("exploration.ipynb")
    assert "bronze_sales_raw" in exploration
    assert "record: quote not closed" in exploration
    assert "image" in exploration


def test_bootstrap_makes_the_schemas_of_the_catalog_that_is_configured() -> None:
    notebook = nbformat.read(NOTEBOOKS / "databricks_bootstrap.ipynb", as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    (schemas,) = re.findall(r"for schema in \((.*)\):", code)
    in_file = re.findall(
        r"^CREATE SCHEMA IF NOT EXISTS (\w+)",
        (REPOSITORY / "resources/schemas.sql").read_text(),
        re.M,
    )
    assert re.findall(r"\w+", schemas) == in_file
    # A team sets the catalog in conf/<env>/globals.yml, and the folder in databricks.yml.
    assert not re.findall(r"{env}`?\.|pipeline-medalion", code)


@pytest.mark.parametrize("name", ["databricks_bootstrap.ipynb", "exploration.ipynb"])
def test_notebooks_are_stored_without_output(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
