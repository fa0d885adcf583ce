"""What a run knows of its tables."""

from nbx_medallion.tables.run import RunTables, Way, Write


def test_a_table_is_read_at_the_version_that_was_found_until_the_run_writes_it() -> None:
    run = RunTables("run-1", "local", "abc", found={"bronze.a": (3, 10)})

    assert run.version("bronze.a") == 3
    assert run.version("bronze.unknown") is None
    run.save("bronze.a", lambda: Write(before=3, after=5, rows=12))
    assert run.version("bronze.a") == 5
    assert run.found["bronze.a"] == (5, 12)


def test_commits_carry_what_they_were_made_from_and_by() -> None:
    run = RunTables(
        "run-1",
        "local",
        None,
        {"silver.b": ("bronze.a",), "bronze.a": ()},
        {"silver.b": ("d3f", {"rules": "1"})},
        found={"bronze.a": (3, 10), "bronze.other": (4, 2)},
        ways={"silver.b": Way("replace", anew=True)},
        carried={"silver.b": {"records": 7, "rejected": 1}},
    )

    own = {"run_id": "run-1", "environment": "local", "git_sha": None}
    assert run.metadata("silver.b") == own | {
        "table": "silver.b",
        "made_by": "d3f",
        "defined_by": {"rules": "1"},
        "inputs": {"bronze.a": {"version": 3, "rows": 10}},
        "anew": True,
        "records": 7,
        "rejected": 1,
    }
    assert run.metadata("bronze.a") == own | {
        "table": "bronze.a", "made_by": None, "defined_by": {}, "inputs": {}, "anew": False
    }  # fmt: skip
