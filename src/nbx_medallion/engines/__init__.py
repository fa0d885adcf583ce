"""The engine of this process: started when a dataset first needs it, once, and always stopped.

Which one: on Databricks, and wherever a session is already active, that session; otherwise the
one that the environment's ``spark.yml`` declares.
"""

import atexit
import re
import sys
import threading
from typing import TYPE_CHECKING

from nbx_medallion.config import current_config, on_databricks
from nbx_medallion.engines.protocol import Engine
from nbx_medallion.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PLAIN_SIGNS = "/ \\ : _ . @ = , + ( ) -"
_PLAIN = re.compile(rf"[A-Za-z0-9{re.escape(_PLAIN_SIGNS.replace(' ', ''))}]")

_lock = threading.RLock()
_running: tuple[Engine, "SparkSession"] | None = None


def active_session() -> "SparkSession":
    """The session that tables are read and written with; the engine starts if none runs.

    Raises:
        UserError: The engine cannot start, or ``spark.yml`` declares none that is known.
    """
    global _running  # noqa: PLW0603
    with _lock:
        if _running is None:
            engine = _choose()
            try:
                _running = (engine, engine.start())
            except BaseException:
                engine.stop()
                raise
            atexit.register(stop_session)
        return _running[1]


def session_is_running() -> bool:
    """Whether an engine has been started and not yet stopped."""
    return _running is not None


def runs_delta_on_spark() -> bool:
    """Whether the active session is Delta's own implementation, not Sail's.

    Only there may a table have NOT NULL columns (Sail checks them before the filters of the frame
    that is written), and only there do some column names need Delta's column mapping.
    """
    if on_databricks():
        return True
    extensions = active_session().conf.get("spark.sql.extensions", "") or ""
    return "delta" in extensions.lower()


def check_folder(path: str) -> None:
    """Refuse a folder that the engine could not write a table to.

    Sail 0.7.2 encodes a path as a URL has it when it writes, and so writes beside the folder.

    Args:
        path: Absolute path of the folder.

    Raises:
        UserError: The engine is Sail, and the path has other than plain characters.
    """
    odd = "".join(sorted(set(_PLAIN.sub("", path))))
    if odd and _runs_sail():
        raise UserError(
            f"{path}: the engine 'sail' writes tables to paths of plain letters, digits and"
            f" {_PLAIN_SIGNS} only, found {odd!r}. Set LAKEHOUSE_ROOT to a folder with such a path,"
            " or run on Spark with --env."
        )


def _runs_sail() -> bool:
    if _running is not None or on_databricks() or _ambient():
        return not runs_delta_on_spark()
    return current_config()["spark"].get("engine") == "sail"


def stop_session() -> None:
    """Stop the engine, where one runs. Safe to call at any time, any number of times."""
    global _running
    with _lock:
        stopping, _running = _running, None
        if stopping:
            atexit.unregister(stop_session)
            stopping[0].stop()


def _choose() -> Engine:
    """The engine for this process. Each module is imported only where its engine is chosen."""
    if on_databricks() or _ambient():
        from nbx_medallion.engines.ambient import AmbientEngine

        return AmbientEngine()
    declared = current_config()["spark"]
    name = declared.get("engine")
    if name == "sail":
        from nbx_medallion.engines.sail import SailEngine

        return SailEngine(declared["sail"])
    if name == "spark":
        from nbx_medallion.engines.spark import SparkEngine

        return SparkEngine(declared["spark"])
    raise UserError(
        f"spark.yml: engine: expected one of: sail, spark; found {name!r}. The environment"
        f" {current_config().environment!r} sets it in its globals.yml."
    )


def _ambient() -> bool:
    """Whether a session is active already: a notebook's own, or a test's."""
    if "pyspark.sql" not in sys.modules:
        return False
    from nbx_medallion.engines.ambient import find_ambient

    return find_ambient() is not None
