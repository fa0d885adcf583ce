"""Sail: an engine in Rust that speaks Spark Connect, run inside this process."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from nbx_medallion.errors import EngineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Makes pyspark.sql.functions build expressions for Spark Connect.
CONNECT_MODE = "SPARK_CONNECT_MODE_ENABLED"


@contextmanager
def start_sail(settings: Mapping[str, Any]) -> "Iterator[SparkSession]":
    """A Spark Connect session to Sail on a free loopback port; both are stopped at the end.

    Settings are configuration of the session, as ``spark.sql...`` keys, and variables of the
    server's environment, in capitals; one that is set already wins.

    Raises:
        ImportError: pysail, or the pyspark client it needs, is not installed.
        UserError: A variable of the environment is not text.
    """
    # Sail 0.7.2 ends the process where a variable is not text.
    odd = [name for name, value in os.environ.items() if not _is_utf8(name + value)]
    if odd:
        raise EngineError(
            "The engine 'sail' needs an environment of UTF-8 text, and the variable"
            f" {odd[0]!r} has other bytes. Correct it, or unset it."
        )
    for key, value in {"RUST_LOG": "error", **settings}.items():
        if key.isupper():
            os.environ.setdefault(key, str(value))
    # The progress bar of pyspark 4.2.0 imports it, a second, to learn a terminal's width.
    with hidden("IPython"):
        from pysail.spark import SparkConnectServer
        from pyspark.sql.connect.client import DefaultChannelBuilder
        from pyspark.sql.connect.session import SparkSession
    # The session is stopped before the server: the client would look for that for minutes.
    with ExitStack() as stopping:
        server = SparkConnectServer("127.0.0.1", 0)
        server.start(background=True)
        stopping.callback(server.stop)
        _, port = server.listening_address
        os.environ[CONNECT_MODE] = "1"
        stopping.callback(os.environ.pop, CONNECT_MODE, None)
        # gRPC would go through a proxy of the environment, also to this machine.
        options = [("grpc.enable_http_proxy", 0)]
        channel = DefaultChannelBuilder(f"sc://127.0.0.1:{port}", options)
        session: Any = SparkSession.builder.channelBuilder(channel).getOrCreate()
        stopping.callback(session.stop)
        # A server in this process needs no second try, and Ctrl-C ends it before the session.
        session.client.set_retry_policies([])
        for key, value in settings.items():
            if not key.isupper():
                session.conf.set(key, str(value))
        yield session


def _is_utf8(text: str) -> bool:
    try:
        os.fsencode(text).decode()  # the locale's encoding may be another
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def hidden(module: str) -> Iterator[None]:
    """Keep a package that is not needed from being imported for the time of the block."""
    is_hidden = sys.modules.setdefault(module, None) is None  # type: ignore[arg-type]
    try:
        yield
    finally:
        if is_hidden:
            del sys.modules[module]
