"""Which files a landing path stands for, and what is known of a file."""

import glob
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from nbx_medallion.errors import UserError
from nbx_medallion.landing.dialect import UNREADABLE

_SUFFIXES = (".csv", ".csv.gz")
_WANTED = "*.csv and *.csv.gz files"


class FileRange(NamedTuple):
    """A run of whole records in a file, with what it takes to read it alone.

    `path` is the value of `_source_file`, `columns` as in the header. `start` and `length` are in
    bytes of the file's UTF-8 text; `first_row` is the first record's ordinal in the file, from 1.
    """

    path: str
    location: str
    size_bytes: int
    columns: Sequence[str] | None
    start: int
    length: int
    first_row: int
    records: int


@dataclass(frozen=True)
class Header:
    """What a header says.

    Attributes:
        text: The header record as received, its start where it is very long; None for a file
            without any record.
        columns: A name for each field; None where it cannot be mapped: each record then arrives
            as malformed.
        blank: Positions, from 0 as Spark counts, of names that are empty or all white space. Such
            a column is named `_c<position>`.
        problem: Why the header cannot be mapped; None where it can.
    """

    text: str | None = None
    columns: tuple[str, ...] | None = None
    blank: tuple[int, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class LandingFile:
    """What is known of a received file.

    Attributes:
        path: Relative to the landing root, with forward slashes.
        fingerprint: SHA-256 of its bytes, in hexadecimal digits.
        ranges: Where its records are. One range where it can only be read from its start.
        fits: Reader options, by name, that seem to fit it better than the declared ones.
    """

    path: str
    size_bytes: int
    modified_at: datetime
    fingerprint: str
    header: Header
    ranges: tuple[FileRange, ...]
    fits: Mapping[str, str]

    @property
    def records(self) -> int:
        """Records received, malformed ones counted."""
        return sum(part.records for part in self.ranges)


def list_landing(path: str, variable: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Find the files to read, at least one: path and location. And the paths of a folder's others.

    An absolute path that exists is taken as it is, whatever characters it holds; a folder stands
    for its CSV files, recursively, hidden ones left out. Of the files that a glob matches, each is
    read, whatever its suffix. Paths are relative to the folder, a file's parent or a glob's fixed
    part, and sorted. Errors name the environment variable that sets the path.

    Raises:
        UserError: There is none, or one cannot be read.
    """
    root, found, others = Path(path), list[str](), list[str]()
    with reading(path, variable):
        if os.path.isdir(path):
            for location in _walk(path):
                hidden = any(part[0] == "." for part in Path(location).relative_to(root).parts)
                is_wanted = location.lower().endswith(_SUFFIXES) and not hidden
                (found if is_wanted else others).append(location)
            problem = (
                f"expected {_WANTED} in this folder or below; found none among {len(others)} other"
                f" file{'' if len(others) == 1 else 's'}. Put the files there"
            )
        elif os.path.lexists(path):
            root, found, problem = root.parent, [path], ""
        elif glob.has_magic(path):
            root = Path(*takewhile(lambda part: not glob.has_magic(part), root.parts))
            found = [
                match
                for match in glob.glob(path, recursive=True)
                if not os.path.isdir(match) or match.lower().endswith(_SUFFIXES)
            ]
            problem = f"expected a glob that matches files; found none below {root}. Mend the glob"
        else:
            problem = (
                f"there is no such file or folder. Expected a CSV file, a folder of {_WANTED}, or a"
                " glob. Put the files there"
            )
        if not found:
            raise UserError(f"{path}: {problem}, or set {variable} to where they are.")
        for location in found:
            _check_regular(location)
    files = sorted((_relative(location, root), location) for location in found)
    return files, sorted(_relative(location, root) for location in others)


@contextmanager
def reading(location: str, variable: str) -> Iterator[None]:
    """Turn what reading a file raises into a UserError: which file, why, and what to do."""
    try:
        yield
    except UNREADABLE as error:
        where = getattr(error, "filename", None) or location
        why = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{where}: expected a readable file; found: {why}. Mend the file or move it away, or"
            f" set {variable} to another path."
        ) from error


def _walk(path: str) -> Iterator[str]:
    """Each file below a folder; a link to a folder is not followed, and counts as a file."""

    def fail(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(path, onerror=fail):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in names + links:
            yield os.path.join(folder, name)


def _check_regular(location: str) -> None:
    try:
        mode = os.stat(location).st_mode
    except FileNotFoundError as error:
        why = "a link to a file that does not exist"
        raise OSError(error.errno, why, location) from error
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise OSError(0, what, location)


def _relative(location: str, root: Path) -> str:
    """A path as text: bytes of a file name that are not UTF-8 become replacement characters."""
    relative = Path(location).relative_to(root).as_posix()
    return relative.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
