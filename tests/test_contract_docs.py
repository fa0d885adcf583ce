"""The document of the contracts: up to date, and its worked example runs as it says."""

import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from kedro.framework.startup import bootstrap_project

from nbx_medallion.cli import DOCUMENT, with_reference
from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.contracts.reading import parse_contract
from nbx_medallion.contracts.reference import reference
from nbx_medallion.errors import UserError
from nbx_medallion.run.session import MedallionSession

TEXT = (REPOSITORY / DOCUMENT).read_text()


def test_reference_is_up_to_date(project_config: MedallionConfigLoader) -> None:
    MedallionConfigLoader.current = project_config

    assert with_reference(TEXT) == TEXT, "run `kedro contracts docs`"


def test_document_without_its_marks_is_refused(project_config: MedallionConfigLoader) -> None:
    with pytest.raises(UserError, match="expected the lines"):
        with_reference("# Nothing here\n")


def test_sql_with_backticks_is_shown_whole() -> None:
    [contract] = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)

    made = reference([parse_contract(contract, "silver/sales_clean.odcs.yaml")])

    assert "| `invoice` | string |  | `` `Invoice No` `` |  |  |" in made
    assert "| `` Quantity * cast(translate(`Unit Price`, ',.', '.') as decimal(12,4)) `` |" in made


def test_worked_example_runs_as_the_document_says(
    engine_name: str, engine_session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [received] = re.findall(r"```csv\n(.*?)```", TEXT, re.DOTALL)
    [contract] = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "shop.csv").write_text(received)
    conf = tmp_path / "conf"
    shutil.copytree(REPOSITORY / "conf", conf)
    (conf / "base/contracts/silver/sales_clean.odcs.yaml").write_text(contract)
    monkeypatch.setenv("RAW_SALES_PATH", str(tmp_path / "shop.csv"))
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(tmp_path))

    bootstrap_project(REPOSITORY)
    with MedallionSession.create(REPOSITORY, conf_source=str(conf)) as session:
        session.run()

    def rows(table: str, *columns: str) -> list[tuple[Any, ...]]:
        # Names with spaces are column mapping on Spark, which deltalake does not read.
        found = engine_session.read.format("delta").load(str(tmp_path / "local" / table))
        return sorted(tuple(row) for row in found.select(*columns).collect())

    assert rows("silver/sales_clean", "invoice", "customer_id", "amount", "_row_number") == [
        ("536365", "17850", Decimal("15.30"), 1),
        ("536366", "17850", Decimal("3700.00"), 3),
        ("C536379", "14527", Decimal("-27.50"), 4),
    ]
    assert rows("silver/sales_superseded", "_row_number", "_superseded_by_row") == [(2, 3)]
    assert rows("silver/sales_quarantine", "_row_number", "_reasons") == [
        (5, ["customer_id: required", "order_date: type"]),
        (6, ["amount: type"]),
    ]
    assert rows("gold_core/customer_metrics", "customer_id", "frequency", "total_spent") == [
        ("14527", 1, Decimal("-27.50")),
        ("17850", 2, Decimal("3715.30")),
    ]
