"""Engines for the tests: the project's own, started once, real."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kedro.framework.project import configure_project, settings

from nbx_medallion import engines
from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.engines.sail import CONNECT_MODE, start_sail
from nbx_medallion.engines.spark import start_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Sail's gRPC threads live in this process: forking the JVM's launcher must not run their handlers.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

REPOSITORY = Path(__file__).parents[1]
KEDRO = str(Path(sys.executable).with_name("kedro"))
ENGINES = ("sail", "spark")
REQUIRE_ENGINES = "NBX_REQUIRE_ENGINES"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under xdist each engine has its worker (`--dist loadgroup`), so each starts once."""
    for item in items:
        engine = getattr(item, "callspec", None) and item.callspec.params.get("engine_name")
        if isinstance(item, pytest.Function) and "start_engine" in signature(item.obj).parameters:
            engine = "spark"  # it starts both
        item.add_marker(pytest.mark.xdist_group(engine or "sail"))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Fetch the JAR of Delta before the workers start: two cannot fetch it at the same time."""
    fetched = any(Path.home().glob(".ivy2*/jars/io.delta_delta-spark*.jar"))
    if not (fetched or hasattr(session.config, "workerinput") or shutil.which("java") is None):
        with start_spark(_small(config_for(None)["engines"]["spark"])):
            pass


@pytest.fixture(autouse=True)
def environment_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the variables of whoever runs the tests out of them."""
    for name in (
        "RAW_SALES_PATH",
        "RAW_RETURNS_PATH",
        "PIPELINE_CONFIG_PATH",
        "LAKEHOUSE_ROOT",
        "KEDRO_ENV",
    ):
        monkeypatch.delenv(name, raising=False)


def command(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in a folder, with these environment variables of the project only."""
    kept = ("PATH", "HOME", "JAVA_HOME")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd, env={**env, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def project_config() -> MedallionConfigLoader:
    """The configuration of this repository, environment local."""
    configure_project("nbx_medallion")
    return config_for(None)


def config_for(env: str | None) -> MedallionConfigLoader:
    """The configuration of this repository for an environment."""
    configure_project("nbx_medallion")
    return MedallionConfigLoader(str(REPOSITORY / "conf"), env, **settings.CONFIG_LOADER_ARGS)


@pytest.fixture(scope="session")
def start_engine(
    project_config: MedallionConfigLoader,
) -> Iterator[Callable[[str], "SparkSession"]]:
    """Start an engine at its first use, as the project's engines.yml says; stop all at the end."""
    declared = project_config["engines"]
    running: dict[str, SparkSession] = {}

    def choose(name: str) -> None:
        if name == "sail":
            os.environ[CONNECT_MODE] = "1"
        else:
            os.environ.pop(CONNECT_MODE, None)

    with ExitStack() as stopping:

        def start(name: str) -> "SparkSession":
            if name not in running:
                starting = (
                    start_sail(declared["sail"])
                    if name == "sail"
                    else start_spark(_small(declared["spark"]))
                )
                running[name] = stopping.enter_context(starting)
                stopping.callback(choose, name)
            choose(name)
            return running[name]

        yield start


def _small(conf: dict[str, object]) -> dict[str, object]:
    """Spark for small frames: one task a stage, and nothing is compiled for a few rows.

    The JVM's default code cache for its first compiler alone is smaller than Spark's code.
    """
    java = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC"
    return {
        **conf,
        "spark.master": "local[2]",
        "spark.sql.shuffle.partitions": 1,
        "spark.driver.extraJavaOptions": java,
        "spark.sql.adaptive.enabled": False,
        "spark.sql.codegen.wholeStage": False,
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """Name of each engine in turn."""
    if request.param == "spark" and shutil.which("java") is None:
        if REQUIRE_ENGINES in os.environ:
            pytest.fail("Java is missing, and the tests must run on every engine")
        pytest.skip("Spark needs Java 17")
    return str(request.param)


@pytest.fixture
def engine_session(
    engine_name: str, start_engine: Callable[[str], "SparkSession"]
) -> "Iterator[SparkSession]":
    """A session of each engine in turn; it is the active one, and forgotten after the test."""
    engines.stop_session()
    yield start_engine(engine_name)
    engines.stop_session()


@pytest.fixture(params=["true", "false"], ids=["ansi", "no-ansi"])
def session(
    request: pytest.FixtureRequest, engine_session: "SparkSession", engine_name: str
) -> "Iterator[SparkSession]":
    """Each engine; Spark in ANSI mode and without. Sail knows one mode."""
    if engine_name == "sail":
        yield engine_session
        return
    before = engine_session.conf.get("spark.sql.ansi.enabled")
    engine_session.conf.set("spark.sql.ansi.enabled", request.param)
    yield engine_session
    engine_session.conf.set("spark.sql.ansi.enabled", str(before))
