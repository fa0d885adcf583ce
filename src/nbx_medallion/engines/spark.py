"""Spark with Delta Lake in a JVM: `local[*]` by default, any master by configuration."""

import contextlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbx_medallion.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

_JAVA_NEEDED = 17
_JAVA_HELP = (
    f"Install a JDK of version {_JAVA_NEEDED} or later and set JAVA_HOME to its folder, or run on"
    " the engine without Java: `kedro run` without --env."
)


class SparkEngine:
    """A classic Spark session with Delta, in a JVM of its own.

    Args:
        settings: Spark configuration, as ``spark...`` keys. The version of the Delta JAR follows
            the installed delta-spark package; ``{delta}`` in a value stands for it.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._session: Any = None
        self._gateway: Any = None
        self._log: Path | None = None

    def start(self) -> "SparkSession":
        """Start the JVM and a session.

        Raises:
            UserError: Java is missing or too old, a package is missing, or Spark did not start,
                for example because the Delta JAR cannot be resolved.
        """
        try:
            from pyspark import SparkConf, SparkContext
            from pyspark.java_gateway import launch_gateway
            from pyspark.sql import SparkSession

            delta_version = metadata.version("delta-spark")
        except ImportError as error:
            raise UserError(
                f"The engine 'spark' needs the packages pyspark and delta-spark, and"
                f" {error.name or error} is not installed. Install them with:"
                " pip install 'nbx-medalion-pipeline[spark]'"
            ) from error
        _check_java()
        logger.info("starting Spark")
        # Python workers must be this interpreter, or their imports fail.
        os.environ["PYSPARK_PYTHON"] = sys.executable
        os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)
        conf = SparkConf()
        for key, value in self._settings.items():
            conf.set(key, str(value).replace("{delta}", delta_version))
        descriptor, name = tempfile.mkstemp(prefix="nbx-spark-", suffix=".log")
        self._log = Path(name)
        with os.fdopen(descriptor, "wb") as log:
            try:
                self._gateway = launch_gateway(  # type: ignore[no-untyped-call]
                    conf, {"stdout": log, "stderr": log}
                )
                SparkContext(conf=conf, gateway=self._gateway)
            except Exception as error:
                raise UserError(_why_not_started(self._log, conf, error)) from error
        self._session = SparkSession.builder.getOrCreate()
        return self._session  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Stop the session and end its JVM."""
        from pyspark import SparkContext

        if self._session is not None:
            # After Ctrl-C the JVM may not answer any more; it is ended below in any case.
            with contextlib.suppress(Exception):
                self._session.stop()
        if self._gateway is not None:
            with contextlib.suppress(Exception):
                self._gateway.shutdown()
            SparkContext._gateway = None
            SparkContext._jvm = None
            process = self._gateway.proc
            process.stdin.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._log is not None:
            self._log.unlink(missing_ok=True)


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    where = f"JAVA_HOME={home}" if home else "PATH"
    if java is None:
        raise UserError(
            f"The engine 'spark' needs Java {_JAVA_NEEDED} or later, and no java was found in"
            f" {where}. {_JAVA_HELP}"
        )
    printed = subprocess.run(  # noqa: S603
        [java, "-version"], capture_output=True, text=True, check=False
    ).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', printed)
    if found is None or int(found[1]) < _JAVA_NEEDED:
        version = f"Java {found[1]}" if found else f"an unknown version ({printed.strip()!r})"
        raise UserError(
            f"The engine 'spark' needs Java {_JAVA_NEEDED} or later, and {java} is {version}."
            f" {_JAVA_HELP}"
        )


def _why_not_started(log: Path, conf: Any, error: Exception) -> str:
    """The message for a session that did not come up, from what the JVM printed."""
    printed = log.read_text(errors="replace")
    missing = re.findall(
        r":: ([\w.\-]+#[\w.\-]+;[\w.\-]+): not found|\[NOT FOUND  \] (\S+)", printed
    )
    if missing or "unresolved dependency" in printed or "download failed" in printed:
        names = ", ".join(sorted({a or b for a, b in missing})) or conf.get("spark.jars.packages")
        return (
            f"The engine 'spark' could not resolve the JAR of Delta Lake: {names}. It is fetched"
            " once, from Maven Central or the repositories in spark.jars.repositories, into"
            " ~/.ivy2.5.2/: check the network or the proxy, or set spark.jars to a JAR on this"
            " machine in spark.yml. Where ~/.m2 holds a broken copy, delete that folder of it."
        )
    lines = [line for line in printed.splitlines() if "Exception" in line or "Error" in line]
    cause = lines[0] if lines else str(error).splitlines()[0]
    return (
        f"The engine 'spark' did not start: {cause}. Check spark.yml of this environment and the"
        " memory of this machine."
    )
