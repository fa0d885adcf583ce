"""What the logs of real tables tell, whoever wrote them."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Field, write_deltalake
from deltalake.schema import PrimitiveType

from nbx_medallion.errors import UserError
from nbx_medallion.tables.log import Change, Commit, Log, Record, Status
from nbx_medallion.tables.table import PathTable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = pa.schema([pa.field("k", pa.string(), nullable=False), pa.field("v", pa.int64())])


def no_session() -> NoReturn:
    """No engine may be asked."""
    raise AssertionError("an engine was asked for")


def given(*keys: str) -> pa.Table:
    return pa.Table.from_pylist([{"k": key, "v": 1} for key in keys], SCHEMA)


def write(place: Path, *keys: str, mode: str = "append", **metadata: Any) -> None:
    """Rows written by delta-rs, in a commit of ours where it carries something."""
    carried = {"userMetadata": json.dumps(metadata)} if metadata else {}
    properties = CommitProperties(custom_metadata=carried)
    write_deltalake(place, given(*keys), mode=mode, commit_properties=properties)  # type: ignore[call-overload]


def ours(kind: str = "append", run_id: str = "run-1", **inputs: int) -> dict[str, Any]:
    """What a commit of ours carries."""
    made_from = {f"bronze.{name}": {"version": v, "rows": 1} for name, v in inputs.items()}
    return {
        "run_id": run_id, "kind": kind, "made_by": "d3f", "defined_by": {"rules": "1"},
        "inputs": made_from, "anew": False,
    }  # fmt: skip


def log_of(place: Path) -> Log:
    return PathTable(str(place), no_session).log()


Change_ = Callable[[DeltaTable], Any]
BY_DELTA_RS: list[tuple[str, bool, Change_]] = [
    ("OPTIMIZE", False, lambda t: t.optimize.compact()),
    ("OPTIMIZE", False, lambda t: t.optimize.z_order(["k"])),
    ("SET TBLPROPERTIES", False,
        lambda t: t.alter.set_table_properties({"delta.appendOnly": "false"})),
    ("UPDATE TABLE METADATA", False, lambda t: t.alter.set_table_description("Words.")),
    ("UPDATE FIELD METADATA", False, lambda t: t.alter.set_column_metadata("v", {"comment": "W"})),
    ("ADD COLUMN", False,
        lambda t: t.alter.add_columns([Field("n", PrimitiveType("string"), nullable=True)])),
    ("CHANGE COLUMN", False, lambda t: t.alter.drop_column_not_null("k")),
    ("ADD CONSTRAINT", False, lambda t: t.alter.add_constraint({"positive": "v > 0"})),
    ("DROP CONSTRAINT", False, lambda t: t.alter.drop_constraint("positive")),
    ("WRITE", True, lambda t: write_deltalake(t, t.to_pyarrow_table(), mode="append")),
    ("DELETE", True, lambda t: t.delete("k = 'a'")),
    ("UPDATE", True, lambda t: t.update({"v": "v + 1"})),
    ("MERGE", True, lambda t: t.merge(t.to_pyarrow_table(), "s.k = 'x'", "s", "t")
        .when_not_matched_insert_all().execute()),
    ("WRITE", True, lambda t: write_deltalake(t, t.to_pyarrow_table(), mode="overwrite")),
    ("RESTORE", False, lambda t: t.restore(2)),
    ("VACUUM END", False, lambda t: t.vacuum(0, False, False)),
]  # fmt: skip
BY_SAIL = [
    ("WRITE", True, "append"),
    ("WRITE", True, "overwrite"),
    ("DELETE", True, "DELETE FROM {} WHERE k = 'b'"),
    ("UPDATE", True, "UPDATE {} SET v = 2"),
    ("MERGE", True, "MERGE INTO {} t USING (SELECT 'q' k, 9L v) s ON s.k = t.k"
        " WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v)"),
]  # fmt: skip
BY_SPARK = [
    BY_SAIL[0],
    ("OPTIMIZE", False, "OPTIMIZE {}"),
    ("SET TBLPROPERTIES", False, "ALTER TABLE {} SET TBLPROPERTIES ('x' = 'y')"),
    ("CHANGE COLUMN", False, "ALTER TABLE {} ALTER COLUMN k DROP NOT NULL"),
    ("ADD COLUMNS", False, "ALTER TABLE {} ADD COLUMNS (n string)"),
    ("ADD CONSTRAINT", False, "ALTER TABLE {} ADD CONSTRAINT positive CHECK (v > 0)"),
    ("CLUSTER BY", False, "ALTER TABLE {} CLUSTER BY (k)"),
    ("SET TBLPROPERTIES", False,
        "ALTER TABLE {} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"),
    ("DELETE", True, "DELETE FROM {} WHERE k = 'b'"),
    ("REORG", False, "REORG TABLE {} APPLY (PURGE)"),
    ("DROP FEATURE", False, "ALTER TABLE {} DROP FEATURE deletionVectors"),
    ("SET TBLPROPERTIES", False,
        "ALTER TABLE {} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"),
    ("RENAME COLUMN", True, "ALTER TABLE {} RENAME COLUMN n TO m"),
    ("CREATE OR REPLACE TABLE AS SELECT", True,
        "CREATE OR REPLACE TABLE {} USING DELTA AS SELECT 'a' k, 1L v"),
]  # fmt: skip


def test_maintenance_and_changes_of_data_by_delta_rs_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    write(tmp_path, "c")
    write(tmp_path, "d")

    for operation, is_foreign, change in BY_DELTA_RS:
        before = log_of(tmp_path).head
        change(DeltaTable(tmp_path))
        new = [commit for commit in log_of(tmp_path).commits if commit.version > before]
        assert [commit.operation for commit in new][-1:] == [operation]
        assert {commit.is_foreign for commit in new} == {is_foreign}, operation
        assert all(commit.user.startswith("delta-rs:py-") for commit in new)


def test_maintenance_and_changes_of_data_by_engines_are_told_apart(
    engine_session: "SparkSession", engine_name: str, tmp_path: Path
) -> None:
    write(tmp_path, "a", "b")
    for operation, is_foreign, change in BY_SAIL if engine_name == "sail" else BY_SPARK:
        before = log_of(tmp_path).head
        if change in ("append", "overwrite"):
            frame = engine_session.sql("SELECT 'a' k, 1L v UNION ALL SELECT 'b' k, 1L v")
            frame.write.format("delta").mode(change).save(str(tmp_path))
        else:
            engine_session.sql(change.format(f"delta.`{tmp_path}`"))
        new = [commit for commit in log_of(tmp_path).commits if commit.version > before]
        assert [commit.operation for commit in new][-1:] == [operation]
        assert {commit.is_foreign for commit in new} == {is_foreign}, operation


def test_where_a_restore_went_back_to(
    engine_session: "SparkSession", engine_name: str, tmp_path: Path
) -> None:
    for key in "abc":
        write(tmp_path, key, **ours())
        time.sleep(0.01)
    made = log_of(tmp_path).commits[1].timestamp + timedelta(milliseconds=1)
    if engine_name == "spark":
        table = f"delta.`{tmp_path}`"
        engine_session.sql(f"RESTORE TABLE {table} TO VERSION AS OF 1")
        engine_session.sql(f"RESTORE TABLE {table} TO TIMESTAMP AS OF '{made:%F %H:%M:%S.%f}'")
    else:
        DeltaTable(tmp_path).restore(1)
        DeltaTable(tmp_path).restore(made)

    commits = log_of(tmp_path).commits
    assert [commit.restored for commit in commits] == [None, None, None, 1, 0]
    assert not any(commit.is_foreign for commit in commits)


def test_a_table_is_put_back_without_an_engine_and_read_by_each(
    engine_session: "SparkSession", tmp_path: Path
) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b")
    DeltaTable(tmp_path).restore(0)
    engine_session.read.format("delta").load(str(tmp_path)).collect()

    PathTable(str(tmp_path), no_session).restore(1)

    read = engine_session.read.format("delta").load(str(tmp_path)).collect()
    assert sorted(row.k for row in read) == ["a", "b"]


def test_a_version_whose_files_are_gone_is_not_put_back(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b")
    lost = Path(DeltaTable(tmp_path).file_uris()[0])
    DeltaTable(tmp_path).restore(0)
    for file in tmp_path.glob("*.parquet"):
        if str(file) not in DeltaTable(tmp_path).file_uris():
            lost = file
            file.unlink()

    with pytest.raises(UserError) as raised:
        PathTable(str(tmp_path), no_session).restore(1)
    message = str(raised.value)
    for named in (f"{tmp_path}: expected ", "back to version 1", lost.name, "lakehouse adopt"):
        assert named in message


def test_tables_of_version_0_1_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a", run_id="2026-01-01T00.00.00.000Z", sources={})

    with pytest.raises(UserError) as raised:
        log_of(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}: expected a table of this version of the pipeline, found one of version 0.1,"
        " whose tables cannot be continued. Move the folder of all tables away, or drop them, and"
        " run again."
    )


def test_log_of_a_table_and_of_none(tmp_path: Path) -> None:
    place = tmp_path / "t"
    assert log_of(place) == Log(str(place))
    assert log_of(place).status() == Status("missing")

    write(place, "a", **ours(raw=4))
    DeltaTable(place).alter.set_table_properties({"delta.appendOnly": "false"})
    write(place, "b", **ours("append", "run-2", raw=7))
    log = log_of(place)
    assert (log.head, log.rows, [commit.row_count for commit in log.own()]) == (2, 2, [1, 1])
    at = log.commits[-1].timestamp
    assert log.last_record() == Record(2, "d3f", {"bronze.raw": 7}, at=at)
    assert log.definition() == {"rules": "1"}
    assert log.status() == Status("as left", 2)
    assert log.change_since(0) == Change(True, frozenset({"run-2"}), same=False)
    assert log.change_since(2) == Change(True, frozenset(), same=True)
    assert log.change_since(2, at) == Change(True, frozenset(), same=True)
    before = at - timedelta(milliseconds=1)
    assert log.change_since(2, before) == Change(False, frozenset(), same=False)


def test_a_table_is_seen_as_it_is_after_each_change(tmp_path: Path) -> None:
    table = PathTable(str(tmp_path), no_session)
    write(tmp_path, "a")
    DeltaTable(tmp_path).create_checkpoint()
    for version, key in enumerate("bcd", start=1):
        oldest = min((tmp_path / "_delta_log").glob("0*.json"))
        write(tmp_path, key)
        oldest.unlink()  # as a log is cleaned up
        DeltaTable(tmp_path).create_checkpoint()
        assert (table.version(), table.row_count()) == (version, version + 1)
        min((tmp_path / "_delta_log").glob("0*.parquet")).unlink()


def commits(*described: tuple[str, Any]) -> Log:
    """A log without a table: each commit as (operation, metadata or restored version)."""
    made = []
    for version, (operation, detail) in enumerate(described):
        metadata = detail if isinstance(detail, dict) else {}
        restored = detail if isinstance(detail, int) else None
        now = datetime(2026, 1, 1, tzinfo=UTC)
        made.append(Commit(version, now, 1, metadata, operation, restored))
    return Log("bronze.raw", made)


APPEND, REPLACE = ("WRITE", ours()), ("WRITE", ours("replace"))
OPTIMIZE, DELETE, CREATE = ("OPTIMIZE", None), ("DELETE", None), ("CREATE TABLE", None)


@pytest.mark.parametrize(
    ("log", "status"),
    [
        (commits(CREATE), Status("unknown")),
        (commits(CREATE, DELETE), Status("foreign", 1)),
        (commits(CREATE, APPEND, OPTIMIZE), Status("as left", 1)),
        (commits(CREATE, APPEND, OPTIMIZE, DELETE), Status("foreign", 3)),
        (commits(CREATE, APPEND, DELETE, ("RESTORE", 1)), Status("as left", 1)),
        (commits(CREATE, APPEND, APPEND, ("RESTORE", 1)), Status("restored", 2)),
        (commits(CREATE, APPEND, APPEND, ("RESTORE", 1), ("RESTORE", 2)), Status("as left", 2)),
        (commits(CREATE, APPEND, APPEND, ("RESTORE", 0), OPTIMIZE), Status("restored", 2)),
        (commits(CREATE, APPEND, ("RESTORE", 1), DELETE), Status("foreign", 3)),
    ],
)
def test_how_a_table_is_beside_what_was_left(log: Log, status: Status) -> None:
    assert log.status() == status


@pytest.mark.parametrize(
    ("log", "appended", "same"),
    [
        (commits(CREATE, APPEND), True, True),
        (commits(CREATE, APPEND, OPTIMIZE), True, True),
        (commits(CREATE, APPEND, OPTIMIZE, APPEND), True, False),
        (commits(CREATE, APPEND, APPEND, REPLACE), False, False),
        (commits(CREATE, APPEND, DELETE), False, False),
        (commits(CREATE, APPEND, REPLACE, ("RESTORE", 1)), True, True),
        (commits(CREATE, APPEND, ("RESTORE", 0)), False, False),
    ],
)
def test_what_happened_since_the_first_commit_of_ours(log: Log, appended: bool, same: bool) -> None:
    found = log.change_since(1)
    assert (found.appended, found.same) == (appended, same)


@pytest.mark.parametrize(
    ("log", "version"),
    [
        (commits(CREATE), None),
        (commits(CREATE, APPEND, OPTIMIZE), 1),
        (commits(CREATE, APPEND, REPLACE, ("RESTORE", 1)), 1),
        (commits(CREATE, APPEND, DELETE), None),
    ],
)
def test_the_commit_that_the_rows_stand_on(log: Log, version: int | None) -> None:
    found = log.content_commit()
    assert (found.version if found else None) == version
