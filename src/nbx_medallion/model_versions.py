"""The model list, ``ml_models.json``, and what follows from it for each version of a model."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_core import from_json

from nbx_medallion.contracts.model import Column, Contract, matching
from nbx_medallion.errors import ConfigurationError, did_you_mean, explain, shown, unusable


@dataclass(frozen=True)
class ModelDefinition:
    """One version of one model; they count from 1, with gaps or without.

    Features, in the model's order, and target are columns of the source table, one of gold core.
    Its primary key is the entity key: what a row of the dataset is about.
    """

    model_name: str
    version: int
    source_table: str
    entity_key: tuple[str, ...]
    feature_columns: tuple[str, ...]
    target_column: str

    @property
    def namespace(self) -> str:
        """Kedro namespace, ``churn_model_v1``: the last ``_v<digits>`` is always the version."""
        return f"{self.model_name}_v{self.version}"

    @property
    def table(self) -> str:
        """Name of the dataset, ``gold_ml.churn_model_v1``."""
        return f"gold_ml.{self.namespace}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the dataset: entity key, features in order, target, each once."""
        return tuple(dict.fromkeys((*self.entity_key, *self.feature_columns, self.target_column)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but seldom meant, one sentence each."""
        target, found = f"the target {self.target_column}", []
        if self.target_column in self.feature_columns:
            found.append(f"{target} is also a feature, so the model is given the answer.")
        roles = [(name, f"the feature {name}") for name in self.feature_columns]
        found += [
            f"{role} is part of the entity key, which only identifies a row."
            for name, role in [*roles, (self.target_column, target)]
            if name in self.entity_key
        ]
        return tuple(f"{self.namespace}: {warning}" for warning in found)

    def to_json(self) -> str:
        """Canonical JSON of the definition, without name and version: they only say which it is.

        A later setting belongs in here only where a model uses it, so that earlier hashes stay.
        """
        fields = ("source_table", "entity_key", "feature_columns", "target_column")
        return canonical_json({field: getattr(self, field) for field in fields})

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def difference(self, other: str | Mapping[str, Any]) -> list[str]:
        """A line a field that differs: ``target_column: registered "age", now "spent"``."""
        registered, now = (
            {key: json.dumps(value, ensure_ascii=False) for key, value in fields.items()}
            for fields in (read_definition(other), read_definition(self.to_json()))
        )
        return [
            f"{field}: registered {registered.get(field, 'absent')}, now {now.get(field, 'absent')}"
            for field in sorted({*registered, *now})
            if registered.get(field) != now.get(field)
        ]


def derive_contract(definition: ModelDefinition, source: Contract) -> Contract:
    """The closed contract of an ML dataset: what its definition takes from its source's contract.

    Columns are in the definition's order; primary key and version are the source's.
    """
    columns = (source.column(name) for name in definition.columns)
    return Contract(
        definition.table,
        tuple(Column(c.name, c.physical_type, c.description, c.required) for c in columns),
        source.version,
        f"Dataset of {definition.model_name} version {definition.version}, a row of {source.table}"
        f" each: entity key {', '.join(definition.entity_key)}, features"
        f" {', '.join(definition.feature_columns)}, target {definition.target_column}.",
        primary_key=source.primary_key,
        definition={"definition": definition.to_json(), "definition_hash": definition.hash},
    )


def dataset_name(table: str) -> str:
    """Kedro name of a table: a dot in a dataset name would mean a namespace."""
    return table.replace(".", "_")


def split_namespace(namespace: str) -> tuple[str, int]:
    """Model name and version of a namespace: ``churn_model_v1`` gives ``("churn_model", 1)``."""
    model_name, _, version = namespace.rpartition("_v")
    return model_name, int(version)


def canonical_json(definition: Mapping[str, Any]) -> str:
    """JSON of a definition with sorted keys and no spaces."""
    return json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_definition(definition: str | Mapping[str, Any]) -> dict[str, Any]:
    """The object of a definition that is given as JSON or as an object."""
    return dict(json.loads(definition) if isinstance(definition, str) else definition)


def check_write_once(
    registered: Mapping[ModelDefinition, str | Mapping[str, Any]],
    listed: Iterable[ModelDefinition],
    exists: Callable[[str], bool],
) -> None:
    """Refuse a definition that differs from the one its dataset was written with.

    That of each version is `registered`, where it has one. The `UserError` says how they differ,
    and the next version of each model that is not `listed`, and of whose namespace none `exists`.
    """
    highest = {one.model_name: one.version for one in sorted(listed, key=lambda one: one.version)}
    refused = []
    for definition, before in registered.items():
        if differences := definition.difference(before):
            name = definition.model_name
            later = itertools.count(highest[name] + 1)
            free = next(version for version in later if not exists(f"{name}_v{version}"))
            refused.append(
                f"{definition.namespace} is written already, with another definition:\n"
                + "".join(f"  {line}\n" for line in differences)
                + f"  Versions are write-once: list the new definition as version {free} of {name},"
                " or take the change back."
            )
    if refused:
        raise ConfigurationError("\n".join(refused) + "\nNothing was written.")


def _mark_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Put an error in the place of what is there again: no type of the list accepts one."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        found[key] = _repeated("the key") if key in found else value
        if isinstance(value, list):
            value[:] = [_repeated(shown(v)) if v in value[:i] else v for i, v in enumerate(value)]
    return found


def _repeated(what: str) -> ValueError:
    return ValueError(f"{what} is there more than once; keep one.")


def _check_version(version: int, info: Any) -> int:
    namespace = f"{info.data.get('model_name')}_v{version}"
    if "model_name" in info.data and namespace in info.context["listed"]:
        raise ValueError(f"{namespace} is listed already. Give it another version, or remove it.")
    info.context["listed"].add(namespace)
    return version


def _check_name(name: str, info: Any) -> str:
    sources, table = info.context["sources"], info.data.get("source_table")
    if info.field_name == "source_table":
        expected = "a table of gold_core whose contract has a primaryKey"
        known = [each for each, contract in sources.items() if contract.primary_key]
    elif table:
        expected = f"a column of {table}"
        known = [column.name for column in sources[table].columns]
    else:
        return name
    if name not in known:
        hint = f"{did_you_mean(name, known)} There are: {', '.join(known) or 'none'}."
        raise ValueError(f"expected {expected}, found {shown(name)}.{hint}")
    return name


_Name = Annotated[str, AfterValidator(_check_name)]
_MODEL_NAME = matching(
    "[a-z][a-z0-9_]{0,99}", "at most 100 lower-case letters, digits and underscores, a letter first"
)


class _Entry(BaseModel, strict=True, extra="forbid"):
    model_name: Annotated[str, _MODEL_NAME]
    version: Annotated[int, Field(ge=1, le=2**31 - 1), AfterValidator(_check_version)]
    source_table: _Name
    feature_columns: Annotated[list[_Name], Field(min_length=1), AfterValidator(tuple)]
    target_column: _Name


class _ModelList(BaseModel, strict=True, extra="forbid"):
    models: list[_Entry] = Field(min_length=1)


def parse_models(
    text: str, file: str, sources: Mapping[str, Contract]
) -> tuple[ModelDefinition, ...]:
    """Read the model list: one definition an entry, in the file's order.

    `sources` are the contracts of the tables that a dataset can be built from.

    Raises:
        UserError: The text is not JSON, or the list is not valid; a line for every error.
    """
    text = text.removeprefix("\ufeff")
    try:
        # Refuses NaN, deep nesting and half characters, which `json` lets by.
        from_json(text.encode(), allow_inf_nan=False)
        document = json.loads(text, object_pairs_hook=_mark_repeated)
    except ValueError as error:
        raise ConfigurationError(f"{file}: not JSON: {error}. Correct it there.") from None
    try:
        context = {"sources": sources, "listed": set()}
        listed = _ModelList.model_validate(document, context=context).models
    except ValidationError as invalid:
        keys = ("models", *_Entry.model_fields)
        known = f" Known keys are {', '.join(keys)}."
        problems = [
            explain(document, error, lambda key: did_you_mean(key, keys) + known)
            for error in invalid.errors()
        ]
        raise unusable("model list", file, problems) from None
    return tuple(
        ModelDefinition(entity_key=tuple(sources[entry.source_table].primary_key), **dict(entry))
        for entry in listed
    )
