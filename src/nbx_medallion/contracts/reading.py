"""From the text of a contract file to a `Contract`. Opens no file and parses no SQL."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import field, fields
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, StrictBool, StrictInt, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

from nbx_medallion.contracts import model
from nbx_medallion.contracts.lineage import RESERVED
from nbx_medallion.contracts.model import Column, Contract, Limit, Rule
from nbx_medallion.errors import ConfigurationError, did_you_mean, explain, unusable

_NAME = "[a-z][a-z0-9_]*"
# Keys of the standard that only inform, wherever they stand.
_INFORMATIVE = set(
    re.findall(
        r"\w+",
        "authoritativeDefinitions businessImpact businessName classification context"
        " contractCreatedTs criticalDataElement customProperties dataGranularityDescription"
        " dataProduct deprecated dimension domain examples id price relationships roles servers"
        " slaDefaultElement slaProperties status support synonyms tags team tenant"
        " transformDescription transformSourceObjects",
    )
)
_NOT_ENFORCED = "rules are enforced in closed silver tables only"
_BOUNDED = {"integer", "number", "date", "timestamp"}
_FACETS = "a column's values have `enum` and `logicalTypeOptions.pattern`"
_HINTS = {
    "arguments": f" Here {_FACETS}.",
    "unique": " A primaryKey keeps one row a key.",
    "physicalName": " The name is `name`, `transformLogic` says where a column comes from.",
}


def _plain(raw: Any, keep: str = "") -> Any:
    """Leave out what only informs or is empty, and give the options of a column their own keys."""
    if not isinstance(raw, dict):
        return raw
    if isinstance(options := raw.get("logicalTypeOptions"), dict):
        raw = raw | {"logicalTypeOptions": None}
        raw |= {f"logicalTypeOptions.{name}": value for name, value in options.items()}
    known = _INFORMATIVE - {keep}
    return {str(k): value for k, value in raw.items() if value is not None and k not in known}


def _read_properties(raw: Any) -> Any:
    """Read custom properties as keys and values; those of a vendor are another tool's."""
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise ValueError("expected a list of entries with `property` and `value`")
    return {str(item.get("property")): item.get("value") for item in raw if not item.get("vendor")}


def _read_check(raw: Any) -> Any:
    """Read a row rule or a limit; None for a text, which only informs."""
    entry = raw if isinstance(raw, dict) else {}
    if entry.get("type") == "text":
        return None
    kind = _LIMIT if entry.get("metric") else _RULE
    return kind.validate_python(_plain(raw), by_alias=True, by_name=False)


_Checks = list[Annotated[Any, BeforeValidator(_read_check)]]


@dataclass(frozen=True, config=model.PROFILE)
class _Rule:
    type: Literal["custom"]
    engine: Literal["spark"]
    name: model.Name
    implementation: model.Sql
    severity: model.Severity = "error"
    description: model.Text = ""


@dataclass(frozen=True, config=model.PROFILE)
class _Property(Column):
    logical_type: str | None = None
    primary_key: StrictBool = False
    primary_key_position: StrictInt | None = None
    quality: _Checks = field(default_factory=list)


@dataclass(frozen=True, config=model.PROFILE)
class _CustomProperties:
    latest_by: str | None = None
    open_schema: StrictBool = False
    reads: dict[
        Annotated[str, model.matching(rf"{_NAME}\.{_NAME}", "<schema>.<table>")],
        dict[model.Name, model.SparkType],
    ] = field(default_factory=dict)


@dataclass(frozen=True, config=model.PROFILE)
class _Table:
    name: str
    properties: Annotated[list[Annotated[_Property, BeforeValidator(_plain)]], Field(min_length=1)]
    description: model.Text = ""
    quality: _Checks = field(default_factory=list)
    custom: Annotated[_CustomProperties, BeforeValidator(_read_properties)] = Field(
        default=_CustomProperties(), validation_alias="customProperties"
    )
    physical_type: str = ""
    logical_type: str = ""


