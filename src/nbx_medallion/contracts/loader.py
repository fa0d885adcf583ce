"""From the text of a contract file to a `Contract`. Opens no file and asks no engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from open_data_contract_standard.model import (
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)

from nbx_medallion.contracts.columns import Problems, read_column
from nbx_medallion.contracts.document import message, read_document, suggestion
from nbx_medallion.contracts.model import Column, Contract, Rule, Threshold
from nbx_medallion.contracts.quality import read_rule, read_threshold
from nbx_medallion.errors import UserError

FILE_SUFFIX = ".odcs.yaml"

_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_API_VERSIONS = ("v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0")
_CUSTOM = ("latestBy", "openSchema")
_INFORMATIVE = frozenset(
    [
        "id",
        "name",
        "physicalType",
        "description",
        "businessName",
        "deprecated",
        "synonyms",
        "authoritativeDefinitions",
        "tags",
        "customProperties",
        "logicalType",
        "dataGranularityDescription",
        "properties",
        "relationships",
        "quality",
        "context",
    ]
)


def parse_contract(text: str, file: str) -> Contract:
    """Read a contract.

    Args:
        text: Content of the file, ODCS v3 as YAML.
        file: Name of the file, which ends with `<schema>/<table>.odcs.yaml`.

    Returns:
        The contract.

    Raises:
        UserError: If anything in the file is unknown, unsupported or mistaken; the message names
            everything that is.
    """
    document, found = read_document(text, file)
    problems = Problems(found)
    table = _table(file, document, problems)
    objects = document.schema_ or []
    if len(objects) != 1:
        problems.add("schema", f"expected one table, found {len(objects)}")
        raise UserError(message(file, problems))
    contract = _contract(table, document, objects[0], problems)
    if problems:
        raise UserError(message(file, problems))
    return contract


def _table(file: str, document: OpenDataContractStandard, problems: Problems) -> str:
    """Return the table's name, which the path and the document must agree on."""
    path = PurePosixPath(file.replace("\\", "/"))
    schema, name = path.parent.name, path.name.removesuffix(FILE_SUFFIX)
    if not path.name.endswith(FILE_SUFFIX) or not schema:
        raise UserError(
            f"{file}: a contract file is named <schema>/<table>{FILE_SUFFIX}, found {path}"
        )
    for part in (schema, name):
        if not _TABLE_NAME.fullmatch(part):
            problems.add(
                "file name", f"expected lower-case letters, digits and underscores, found {part!r}"
            )
    table = f"{schema}.{name}"
    expected: dict[str, tuple[object, Iterable[object]]] = {
        "kind": (document.kind, ("DataContract",)),
        "apiVersion": (document.apiVersion, _API_VERSIONS),
        "id": (document.id, (table,)),
    }
    for key, (value, allowed) in expected.items():
        if value not in allowed:
            problems.add(key, f"expected {' or '.join(map(str, allowed))}, found {value!r}")
    if not document.version:
        problems.add("version", "expected the contract's own version, found none")
    return table


def _contract(
    table: str, document: OpenDataContractStandard, schema: SchemaObject, problems: Problems
) -> Contract:
    name = table.partition(".")[2]
    if schema.name != name:
        problems.add(
            "schema.name", f"expected {name!r} as the file is named, found {schema.name!r}"
        )
    for key in sorted(schema.model_fields_set - _INFORMATIVE):
        problems.add(f"schema.{key}", "is not supported")
    custom = dict(_custom_properties(schema, problems))
    is_open = custom.get("openSchema", False)
    if not isinstance(is_open, bool):
        problems.add("customProperties[openSchema]", f"expected true or false, found {is_open!r}")
    enforced = table.startswith("silver.") and not is_open
    properties = schema.properties or []
    if not properties:
        problems.add("schema.properties", "expected the table's columns, found none")
    read = [read_column(item, problems, enforced=enforced) for item in properties]
    columns = tuple(column for column in read if column is not None)
    _check_names(columns, problems)
    rules, thresholds = _quality(schema, columns, problems, enforced=enforced)
    description = schema.description or (document.description and document.description.purpose)
    return Contract(
        table=table,
        columns=columns,
        version=document.version or "",
        description=" ".join((description or "").split()),
        primary_key=_primary_key(properties, problems),
        latest_by=_latest_by(custom.get("latestBy"), columns, problems),
        rules=rules,
        thresholds=thresholds,
        open=bool(is_open),
    )


