r"""Regular expressions that mean the same to Java (Spark) and to Rust (Sail).

The common ground is small on purpose. What differs is either translated (`\d`, `\w`, `\s` and
`.` are read as ECMA-262 has them) or refused (look-around, back-references, flags, `\b`, set
operations in a class, possessive quantifiers).
"""

import re

from nbx_medallion.contracts.types import ExpressionError

#: What is taken away around a value or a name: the characters Unicode calls white space, and those
#: that nobody sees, such as zero-width ones, marks of direction and the byte order mark.
UNSEEN = (
    " \t\n\x0b\x0c\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000\xad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c"
    "\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff"
)
#: A year that every reader of our tables has: 0001 to 9999.
YEAR = "(?:[1-9][0-9]{3}|0[0-9]{2}[1-9]|0[0-9][1-9][0-9]|0[1-9][0-9]{2})"

_DATE_ELEMENTS = {
    "yyyy": YEAR,
    "MMM": "[A-Za-z]{3}",
    "SSS": "[0-9]{3}",
    "a": "[AaPp][Mm]",
    **dict.fromkeys(("yy", "MM", "dd", "HH", "hh", "mm", "ss"), "[0-9]{2}"),
    **dict.fromkeys(("M", "d", "H", "h", "m", "s"), "[0-9]{1,2}"),
}
_ESCAPED = {
    **{char: char for char in " '\"@:;,=!<>%_/"},
    **{char: "\\" + char for char in r"\.^$|?*+()[]{}-#&~tnrf"},
    **{"d": "[0-9]", "w": "[A-Za-z0-9_]", "s": r"[ \t\n\x0B\f\r]"},
    **{"D": "[^0-9]", "W": "[^A-Za-z0-9_]", "S": r"[^ \t\n\x0B\f\r]"},
}
_QUANTIFIER = r"(?:[*+?]|\{\d{1,3}(?:,\d{0,3})?\})"
_TOKEN = re.compile(
    r"\\(?P<escape>.)|\[(?!\^?\])(?P<set>(?:\\.|[^\\\]])+)\]|(?P<any>\.)|(?P<end>\$)|"
    rf"(?P<group>\(\?(?!:).{{0,2}})|(?P<possessive>{_QUANTIFIER}\+)|{_QUANTIFIER}|"
    r"(?P<plain>[{}]|\[\^?\])",
    re.DOTALL,
)
_IN_SET = re.compile(
    r"\\(?P<escape>.)|(?P<operation>\[|&&|--|~~|\|\|)|(?P<odd>[&~#]|(?<!^)\^)", re.DOTALL
)


def portable_pattern(pattern: str) -> str:
    """Translate an ECMA-262 regular expression to one both engines read alike.

    One that cannot be compiled, or has no common meaning, is an `ExpressionError`.
    """
    translated = _TOKEN.sub(_translated, pattern)
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise ExpressionError(f"is not a regular expression: {error}") from None
    return translated


def _translated(token: re.Match[str]) -> str:
    text = token[0]
    match token.lastgroup:
        case None:
            return text
        case "escape" if token["escape"] in _ESCAPED:
            return _ESCAPED[token["escape"]]
        case "set":
            return f"[{_IN_SET.sub(_translated, token['set'])}]"
        case "any":
            return r"[^\n\r\x{2028}\x{2029}]"
        case "end":
            return r"\z"
        case "odd":
            return "\\" + text
        case "plain":
            raise ExpressionError(rf"a literal '{text[-1]}' has to be written '\{text[-1]}'")
        case "operation":
            text = "[" + token.string[: token.start() + 2]
    raise ExpressionError(f"'{text}' is not the same on every engine")


def date_form(text: str) -> str:
    """Return a regular expression of the texts that a date format, as `dd/MM/yyyy`, is for.

    One of which the engines would not read the same is an `ExpressionError`.
    """
    # What is not twice or more the same letter has to stand apart from other letters.
    parts = [match[0] for match in re.finditer(r"([A-Za-z])\1+|[A-Za-z]+|[^A-Za-z]", text)]
    known = ", ".join(sorted(_DATE_ELEMENTS))
    for part in parts:
        if part not in _DATE_ELEMENTS and (part[0].isalpha() or part in "'[]{}#\""):
            raise ExpressionError(
                f"the format {text!r} has {part!r}, known are {known}; next to another letter"
                " one is doubled, as 'MMd' for 'Md'"
            )
    if ("a" in parts) != bool({"h", "hh"} & set(parts)):
        raise ExpressionError(f"the format {text!r} needs 'h' or 'hh' with 'a', else 'H' or 'HH'")
    return "^" + "".join(_DATE_ELEMENTS.get(part, re.escape(part)) for part in parts) + r"\z"
