"""The project's session: engines always stop, and a user's mistake is one message."""

import atexit
import faulthandler
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from inspect import signature
from typing import Any, cast

import yaml
from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog, DatasetError, DatasetNotFoundError
from kedro.pipeline import Pipeline
from kedro.runner import ParallelRunner

from nbx_medallion import engines
from nbx_medallion.config import current_config
from nbx_medallion.engines.sail import hidden
from nbx_medallion.errors import (
    ConfigurationError,
    TableError,
    UserError,
    did_you_mean,
    find_marked,
)
from nbx_medallion.run.hooks import RunHooks, git_sha
from nbx_medallion.run.survey import Lakehouse, Survey, take_survey

# What Sail, Spark and Arrow say of a Parquet file that it cannot read.
_UNREADABLE = re.compile(r"(?:Parquet error|FAILED_READ_FILE|Could not open Parquet)[^\n\"]*")
# What went wrong in a dataset's own code; other errors of Kedro's are of the catalog.
_IN_DATASET = re.compile(r"(?:[\w.@]+: )?Failed (?:while|during) ")
_ENTRY = re.compile(r"[Dd]ataset '([^']+)'")
_RUN_ID = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z(-[A-Za-z0-9_-]{1,64})?")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SECONDS_TO_STOP = 20  # a JVM that is being started is waited for
_INTERRUPTED = (
    b"Interrupted. Each table is as it was before the run or as the run wrote it;"
    b" run again to complete.\n"
)


class MedallionSession(KedroSession):
    """A Kedro session that runs what its plan says, and ends cleanly whatever happens."""

    _context: KedroContext | None = None

    def load_context(self) -> KedroContext:
        """The context, made once: a run, and what was planned for it, have one configuration.

        Raises:
            UserError: The parameter ``run_id`` is given in another form.
        """
        if self._context is None:
            context = super().load_context()
            given = context.params["run_id"]
            if given is not None and not _RUN_ID.fullmatch(str(given)):
                raise ConfigurationError(
                    f"run_id: expected YYYY-MM-DDTHH.MM.SS.mmmZ, with a suffix such as -42 where"
                    f" needed, found {given!r}. Leave it out to have one made."
                )
            self._context = context
        return self._context

    def plan(self, pipeline_names: list[str] | None = None, **selection: Any) -> Survey:
        """Look at the tables and the landing: what would a run of such a selection do, and why.

        It takes the names of registered pipelines, all layers by default, and the filters of `run`.

        Raises:
            UserError: There is no such selection, or see `take_survey`.
        """
        # As Kedro does: only what is asked for is loaded, and that before the context.
        pipelines.set_requested(pipeline_names or None)
        catalog = self._catalog
        self._refuse_parameters()
        pipeline = _select(pipeline_names or ["__default__"], **selection)
        # A dataset of Kedro 1.7 imports pandas to give a parameter.
        params = self.load_context().params
        params["run_id"] = params["run_id"] or self.session_id
        return take_survey(pipeline, catalog, current_config().declared, params)

    @property
    def lakehouse(self) -> Lakehouse:
        """The tables of the environment."""
        return Lakehouse(self._catalog)

    @property
    def _catalog(self) -> DataCatalog:
        with hidden("pandas"):  # Kedro 1.7 imports it to see that a parameter is no frame of it
            return cast(DataCatalog, self.load_context().catalog)

    def _refuse_parameters(self) -> None:
        """Refuse a parameter that is not declared."""
        known = current_config().entries("parameters")
        for name in self.store.get("runtime_params") or ():
            if name not in known:
                raise ConfigurationError(
                    f"--params: expected any of {', '.join(sorted(known))}; found {name!r}."
                    f"{did_you_mean(name, known)} Correct the name, or declare it in parameters.yml"
                    " of conf/base or of the environment."
                )

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run what is new or changed of a selection; stop the engine that the run started.

        It takes what `KedroSession.run` takes.

        Raises:
            UserError: Something a user can cause and mend, however deep Kedro wrapped it. Any
                other error keeps its traceback.
            SystemExit: The run was interrupted.
        """
        selection = signature(KedroSession.run).bind(self, *args, **kwargs).arguments
        runner, one = selection.pop("runner", None), selection.pop("pipeline_name", None)
        names = [one] if one else selection.pop("pipeline_names", None)
        del selection["self"]
        with ended_by_signals(), own_engine():
            started = datetime.now(UTC)
            _refuse_options(runner=runner, **selection)
            survey = self.plan(names, **selection)
            survey.lakehouse.put_back()
            sha = self.load_context().params["git_sha"] or git_sha(self._project_path)
            hooks = RunHooks(survey, current_config(), started, sha)
            self._hook_manager.register(hooks)
            done: dict[str, Any] = {}
            with hooks.recorded(_first_line):
                if needed := survey.needed():
                    done = super().run(pipeline_names=names, runner=runner, node_names=needed)
            return done


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
        with suppress(OSError):
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
    mistake = _find_in_chain(error)
    if isinstance(error, DatasetError) and not _IN_DATASET.match(str(error)):
        return _explain_catalog(error, mistake)
    return mistake


def _find_in_chain(error: BaseException) -> UserError | None:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        if isinstance(cause, UserError):
            return cause
        if marked := find_marked(str(cause)):
            return marked
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
    return None


def _explain_catalog(error: DatasetError, mistake: UserError | None) -> UserError:
    """The mistake in an entry of the catalog, with the file to correct."""
    mistake = mistake or ConfigurationError(str(error).strip())
    entry = _ENTRY.search(str(error))
    if not entry:
        return mistake
    file = current_config().entries("catalog").get(entry[1], "catalog.yml of conf/base")
    return ConfigurationError(f"{mistake} Correct {entry[1]} in {file}.")


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


def _select(names: list[str], namespaces: list[str] | None = None, **filters: Any) -> Pipeline:
    """The steps of a selection, and all of a source's silver where it has a part of it."""
    filters = {name: value for name, value in filters.items() if value}
    try:
        whole = sum((pipelines[name] for name in names), Pipeline([]))
        selected = whole.filter(node_namespaces=namespaces or None, **filters)
    except KeyError as error:
        pipelines.set_requested(None)
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
    units = {node.namespace for node in selected.nodes if "silver" in node.tags}
    rest = [n.name for n in whole.nodes if "silver" in n.tags and n.namespace in units]
    return selected + whole.only_nodes(*rest) if rest else selected


def _first_line(error: Exception) -> str:
    mistake = find_user_error(error)
    text = str(mistake) if mistake else f"{type(error).__name__}: {error}"
    return text.strip().partition("\n")[0]