@dataclass(frozen=True, config=model.PROFILE)
class _Document:
    kind: Literal["DataContract"]
    api_version: Literal["v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0"]
    id: str
    version: str
    schema: Annotated[
        list[Annotated[_Table, BeforeValidator(lambda raw: _plain(raw, keep="customProperties"))]],
        Field(min_length=1, max_length=1),
    ]
    name: str = ""
    description: dict[str, Any] = field(default_factory=dict)


_RULE, _LIMIT, _DOCUMENT = TypeAdapter(_Rule), TypeAdapter(Limit), TypeAdapter(_Document)
_KNOWN = _INFORMATIVE.union(
    str(known.validation_alias or to_camel(name))
    for kind in (_Rule, Limit, _Property, _CustomProperties, _Table, _Document)
    for name, known in getattr(kind, "__pydantic_fields__").items()  # noqa: B009
)


def _hint(key: str) -> str:
    return _HINTS.get(key) or did_you_mean(key, _KNOWN - {key})


def parse_contract(text: str, file: str) -> Contract:
    """Read a contract from the text of a file `<schema>/<table>.odcs.yaml`, ODCS v3 as YAML.

    Its SQL is not looked at: see `Contract.check_sql`. A `UserError` names everything in the file
    that is unknown, unsupported or mistaken, or else all that does not go together.
    """
    named = re.search(rf"(?:^|/)({_NAME})/({_NAME})\.odcs\.yaml$", file)
    if not named:
        raise ConfigurationError(
            f"{file}: a contract file is named <schema>/<table>.odcs.yaml, of lower-case letters,"
            " digits and underscores. Rename it."
        )
    schema, name = named.groups()
    raw = _load(text, file)
    try:
        document = _DOCUMENT.validate_python(_plain(raw, keep="id"), by_alias=True, by_name=False)
    except ValidationError as error:
        problems = [explain(raw, detail, _hint) for detail in error.errors()]
        raise unusable("contract", file, problems) from None
    if problems := list(_contradictions(document, schema, name)):
        raise unusable("contract", file, problems)
    found, own = document.schema[0], [each.name for each in fields(Column)]
    limits = [check for check in found.quality if isinstance(check, Limit)]
    types, keys = {item.name: item.type for item in found.properties}, _keys(found)
    return Contract(
        f"{schema}.{name}",
        tuple(Column(**{name: getattr(item, name) for name in own}) for item in found.properties),
        document.version,
        found.description or " ".join(str(document.description.get("purpose", "")).split()),
        primary_key=tuple(sorted(keys, key=lambda name: keys[name])),
        latest_by=found.custom.latest_by,
        rules=tuple(
            Rule(rule.name, rule.implementation, types, column, rule.severity, rule.description)
            for column, rule in _checks(found)
            if isinstance(rule, _Rule)
        ),
        limits=tuple(limit for limit in limits if limit.metric == "invalidValues"),
        row_limits=tuple(limit for limit in limits if limit.metric == "rowCount"),
        open=found.custom.open_schema,
        reads=found.custom.reads,
        file=file,
    )


