"""Sail: an engine in Rust that speaks Spark Connect, run inside this process."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbx_medallion.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Makes pyspark.sql.functions build expressions for Spark Connect.
_CONNECT_MODE = "SPARK_CONNECT_MODE_ENABLED"


class SailEngine:
    """Sail on a free loopback port, and a Spark Connect session to it.

    Args:
        settings: Configuration of the session, as ``spark.sql...`` keys, and variables of the
            server's environment, in capitals; one that is set already wins.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._server: Any = None
        self._session: Any = None

    def start(self) -> "SparkSession":
        """Start the server and open a session.

        Raises:
            UserError: pysail, or the pyspark client it needs, is not installed; or a variable of
                the environment is not text.
        """
        # Sail reads the environment, and ends the process where a variable is not UTF-8.
        for name, value in os.environ.items():
            if not _is_utf8(name + value):
                shown = name.encode("utf-8", "backslashreplace").decode()
                raise UserError(
                    f"The engine 'sail' needs an environment of UTF-8 text, and the variable"
                    f" {shown} has other bytes. Correct it, or unset it."
                )
        # pyspark's progress bar imports IPython, a second of start-up, to learn a terminal's width.
        without_ipython = sys.modules.setdefault("IPython", None) is None  # type: ignore[arg-type]
        os.environ.setdefault("RUST_LOG", "error")
        for key, value in self._settings.items():
            if key.isupper():
                os.environ.setdefault(key, str(value))
        try:
            from pysail.spark import SparkConnectServer
            from pyspark.sql.connect.session import SparkSession
        except ImportError as error:
            raise UserError(
                f"The engine 'sail' needs the packages pysail and pyspark[connect], and"
                f" {error.name or error} is not installed. Install them with:"
                " pip install 'nbx-medalion-pipeline[sail]'"
            ) from error
        finally:
            if without_ipython:
                del sys.modules["IPython"]
        self._server = SparkConnectServer("127.0.0.1", 0)
        self._server.start(background=True)
        _, port = self._server.listening_address
        os.environ[_CONNECT_MODE] = "1"
        self._session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
        # A server in this process needs no second try, and Ctrl-C ends it before the session.
        self._session.client.set_retry_policies([])
        for key, value in self._settings.items():
            if not key.isupper():
                self._session.conf.set(key, str(value))
        return self._session  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Stop the session, then the server: the other way round the client retries for minutes."""
        if self._session is not None:
            self._session.stop()
        os.environ.pop(_CONNECT_MODE, None)
        if self._server is not None:
            self._server.stop()


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
