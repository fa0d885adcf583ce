"""Contracts as a reference for people, in Markdown."""

import re
from collections.abc import Iterable

from nbx_medallion.contracts.model import LINEAGE, Column, Contract, Rule, Threshold


def reference(contracts: Iterable[Contract]) -> str:
    """Describe tables: columns, keys, rules.

    Args:
        contracts: The contracts, in the order of the text.

    Returns:
        Markdown, a section a table.
    """
    return "\n".join(_section(contract) for contract in contracts)


def _section(contract: Contract) -> str:
    lines = [f"### `{contract.table}`", "", contract.description, ""]
    lines += [f"Contract version {contract.version}."] if contract.version else []
    if contract.primary_key:
        latest = f", the latest by `{contract.latest_by}`" if contract.latest_by else ""
        lines.append(f"Primary key: {_names(contract.primary_key)}{latest}.")
    if contract.open:
        lines.append("Open: every received column is here too, as a string under its own name.")
    lines += ["", "| column | type | required | computed from | rules | meaning |"]
    lines.append("|---|---|---|---|---|---|")
    rules = {column.name: _facets(column) for column in contract.columns}
    for rule in contract.rules:
        if rule.column:
            rules[rule.column].append(_rule(rule))
    lines += [_row(column, rules[column.name]) for column in contract.columns]
    if contract.has_implied_lineage:
        lines += [f"| `{name}` | {kind} |  |  |  | {text} |" for name, kind, text in LINEAGE]
    of_the_table = [_rule(rule) for rule in contract.rules if not rule.column]
    of_the_table += [_limit(threshold) for threshold in contract.thresholds]
    if of_the_table:
        lines += ["", "Rules of the table:", "", *(f"- {line}" for line in of_the_table)]
    return "\n".join([*lines, ""])


def _row(column: Column, rules: list[str]) -> str:
    computed = _code(column.expression) if column.expression else ""
    required = "yes" if column.required else ""
    return (
        f"| `{column.name}` | {column.physical_type} | {required} | {computed} |"
        f" {'; '.join(rules)} | {_cell(column.description)} |"
    )


def _facets(column: Column) -> list[str]:
    given = {
        "one of": ", ".join(map(str, column.enum)) or None,
        "pattern": column.pattern,
        "at least": column.minimum,
        "at most": column.maximum,
        "more than": column.exclusive_minimum,
        "less than": column.exclusive_maximum,
        "characters at least": column.min_length,
        "characters at most": column.max_length,
    }
    return [f"{what} {_code(str(value))}" for what, value in given.items() if value is not None]


def _rule(rule: Rule) -> str:
    effect = "quarantines" if rule.severity == "error" else "only counts"
    why = f": {_cell(rule.description)}" if rule.description else ""
    return f"`{rule.name}` ({_code(rule.expression)}, {effect}){why}"


def _limit(threshold: Threshold) -> str:
    bound = "less than" if threshold.exclusive else "at most"
    unit = "%" if threshold.unit == "percent" else " records"
    effect = "stops the run" if threshold.severity == "error" else "is told"
    return f"`{threshold.name}`: {bound} {threshold.limit}{unit} in quarantine; more {effect}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _code(text: str) -> str:
    """Text as code, whatever backticks it has."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    padding = " " if "`" in text else ""
    return f"{fence}{padding}{_cell(text)}{padding}{fence}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
