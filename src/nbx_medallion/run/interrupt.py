"""Ctrl-C and SIGTERM end a run with one line and exit code 1, at any moment, imports included.

Kedro's command line takes a second to import before it can catch anything, and engines hold
threads that may not end. So the line is written by the signal handler itself, and a timer of the
operating system's ends the process if it has not ended by then. Delta commits are atomic: ending a
process leaves each table wholly before or wholly after.

A development install does the same from Python's start on (``_nbx_medallion.pth``).
"""

import faulthandler
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DEFAULTS = (signal.default_int_handler, signal.SIG_DFL)
_SECONDS_TO_STOP = 8
_BEFORE = b"Interrupted. Nothing was written.\n"
_DURING = (
    b"Interrupted. Each table is as it was before the run or as the run wrote it;"
    b" run again to complete.\n"
)


def watch_imports() -> None:
    """End at once on either signal while ``kedro run`` is being imported.

    Kedro calls it first of all of its plugins (``kedro.init``).
    """
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    is_run = "run" in sys.argv and "viz" not in sys.argv
    if Path(sys.argv[0]).name == "kedro" and is_run and is_default:
        for number in _SIGNALS:
            signal.signal(number, _end_at_once)


class RunWatch:
    """Turns a signal within its block into `KeyboardInterrupt`, and sees that the process ends.

    In another thread than the main one, where signals cannot be handled, it does nothing.

    Attributes:
        interrupted: Whether a signal came: what fails after that is a consequence of it.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "RunWatch":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._end_soon)
        return self

    def __exit__(self, *error: object) -> None:
        in_command = "kedro" in (Path(word).name for word in sys.orig_argv)
        for number, handler in self._before.items():
            # After a run of the command line there is nothing left to interrupt.
            is_over = in_command and handler not in _DEFAULTS
            signal.signal(number, signal.SIG_IGN if is_over else handler)

    def _end_soon(self, signum: int, frame: FrameType | None) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self.interrupted = True
        os.write(2, _DURING)
        nowhere = open(os.devnull, "w")  # noqa: SIM115  (the timer writes to it until the end)
        faulthandler.dump_traceback_later(_SECONDS_TO_STOP, exit=True, file=nowhere)
        raise KeyboardInterrupt


def _end_at_once(signum: int, frame: FrameType | None) -> None:
    os.write(2, _BEFORE)
    os._exit(1)
