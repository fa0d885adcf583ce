"""The engine of this process: started when a dataset first needs it, once, and always stopped.

On Databricks, and wherever a session is active already, it is that session; otherwise the engine
that the environment's ``engines.yml`` declares.
"""

import atexit
import os
import re
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from nbx_medallion.engines.sail import start_sail
from nbx_medallion.engines.spark import start_spark
from nbx_medallion.errors import EngineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ENGINES = {"sail": start_sail, "spark": start_spark}
_PLAIN = "/ \\ : _ . @ = , + ( ) -"

_lock = threading.RLock()
_stopping = ExitStack()
_session: "SparkSession | None" = None


def on_databricks() -> bool:
    """True if this process runs on a Databricks runtime, which brings its own session."""
    return "DATABRICKS_RUNTIME_VERSION" in os.environ


def runs_delta_on_spark(session: "SparkSession") -> bool:
    """True where tables are written by Delta's own implementation, not Sail's.

    Only there may a table have NOT NULL columns (Sail checks them before the filters of the frame
    that is written), and only there do some column names need Delta's column mapping.
    """
    extensions = session.conf.get("spark.sql.extensions", "") or ""
    return on_databricks() or "delta" in extensions.lower()


def active_session(declared: Mapping[str, Any]) -> "SparkSession":
    """The session that tables are read and written with; the engine starts if none runs.

    `declared` is what ``engines.yml`` has. An engine that cannot start is an `EngineError`.
    """
    global _session  # noqa: PLW0603
    with _lock:
        if _session is None:
            _session = _find_ambient() or _start(declared)
            atexit.register(stop_session)
            # The pipelines rely on it, and a runtime may set it otherwise.
            _session.conf.set("spark.sql.session.timeZone", "UTC")
        return _session


def session_is_running() -> bool:
    """True between the start of an engine and its stop."""
    return _session is not None


def stop_session() -> None:
    """Stop the engine, where one runs. Safe to call at any time, any number of times."""
    global _session  # noqa: PLW0603
    with _lock:
        _session = None
        _stopping.close()


def check_folder(path: str, declared: Mapping[str, Any]) -> None:
    """Refuse an absolute path that the engine could not write a table to. Starts no engine.

    Sail 0.7.2 encodes a path as a URL has it when it writes, and so writes beside the folder.
    """
    session = _session or _find_ambient()
    on_spark = runs_delta_on_spark(session) if session else _name(declared) == "spark"
    odd = "".join(sorted(set(re.sub("[A-Za-z0-9]", "", path)) - set(_PLAIN.replace(" ", ""))))
    if odd and not on_spark:
        raise EngineError(
            f"{path}: the engine 'sail' writes tables to paths of plain letters, digits and"
            f" {_PLAIN} only, found {odd!r}. Set LAKEHOUSE_ROOT to a folder with such a path,"
            " or run on Spark with --env."
        )


def _start(declared: Mapping[str, Any]) -> "SparkSession":
    name = _name(declared)
    try:
        return _stopping.enter_context(_ENGINES[name](declared[name]))
    except ImportError as error:
        raise EngineError(
            f"The engine {name!r} needs packages of which {error.name or error} is not installed."
            f" Install them with: pip install 'nbx-medalion-pipeline[{name}]'"
        ) from error


def _find_ambient() -> "SparkSession | None":
    """The active session of this process; on Databricks one is made where there is none."""
    if not on_databricks() and "pyspark.sql" not in sys.modules:
        return None
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        return SparkSession.active()
    except PySparkException:
        return SparkSession.builder.getOrCreate() if on_databricks() else None


def _name(declared: Mapping[str, Any]) -> str:
    name = declared.get("engine")
    if name not in _ENGINES:
        raise EngineError(
            f"engines.yml: engine: expected one of: {', '.join(_ENGINES)}; found {name!r}. It is"
            " set in globals.yml of conf/base or of the environment."
        )
    return str(name)
