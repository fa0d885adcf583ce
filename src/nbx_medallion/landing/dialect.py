"""How a CSV file is written, and its bytes as UTF-8: decompressed and transcoded on the way."""

import codecs
import gzip
import hashlib
import re
import sys
import zlib
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, BinaryIO, Protocol, Self

from nbx_medallion.contracts.patterns import UNSEEN
from nbx_medallion.errors import UserError
from nbx_medallion.landing.names import column_names, find_problem

BOM = codecs.BOM_UTF8
#: What reading raises for a file that cannot be read: permission, corrupt or truncated gzip.
UNREADABLE = (OSError, EOFError, zlib.error)

# A lone surrogate marks what could not be decoded: no valid text holds one, nor can UTF-8.
_MARK = "\udcff"
_MARK_UTF8 = _MARK.encode("utf-8", "surrogatepass")
codecs.register_error("nbx_mark", lambda error: (_MARK, error.end))  # type: ignore[attr-defined]

_CHUNK = 1 << 20
_ONE_CHARACTER = re.compile("[\x01-\x09\x0b\x0c\x0e-\x7f]")
# That of UTF-32 first: UTF-16's begins it.
_MARKS = {
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
_NO_TEXT = re.compile(r"[\0-\x08\x0e-\x1f]")
# Within words Latin-1, and its superset cp1252, seldom has them; DOS and Mac have letters there.
_NO_LATIN = re.compile(rb"(?<=[A-Za-z\x80-\xff])[\x80-\x90\x93-\x9f](?=[A-Za-z\x80-\xff])")


@dataclass(frozen=True)
class CsvDialect:
    """The reader options of a landing path.

    Separator and quote are one ASCII character each; a doubled quote in quotes stands for itself.
    Without a separator it is the one that a file's first line names (`sep=;`), else a comma. The
    encoding is one of text that Python knows. `header` has the names of files that have none.
    """

    separator: str | None = None
    quote: str = '"'
    encoding: str = "utf-8"
    header: tuple[str, ...] | None = None

    @property
    def delimiter(self) -> str:
        """The character between fields."""
        return self.separator or ","

    @property
    def is_utf8(self) -> bool:
        """True if files can be read as they are, without transcoding."""
        return codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")

    def is_streamed(self, path: str) -> bool:
        """True if a file must be read from its start: compressed, or not in UTF-8."""
        return path.lower().endswith(".gz") or not self.is_utf8

    def open_utf8(self, raw: Any, path: str, start: int = 0) -> "Readable":
        """The text of a file as UTF-8 from an offset on, with the byte order mark if it has one.

        `.gz` is decompressed. What is invalid in the declared encoding becomes the byte 0xFF, which
        is invalid in UTF-8 too, so that its record is known to be malformed. `raw` is at its start.
        """
        if start and not self.is_streamed(path):
            raw.seek(start)
            return raw  # type: ignore[no-any-return]
        if path.lower().endswith(".gz"):
            raw = gzip.GzipFile(fileobj=raw, mode="rb")
        text: Readable = raw if self.is_utf8 else _Transcoder(raw, self.encoding)
        while start and (data := text.read(min(start, _CHUNK))):
            start -= len(data)
        return text

    @classmethod
    def from_config(cls, options: Mapping[str, Any] | None) -> Self:
        """Check options as a catalog entry gives them. What is left out takes its default.

        Raises:
            UserError: An option is unknown, or its value cannot be used.
        """
        try:
            dialect = cls(**options or {})
        except TypeError as error:
            known = f"a mapping of any of {', '.join(asdict(cls()))}"
            raise _misfit("csv", known, options) from error
        for name, value in (("separator", dialect.delimiter), ("quote", dialect.quote)):
            if not isinstance(value, str) or not _ONE_CHARACTER.fullmatch(value):
                raise _misfit(f"csv.{name}", "one ASCII character, not a line end", value)
        if dialect.delimiter == dialect.quote:
            raise _misfit("csv.quote", "another character than the separator", dialect.quote)
        try:
            codecs.getincrementaldecoder(dialect.encoding)().decode("a".encode(dialect.encoding))
        except (LookupError, ValueError, TypeError) as error:
            encodings = "the name of a text encoding, such as utf-8, latin-1, cp1252 or utf-16"
            raise _misfit("csv.encoding", encodings, dialect.encoding) from error
        names: Any = dialect.header
        if names is None:
            return dialect
        is_list = isinstance(names, (list, tuple)) and len(names) > 0
        if not is_list or not all(isinstance(name, str) and name.strip(UNSEEN) for name in names):
            raise _misfit("csv.header", "a list of names, as texts", names)
        if problem := find_problem(names):
            raise _misfit("csv.header", f"names that columns can have ({problem})", names)
        return replace(dialect, header=column_names(names))


def _misfit(subject: str, expected: str, found: object) -> UserError:
    return UserError(f"{subject}: expected {expected}; found {found!r}.")


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Give at most so many bytes, fewer at will, none at the end."""


class HashingFile:
    """The first bytes of a file, hashed in a pool as they are read, while the reader goes on.

    `before`: the file up to there, whose bytes are in the hash too.
    """

    def __init__(
        self, raw: BinaryIO, pool: Executor, before: Self | None = None, size: int = sys.maxsize
    ) -> None:
        self._raw, self._pool, self._left = raw, pool, size
        self._hash: hashlib._Hash = before._hash.copy() if before else hashlib.sha256()
        self._hashing: Future[None] | None = None

    def seek(self, at: int) -> None:
        """Read on from there; what is before is not hashed."""
        self._raw.seek(at)

    def read(self, size: int, /) -> bytes:
        """Read and hash on."""
        data = self._raw.read(min(size, self._left))
        self._left -= len(data)
        if self._hashing:
            self._hashing.result()
        self._hashing = self._pool.submit(self._hash.update, data)
        return data

    def finish(self) -> str:
        """Read what is left; give the SHA-256 of the whole, in hexadecimal digits."""
        if self._hashing:
            self._hashing.result()
        while data := self._raw.read(min(_CHUNK, self._left)):
            self._left -= len(data)
            self._hash.update(data)
        return self._hash.hexdigest()


class _Transcoder:
    def __init__(self, source: Readable, encoding: str) -> None:
        chunks = iter(partial(source.read, _CHUNK), b"")
        self._texts = codecs.iterdecode(chunks, encoding, "nbx_mark")
        self._text = b""

    def read(self, size: int, /) -> bytes:
        if not self._text:
            text = next(self._texts, "").encode("utf-8", "surrogatepass")
            self._text = text.replace(_MARK_UTF8, b"\xff")
        data, self._text = self._text[:size], self._text[size:]
        return data


def guess_encoding(location: str, dialect: CsvDialect) -> str | None:
    """The likely encoding of a file that is not in the declared one; None if damaged or no text."""
    with open(location, "rb") as raw:
        unpacked = CsvDialect().open_utf8(raw, location)
        data = unpacked.read(_CHUNK)
        while data.isascii() and b"\0" not in data and (more := unpacked.read(_CHUNK)):
            data = more
    found = _guess(data, dialect.is_utf8)
    return found if found and codecs.lookup(found) != codecs.lookup(dialect.encoding) else None


def _guess(data: bytes, read_as_utf8: bool) -> str | None:
    for encoding, marks in _MARKS.items():
        if data.startswith(marks):
            return encoding
    even, odd = data[::2].count(0), data[1::2].count(0)
    if even + odd > len(data) // 4:
        return "utf-16-be" if even > odd else "utf-16-le"
    text, latin = data.decode("utf-8", "replace"), data.decode("cp1252", "replace")
    bad = text.count("\ufffd")
    good = len(re.findall(r"[^\0-\x7f]", text)) - bad
    if not read_as_utf8:
        return "utf-8" if good > bad else None
    high = len(data.translate(None, bytes(range(128))))
    is_text = not _NO_TEXT.search(text) and "\ufffd" not in latin
    is_latin = bad > good and is_text and len(_NO_LATIN.findall(data)) * 8 < high
    return "cp1252" if is_latin else None