class _Loader(yaml.SafeLoader):
    """A YAML loader that refuses a key written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value!r} is written twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def _load(text: str, file: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark, what = getattr(error, "problem_mark", None), getattr(error, "problem", error)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigurationError(f"{file}: {where}not valid YAML: {what}") from None
    except (ValueError, AttributeError) as error:  # a date or number that there is not
        raise ConfigurationError(f"{file}: not valid YAML: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: is nested too deeply to be read. Simplify it.") from None


def _checks(table: _Table) -> list[tuple[str | None, _Rule | Limit]]:
    """List rules and limits, with the column they were declared at."""
    of_columns = [(column.name, column.quality) for column in table.properties]
    owned = [*of_columns, (None, table.quality)]
    return [(owner, check) for owner, checks in owned for check in checks if check]


def _keys(table: _Table) -> dict[str, int]:
    return {c.name: c.primary_key_position or 0 for c in table.properties if c.primary_key}


def _contradictions(document: _Document, schema: str, name: str) -> Iterator[str]:
    """Tell what does not go together, though each key by itself is right."""
    if document.id != f"{schema}.{name}":
        yield f"id: expected {schema}.{name}, as the file is named, found {document.id!r}"
    [table] = document.schema
    where = f"schema[{table.name}]"
    if table.name != name:
        yield f"{where}.name: expected {name}, as the file is named, found {table.name!r}"
    enforced = schema == "silver" and not table.custom.open_schema
    for column in table.properties:
        place = f"{where}.properties[{column.name}]"
        yield from (f"{place}.{problem}" for problem in _of_column(column, enforced))
    for owner, check in _checks(table):
        place = f"{where}.properties[{owner}]" if owner else where
        if owner and isinstance(check, Limit):
            yield f"{place}.quality[{check.name}]: a limit is the table's, {_FACETS}"
        elif not enforced and getattr(check, "metric", "") != "rowCount":
            yield f"{place}.quality[{check.name}]: {_NOT_ENFORCED}"
    yield from (f"{where}.{problem}" for problem in _of_table(table, schema))


def _of_column(column: _Property, enforced: bool) -> Iterator[str]:
    kind = column.type
    if enforced and column.name.lower() in RESERVED:
        yield f"name: expected another name, {column.name!r} is a column of ours"
    given = [name for name in (*model.BOUNDS, *model.OF_TEXT) if getattr(column, name) is not None]
    if not enforced:
        used = {
            "transformLogic": column.expression,
            "enum": column.enum,
            "logicalTypeOptions": given,
        }
        yield from (f"{key}: {_NOT_ENFORCED}" for key, value in used.items() if value)
    elif kind.logical == "array":
        yield f"physicalType: expected what a received text can be, found {kind}"
    if column.logical_type not in {None, kind.logical}:
        yield f"logicalType: expected {kind.logical} for {kind}, found {column.logical_type!r}"
    if column.primary_key_position is not None and not column.primary_key:
        yield "primaryKeyPosition: expected `primaryKey: true` with it"
    for name in given:
        if kind.logical not in ({"string"} if name in model.OF_TEXT else _BOUNDED):
            yield f"logicalTypeOptions.{to_camel(name)}: does not apply to a {kind}"
    for low, high in ((column.minimum, column.maximum), (column.min_length, column.max_length)):
        if low is not None and high is not None and low > high:  # type: ignore[operator]
            yield f"logicalTypeOptions: no value is from {low} to {high}"


def _of_table(table: _Table, schema: str) -> Iterator[str]:
    rules = Counter(check.name for _, check in _checks(table) if isinstance(check, _Rule))
    columns = Counter(column.name.lower() for column in table.properties)
    yield from (f"quality: the name {n!r} is used {rules[n]} times" for n in rules if rules[n] > 1)
    for name, count in columns.items():
        if count > 1:
            yield f"properties: the name {name!r} is used {count} times, case aside"
    keys = _keys(table)
    if any(keys.values()) and sorted(keys.values()) != list(range(1, len(keys) + 1)):
        yield f"properties: expected primaryKeyPosition 1 to {len(keys)}, each once, found {keys}"
    if keys and schema == "bronze":
        yield "properties: bronze is kept as received, found a primaryKey: it belongs in silver"
    if table.custom.reads and schema != "gold_core":
        yield "customProperties.reads: only a gold_core table declares what it reads"
    ordered = [c.name for c in table.properties if c.type.logical not in {"boolean", "array"}]
    latest = table.custom.latest_by
    if latest is not None and latest not in ordered:
        hint = did_you_mean(latest, ordered)
        yield f"customProperties.latestBy: expected a column with an order, found {latest!r}.{hint}"
