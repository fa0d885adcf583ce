"""How a CSV file is written: separator, quote and encoding, checked once."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nbx_medallion.errors import UserError


@dataclass(frozen=True)
class CsvDialect:
    """The reader options of a landing folder.

    Attributes:
        separator: One ASCII character between fields.
        quote: One ASCII character around fields; doubled, it stands for itself.
        encoding: Name of a text encoding that Python knows.
    """

    separator: str = ","
    quote: str = '"'
    encoding: str = "utf-8"

    @property
    def is_utf8(self) -> bool:
        """Whether files can be read as they are, without transcoding."""
        return codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")

    @classmethod
    def from_config(cls, options: Mapping[str, Any] | None) -> "CsvDialect":
        """Check options as a catalog entry gives them.

        Args:
            options: Any of ``separator``, ``quote`` and ``encoding``. What is left out, or the
                whole when it is None, takes its default.

        Returns:
            The options, typed.

        Raises:
            UserError: An option is unknown, or its value cannot be used.
        """
        options = options or {}
        known = [field.name for field in fields(cls)]
        if not isinstance(options, Mapping):
            raise UserError(f"csv: expected a mapping of {', '.join(known)}; found {options!r}.")
        for name in options:
            if name not in known:
                raise UserError(
                    f"csv: unknown option {name!r}. Expected any of: {', '.join(known)}."
                )
        dialect = cls(**options)
        for name in ("separator", "quote"):
            _check_character(name, getattr(dialect, name))
        if dialect.separator == dialect.quote:
            raise UserError(
                f"csv.quote: expected another character than the separator;"
                f" both are {dialect.quote!r}."
            )
        _check_encoding(dialect.encoding)
        return dialect


def _check_character(name: str, value: object) -> None:
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
        raise UserError(
            f"csv.{name}: expected one ASCII character, not a line end; found {value!r}."
        )


def _check_encoding(value: object) -> None:
    try:
        if not isinstance(value, str):
            raise LookupError
        codecs.getincrementaldecoder(value)().decode("a".encode(value), final=True)
    except (LookupError, ValueError, TypeError) as error:
        raise UserError(
            f"csv.encoding: expected the name of a text encoding, such as utf-8, latin-1, cp1252"
            f" or utf-16; found {value!r}."
        ) from error
