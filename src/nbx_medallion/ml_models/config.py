"""The model list, ``ml_models.json``: read once, checked whole, and from then on typed.

Every error of the file is reported at once, each with its JSON path, what was expected and what
was found. Nothing here opens a file.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nbx_medallion.errors import UserError
from nbx_medallion.ml_models.definition import ModelDefinition
from nbx_medallion.ml_models.json_text import (
    Location,
    NonJsonNumber,
    duplicate_keys,
    json_path,
    non_json_numbers,
    parse_json,
    shown,
)

_SOURCE_SCHEMA = "gold_core"
_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)


class SourceColumn(Protocol):
    """A column of a source table's contract."""

    @property
    def name(self) -> str:
        """Name of the column."""


class SourceContract(Protocol):
    """What a model list needs to know of a source table's contract."""

    @property
    def columns(self) -> Sequence[SourceColumn]:
        """The columns of the table."""

    @property
    def primary_key(self) -> Sequence[str]:
        """The columns that identify a row."""


class _Entry(BaseModel):
    """One entry of the list. A description is what an error says was expected."""

    model_config = _STRICT

    model_name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=100,
        description="a name of lower-case letters, digits and underscores that starts with a"
        " letter and has at most 100 characters",
    )
    version: int = Field(ge=1, le=2**31 - 1, description="a whole number from 1 to 2147483647")
    source_table: str = Field(description="the name of a gold_core table")
    feature_columns: list[str] = Field(
        min_length=1, description="a list of at least one column of the source table"
    )
    target_column: str = Field(description="a column of the source table")


class _ModelList(BaseModel):
    """The whole file."""

    model_config = _STRICT

    models: list[_Entry] = Field(min_length=1, description="a list of at least one model")


_OBJECT_OF = {
    _Entry: "an object with the keys " + ", ".join(_Entry.model_fields),
    _ModelList: 'an object with the key "models"',
}
_FIELD_ORDER = {name: i for i, name in enumerate((*_ModelList.model_fields, *_Entry.model_fields))}


def parse_models(
    text: str, file: str, sources: Mapping[str, SourceContract]
) -> tuple[ModelDefinition, ...]:
    """Read the model list.

    Args:
        text: Content of the file.
        file: Name of the file, for messages.
        sources: Contracts of the tables a dataset can be built from, by ``<schema>.<table>``.

    Returns:
        One definition an entry, in the file's order.

    Raises:
        UserError: The list is not valid. The message has a line for every error.

    Example:
        ``ml_models.json: 1 error.`` and, indented on the next line, ``models[0].version: expected
        a whole number from 1 to 2147483647, found "1".``
    """
    document = parse_json(text, file)
    errors = [
        *duplicate_keys(document),
        *non_json_numbers(document),
        *_shape_errors(document),
        *_reference_errors(document, sources),
    ]
    if errors:
        errors.sort(key=lambda error: _position(error[0]))
        lines = [f"  {json_path(location)}: {message}" for location, message in errors]
        count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
        raise UserError("\n".join([f"{file}: {count}.", *lines]))
    listed = _ModelList.model_validate(document)
    return tuple(
        ModelDefinition(
            model_name=entry.model_name,
            version=entry.version,
            source_table=entry.source_table,
            entity_key=tuple(sources[entry.source_table].primary_key),
            feature_columns=tuple(entry.feature_columns),
            target_column=entry.target_column,
        )
        for entry in listed.models
    )


def _shape_errors(document: object) -> Iterator[tuple[Location, str]]:
    """Keys, types and ranges: what the typed models check."""
    try:
        _ModelList.model_validate(document)
    except ValidationError as invalid:
        for error in invalid.errors():
            location: Location = error["loc"]
            names = [part for part in location if isinstance(part, str)]
            in_list = bool(location) and isinstance(location[-1], int)
            model = _Entry if len(location) > 1 else _ModelList
            if isinstance(error["input"], NonJsonNumber):
                continue  # reported as such
            if error["type"] == "extra_forbidden":
                yield location, _unknown_key(names[-1], model)
            elif error["type"] == "model_type":
                yield location, f"expected {_OBJECT_OF[model]}, found {shown(error['input'])}."
            else:
                expected = model.model_fields[names[-1]].description
                if in_list:
                    expected = "the name of a column of the source table"
                found = "nothing" if error["type"] == "missing" else shown(error["input"])
                yield location, f"expected {expected}, found {found}."


def _reference_errors(
    document: object, sources: Mapping[str, SourceContract]
) -> Iterator[tuple[Location, str]]:
    """Names of tables and columns that do not exist, and what is there twice."""
    models = document.get("models") if isinstance(document, dict) else None
    seen: dict[tuple[str, int], int] = {}
    for i, entry in enumerate(models if isinstance(models, list) else []):
        if not isinstance(entry, dict):
            continue
        at: Location = ("models", i)
        name, version = entry.get("model_name"), entry.get("version")
        if isinstance(name, str) and type(version) is int:
            first = seen.setdefault((name, version), i)
            if first != i:
                yield (
                    (*at, "version"),
                    f"version {version} of {shown(name)} is listed already, at models[{first}]."
                    " Give this one another version, or remove it.",
                )
        features = entry.get("feature_columns")
        features = features if isinstance(features, list) else []
        for j, feature in enumerate(features):
            if isinstance(feature, str) and features.index(feature) < j:
                yield (
                    (*at, "feature_columns", j),
                    f"{shown(feature)} is listed already, at"
                    f" feature_columns[{features.index(feature)}].",
                )
        table = entry.get("source_table")
        if not isinstance(table, str):
            continue
        if table not in sources:
            yield (*at, "source_table"), _unknown_table(table, sources)
            continue
        if not sources[table].primary_key:
            yield (
                (*at, "source_table"),
                f"expected a table whose contract has a primary key, found {shown(table)}."
                " Add primaryKey to its contract.",
            )
        columns = [column.name for column in sources[table].columns]
        named = [(("feature_columns", j), feature) for j, feature in enumerate(features)]
        for field, column in [*named, (("target_column",), entry.get("target_column"))]:
            if isinstance(column, str) and column not in columns:
                yield (*at, *field), _unknown_column(column, table, columns)


def _unknown_key(key: str, model: type[BaseModel]) -> str:
    known = list(model.model_fields)
    return f"unknown key.{_did_you_mean(key, known)} Expected {', '.join(known)}."


def _unknown_table(table: str, sources: Mapping[str, SourceContract]) -> str:
    outside = "" if table.startswith(f"{_SOURCE_SCHEMA}.") else ", in no other schema"
    return (
        f"expected a table of {_SOURCE_SCHEMA}{outside}, found {shown(table)}."
        f"{_did_you_mean(table, list(sources))} Tables: {', '.join(sources)}."
    )


def _unknown_column(column: str, table: str, columns: list[str]) -> str:
    return (
        f"expected a column of {table}, found {shown(column)}."
        f"{_did_you_mean(column, columns)} Columns: {', '.join(columns)}."
    )


def _did_you_mean(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f" Did you mean {shown(close[0])}?" if close else ""


def _position(location: Location) -> tuple[tuple[int, str], ...]:
    """Sort key: errors come in the order of the file's keys, unknown ones last."""
    return tuple(
        (part, "") if isinstance(part, int) else (_FIELD_ORDER.get(part, len(_FIELD_ORDER)), part)
        for part in location
    )
