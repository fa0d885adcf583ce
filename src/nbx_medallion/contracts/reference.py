"""Contracts as a reference for people, in Markdown."""

import re
from collections.abc import Iterable

from nbx_medallion.contracts.model import Column, Contract, Limit, Rule


def reference(contracts: Iterable[Contract]) -> str:
    """Describe tables in Markdown, a section each: columns, keys, rules."""
    return "\n".join(map(_section, contracts))


def _section(contract: Contract) -> str:
    lines = [f"### `{contract.table}`", "", contract.description, ""]
    lines += [f"Contract version {contract.version}."] if contract.version else []
    if contract.primary_key:
        key = ", ".join(f"`{name}`" for name in contract.primary_key)
        latest = f", the latest by `{contract.latest_by}`" if contract.latest_by else ""
        lines.append(f"Primary key: {key}{latest}.")
    if contract.open:
        lines.append("Open: every received column is here too, as a string under its own name.")
    lines += ["", "| column | type | required | computed from | rules | meaning |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [_row(column, contract) for column in contract.all_columns]
    of_the_table = [_rule(rule) for rule in contract.rules if not rule.column]
    of_the_table += map(_limit, (*contract.limits, *contract.row_limits))
    if of_the_table:
        lines += ["", "Rules of the table:", "", *(f"- {line}" for line in of_the_table)]
    return "\n".join([*lines, ""])


def _row(column: Column, contract: Contract) -> str:
    facets = {
        "one of": ", ".join(map(str, column.enum)) or None,
        "pattern": column.pattern,
        "at least": column.minimum,
        "at most": column.maximum,
        "more than": column.exclusive_minimum,
        "less than": column.exclusive_maximum,
        "characters at least": column.min_length,
        "characters at most": column.max_length,
    }
    rules = [f"{what} {_code(str(value))}" for what, value in facets.items() if value is not None]
    rules += [_rule(rule) for rule in contract.rules if rule.column == column.name]
    computed = _code(column.expression) if column.expression else ""
    return (
        f"| `{column.name}` | {column.physical_type} | {'yes' if column.required else ''} |"
        f" {computed} | {'; '.join(rules)} | {_cell(column.description)} |"
    )


def _rule(rule: Rule) -> str:
    effect = "quarantines" if rule.severity == "error" else "only counts"
    why = f": {_cell(rule.description)}" if rule.description else ""
    return f"`{rule.name}` ({_code(rule.expression)}, {effect}){why}"


def _limit(limit: Limit) -> str:
    effect = "stops the run" if limit.severity == "error" else "is told"
    where = "" if limit.metric == "rowCount" else " in quarantine"
    return f"`{limit.name}`: {limit}{where}; anything else {effect}"


def _code(text: str) -> str:
    """Text as code, whatever backticks it has."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    padding = " " if "`" in text else ""
    return f"{fence}{padding}{_cell(text)}{padding}{fence}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
