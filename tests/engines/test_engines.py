"""Which engine runs, and what is told where it cannot start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, command, config_for

from nbx_medallion import engines
from nbx_medallion.engines import runs_delta_on_spark
from nbx_medallion.engines.spark import start_spark
from nbx_medallion.errors import UserError


def test_active_session_wins_and_is_left_running(engine_session: Any, engine_name: str) -> None:
    assert engines.active_session(config_for(None).engines).range(3).count() == 3
    assert engines.session_is_running()
    assert (
        engines.active_session(config_for(None).engines).conf.get("spark.sql.session.timeZone")
        == "UTC"
    )
    assert runs_delta_on_spark(engine_session) == (engine_name == "spark")

    engines.stop_session()

    assert not engines.session_is_running()
    assert engine_session.range(2).count() == 2
    assert runs_delta_on_spark(engine_session) == (engine_name == "spark")


@pytest.mark.parametrize("odd", [" ", "ã", "%"])
def test_folder_that_sail_would_write_beside(
    engine_session: Any, engine_name: str, odd: str
) -> None:
    config = config_for(None).engines
    engines.check_folder("/a/plain-path_1.0/(x)", config)
    if engine_name == "spark":
        engines.check_folder(f"/a{odd}b", config)
        return

    with pytest.raises(UserError) as raised:
        engines.check_folder(f"/a{odd}b/sales_raw", config)

    for part in (f"/a{odd}b/sales_raw: ", f"found {odd!r}", "LAKEHOUSE_ROOT", "--env"):
        assert part in raised.value.message


def test_a_folder_is_checked_without_an_engine() -> None:
    script = """
from kedro.framework.project import configure_project, settings
configure_project("nbx_medallion")
from nbx_medallion import engines, errors
from nbx_medallion.config import MedallionConfigLoader
for env in (None, "staging"):
    config = MedallionConfigLoader("conf", env, **settings.CONFIG_LOADER_ARGS).engines
    try:
        engines.check_folder("/a b", config)
        print(env, "any")
    except errors.UserError:
        print(env, "plain")
print(engines.session_is_running())
"""

    told = command("-c", script, cwd=REPOSITORY, PYTHONPATH="src")

    assert told.stdout == "None plain\nstaging any\nFalse\n", told.stderr


@pytest.mark.parametrize(
    ("version", "found"), [(None, "no java"), ("11.0.2", 'bin/java: openjdk version "11.0.2"')]
)
def test_spark_without_a_fitting_java(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, found: str
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    if version:
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(UserError) as raised, start_spark({}):
        pass

    for part in ("'spark' needs Java 17 or later", found, str(tmp_path), "without --env"):
        assert part in raised.value.message


def test_delta_jar_that_cannot_be_resolved_is_named(
    start_engine: Callable[[str], Any], tmp_path: Path
) -> None:
    """Ivy finds nothing in an empty folder, the only repository it is given."""
    settings = {
        **config_for("staging")["engines"]["spark"],
        "spark.jars.packages": "io.delta:delta-spark_4.2_2.13:0.0.1",
        "spark.jars.ivy": str(tmp_path),
        "spark.jars.repositories": tmp_path.as_uri(),
    }

    with pytest.raises(UserError) as raised, start_spark(settings):
        pass

    for part in (
        "could not resolve the JAR of Delta Lake: io.delta#delta-spark_4.2_2.13;0.0.1.",
        "the network or the proxy",
        "set spark.jars to a JAR on this machine in engines.yml",
        "~/.m2",
    ):
        assert part in raised.value.message
