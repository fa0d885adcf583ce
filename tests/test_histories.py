"""Histories that break where one rule of increments is missing, each by its name."""

import json
import shutil
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake
from test_any_history import CONTRACT, LAYERS, Killed, killed_after, meanwhile
from test_kills import AFTER, FIRST, KILLED, LAST, Scene, extension, put, retraction, scene

from nbx_medallion.config import current_config
from nbx_medallion.errors import UserError
from nbx_medallion.run.amend import Amending

__all__ = ["scene"]
on_sail = pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
BRONZE, CLEAN = "bronze.sales_raw", "silver.sales_clean"
QUARANTINE, SUPERSEDED = "silver.sales_quarantine", "silver.sales_superseded"
CORE, MODEL = "gold_core.customer_metrics", "gold_ml.churn_model_v1"
REGISTRY = "ml_registry.model_versions"
EARLIER, LATER = "2026-01-01T10.00.00.000Z", "2026-02-02T12.00.00.000Z"


def run(scene: Scene, run_id: str, **options: Any) -> None:
    params = {key: options.pop(key) for key in ("full_refresh", "verify") if key in options}
    scene.lake.run(runtime_params={"run_id": run_id, **params}, **options)


def actions(scene: Scene, run_id: str) -> dict[str, str]:
    """What the run did to each table."""
    rows = scene.lake.rows("ops.run_ledger", "run_id", "table_name", "action")
    return {table: action for run, table, action in rows if run == run_id}


def nothing_new(scene: Scene, run_id: str = LAST) -> bool:
    """Whether a run finds nothing to do."""
    run(scene, run_id)
    return set(actions(scene, run_id).values()) == {"skip"}


def records(scene: Scene, table: str) -> list[tuple[Any, ...]]:
    return scene.lake.rows(table, "_source_file", "_row_number")


def amending(scene: Scene) -> Amending:
    with scene.lake.session() as session:
        return Amending(session.lakehouse, current_config(), session.session_id, "a reason")


def back(scene: Scene, table: str, version: int) -> None:
    scene.lake.table(table).restore(version)


@on_sail
def test_a_run_id_receives_once(scene: Scene) -> None:
    put(scene.lake, "x.csv", "7,c,1")
    scene.kill(KILLED, 2)
    put(scene.lake, "x.csv", "7,c,2")

    with pytest.raises(UserError) as raised:
        run(scene, KILLED)

    assert str(raised.value) == (
        f"{KILLED}: expected a run id later than that of the newest batch, {KILLED}, found files"
        " that are new for sales. They were not received. Run again under a later id."
    )
    assert ("7", "c", "1") in scene.lake.rows(BRONZE, "order_id", "customer_id", "amount")
    assert ("x.csv", 1) in records(scene, CLEAN)
    run(scene, AFTER)
    assert ("7", "c", "1") not in scene.lake.rows(BRONZE, "order_id", "customer_id", "amount")
    assert nothing_new(scene)


@on_sail
def test_an_earlier_run_id_receives_nothing_and_does_the_rest(scene: Scene) -> None:
    retraction(scene.lake)
    put(scene.lake, "c.csv", "7,c,1")

    with pytest.raises(UserError, match=f"{EARLIER}: expected a run id later than .* {FIRST},"):
        run(scene, EARLIER)

    assert records(scene, BRONZE) == [("a.csv", 1), ("a.csv", 2)]
    assert scene.lake.rows(CORE, "customer_id", "frequency") == [("a", 1), ("b", 1)]
    run(scene, AFTER)
    assert records(scene, BRONZE) == [("a.csv", 1), ("a.csv", 2), ("c.csv", 1)]
    assert nothing_new(scene)
    assert nothing_new(scene, EARLIER)


