"""Which files a landing path stands for."""

import glob
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from nbx_medallion.errors import UserError

_SUFFIXES = (".csv", ".csv.gz")
_WANTED = "*.csv and *.csv.gz files"


@dataclass(frozen=True)
class ReceivedFile:
    """A file to read.

    Attributes:
        path: Relative to the landing root, with forward slashes.
        location: Where it is.
        size_bytes: Its size when it was listed.
        modified_at: When it was last modified, in UTC.
    """

    path: str
    location: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class Listing:
    """What a landing path holds.

    Attributes:
        root: The folder, a file's parent, or a glob's fixed part.
        files: The files to read, sorted by path.
        skipped: Paths of the other files of a folder, hidden ones included.
    """

    root: Path
    files: tuple[ReceivedFile, ...]
    skipped: tuple[str, ...]


def list_landing(path: str, variable: str) -> Listing:
    """Find the files to read.

    A path that exists is taken as it is, whatever characters it holds; a folder stands for its
    CSV files, recursively. Of the files that a glob matches, each is read, whatever its suffix.

    Args:
        path: Absolute path of a file or a folder, or a glob.
        variable: The environment variable that sets it, to be named in errors.

    Returns:
        At least one file.

    Raises:
        UserError: There is none, or one cannot be read.
    """
    if os.path.isdir(path):
        return _list_folder(path, variable)
    if os.path.lexists(path):
        root = Path(path).parent
        return Listing(root, (_received(path, root, variable),), ())
    if glob.has_magic(path):
        return _list_glob(path, variable)
    raise UserError(
        f"{path}: there is no such file or folder. Expected a CSV file, a folder of {_WANTED},"
        f" or a glob. Set {variable} to where the sales files are."
    )


def unreadable(location: str, why: str, variable: str) -> UserError:
    """The error for a file that is there and cannot be read.

    Args:
        location: The file.
        why: What was found.
        variable: The environment variable that set the landing path.

    Returns:
        The error, to be raised.
    """
    return UserError(
        f"{location}: expected a readable file; found: {why}. Mend the file or move it away, or"
        f" set {variable} to another path."
    )


def _list_folder(path: str, variable: str) -> Listing:
    root = Path(path)
    wanted: list[str] = []
    others: list[str] = []
    for location in _walk(path, variable):
        parts = Path(location).relative_to(root).parts
        hidden = any(part.startswith(".") for part in parts)
        is_csv = location.lower().endswith(_SUFFIXES)
        (wanted if is_csv and not hidden else others).append(location)
    if not wanted:
        raise UserError(
            f"{path}: expected {_WANTED} in this folder or below; found none among"
            f" {len(others)} other file{'' if len(others) == 1 else 's'}. Put the sales files"
            f" there, or set {variable} to where they are."
        )
    files = [_received(location, root, variable) for location in wanted]
    return Listing(
        root,
        tuple(sorted(files, key=lambda file: file.path)),
        tuple(sorted(_relative(location, root) for location in others)),
    )


def _walk(path: str, variable: str) -> Iterator[str]:
    """Each file below a folder; a link to a folder is not followed, and counts as a file."""

    def fail(error: OSError) -> None:
        raise unreadable(str(error.filename), error.strerror or str(error), variable) from error

    for folder, folders, names in os.walk(path, onerror=fail):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = [name for name in folders if name not in links]
        for name in names + links:
            yield os.path.join(folder, name)


def _list_glob(path: str, variable: str) -> Listing:
    fixed: list[str] = []
    for part in Path(path).parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    root = Path(*fixed)
    matches = [
        match
        for match in glob.glob(path, recursive=True)
        if not os.path.isdir(match) or match.lower().endswith(_SUFFIXES)
    ]
    if not matches:
        raise UserError(
            f"{path}: expected a glob that matches files; found none below {root}. Mend the glob,"
            f" or set {variable} to where the sales files are."
        )
    files = [_received(match, root, variable) for match in matches]
    return Listing(root, tuple(sorted(files, key=lambda file: file.path)), ())


def _received(location: str, root: Path, variable: str) -> ReceivedFile:
    try:
        status = os.stat(location)
    except FileNotFoundError as error:
        raise unreadable(location, "a link to a file that does not exist", variable) from error
    except OSError as error:
        raise unreadable(location, error.strerror or str(error), variable) from error
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, pipe or socket"
        raise unreadable(location, what, variable)
    return ReceivedFile(
        _relative(location, root),
        location,
        status.st_size,
        datetime.fromtimestamp(status.st_mtime_ns // 1000 / 1e6, timezone.utc),
    )


def _relative(location: str, root: Path) -> str:
    """A path as text: bytes of a file name that are not UTF-8 become replacement characters."""
    relative = Path(location).relative_to(root).as_posix()
    return relative.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
