"""The project's session: engines always stop, and a user's mistake is one message."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from kedro.config import MissingConfigException
from kedro.framework.session import KedroSession
from kedro.io import DatasetError
from kedro.io.core import DatasetNotFoundError

from nbx_medallion import engines
from nbx_medallion.errors import UserError
from nbx_medallion.run.interrupt import RunWatch

# What Sail, and what Spark, says of a Parquet file that it cannot read.
_UNREADABLE = re.compile(r"(?:Parquet error|FAILED_READ_FILE)[^\n\"]*")
# Where Kedro refuses a command line: an unknown pipeline, tag or node, or the runner.
_REFUSING = ("kedro.framework.session", "kedro.io.data_catalog", "kedro.pipeline", "kedro.runner")


class MedallionSession(KedroSession):
    """A Kedro session that ends cleanly whatever happens in its run."""

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run as `KedroSession.run` does; stop the engine that the run started.

        Raises:
            UserError: Something a user can cause and mend, however deep Kedro wrapped it; or the
                run was interrupted. Any other error keeps its traceback.
        """
        if kwargs.get("load_versions"):
            raise UserError(
                "--load-versions: expected none, since no dataset here has versions of Kedro's,"
                f" found {', '.join(kwargs['load_versions'])}. A Delta table has its own: read an"
                " earlier one with the option versionAsOf."
            ) from None
        running_before = engines.session_is_running()
        with RunWatch() as watch:
            try:
                return super().run(*args, **kwargs)
            except KeyboardInterrupt:
                raise SystemExit(1) from None
            except Exception as error:
                if watch.interrupted:
                    raise SystemExit(1) from None
                mistake = find_user_error(error, asked_for=kwargs)
                if mistake is None:
                    raise
                raise mistake from None
            finally:
                if not running_before:
                    engines.stop_session()


def find_user_error(
    error: BaseException, asked_for: Mapping[str, Any] | None = None
) -> UserError | None:
    """The user's mistake behind an error, None for a bug.

    Args:
        error: What was raised, with its chain of causes.
        asked_for: What to run, as `KedroSession.run` was told.
    """
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, UserError):
            return cause
        if isinstance(cause, MissingConfigException | DatasetNotFoundError | yaml.YAMLError):
            return UserError(str(cause))
    for cause in reversed(chain):
        if unreadable := _UNREADABLE.search(str(cause)):
            return UserError(
                f"A file of a table is damaged or gone: {unreadable[0].strip().rstrip('.')}."
                " Restore it, or move the folder of its table away and run again."
            )
    outermost = chain[0]
    raised_in = _innermost(outermost)
    if isinstance(outermost, DatasetError) and (
        len(chain) == 1 or raised_in == ("kedro.io.core", "from_config")
    ):
        return UserError(str(outermost))
    if type(outermost) in (ValueError, AttributeError) and raised_in[0].startswith(_REFUSING):
        given = [
            f"{name}={value!r}"
            for name, value in (asked_for or {}).items()
            if value and name != "runner"
        ]
        return UserError(f"{outermost} (asked for: {', '.join(given) or 'a plain run'})")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _innermost(error: BaseException) -> tuple[str, str]:
    """Module and function that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "", ""
    return str(trace.tb_frame.f_globals.get("__name__")), trace.tb_frame.f_code.co_name