@on_sail
def test_under_add_each_content_is_a_delivery_of_its_own(scene: Scene) -> None:
    entry = "landing_sales: {on_rewrite: add}\n"
    (scene.lake.conf / "local/catalog.yml").write_text(entry)
    put(scene.lake, "a.csv", "1,a,7")
    run(scene, KILLED)
    assert actions(scene, KILLED)[BRONZE] == "extend"
    assert records(scene, BRONZE)[:3] == [("a.csv", 1), ("a.csv", 1), ("a.csv", 2)]

    (scene.lake.conf / "local/catalog.yml").unlink()
    put(scene.lake, "a.csv", "1,a,8")
    run(scene, AFTER)

    rows = scene.lake.rows(BRONZE, "_source_file", "_batch_id", "order_id", "amount")
    assert [row[1:] for row in rows if row[0] == "a.csv"] == [
        (FIRST, "1", "5"), (FIRST, "2", "-1"), (AFTER, "1", "8")
    ]  # fmt: skip
    assert nothing_new(scene)


@on_sail
def test_scope_by_path_and_batch_and_not_by_batch(scene: Scene) -> None:
    put(scene.lake, "x.csv", "7,c,1")
    run(scene, KILLED)
    (scene.lake.landing / "x.csv").rename(scene.lake.landing / "y.csv")
    put(scene.lake, "x.csv", "8,c,1")
    run(scene, AFTER)
    amending(scene).retract("sales", "x.csv", str(scene.lake.landing / "y.csv"))

    run(scene, LAST)

    assert [row for row in scene.lake.rows(BRONZE, "_source_file", "order_id") if row[0] > "c"] == [
        ("x.csv", "8")
    ]


@on_sail
def test_retractions_are_carried_out_once(scene: Scene) -> None:
    retraction(scene.lake)
    run(scene, KILLED)
    assert actions(scene, KILLED)[BRONZE] == "rebuild"
    assert records(scene, BRONZE) == [("a.csv", 1), ("a.csv", 2)]
    assert nothing_new(scene)


@on_sail
def test_an_interrupted_rebuild_is_done_again(scene: Scene) -> None:
    put(scene.lake, "c.csv", "1,a,9")
    run(scene, KILLED, pipeline_names=["bronze"])
    # Superseded says that all lose to the newest, clean is as it was.
    with pytest.raises(UserError), meanwhile(CLEAN, lambda: back(scene, CLEAN, 0)):
        run(scene, AFTER, pipeline_names=["silver"], full_refresh=True)
    back(scene, CLEAN, 1)

    run(scene, LAST)

    assert summary(scene)["why"][CLEAN] == "an earlier rebuild was cut short"
    assert len(records(scene, CLEAN)) + len(records(scene, SUPERSEDED)) == 5


@pytest.mark.parametrize("table", [QUARANTINE, SUPERSEDED, CLEAN])
@on_sail
def test_restored_silver_is_made_again(scene: Scene, table: str) -> None:
    before = scene.lake.rows(table)
    extension(scene.lake)
    run(scene, KILLED)
    after = scene.content()
    back(scene, table, 1)
    assert scene.lake.rows(table) == before

    run(scene, AFTER)

    assert scene.content() == after
    assert actions(scene, AFTER)[table] == "rebuild"
    assert nothing_new(scene)


@on_sail
def test_a_state_is_registered_once_whatever_is_restored(scene: Scene) -> None:
    extension(scene.lake)
    run(scene, KILLED)
    states = scene.lake.rows(REGISTRY)
    assert len(states) == 4
    for table in (MODEL, CORE):
        back(scene, table, 1)
    run(scene, AFTER)
    assert actions(scene, AFTER)[MODEL] == "rebuild"
    assert scene.lake.rows(REGISTRY) == states
    back(scene, REGISTRY, 1)
    run(scene, LATER)
    assert scene.lake.rows(REGISTRY) == states
    assert nothing_new(scene)


@on_sail
def test_what_was_left_alone_has_a_line(scene: Scene) -> None:
    put(scene.lake, "c.csv", "7,,1", "8,x,y")
    run(scene, KILLED)
    assert actions(scene, KILLED)[CLEAN] == "extend"
    assert scene.lake.versions()[CLEAN] == 1
    assert nothing_new(scene, AFTER)
    assert nothing_new(scene)


@on_sail
def test_limits_of_a_batch_hold_in_a_rebuild_too(scene: Scene) -> None:
    file = scene.lake.conf / CONTRACT
    limit = "    quality:\n      - {metric: invalidValues, mustBeLessThan: 2}\n    properties:\n"
    file.write_text(file.read_text().replace("    properties:\n", limit, 1))
    put(scene.lake, "c.csv", "7,,1", "8,x,y")
    for run_id, options in ((KILLED, {}), (AFTER, {"full_refresh": True})):
        with pytest.raises(UserError, match=f"2 of 2 records .* of batch {KILLED}"):
            run(scene, run_id, **options)
    assert scene.lake.versions()[CLEAN] == 1


