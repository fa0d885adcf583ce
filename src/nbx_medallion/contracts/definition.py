"""What defines the content of a table: that it changed is why a table is made again."""

import ast
import hashlib
import json
from collections.abc import Mapping
from textwrap import shorten

from pydantic.alias_generators import to_camel

from nbx_medallion.contracts.model import BOUNDS, OF_TEXT, Column, Contract

#: Number of the package's own rules: casts, SQL, the reader. It is raised by hand where one of them
#: gives other rows for the same input; tests/contracts/test_definition.py tells when.
RULES = 2

_WARNING = "warning; "
_FACETS = {"expression": "transformLogic"} | {n: to_camel(n) for n in ("enum", *BOUNDS, *OF_TEXT)}


def define(contract: Contract, code: str) -> dict[str, str]:
    """The part of a contract that decides about rows, its layer's code, and the package's rules.

    Words, limits and the version of the contract are not in it. A rule of severity warning is
    named, and changes no hash. The code is given as `code_hash`; quarantine and superseded have the
    definition of the clean table.
    """
    words = contract.table.partition(".")[2].replace("_", " ")
    found = {
        "primaryKey": ", ".join(contract.primary_key) or "none",
        "latestBy": contract.latest_by or "none",
        **{name: text for name, text in contract.definition.items() if name == "definition"},
        f"code of {words}": code,
        "rules": str(RULES),
    }
    parts, place = [], "first"
    for column in contract.columns:
        parts.append(("column", column.name, _column(column, place)))
        place = f"after {column.name}"
    parts += [("rule", r.name, f"{r.severity}; {r.expression}") for r in contract.rules]
    named: dict[str, str] = {}
    for kind, name, text in parts:
        named[f"{kind} {name}" if name in found or name in named else name] = text
    return named | found


def definition_hash(definition: Mapping[str, str]) -> str:
    """A hash of a definition, of 64 hexadecimal digits."""
    kept = {name: text for name, text in definition.items() if not _is_warning(text)}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def definition_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """A short line for each thing that changed: ``amount_not_negative: warning -> error``."""
    changes = []
    for name in dict.fromkeys((*now, *before)):
        old, new = before.get(name), now.get(name)
        if old == new or all(_is_warning(text or _WARNING) for text in (old, new)):
            continue
        if name.startswith("code of "):
            changes.append(name)
        elif old is None or new is None:
            changes.append(f"{name}: {'removed' if new is None else 'added'}")
        else:
            parts = [text.split("; ") for text in (old, new)]
            gone, came = ([p for p in a if p not in b] for a, b in (parts, parts[::-1]))
            shown = (shorten(", ".join(p) or "none", 80, placeholder=" ...") for p in (gone, came))
            changes.append(f"{name}{' ' if name == 'rules' else ': '}{' -> '.join(shown)}")
    return changes


def code_hash(source: str) -> str:
    """A hash of Python source: comments, docstrings and formatting aside."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[:1] = []
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]


def _column(column: Column, place: str) -> str:
    parts = [column.physical_type, "required" if column.required else "nullable"]
    for facet, key in _FACETS.items():
        value = getattr(column, facet)
        if value not in (None, ()):
            parts.append(f"{key} {list(map(str, value)) if isinstance(value, tuple) else value}")
    return "; ".join([*parts, place])


def _is_warning(text: str) -> bool:
    return text.startswith(_WARNING)
