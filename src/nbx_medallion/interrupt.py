"""Ctrl-C ends a run with one line and exit code 1, at any moment, imports included.

Kedro's command line takes a second to import before it can catch anything, and engines hold
threads that may not end. So the line is written by the signal handler itself, and a timer of the
operating system's ends the process if it has not ended by then. Delta commits are atomic: ending a
process leaves each table wholly before or wholly after.
"""

import contextlib
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_SECONDS_TO_STOP = 8
_BEFORE = b"Interrupted. Nothing was written.\n"
_DURING = (
    b"Interrupted. Each table is as it was before the run or as the run wrote it;"
    b" run again to complete.\n"
)
_interrupted = threading.Event()


def watch_imports() -> None:
    """End at once on Ctrl-C while ``kedro run`` is being imported.

    Called where Python starts in a development environment, and by Kedro's ``kedro.init``.
    """
    command = [Path(argument).name for argument in sys.orig_argv]
    if "kedro" in command and "run" in command and _is_default():
        signal.signal(signal.SIGINT, _end_at_once)


@contextlib.contextmanager
def watch_run() -> Iterator[None]:
    """Turn Ctrl-C within the block into `KeyboardInterrupt`, and see to it that the process ends.

    In another thread than the main one, where signals cannot be handled, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _interrupted.clear()
    before = signal.signal(signal.SIGINT, _end_soon)
    try:
        yield
    finally:
        # After a run of the command line there is nothing left to interrupt.
        signal.signal(signal.SIGINT, signal.SIG_IGN if before is _end_at_once else before)


def was_interrupted() -> bool:
    """Whether Ctrl-C was pressed in a run: what fails after that is a consequence of it."""
    return _interrupted.is_set()


def _is_default() -> bool:
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _end_at_once(signum: int, frame: FrameType | None) -> None:
    os.write(2, _BEFORE)
    os._exit(1)


def _end_soon(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _interrupted.set()
    os.write(2, _DURING)
    nowhere = open(os.devnull, "w")  # noqa: SIM115  (the timer writes to it until the end)
    faulthandler.dump_traceback_later(_SECONDS_TO_STOP, exit=True, file=nowhere)
    raise KeyboardInterrupt
