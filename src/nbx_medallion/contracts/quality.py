"""From the `quality` entries of a contract file to row rules and thresholds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from open_data_contract_standard.model import DataQuality

from nbx_medallion.contracts.columns import Problems
from nbx_medallion.contracts.model import Rule, Severity, Threshold
from nbx_medallion.contracts.operations import ExpressionError, boolean
from nbx_medallion.contracts.sql import inputs_of, parse_expression
from nbx_medallion.contracts.types import DataType

_INFORMATIVE = frozenset(
    [
        "id",
        "authoritativeDefinitions",
        "businessImpact",
        "customProperties",
        "description",
        "dimension",
        "name",
        "severity",
        "tags",
        "type",
    ]
)
_RULE = _INFORMATIVE | {"engine", "implementation"}
_LIMITS = ("mustBeLessThan", "mustBeLessOrEqualTo")
_THRESHOLD = _INFORMATIVE | {"metric", "unit", *_LIMITS}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_rule(
    check: DataQuality,
    column: str | None,
    types: Mapping[str, DataType],
    where: str,
    problems: Problems,
) -> Rule | None:
    """Read a row rule: `type: custom`, `engine: spark`, `implementation: <boolean SQL>`.

    Args:
        check: The entry.
        column: Column it is declared at, None for the table.
        types: The contract's columns.
        where: The entry's place in the file.
        problems: Takes what is wrong.

    Returns:
        The rule, or None where something is wrong with it.
    """
    known = len(problems)
    if (check.type, check.engine) != ("custom", "spark"):
        problems.add(
            where,
            "expected `type: custom` with `engine: spark` (a row rule) or `metric: invalidValues`"
            f" (a limit), found type {check.type!r}, engine {check.engine!r}",
        )
        return None
    _refuse_others(check, _RULE, where, problems)
    if not check.name or not _NAME.fullmatch(check.name):
        problems.add(f"{where}.name", f"expected letters, digits and '_', found {check.name!r}")
    severity = _severity(check, where, problems)
    text = check.implementation
    if not isinstance(text, str):
        problems.add(f"{where}.implementation", f"expected a boolean SQL, found {text!r}")
        return None
    try:
        logic = boolean(parse_expression(text, types))
    except ExpressionError as error:
        problems.add(f"{where}.implementation", f"{error}, found {text!r}")
        return None
    if len(problems) > known:
        return None
    return Rule(
        name=str(check.name),
        expression=text.strip(),
        logic=logic,
        severity=severity,
        description=" ".join((check.description or "").split()),
        columns=inputs_of(logic),
        column=column,
    )


def read_threshold(check: DataQuality, where: str, problems: Problems) -> Threshold | None:
    """Read a limit on the quarantine: `metric: invalidValues` at the table.

    Args:
        check: The entry.
        where: The entry's place in the file.
        problems: Takes what is wrong.

    Returns:
        The limit, or None where something is wrong with it.
    """
    known = len(problems)
    if check.metric != "invalidValues" or check.type not in {None, "library"}:
        problems.add(
            f"{where}.metric", f"expected invalidValues, found {check.metric or check.rule!r}"
        )
    _refuse_others(check, _THRESHOLD, where, problems)
    limits = [key for key in _LIMITS if getattr(check, key) is not None]
    if len(limits) != 1:
        problems.add(where, f"expected one of {' and '.join(_LIMITS)}, found {len(limits)}")
    unit = check.unit or "rows"
    if unit not in {"rows", "percent"}:
        problems.add(f"{where}.unit", f"expected rows or percent, found {unit!r}")
    severity = _severity(check, where, problems)
    if len(problems) > known:
        return None
    return Threshold(
        name=check.name or "quarantined_records",
        limit=Decimal(str(getattr(check, limits[0]))),
        unit="percent" if unit == "percent" else "rows",
        exclusive=limits[0] == "mustBeLessThan",
        severity=severity,
        description=" ".join((check.description or "").split()),
    )


def _severity(check: DataQuality, where: str, problems: Problems) -> Severity:
    if check.severity not in {None, "error", "warning"}:
        problems.add(f"{where}.severity", f"expected error or warning, found {check.severity!r}")
    return "warning" if check.severity == "warning" else "error"


def _refuse_others(
    check: DataQuality, known: frozenset[str] | set[str], where: str, problems: Problems
) -> None:
    for key in sorted(check.model_fields_set - known):
        problems.add(f"{where}.{key}", "is not supported here")
