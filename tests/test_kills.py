"""Whatever the moment at which a run is killed, the next one completes to the same tables."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from test_any_history import CONTRACT, Killed, killed_after
from test_run import VOLATILE, Lakehouse

from nbx_medallion.config import current_config
from nbx_medallion.run.amend import Amending

FIRST = "2026-01-31T10.00.00.000Z"
KILLED, AFTER, LAST = (f"2026-02-0{day}T10.00.00.000Z" for day in (1, 2, 3))
TABLES = (
    "bronze.sales_raw", "silver.sales_clean", "silver.sales_quarantine", "silver.sales_superseded",
    "gold_core.customer_metrics", "gold_ml.churn_model_v1", "gold_ml.clv_model_v2",
    "ops.landing_files",
)  # fmt: skip
# A run that makes all tables makes fewer commits than this.
MOST = 40


def put(lake: Lakehouse, name: str, *lines: str) -> None:
    text = "\n".join(["order_id,customer_id,amount", *lines, ""])
    (lake.landing / name).write_text(text)


def extension(lake: Lakehouse) -> dict[str, Any]:
    """New records, of which one loses to another, one replaces an old one, one is rejected."""
    put(lake, "c.csv", "1,a,7", "7,c,1", "7,c,2", "8,,3")
    return {}


def correction(lake: Lakehouse) -> dict[str, Any]:
    """Another content of a file that was received, and a new file."""
    put(lake, "a.csv", "1,a,6", "9,d,x")
    put(lake, "c.csv", "2,b,1")
    return {}


def growth(lake: Lakehouse) -> dict[str, Any]:
    """More lines in a file that was received, and files that moved or are gone."""
    with (lake.landing / "a.csv").open("a") as file:
        file.write("1,a,8\n")
    (lake.landing / "b.csv").rename(lake.landing / "renamed.csv")
    return {}


def retraction(lake: Lakehouse) -> dict[str, Any]:
    """A file that is to be taken out."""
    with lake.session() as session:
        found = Amending(session.lakehouse, current_config(), session.session_id, "a reason")
        found.retract("sales", "b.csv")
    return {}


def definition(lake: Lakehouse) -> dict[str, Any]:
    """A contract that rejects what it warned of."""
    file = lake.conf / CONTRACT
    file.write_text(file.read_text().replace("severity: warning", "severity: error"))
    return {}


def refresh(lake: Lakehouse) -> dict[str, Any]:
    """A full refresh, and something new."""
    put(lake, "c.csv", "1,a,7")
    return {"full_refresh": True}


def restored(lake: Lakehouse) -> dict[str, Any]:
    """Tables that somebody restored to when they had no rows, and new records."""
    for table in ("bronze.sales_raw", "silver.sales_quarantine", "ops.landing_files"):
        lake.table(table).restore(0)
    return extension(lake)


def first(lake: Lakehouse) -> dict[str, Any]:
    """No tables yet."""
    shutil.rmtree(lake.root)
    return {}


SCENARIOS = (extension, correction, growth, retraction, definition, refresh, restored, first)


class Scene:
    """A lakehouse after a first run, set up again and again at the same place."""

    def __init__(self, folder: Path, env: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.saved = folder / "now", folder / "saved"
        shutil.rmtree(self.now, ignore_errors=True)
        self.now.mkdir(parents=True)
        self.lake = Lakehouse(self.now, env)
        self.lake.conf = self.now / "conf"
        monkeypatch.setenv("RAW_SALES_PATH", str(self.lake.landing))
        monkeypatch.setenv("LAKEHOUSE_ROOT", str(self.lake.root))
        if self.saved.exists():
            self.reset()
            return
        shutil.copytree(REPOSITORY / "conf", self.lake.conf)
        put(self.lake, "a.csv", "1,a,5", "2,b,-1")
        put(self.lake, "b.csv", "1,a,6", "3,,1", "4,b,2")
        self.lake.run(runtime_params={"run_id": FIRST})
        shutil.copytree(self.now, self.saved)

    def reset(self) -> None:
        shutil.rmtree(self.now)
        shutil.copytree(self.saved, self.now)

    def set_up(self, scenario: Callable[[Lakehouse], dict[str, Any]]) -> dict[str, Any]:
        self.reset()
        return scenario(self.lake)

    def content(self) -> dict[str, list[Any]]:
        """All rows, but for what tells when and by which run they were written.

        Of two later records of a key, a superseded one names that of which it was first seen to be
        the earlier. States that no run completed are not registered.
        """
        kept = {table: self.lake.rows(table) for table in TABLES}
        by = {"_superseded_by_file", "_superseded_by_row", "_superseded_by_batch"}
        volatile = VOLATILE | by | {"modified_at"}

        def of(row: dict[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in row.items() if name not in volatile}

        registered = [
            (row["table_name"], row["content_hash"])
            for row in self.lake.rows("ml_registry.model_versions")
        ]
        assert len(registered) == len(set(registered))
        return {table: sorted(map(of, rows), key=repr) for table, rows in kept.items()}

    def kill(self, run_id: str, commits: int, **options: Any) -> bool:
        """Run until so many commits are made; False if there were not so many."""
        with killed_after(commits):
            try:
                self.lake.run(runtime_params={"run_id": run_id, **options})
            except Killed:
                return True
        return False


@pytest.fixture
def scene(
    engine_name: str,
    engine_session: Any,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    """The scene, of which an engine makes the first run once for all tests."""
    env = "local" if engine_name == "sail" else "staging"
    return Scene(tmp_path_factory.getbasetemp() / f"scene_{engine_name}", env, monkeypatch)


def complete(scene: Scene, scenario: Callable[[Lakehouse], dict[str, Any]]) -> Any:
    """What an undisturbed run gives, and one after it of which more is new."""
    options = scene.set_up(scenario)
    scene.lake.run(runtime_params={"run_id": KILLED, **options})
    undisturbed = scene.content()
    put(scene.lake, "z.csv", "1,e,9", "5,f,1")
    scene.lake.run(runtime_params={"run_id": AFTER})
    return undisturbed, scene.content()


@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
def test_an_extension_that_is_killed_is_completed_with_what_came_since(scene: Scene) -> None:
    _, expected = complete(scene, extension)
    commits = 1
    while scene.kill(KILLED, commits, **scene.set_up(extension)):
        put(scene.lake, "z.csv", "1,e,9", "5,f,1")
        scene.lake.run(runtime_params={"run_id": AFTER})
        assert scene.content() == expected, commits
        commits += 2
    assert commits > 9


@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
def test_a_first_run_that_is_killed_is_completed(scene: Scene) -> None:
    undisturbed, _ = complete(scene, first)
    commits = 1
    while scene.kill(KILLED, commits, **scene.set_up(first)):
        scene.lake.run(runtime_params={"run_id": AFTER})
        assert scene.content() == undisturbed, commits
        commits += 5
    assert commits > 20


@pytest.mark.slow
@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("then", ["again", "later", "more", "twice"])
def test_killed_anywhere(
    scene: Scene, scenario: Callable[[Lakehouse], dict[str, Any]], then: str
) -> None:
    undisturbed, with_more = complete(scene, scenario)
    for commits in range(1, MOST):
        options = scene.set_up(scenario)
        if not scene.kill(KILLED, commits, **options):
            break
        if then == "again":
            scene.lake.run(runtime_params={"run_id": KILLED, **options})
        elif then == "more":
            put(scene.lake, "z.csv", "1,e,9", "5,f,1")
            scene.lake.run(runtime_params={"run_id": AFTER})
        else:
            if then == "twice":
                scene.kill(AFTER, commits)
            scene.lake.run(runtime_params={"run_id": LAST})
        assert scene.content() == (with_more if then == "more" else undisturbed), commits
    else:
        raise AssertionError("there are more commits than were tried")
