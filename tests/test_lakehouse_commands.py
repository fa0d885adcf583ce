"""`kedro lakehouse`, as people use it."""

import json
from pathlib import Path

from deltalake import DeltaTable, write_deltalake
from test_cli import Command, kedro

__all__ = ["kedro"]


def test_a_run_with_nothing_to_do_starts_no_engine(kedro: Command, tmp_path: Path) -> None:
    assert kedro("run").returncode == 0
    (tmp_path / "pysail.py").write_text("raise RuntimeError('an engine was started')")

    ended = kedro("run", PYTHONPATH=str(tmp_path))

    assert ended.returncode == 0, ended.stderr
    assert "silver.sales_clean          skip" in ended.stdout
    ended = kedro("run", "--params", "full_refresh=true", PYTHONPATH=str(tmp_path))
    assert "an engine was started" in ended.stderr


def test_plan_history_and_a_retraction(kedro: Command) -> None:
    plan = json.loads(kedro.inside("lakehouse", "plan", "--json").stdout)
    assert {row["table"]: row["action"] for row in plan["tables"]} == {
        "bronze.sales_raw": "rebuild",
        "silver.sales_quarantine": "rebuild",
        "silver.sales_superseded": "rebuild",
        "silver.sales_clean": "rebuild",
        "gold_core.customer_metrics": "rebuild",
        "gold_ml.churn_model_v1": "rebuild",
        "gold_ml.clv_model_v2": "rebuild",
        "ml_registry.model_versions": "extend",
    }
    assert not kedro.root.exists()
    kedro.inside("run")
    landing = kedro.folder / "landing"
    (landing / "b.csv").write_text("customer_id,amount\n2,1.00\n3,\n")

    shown = kedro.inside("lakehouse", "plan", "--pipelines", "bronze,silver").stdout
    assert [line.split(maxsplit=2) for line in shown.splitlines()[2:]] == [
        ["bronze.sales_raw", "extend", "2 new records"],
        ["silver.sales_quarantine", "extend", "1 batch of bronze.sales_raw"],
        ["silver.sales_superseded", "extend", "1 batch of bronze.sales_raw"],
        ["silver.sales_clean", "extend", "1 batch of bronze.sales_raw"],
    ]
    kedro.inside("run")
    (landing / "b.csv").unlink()

    wrong = kedro.inside("lakehouse", "retract", "sales", "c.csv", "--why", "sent by mistake")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("Error: c.csv: ")
    told = kedro.inside("lakehouse", "retract", "sales", "b.csv", "--why", "sent by mistake")
    assert told.stdout == "b.csv: 2 records of sales are taken out by the next run.\n"
    assert kedro.inside("run").returncode == 0

    rows = json.loads(kedro.inside("lakehouse", "history", "bronze.sales_raw", "--json").stdout)
    assert [(row["version"], row["operation"]) for row in rows] == [
        (3, "replace"), (2, "append"), (1, "append"), (0, "CREATE TABLE")
    ]  # fmt: skip
    runs = json.loads(kedro.inside("lakehouse", "history", "--json").stdout)
    assert [run["status"] for run in runs] == ["succeeded"] * 3
    wrong = kedro.inside("lakehouse", "history", "silver.sales_claen")
    assert wrong.returncode == 1
    assert "Did you mean 'silver.sales_clean'?" in str(wrong.stderr)
    clean = DeltaTable(kedro.root / "local/silver/sales_clean").to_pyarrow_table().to_pylist()
    assert [row["customer_id"] for row in clean] == ["1"]


def test_adopt_accepts_a_change_of_data_in_bronze_and_a_definition_elsewhere(
    kedro: Command,
) -> None:
    (kedro.folder / "landing" / "b.csv").write_text("customer_id,amount\n2,1.00\n3,-2\n")
    conf = kedro.conf()
    where = ("--conf-source", str(conf))
    kedro.inside("run", *where)
    bronze = DeltaTable(kedro.root / "local/bronze/sales_raw")
    bronze.delete("customer_id = '2'")
    assert "found DELETE by delta-rs" in kedro.inside("lakehouse", "plan").stderr

    told = kedro.inside(
        "lakehouse", "adopt", "bronze.sales_raw", "--why", "an erasure was asked for"
    )
    assert told.stdout == (
        "bronze.sales_raw: accepted as it is, 1 records fewer. Silver follows in the next run.\n"
    )
    assert kedro.inside("run").returncode == 0
    clean = DeltaTable(kedro.root / "local/silver/sales_clean")
    assert sorted(clean.to_pyarrow_table()["customer_id"].to_pylist()) == ["1", "3"]

    nothing = kedro.inside("lakehouse", "adopt", "silver.sales_clean", "--why", "no reason")
    assert nothing.returncode == 1
    assert "expected a definition that changed, found none" in nothing.stderr
    write_deltalake(clean, clean.to_pyarrow_table().slice(0, 1), mode="append")
    refused = kedro.inside("run")
    assert refused.returncode == 1
    assert "run with --params full_refresh=true" in refused.stderr


def test_threads_do_what_the_plan_says(kedro: Command) -> None:
    kedro.inside("run")
    (kedro.folder / "landing" / "b.csv").write_text("customer_id,amount\n2,1.00\n")

    ended = kedro.inside("run", "--runner", "ThreadRunner")

    assert ended.returncode == 0, ended.stderr
    assert "bronze.sales_raw            extend" in ended.stdout
    metrics = DeltaTable(kedro.root / "local/gold_core/customer_metrics").to_pyarrow_table()
    assert sorted(metrics["customer_id"].to_pylist()) == ["1", "2"]
