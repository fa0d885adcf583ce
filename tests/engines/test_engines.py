"""Which engine runs, and what is told where it cannot start."""

from collections.abc import Callable
from typing import Any

import pytest
from conftest import config_for

from nbx_medallion import engines
from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.engines.ambient import AmbientEngine
from nbx_medallion.engines.spark import SparkEngine
from nbx_medallion.errors import UserError


def test_active_session_wins_and_is_left_running(engine_session: Any) -> None:
    assert engines.active_session().range(3).count() == 3
    assert engines.session_is_running()

    engines.stop_session()

    assert not engines.session_is_running()
    assert engine_session.range(2).count() == 2
    assert isinstance(engines._choose(), AmbientEngine)


def test_session_is_in_utc(engine_session: Any) -> None:
    assert engine_session.conf.get("spark.sql.session.timeZone") == "UTC"


def test_delta_on_spark_is_told_from_sail(engine_session: Any, engine_name: str) -> None:
    assert engines.runs_delta_on_spark() == (engine_name == "spark")
    engines.stop_session()


def test_delta_jar_that_cannot_be_resolved_is_named(
    start_engine: Callable[[str], Any], tmp_path: Any
) -> None:
    """Ivy finds nothing in an empty folder, the only repository it is given."""
    declared: dict[str, Any] = config_for("staging")["spark"]["spark"]
    engine = SparkEngine(
        {
            **declared,
            "spark.jars.packages": "io.delta:delta-spark_4.2_2.13:0.0.1",
            "spark.jars.ivy": str(tmp_path),
            "spark.jars.repositories": tmp_path.as_uri(),
        }
    )

    with pytest.raises(UserError) as raised:
        engine.start()
    engine.stop()

    assert str(raised.value) == (
        "The engine 'spark' could not resolve the JAR of Delta Lake:"
        " io.delta#delta-spark_4.2_2.13;0.0.1. It is fetched once, from Maven Central or the"
        " repositories in spark.jars.repositories, into ~/.ivy2.5.2/: check the network or the"
        " proxy, or set spark.jars to a JAR on this machine in spark.yml. Where ~/.m2 holds a"
        " broken copy, delete that folder of it."
    )


def test_spark_yml_of_each_environment_declares_an_engine() -> None:
    declared = {env: config_for(env)["spark"]["engine"] for env in ("dev", "staging", "prod")}

    assert declared == {"dev": "spark", "staging": "spark", "prod": "spark"}
    assert config_for(None)["spark"]["engine"] == "sail"
    assert MedallionConfigLoader.current is not None