def test_a_restored_bronze_is_put_back(scene: Scene) -> None:
    extension(scene.lake)
    run(scene, KILLED)
    before = records(scene, BRONZE)
    back(scene, BRONZE, 1)

    run(scene, AFTER)

    assert records(scene, BRONZE) == before
    [note] = [n for n in summary(scene)["notes"] if "restored" in n]
    assert note == (
        "bronze.sales_raw had been restored to an earlier version, which loses what was received"
        " since: it was put back to version 2"
    )
    assert nothing_new(scene)


def summary(scene: Scene) -> dict[str, Any]:
    file = scene.lake.root / scene.lake.env / "run_summary.json"
    return dict(json.loads(file.read_text()))


@on_sail
@pytest.mark.parametrize("layers", [None, ["gold_core"]])
def test_restored_notes_are_put_back(scene: Scene, layers: list[str] | None) -> None:
    extension(scene.lake)
    run(scene, KILLED)
    before = scene.lake.rows("ops.landing_files")
    back(scene, "ops.landing_files", 1)
    run(scene, AFTER, pipeline_names=layers)
    assert set(actions(scene, AFTER).values()) == {"skip"}
    assert scene.lake.rows("ops.landing_files") == before
    assert nothing_new(scene)


@on_sail
def test_the_walk_follows_a_restore(scene: Scene) -> None:
    for table in (BRONZE, CLEAN):
        scene.lake.table(table).delete("_row_number = 1")
        back(scene, table, 1)
    assert nothing_new(scene)


def test_maintenance_is_passed_over(scene: Scene) -> None:
    for log in sorted((scene.lake.root / scene.lake.env).glob("*/*/_delta_log")):
        table = DeltaTable(log.parent)
        table.optimize.compact()
        table.alter.set_table_properties({"delta.logRetentionDuration": "interval 90 days"})
        DeltaTable(log.parent).vacuum(dry_run=False)
    registered = scene.lake.rows("ml_registry.model_versions")

    assert nothing_new(scene)
    assert scene.lake.rows("ml_registry.model_versions") == registered


@on_sail
@pytest.mark.parametrize("table", [BRONZE, CLEAN, CORE])
def test_a_run_that_another_one_overtook_ends(scene: Scene, table: str) -> None:
    extension(scene.lake)

    with pytest.raises(UserError) as raised, meanwhile(table, lambda: run(scene, AFTER)):
        run(scene, KILLED)

    assert "another run wrote the table while this one was at work" in str(raised.value)
    assert len(records(scene, BRONZE)) == 9
    assert nothing_new(scene)


@on_sail
def test_a_batch_that_comes_while_silver_is_made_is_taken_in_by_the_next(scene: Scene) -> None:
    extension(scene.lake)

    def receive_more() -> None:
        put(scene.lake, "d.csv", "10,d,1")
        run(scene, AFTER, pipeline_names=["bronze"])

    with meanwhile(CLEAN, receive_more):
        run(scene, KILLED)
    assert ("d.csv", 1) not in records(scene, CLEAN)
    run(scene, LAST)
    assert ("d.csv", 1) in records(scene, CLEAN)


@on_sail
def test_a_retraction_during_a_run_is_for_the_next(scene: Scene) -> None:
    extension(scene.lake)
    with meanwhile(CORE, lambda: retraction(scene.lake) and None):
        run(scene, KILLED)
    assert ("b.csv", 1) in records(scene, BRONZE)
    run(scene, AFTER)
    assert ("b.csv", 1) not in records(scene, BRONZE)


@on_sail
def test_what_a_cut_log_hides_is_made_again(scene: Scene) -> None:
    put(scene.lake, "c.csv", "7,c,1")
    run(scene, KILLED, pipeline_names=["bronze"])
    put(scene.lake, "d.csv", "8,c,1")
    run(scene, AFTER, pipeline_names=["bronze"])
    table = scene.lake.table(BRONZE)
    table.create_checkpoint()
    for version in (0, 1, 2):
        (scene.lake.path(BRONZE) / f"_delta_log/{version:020}.json").unlink()

    run(scene, LAST)

    assert actions(scene, LAST)[CLEAN] == "rebuild"
    assert {file for file, _ in records(scene, CLEAN)} == {"a.csv", "b.csv", "c.csv", "d.csv"}


