"""Which files a landing path stands for, and what is known of a file."""

import glob
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nbx_medallion.errors import LandingError
from nbx_medallion.landing.dialect import UNREADABLE

_SUFFIXES = (".csv", ".csv.gz")
_WANTED = "*.csv and *.csv.gz files"


class Listed(NamedTuple):
    """A file as it is listed.

    `path` is relative to the landing root, with forward slashes, and `location` absolute.
    """

    path: str
    location: str
    size_bytes: int
    modified_at: datetime

    @property
    def place(self) -> str:
        """The location as text: bytes of a file name that are not UTF-8 are escaped."""
        return os.fsencode(self.location).decode("utf-8", "backslashreplace")


class Listing(NamedTuple):
    """What is at a landing path, sorted; `others` are paths of a folder's other files."""

    root: str
    files: list[Listed]
    others: list[str]


class FileRange(NamedTuple):
    """A run of whole records in a file, with what it takes to read it alone.

    `start` and `length` are in bytes of the file's UTF-8 text; `first_row` is the first record's
    ordinal in the file, from 1. `modified_at` is ISO text. `is_after_another`: a header in another
    order is before it.
    """

    path: str
    location: str
    size_bytes: int
    modified_at: str
    columns: Sequence[str] | None
    separator: str
    start: int
    length: int
    first_row: int
    records: int
    is_after_another: bool


@dataclass(frozen=True)
class Header:
    """What a header says, as received; its start where it is very long, None without a record.

    It has a column for each field. None are those of one that cannot be mapped, for the `problem`:
    each record then arrives as malformed. The column of a `blank` name, of which trimming leaves
    nothing, is `_c<position>`; other names that it changes are `trimmed`, as received. Where a file
    has no header the text is empty, and its first record `is_record` like the others. One that is
    no CSV is what `other` says, and has no record.
    """

    text: str | None = None
    columns: tuple[str, ...] | None = None
    blank: tuple[int, ...] = ()
    trimmed: tuple[str, ...] = ()
    problem: str | None = None
    is_record: bool = False
    other: str | None = None


@dataclass(frozen=True)
class LandingFile:
    """What is known of a received file.

    Attributes:
        fingerprint: SHA-256 of its bytes, in hexadecimal digits; empty for what is no CSV.
        may_not_grow: Why what follows cannot be read by itself, None if it can.
        ranges: Where its records are; of a file that has grown, the new ones.
        fits: Reader options, by name, that seem to fit it better than the declared ones.
        named: The separator that its first line names, if it does.
        with_nul: Values in the ranges that hold NUL characters.
        all_end_in_separator: True if each record in the ranges does, and the header lacks it.
    """

    listed: Listed
    fingerprint: str
    header: Header
    may_not_grow: str | None
    ranges: tuple[FileRange, ...]
    fits: Mapping[str, str]
    named: str | None = None
    with_nul: int = 0
    all_end_in_separator: bool = False

    @property
    def path(self) -> str:
        """Relative to the landing root, with forward slashes."""
        return self.listed.path

    @property
    def records(self) -> int:
        """Records in the ranges, malformed ones counted."""
        return sum(part.records for part in self.ranges)


def list_landing(path: str, variable: str, received: Collection[str] = ()) -> Listing:
    """Find the files at a path, at least one unless some were received before.

    A path that exists is taken as it is, whatever characters it holds; a folder stands for its CSV
    files, recursively, hidden ones left out. Of the files that a glob matches, each is read,
    whatever its suffix. Paths are relative to the folder, a file's parent or a glob's fixed part.

    `received` are places of files that may be gone: a folder must be there, and a path that is
    neither there nor among these stands for nothing. Errors name the variable that sets the path.

    Raises:
        LandingError: There is none, or one cannot be read.
    """
    path = os.path.abspath(path)
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
            root = root.parent
            received = {path} & set(received)
            problem = (
                f"there is no such file or folder. Expected a CSV file, a folder of {_WANTED}, or a"
                " glob. Put the files there"
            )
        if not found and not (received and root.is_dir()):
            raise LandingError(f"{path}: {problem}, or set {variable} to where they are.")
        files = sorted(_listed(location, root) for location in found)
    return Listing(str(root), files, sorted(_relative(each, root) for each in others))


@contextmanager
def reading(location: str, variable: str) -> Iterator[None]:
    """Turn what reading a file raises into a LandingError: which file, why, and what to do."""
    try:
        yield
    except UNREADABLE as error:
        where = getattr(error, "filename", None) or location
        why = getattr(error, "strerror", None) or str(error)
        raise LandingError(
            f"{where}: expected a readable file; found: {why}. Mend the file or move it away, or"
            f" set {variable} to another path."
        ) from error


@contextmanager
def opened(file: Listed, variable: str) -> Iterator[BinaryIO]:
    """Open a listed file; a LandingError where it cannot be read, or is not as it was listed."""
    with reading(file.location, variable):
        try:
            raw = open(file.location, "rb")  # noqa: SIM115
        except FileNotFoundError as error:
            raise changed(file.location, error) from error
        with raw:
            try:
                yield raw
            finally:
                check_unchanged(raw, *file[1:])


def check_unchanged(raw: BinaryIO, location: str, size_bytes: int, modified_at: datetime) -> None:
    """Raise a LandingError where an open file has another size or time of modification."""
    size, time = size_and_time(os.fstat(raw.fileno()))
    if size != size_bytes:
        raise changed(location, f"it has {size:,} bytes where {size_bytes:,} were listed")
    if time != modified_at:
        raise changed(location, f"it was written at {time}, after it was listed")


def changed(location: str, why: object) -> LandingError:
    """The error of a file that is not what it was a moment ago."""
    return LandingError(
        f"{location}: the file changed while it was being read: {why}. Nothing new of it was"
        " written. Run again when the file is complete."
    )


def _walk(path: str) -> Iterator[str]:
    """Each file below a folder; a link to a folder is not followed, and counts as a file."""

    def fail(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(path, onerror=fail):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in names + links:
            yield os.path.join(folder, name)


def size_and_time(found: os.stat_result) -> tuple[int, datetime]:
    """Size in bytes and time of modification, in microseconds, of a file."""
    return found.st_size, datetime.fromtimestamp(found.st_mtime_ns // 1000 / 1e6, UTC)


def _listed(location: str, root: Path) -> Listed:
    try:
        found = os.stat(location)
    except FileNotFoundError as error:
        why = "a link to a file that does not exist"
        raise OSError(error.errno, why, location) from error
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a device, pipe or socket"
        raise OSError(0, what, location)
    return Listed(_relative(location, root), location, *size_and_time(found))


def _relative(location: str, root: Path) -> str:
    """A path as text: bytes of a file name that are not UTF-8 become replacement characters."""
    relative = Path(location).relative_to(root).as_posix()
    return relative.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