def _custom_properties(schema: SchemaObject, problems: Problems) -> Iterator[tuple[str, Any]]:
    """Yield ours; another tool's are told by their `vendor`."""
    for item in schema.customProperties or []:
        if item.property in _CUSTOM:
            yield item.property, item.value
        elif not item.vendor:
            problems.add(
                f"schema.customProperties[{item.property}]",
                f"expected {' or '.join(_CUSTOM)} (or a `vendor`)"
                + suggestion(str(item.property), _CUSTOM),
            )


def _check_names(columns: tuple[Column, ...], problems: Problems) -> None:
    seen: dict[str, str] = {}
    for column in columns:
        other = seen.setdefault(column.name.lower(), column.name)
        if other is not column.name:
            problems.add(column.name, f"is the same column as {other!r}, case aside")


def _primary_key(properties: list[SchemaProperty], problems: Problems) -> tuple[str, ...]:
    """Return the key's columns by position, or as listed where no position is given."""
    keys = [item for item in properties if item.primaryKey]
    for item in properties:
        if item.primaryKeyPosition is not None and not item.primaryKey:
            problems.add(f"{item.name}.primaryKeyPosition", "expected `primaryKey: true` with it")
    positions = [item.primaryKeyPosition for item in keys]
    if any(positions) and sorted(p or 0 for p in positions) != list(range(1, len(keys) + 1)):
        found = ", ".join(f"{item.name} {item.primaryKeyPosition}" for item in keys)
        problems.add("primaryKeyPosition", f"expected 1 to {len(keys)}, each once, found {found}")
    keys.sort(key=lambda item: item.primaryKeyPosition or 0)
    return tuple(str(item.name) for item in keys)


def _latest_by(name: Any, columns: tuple[Column, ...], problems: Problems) -> str | None:
    where = "schema.customProperties[latestBy]"
    known = {column.name: column for column in columns}
    if name is None:
        return None
    if name not in known:
        problems.add(
            where,
            f"expected a column of the contract, found {name!r}" + suggestion(str(name), known),
        )
    elif known[name].physical_type in {"boolean", "array<string>"}:
        problems.add(
            where, f"expected a column with an order, {name!r} is {known[name].physical_type}"
        )
    return str(name)


def _quality(
    schema: SchemaObject, columns: tuple[Column, ...], problems: Problems, *, enforced: bool
) -> tuple[tuple[Rule, ...], tuple[Threshold, ...]]:
    """Read the row rules of the columns, then the table's rules and thresholds."""
    types = {column.name: column.type for column in columns}
    rules: list[Rule] = []
    thresholds: list[Threshold] = []
    declared = [
        (item.name, check) for item in schema.properties or [] for check in item.quality or []
    ] + [(None, check) for check in schema.quality or []]
    for column, check in declared:
        if check.type == "text" or (column and check.metric):
            continue  # text informs; a column's own metric was read with the column
        where = f"{column or 'schema'}.quality[{check.name or check.metric or 'without a name'}]"
        if not enforced:
            problems.add(where, "rules are enforced in closed silver tables only")
        elif check.metric or check.rule:
            threshold = read_threshold(check, where, problems)
            thresholds += [threshold] if threshold else []
        else:
            rule = read_rule(check, column, types, where, problems)
            rules += [rule] if rule else []
    names = [rule.name for rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add("quality", f"the name {name!r} is used {names.count(name)} times")
    return tuple(rules), tuple(thresholds)
