"""Places of tables are checked without an engine, and without a change."""

import os
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from nbx_medallion.errors import UserError
from nbx_medallion.tables.table import PathTable


def no_session() -> NoReturn:
    """No engine may be asked."""
    raise AssertionError("an engine was asked for")


def message(place: Path) -> str:
    """What is said of the place, where everything stays as it was."""
    root = place.parents[2]
    before = sorted(root.rglob("*"))
    with pytest.raises(UserError) as raised:
        PathTable(str(place), no_session).check()
    assert sorted(root.rglob("*")) == before
    return str(raised.value)


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert message(tmp_path / "file/gold_core/customers") == (
        f"{tmp_path}/file/gold_core: expected a folder that tables can be written to, found that"
        f" {tmp_path}/file is not a directory. Set LAKEHOUSE_ROOT to another folder, or correct its"
        " permissions."
    )


def test_folder_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who runs the tests may be root, who may write everywhere.
    monkeypatch.setattr(os, "access", lambda folder, mode: False)

    assert f"found that {tmp_path} may not be written to" in message(tmp_path / "lake/core/orders")


@pytest.mark.parametrize("kind", ["a file", "a folder without one"])
def test_place_that_holds_something_else(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "lake/gold_core/customers"
    if kind == "a file":
        place.parent.mkdir(parents=True)
        place.write_text("")
    else:
        (place / "_delta_log").mkdir(parents=True)

    assert message(place) == (
        f"{place}: expected a Delta table, or nothing yet, found {kind}. Move it away and run"
        " again."
    )


def test_free_places_and_tables_are_accepted_and_left_alone(tmp_path: Path) -> None:
    table = tmp_path / "gold_core/table"
    write_deltalake(table, pa.table({"a": [1]}))
    (tmp_path / "gold_core/empty").mkdir()
    before = sorted(tmp_path.rglob("*"))

    for place in ("gold_core/table", "gold_core/empty", "gold_core/missing", "further/missing"):
        PathTable(str(tmp_path / place), no_session).check()

    assert sorted(tmp_path.rglob("*")) == before
