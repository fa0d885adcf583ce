r"""Regular expressions that mean the same to Java (Spark) and to Rust (Sail).

The common ground is small on purpose. What differs is either translated (`\d`, `\w`, `\s` and
`.` are read as ECMA-262 has them) or refused (look-around, back-references, flags, `\b`, set
operations in a class, possessive quantifiers).
"""

from __future__ import annotations

import re
import warnings

_SETS = {"d": "0-9", "w": "A-Za-z0-9_", "s": r" \t\n\x0B\f\r"}
_DOT = r"[^\n\r\x{2028}\x{2029}]"
_CONTROL = "tnrf"
_PUNCTUATION = frozenset(r"\.^$|?*+()[]{}-/#&~ '\"@:;,=!<>%_")
_QUANTIFIER = re.compile(r"\{(\d{1,3})(,(\d{0,3}))?\}")


class PatternError(ValueError):
    """A regular expression that is wrong, or means different things to the engines."""


def portable_pattern(pattern: str) -> str:
    """Translate a regular expression to one both engines read alike.

    Args:
        pattern: An ECMA-262 regular expression, searched for anywhere in the value.

    Returns:
        The translation.

    Raises:
        PatternError: If it cannot be compiled, or has no common meaning.
    """
    try:
        with warnings.catch_warnings():  # of what is refused below
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(pattern)
    except re.error as error:
        raise PatternError(f"is not a regular expression: {error}") from None
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        part, at = _element(pattern, at)
        parts.append(part)
    return "".join(parts)


def _element(pattern: str, at: int) -> tuple[str, int]:
    """Translate the element at a position; return it and the position after it."""
    char = pattern[at]
    if char == "\\":
        return _escape(pattern[at + 1], in_class=False), at + 2
    if char == "[":
        return _character_class(pattern, at)
    if char == "(":
        if pattern.startswith("(?:", at):
            return "(?:", at + 3
        if pattern.startswith("(?", at):
            raise PatternError(f"{pattern[at : at + 4]!r} is not the same on every engine")
        return char, at + 1
    if char in "*+?{":
        return _quantifier(pattern, at)
    if char == "}":
        raise PatternError("a literal '}' has to be written '\\}'")
    return (_DOT if char == "." else char), at + 1


def _quantifier(pattern: str, at: int) -> tuple[str, int]:
    text = pattern[at]
    if text == "{":
        match = _QUANTIFIER.match(pattern, at)
        if match is None:
            raise PatternError("a literal '{' has to be written '\\{'")
        text = match[0]
    at += len(text)
    if pattern.startswith("+", at):
        raise PatternError(f"the quantifier {text + '+'!r} is not the same on every engine")
    if pattern.startswith("?", at):
        return text + "?", at + 1
    return text, at


def _escape(char: str, *, in_class: bool) -> str:
    if char in _SETS:
        return _SETS[char] if in_class else f"[{_SETS[char]}]"
    if char in "DWS" and not in_class:
        return f"[^{_SETS[char.lower()]}]"
    if char in _CONTROL:
        return "\\" + char
    if char in _PUNCTUATION:
        return char if char in " '\"@:;,=!<>%_/" else "\\" + char
    raise PatternError(f"'\\{char}' is not the same on every engine")


def _character_class(pattern: str, at: int) -> tuple[str, int]:
    start = at
    at += 1
    parts = ["["]
    if pattern.startswith("^", at):
        parts.append("^")
        at += 1
    if pattern.startswith("]", at):
        raise PatternError("a literal ']' in a class has to be written '\\]'")
    while pattern[at] != "]":
        char = pattern[at]
        if char == "\\":
            parts.append(_escape(pattern[at + 1], in_class=True))
            at += 2
            continue
        if char == "[" or pattern[at : at + 2] in {"&&", "--", "~~", "||"}:
            raise PatternError(f"{pattern[start : at + 2]!r} is not the same on every engine")
        parts.append("\\" + char if char in "&~#" or (char == "^" and at > start + 1) else char)
        at += 1
    return "".join(parts) + "]", at + 1
