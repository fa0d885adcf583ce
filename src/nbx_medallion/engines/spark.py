"""Spark with Delta Lake in a JVM: `local[*]` by default, any master by configuration."""

import contextlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbx_medallion.engines.sail import CONNECT_MODE
from nbx_medallion.errors import EngineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

_JAVA_NEEDED = 17


@contextlib.contextmanager
def start_spark(settings: Mapping[str, Any]) -> "Iterator[SparkSession]":
    """A classic Spark session with Delta, in a JVM of its own; both are stopped at the end.

    In a value of its settings, ``{delta}`` stands for the version of the installed delta-spark
    package, which the Delta JAR must have.

    Raises:
        ImportError: pyspark or delta-spark is not installed.
        UserError: Java is missing or too old, or Spark or its Delta JAR cannot be had.
    """
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    delta_version = metadata.version("delta-spark")
    _check_java()
    logger.info("starting Spark")
    # Python workers must be this interpreter, or their imports fail.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.pop(CONNECT_MODE, None)
    conf = SparkConf().setAll(
        [(key, str(value).replace("{delta}", delta_version)) for key, value in settings.items()]
    )
    with tempfile.NamedTemporaryFile(suffix=".log") as log, contextlib.ExitStack() as stopping:
        try:
            # Where pyspark 4.2.0 is interrupted while it launches a JVM, it forgets it, and it runs
            # for ever. Another thread gets no signals, and what ends the JVM waits for its start.
            with ThreadPoolExecutor(1) as pool:
                launching = pool.submit(launch_gateway, conf, {"stdout": log, "stderr": log})
                stopping.callback(_end_jvm, launching)
            SparkContext(conf=conf, gateway=launching.result())
        except Exception as error:
            printed = Path(log.name).read_text(errors="replace")
            raise EngineError(_why_not_started(printed, error)) from error
        session = SparkSession.builder.getOrCreate()
        try:
            yield session
        finally:
            # After Ctrl-C the JVM may not answer any more; it is ended in any case.
            with contextlib.suppress(Exception):
                session.stop()


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    told = f"no java in {f'JAVA_HOME={home}' if home else 'PATH'}"
    if java:
        command = [java, "-version"]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(?:1\.)?(\d+)', told)
    if not version or int(version[1]) < _JAVA_NEEDED:
        raise EngineError(
            f"The engine 'spark' needs Java {_JAVA_NEEDED} or later, found {java or 'none'}:"
            f" {told.partition(chr(10))[0]}. Install such a JDK and set JAVA_HOME to its folder, or"
            " run on the engine without Java: `kedro run` without --env."
        )


def _why_not_started(printed: str, error: Exception) -> str:
    """The message for a session that did not come up, from what the JVM printed."""
    if missing := re.findall(r"(?:unresolved dependency|download failed): ([^\s:,\]]+)", printed):
        return (
            "The engine 'spark' could not resolve the JAR of Delta Lake:"
            f" {', '.join(sorted(set(missing)))}. It is fetched once, from Maven Central or the"
            " repositories in spark.jars.repositories, into ~/.ivy2.5.2/: check the network or the"
            " proxy, or set spark.jars to a JAR on this machine in engines.yml. Where ~/.m2 holds"
            " a broken copy, delete that folder of it."
        )
    cause = re.search(r".*(?:Exception|Error).*", printed)
    return (
        f"The engine 'spark' did not start: {cause[0] if cause else str(error).splitlines()[0]}."
        " Check engines.yml of this environment and the memory of this machine."
    )


def _end_jvm(launching: "Future[Any]") -> None:
    """End the JVM of a gateway, also where it does not answer any more, as after Ctrl-C.

    The stop of a session of pyspark 4.2.0 leaves it running until Python ends.
    """
    from pyspark import SparkContext

    if launching.exception():
        return
    gateway = launching.result()
    with contextlib.suppress(Exception):
        gateway.shutdown()
    SparkContext._gateway = SparkContext._jvm = None
    gateway.proc.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        gateway.proc.wait(timeout=5)
    gateway.proc.kill()
