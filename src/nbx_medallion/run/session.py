"""The project's session: engines always stop, and a user's mistake is one message."""

import atexit
import faulthandler
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from kedro.config import MissingConfigException
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.io import DatasetError, DatasetNotFoundError
from kedro.pipeline import Pipeline
from kedro.runner import ParallelRunner

from nbx_medallion import engines
from nbx_medallion.errors import ConfigurationError, TableError, UserError

# What Sail, and what Spark, says of a Parquet file that it cannot read.
_UNREADABLE = re.compile(r"(?:Parquet error|FAILED_READ_FILE)[^\n\"]*")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SECONDS_TO_STOP = 20  # a JVM that is being started is waited for
_INTERRUPTED = (
    b"Interrupted. Each table is as it was before the run or as the run wrote it;"
    b" run again to complete.\n"
)


class MedallionSession(KedroSession):
    """A Kedro session that ends cleanly whatever happens in its run."""

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run as `KedroSession.run` does; stop the engine that the run started.

        Raises:
            UserError: Something a user can cause and mend, however deep Kedro wrapped it. Any
                other error keeps its traceback.
            SystemExit: The run was interrupted.
        """
        with ended_by_signals(), own_engine():
            _refuse_options(**kwargs)
            try:
                return super().run(*args, **kwargs)
            except ValueError:
                _refuse_selection(**kwargs)
                raise


@contextmanager
def own_engine() -> Iterator[None]:
    """Stop the engine that the block started, and raise a user's mistake as its one message."""
    running_before = engines.session_is_running()
    try:
        yield
    except Exception as error:
        if mistake := find_user_error(error):
            raise mistake from None
        raise
    finally:
        if not running_before:
            engines.stop_session()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process with one line and exit code 1.

    The handler itself writes the line, and a timer of the operating system's ends the process where
    threads of an engine keep it from ending. In another thread than the main one, where signals
    cannot be handled, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted = False

    def end(*_: object) -> None:
        nonlocal interrupted
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        interrupted = True
        os.write(2, _INTERRUPTED)
        # What py4j and the threads of an engine say from here on is of the end, not of a fault.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        faulthandler.dump_traceback_later(_SECONDS_TO_STOP, exit=True, file=2)
        # Python's own end crashes now and then where threads of Sail 0.7.2 are still at work.
        atexit.register(os._exit, 1)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        # What failed after a signal is a consequence of it.
        if interrupted:
            raise SystemExit(1) from None
        for number, handler in before.items():
            signal.signal(number, handler)


def find_user_error(error: BaseException) -> UserError | None:
    """The user's mistake behind an error and its chain of causes, None for a bug."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        if isinstance(cause, UserError):
            return cause
        if isinstance(cause, MissingConfigException | DatasetNotFoundError | yaml.YAMLError):
            return ConfigurationError(str(cause))
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    for cause in reversed(chain):
        if unreadable := _UNREADABLE.search(str(cause)):
            return TableError(
                f"A file of a table is damaged or gone: {unreadable[0].strip().rstrip('.')}."
                " Restore it, or move the folder of its table away and run again."
            )
    # What went wrong in a dataset's own code begins so; other errors are the catalog's.
    in_dataset = str(error).startswith(("Failed while ", "Failed during "))
    if isinstance(error, DatasetError) and not in_dataset:
        return ConfigurationError(str(error))
    return None


def _refuse_options(
    load_versions: dict[str, str] | None = None,
    only_missing_outputs: bool = False,
    runner: object = None,
    **others: object,
) -> None:
    """Refuse what Kedro offers and does not hold for tables, before anything is read."""
    refused = {
        "--load-versions: expected none, since no dataset here has versions of Kedro's, found"
        f" {', '.join(load_versions or ())}. A Delta table has its own: read an earlier one with"
        " the option versionAsOf.": load_versions,
        "--only-missing-outputs: expected it left out, since a table that is there may be out of"
        " date. Run a part with --pipelines or --namespaces.": only_missing_outputs,
        "--runner: expected SequentialRunner or ThreadRunner, since an engine lives in one"
        " process, found 'ParallelRunner'. Leave it out.": isinstance(runner, ParallelRunner),
    }
    for message, asked in refused.items():
        if asked:
            raise ConfigurationError(message)


def _refuse_selection(
    pipeline_name: str | None = None,
    pipeline_names: list[str] | None = None,
    namespaces: list[str] | None = None,
    runner: object = None,
    **others: Any,
) -> None:
    """Refuse a selection that Kedro refuses, with what there is to select from."""
    filters = {name: value for name, value in others.items() if value}
    pipelines.set_requested(None)
    try:
        names = pipeline_names or [pipeline_name or "__default__"]
        whole = sum((pipelines[name] for name in names), Pipeline([]))
        whole.filter(node_namespaces=namespaces, **filters)
    except KeyError as error:
        raise ConfigurationError(
            f"--pipelines: expected any of: {', '.join(sorted(pipelines))}; found {error}. Correct"
            " the name."
        ) from None
    except ValueError as error:
        known = ", ".join(sorted({node.namespace for node in whole.nodes if node.namespace}))
        there_are = f" The namespaces there are: {known or 'none'}." if namespaces else ""
        filters |= {"namespaces": namespaces} if namespaces else {}
        asked = ", ".join(f"{name}={value!r}" for name, value in filters.items())
        raise ConfigurationError(
            f"{error} (asked for: {asked or 'a plain run'}).{there_are}"
        ) from None