@on_sail
@pytest.mark.parametrize(
    ("removed", "layers", "spent"),
    [((QUARANTINE, SUPERSEDED, CLEAN), ["bronze", "silver"], 5),
     ((BRONZE, "ops.landing_files"), ["bronze"], 6)],
    ids=["silver", "bronze"],
)  # fmt: skip
def test_a_table_made_anew_is_not_taken_for_the_old_one_of_its_version(
    scene: Scene, removed: tuple[str, ...], layers: list[str], spent: int
) -> None:
    put(scene.lake, "a.csv", "1,a,5", "2,b,90")
    for table in removed:
        shutil.rmtree(scene.lake.path(table))
    run(scene, KILLED, pipeline_names=layers)
    run(scene, AFTER)
    assert scene.lake.rows(CORE, "customer_id", "total_spent") == [
        ("a", Decimal(spent)), ("b", Decimal(92))
    ]  # fmt: skip
    batches = {batch for (batch,) in scene.lake.rows(BRONZE, "_batch_id")}
    assert {batch for (batch,) in scene.lake.rows(CLEAN, "_batch_id")} <= batches
    assert nothing_new(scene)


@on_sail
def test_a_restored_bronze_is_put_back_by_a_run_that_only_reads_it(scene: Scene) -> None:
    extension(scene.lake)
    run(scene, KILLED)
    before = scene.content()
    back(scene, BRONZE, 1)

    run(scene, AFTER, pipeline_names=["silver", "gold_core"])

    assert any("it was put back to version 2" in note for note in summary(scene)["notes"])
    assert scene.content() == before
    assert nothing_new(scene)


@on_sail
def test_what_nobody_sent_is_not_adopted(scene: Scene) -> None:
    bronze = scene.lake.table(BRONZE)
    write_deltalake(bronze, bronze.to_pyarrow_table().slice(0, 1), mode="append")
    with pytest.raises(UserError) as raised:
        amending(scene).adopt(BRONZE)
    message = str(raised.value)
    assert "expected no other records than those that were received, found more of" in message
    bronze = scene.lake.table(BRONZE)
    bronze.restore(bronze.version() - 1)
    assert nothing_new(scene)


@on_sail
def test_a_change_of_an_ops_table_is_to_be_restored(scene: Scene) -> None:
    notes = scene.lake.table("ops.landing_files")
    notes.delete("path = 'a.csv'")
    refused = scene.lake.refused(runtime_params={"run_id": AFTER})
    assert refused.endswith(
        f"Nothing was written. Restore the table to version {notes.version() - 1}."
    )
    with pytest.raises(UserError, match=r"ops\.landing_files: .* Restore an ops table\."):
        amending(scene).adopt("ops.landing_files")


@on_sail
def test_adopt_counts(scene: Scene) -> None:
    scene.lake.table(BRONZE).delete("order_id = '4'")
    assert amending(scene).adopt(BRONZE) == (
        "bronze.sales_raw: accepted as it is, 1 records fewer. Silver follows in the next run."
    )
    for run_id in (KILLED, AFTER):
        run(scene, run_id)
        assert scene.lake.rows(CLEAN, "order_id") == [("1",), ("2",)]
    assert nothing_new(scene)


@on_sail
def test_an_adoption_that_is_killed_is_done_again(scene: Scene) -> None:
    scene.lake.table(BRONZE).delete("order_id = '4'")
    with pytest.raises(Killed), killed_after(1):
        amending(scene).adopt(BRONZE)
    assert "found DELETE" in scene.lake.refused(runtime_params={"run_id": KILLED})

    amending(scene).adopt(BRONZE)

    run(scene, KILLED)
    assert scene.lake.rows(CLEAN, "order_id") == [("1",), ("2",)]
    assert nothing_new(scene)


