"""The bytes of a received file as UTF-8: decompressed and transcoded on the way."""

import codecs
import gzip
import hashlib
import zlib
from concurrent.futures import Executor
from typing import BinaryIO, Protocol

from nbx_medallion.landing.dialect import CsvDialect

BOM = codecs.BOM_UTF8
UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading raises for a file that cannot be read: permission, corrupt or truncated gzip."""

# A lone surrogate marks what could not be decoded: no valid text holds one, nor can UTF-8.
_MARK = "\udcff"
_MARK_UTF8 = _MARK.encode("utf-8", "surrogatepass")
codecs.register_error("nbx_mark", lambda error: (_MARK, error.end))  # type: ignore[attr-defined]


class Readable(Protocol):
    """What gives bytes: at most `size` of them, fewer at will, none at the end."""

    def read(self, size: int, /) -> bytes:
        """Read on."""


class HashingFile:
    """A file whose bytes are hashed as they are read, while the reader goes on with them.

    Args:
        raw: The file, at its start.
        pool: Where to hash them.
    """

    def __init__(self, raw: BinaryIO, pool: Executor) -> None:
        self._raw = raw
        self._pool = pool
        self._hash = hashlib.sha256()
        self._hashed = pool.submit(self._hash.update, b"")
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read and hash on."""
        data = self._raw.read(size)
        self._hashed.result()
        self._hashed = self._pool.submit(self._hash.update, data)
        self.size += len(data)
        return data

    def finish(self) -> str:
        """Read what is left; return the SHA-256 of the whole file, in hexadecimal digits."""
        while self.read(1 << 20):
            pass
        self._hashed.result()
        return self._hash.hexdigest()


class _Transcoder:
    def __init__(self, source: Readable, encoding: str) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding)("nbx_mark")
        self._text = b""
        self._ended = False

    def read(self, size: int, /) -> bytes:
        while not self._text and not self._ended:
            data = self._source.read(size)
            self._ended = not data
            text = self._decoder.decode(data, final=self._ended)
            self._text = text.encode("utf-8", "surrogatepass").replace(_MARK_UTF8, b"\xff")
        data, self._text = self._text[:size], self._text[size:]
        return data


def is_streamed(path: str, dialect: CsvDialect) -> bool:
    """Whether a file must be read from its start: compressed, or not in UTF-8."""
    return path.lower().endswith(".gz") or not dialect.is_utf8


def open_utf8(raw: Readable, path: str, dialect: CsvDialect) -> Readable:
    """The content of a file as UTF-8.

    Args:
        raw: The file's own bytes, from the start.
        path: The file's name: one that ends in `.gz` is decompressed.
        dialect: The declared encoding. What is invalid in it becomes the byte 0xFF, which is
            invalid in UTF-8 too, so that its record is known to be malformed.

    Returns:
        A stream of UTF-8, with the byte order mark if the file has one.
    """
    source = raw
    if path.lower().endswith(".gz"):
        source = gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[call-overload]
    return source if dialect.is_utf8 else _Transcoder(source, dialect.encoding)
