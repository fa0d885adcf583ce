"""Standard streams that end no command: what they cannot show is escaped, else left out."""

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class _Unfailing(io.FileIO):
    """A file whose reader may be gone, or that may be full."""

    def write(self, data: Any, /) -> int:
        """Write as much as it takes."""
        with suppress(OSError):
            return super().write(data)
        return len(data)


def keep_output_from_failing() -> None:
    """Have all that this process prints from here on raise nothing; once, before it prints.

    A stream that was closed when the process started is the null device: otherwise the next file
    that is opened, such as one of a table, has its number, and gets what others write to it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _unfailing(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _unfailing(sys.stderr, 2)


def _unfailing(stream: TextIO | None, number: int) -> TextIO:
    encoding = stream.encoding if stream else "utf-8"
    if isinstance(stream, io.TextIOWrapper) and stream.isatty():
        # On Windows the characters of a terminal are not written as bytes.
        stream.reconfigure(errors="backslashreplace")
        return stream
    raw: Any = _Unfailing(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=number == 2
    )