@on_sail
def test_a_foreign_change_of_an_input_stops_the_run_that_reads_it(scene: Scene) -> None:
    extension(scene.lake)
    run(scene, KILLED, pipeline_names=["bronze", "silver"])
    scene.lake.table(CLEAN).delete("order_id = '7'")
    before = scene.lake.versions()

    with pytest.raises(UserError, match=f"^{CLEAN}: expected changes by this pipeline only"):
        run(scene, AFTER, pipeline_names=["gold_core"], full_refresh=True)

    assert scene.lake.versions() == before
    run(scene, AFTER, full_refresh=True)
    assert ("c", 1) in scene.lake.rows(CORE, "customer_id", "frequency")
    assert nothing_new(scene)


@on_sail
def test_nothing_is_put_back_by_a_run_that_stops(scene: Scene) -> None:
    extension(scene.lake)
    run(scene, KILLED)
    back(scene, BRONZE, 1)
    scene.lake.table(CLEAN).delete("order_id = '7'")
    before = scene.lake.versions()

    with pytest.raises(UserError, match=f"^{CLEAN}: expected changes by this pipeline only"):
        run(scene, AFTER)

    assert scene.lake.versions() == before


@on_sail
def test_a_definition_that_changed_can_be_adopted(scene: Scene) -> None:
    file = scene.lake.conf / CONTRACT
    file.write_text(file.read_text().replace("severity: warning", "severity: error"))

    assert amending(scene).adopt(CLEAN) == (
        "silver.sales_clean: accepted without being made again: amount_not_negative: warning ->"
        " error"
    )
    assert nothing_new(scene)
    put(scene.lake, "c.csv", "7,c,-1")
    run(scene, "2026-02-09T10.00.00.000Z")
    rows = scene.lake.rows(QUARANTINE, "_source_file", "_row_number", "_reasons")
    assert rows == [
        ("b.csv", 2, ["customer_id: required"]), ("c.csv", 1, ["amount_not_negative: rule"])
    ]  # fmt: skip


@on_sail
def test_words_and_limits_make_nothing_again_and_a_rule_says_why(scene: Scene) -> None:
    file = scene.lake.conf / CONTRACT
    text = file.read_text().replace("Valid sales, typed", "Sales, valid and typed")
    limit = "    quality:\n      - {metric: invalidValues, mustBeLessThan: 9}\n    properties:\n"
    file.write_text(text.replace("    properties:\n", limit, 1))
    assert nothing_new(scene, KILLED)

    file.write_text(file.read_text().replace("severity: warning", "severity: error"))
    run(scene, AFTER)

    assert actions(scene, AFTER)[CLEAN] == "rebuild"
    assert summary(scene)["why"][CLEAN] == "amount_not_negative: warning -> error"


@on_sail
def test_layers_alone_come_to_the_same(scene: Scene) -> None:
    extension(scene.lake)
    for at, layers in enumerate(LAYERS[:4]):
        run(scene, f"2026-02-0{at + 1}T10.00.00.000Z", pipeline_names=layers)
    alone = scene.content()
    scene.set_up(extension)
    run(scene, KILLED)
    assert scene.content() == alone


@on_sail
@pytest.mark.parametrize(
    "selection",
    [
        {"node_names": ["sales.clean_records"]},
        {"from_nodes": ["sales.find_superseded"], "to_nodes": ["sales.clean_records"]},
        {"tags": ["silver"]},
        {"namespaces": ["sales"]},
    ],
)
def test_silver_is_one_unit_however_it_is_selected(scene: Scene, selection: Any) -> None:
    extension(scene.lake)
    run(scene, KILLED, pipeline_names=["bronze"])
    run(scene, AFTER, **selection)
    parts = [records(scene, table) for table in (CLEAN, QUARANTINE, SUPERSEDED)]
    assert sorted(chain(*parts)) == records(scene, BRONZE)
    assert len(parts[1]) == 2


@on_sail
def test_an_older_lakehouse_is_named(scene: Scene) -> None:
    log = scene.lake.path(CLEAN) / "_delta_log/00000000000000000001.json"
    lines = log.read_text().replace('\\"kind\\"', '\\"sort\\"')
    log.write_text(lines)
    assert "found one of version 0.1, whose tables cannot be continued" in scene.lake.refused()
