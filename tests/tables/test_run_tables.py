"""What a run knows of its tables."""

from nbx_medallion.tables.run import RunTables, Write


def never() -> int:
    raise AssertionError("the table was asked again")


def test_a_table_is_read_at_one_version_until_the_run_writes_it() -> None:
    run = RunTables("run-1", "local", "abc", {})

    assert run.version("bronze.a", lambda: 3) == 3
    assert run.version("bronze.a", never) == 3
    run.written["bronze.a"] = Write(before=3, after=5, rows=1)
    assert run.version("bronze.a", never) == 5


def test_commits_carry_what_they_were_made_from_as_far_as_it_was_read() -> None:
    run = RunTables("run-1", "local", None, {"silver.b": ("bronze.a", "bronze.unread")})
    run.version("bronze.a", lambda: 3)
    run.version("bronze.other", lambda: 4)
    run.note("silver.b", records=7)
    run.note("silver.b", rejected=1)

    own = {"run_id": "run-1", "environment": "local", "git_sha": None}
    assert run.metadata("silver.b") == own | {
        "sources": {"bronze.a": 3}, "records": 7, "rejected": 1
    }  # fmt: skip
    assert run.metadata("bronze.a") == own | {"sources": {}}
