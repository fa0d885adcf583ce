"""JSON read strictly: what Python's reader lets through in silence is kept, to be reported."""

import json
from collections.abc import Iterator
from typing import Any

from nbx_medallion.errors import UserError

Location = tuple[str | int, ...]

_SHOWN_CHARACTERS = 80


class JsonObject(dict[str, Any]):
    """A JSON object that remembers which of its keys were written more than once."""

    repeated: tuple[str, ...] = ()


class NonJsonNumber:
    """A number that JSON does not have, or that is too large to be read."""

    def __init__(self, literal: str) -> None:
        self.literal = literal


def parse_json(text: str, file: str) -> object:
    """Read JSON text. A byte order mark is ignored.

    Raises:
        UserError: The text is not JSON; the message has the line and the column.
    """
    try:
        return json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_object,
            parse_constant=NonJsonNumber,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        reason = error.msg[0].lower() + error.msg[1:]
        raise UserError(
            f"{file}: not JSON at line {error.lineno}, column {error.colno}: {reason}."
        ) from None
    except RecursionError:
        raise UserError(f"{file}: not a model list: it is nested too deeply.") from None


def duplicate_keys(document: object) -> Iterator[tuple[Location, str]]:
    """Errors for keys that an object has more than once."""
    for location, value in _walk(document):
        if isinstance(value, JsonObject):
            for key in value.repeated:
                yield (*location, key), "the key is there more than once; keep one."


def non_json_numbers(document: object) -> Iterator[tuple[Location, str]]:
    """Errors for NaN, Infinity and integers of thousands of digits."""
    for location, value in _walk(document):
        if isinstance(value, NonJsonNumber):
            yield location, f"expected a JSON value, found {shown(value)}."


def json_path(location: Location) -> str:
    """A location as text: ``models[1].feature_columns[0]``, or ``$`` for the whole document."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.replace("_", "a").isalnum() and part.isascii():
            path += f".{part}" if path else part
        else:
            path += f"[{shown(part)}]"
    return path or "$"


def shown(value: object) -> str:
    """What was found: a scalar as JSON, cut where it is long and safe to print on any terminal."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = (
        value.literal if isinstance(value, NonJsonNumber) else json.dumps(value, ensure_ascii=False)
    )
    if len(text) > _SHOWN_CHARACTERS:
        text = text[:_SHOWN_CHARACTERS] + "..."
    return _printable(text)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    keys = [_printable(key) for key, _ in pairs]
    found = JsonObject(zip(keys, (value for _, value in pairs), strict=True))
    if len(found) < len(pairs):
        found.repeated = tuple(key for key in found if keys.count(key) > 1)
    return found


def _integer(digits: str) -> int | NonJsonNumber:
    try:
        return int(digits)
    except ValueError:  # Python refuses to read more than a few thousand digits
        return NonJsonNumber(digits)


def _walk(document: object) -> Iterator[tuple[Location, object]]:
    """Every value with its location. Not recursive: a document may be nested deeply."""
    waiting: list[tuple[Location, object]] = [((), document)]
    while waiting:
        location, value = waiting.pop()
        yield location, value
        inner = value.items() if isinstance(value, dict) else ()
        waiting += [((*location, key), part) for key, part in inner]
        items = value if isinstance(value, list) else ()
        waiting += [((*location, i), part) for i, part in enumerate(items)]
