"""What a user can cause, by kind."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import click


class UserError(click.ClickException):
    """Something a user can cause and mend.

    The message names the subject, what was expected, what was found and what to do. It is shown
    alone on stderr, without a stack trace, and ends the command with exit code 1.
    """

    def __str__(self) -> str:
        return self.message


class ConfigurationError(UserError):
    """Configuration, a contract, the model list, a variable or the command line is mistaken."""


class EngineError(UserError):
    """An engine cannot start here."""


class LandingError(UserError):
    """Received files cannot be read."""


class TableError(UserError):
    """A table cannot be read or written, or does not hold what it has to."""


# Start and end of text, as ASCII has them.
_MARKED = re.compile("(\\w+): \x02(.*?)\x03", re.DOTALL)


@contextmanager
def marked_in_text() -> Iterator[None]:
    """Mark a user's mistake in a worker of an engine, which hands on no more than text about it."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"\x02{error}\x03") from error


def find_marked(text: str) -> UserError | None:
    """The user's mistake that a worker marked, in what an engine says of its failure."""
    kinds = {kind.__name__: kind for kind in UserError.__subclasses__()}
    found = _MARKED.search(text)
    return kinds.get(found[1], UserError)(found[2]) if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known, empty where none is close."""
    close = get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def unusable(what: str, file: str, problems: Iterable[str]) -> ConfigurationError:
    """Make one error of all that is wrong in a file."""
    lines = "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
    return ConfigurationError(f"{file}: the {what} cannot be used:\n{lines}")


_EXPECTED = {
    "missing": "a value",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list",
    "too_long": "a list of one",
    "too_short": "a list of at least one",
    "string_type": "text (in quotes, where it looks like something else)",
    **dict.fromkeys(("dataclass_type", "dict_type", "model_type"), "keys and values"),
}


def explain(document: Any, detail: Mapping[str, Any], hint: Callable[[str], str]) -> str:
    """Say in one line what pydantic found wrong in a document, one of its errors.

    An entry of a list is named, where it has a name. A `ValueError` in the place of a value tells
    by itself what is wrong. The hint is for a key that is not known.
    """
    kind, place, key = detail["type"], "", ""
    for part in detail["loc"]:
        if isinstance(part, int) and isinstance(document, list):
            document = document[part]
            name = document.get("name") if isinstance(document, dict) else None
            place += f"[{name if isinstance(name, str) else part}]"
        elif part != "[key]":
            document, key = document.get(part) if isinstance(document, dict) else None, str(part)
            place += f".{key}" if re.fullmatch(r"[\w.]+", key) else f"[{json.dumps(key)}]"
    place = place.removeprefix(".") or "$"
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{place}: is not supported here.{hint(key)}"
    wrong = detail["ctx"]["error"] if kind == "value_error" else detail["input"]
    if not isinstance(wrong, ValueError):
        wrong = f"expected {_EXPECTED.get(kind, detail['msg'].removeprefix('Input should be '))}"
    if str(wrong).endswith(".") or ", found " in str(wrong):
        return f"{place}: {wrong}"
    return f"{place}: {wrong}, found {'nothing' if kind == 'missing' else shown(detail['input'])}"


def shown(value: Any) -> str:
    """A value as YAML or JSON has it, of which 80 characters are enough."""
    is_text = isinstance(value, str)
    text = repr(value) if is_text else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:80]}..."
