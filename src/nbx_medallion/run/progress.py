"""Shows that a long step goes on: a bar on a terminal, elsewhere a line every ten seconds."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

_SECONDS_OF_SILENCE = 1.0
_SECONDS_A_LINE = 10.0


@contextmanager
def watched(what: str, total: int = 0, done: Callable[[], int] | None = None) -> Iterator[None]:
    """Show the progress of the block.

    Args:
        what: What is being done.
        total: How many records there are to do, 0 where that is not known.
        done: Tells how many are done.
    """
    stopped = threading.Event()
    before = done() if done else 0

    def count() -> int:
        return min(done() - before, total) if done else 0

    show = _show_bar if sys.stderr.isatty() else _show_lines
    arguments = (what, total, count, stopped)
    thread = threading.Thread(target=show, args=arguments, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _show_bar(what: str, total: int, done: Callable[[], int], stopped: threading.Event) -> None:
    if stopped.wait(_SECONDS_OF_SILENCE):
        return
    from rich import progress
    from rich.console import Console

    columns: list[progress.ProgressColumn] = [progress.TextColumn("{task.description}")]
    if total:
        columns += [progress.BarColumn(), progress.MofNCompleteColumn()]
        columns += [progress.TextColumn("{task.fields[rate]} left"), progress.TimeRemainingColumn()]
    columns.append(progress.TimeElapsedColumn())
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total or None, rate="")
        while not stopped.wait(0.2):
            speed = bar.tasks[0].speed or 0
            bar.update(task, completed=done(), rate=f"{speed:,.0f} a second,")


def _show_lines(what: str, total: int, done: Callable[[], int], stopped: threading.Event) -> None:
    started = time.monotonic()
    while not stopped.wait(_SECONDS_A_LINE):
        seconds = time.monotonic() - started
        if not (count := done()):
            logger.info("%s: %.0f s so far", what, seconds)
            continue
        rate = count / seconds
        shown = f"{count:,} of {total:,} records, {rate:,.0f} a second"
        logger.info("%s: %s, about %.0f s left", what, shown, (total - count) / rate)
