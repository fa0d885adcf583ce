"""What an ML dataset is: its definition, and all that follows from it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nbx_medallion.contracts.model import Column, Contract


@dataclass(frozen=True)
class ModelDefinition:
    """One version of one model, with its entity key taken from its source's contract.

    Attributes:
        model_name: Name of the model, ``[a-z][a-z0-9_]*``.
        version: Version of the model, from 1; gaps are allowed.
        source_table: The gold core table the dataset is built from, as ``<schema>.<table>``.
        entity_key: Primary key of the source table: what a row of the dataset is about.
        feature_columns: Columns of the source table, in the model's order.
        target_column: The column of the source table that the model predicts.
    """

    model_name: str
    version: int
    source_table: str
    entity_key: tuple[str, ...]
    feature_columns: tuple[str, ...]
    target_column: str

    @property
    def namespace(self) -> str:
        """Kedro namespace of the version, ``churn_model_v1``.

        No two versions share one: the last ``_v<digits>`` is always the version.
        """
        return f"{self.model_name}_v{self.version}"

    @property
    def table(self) -> str:
        """Name of the version's table, ``gold_ml.churn_model_v1``."""
        return f"gold_ml.{self.namespace}"

    @property
    def source_dataset(self) -> str:
        """Kedro name of the source table, ``gold_core_customer_metrics``."""
        return dataset_name(self.source_table)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the dataset: entity key, features in order, target, each once."""
        return tuple(dict.fromkeys((*self.entity_key, *self.feature_columns, self.target_column)))

    @property
    def leaks(self) -> bool:
        """Whether the target is also a feature: the model would be given the answer."""
        return self.target_column in self.feature_columns

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but seldom meant, one sentence each."""
        found = []
        if self.leaks:
            found.append(
                f"{self.namespace}: the target {self.target_column} is also a feature, so the"
                " model is given the answer."
            )
        key = set(self.entity_key)
        found += [
            f"{self.namespace}: the {role} {column} is part of the entity key, which only"
            " identifies a row."
            for role, column in (
                *(("feature", feature) for feature in self.feature_columns),
                ("target", self.target_column),
            )
            if column in key
        ]
        return tuple(found)

    def to_json(self) -> str:
        """Canonical JSON of the definition, the same whatever code wrote it.

        Name and version are left out: they say which definition this is, not what it is. A setting
        that is added later belongs in here only where a model uses it, so that the definitions of
        earlier versions, and their hashes, stay as they are.
        """
        return canonical_json(
            {
                "source_table": self.source_table,
                "entity_key": self.entity_key,
                "feature_columns": self.feature_columns,
                "target_column": self.target_column,
            }
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def difference(self, other: "str | Mapping[str, Any]") -> list[str]:
        """Compare with a definition that was registered before, field by field.

        Args:
            other: The registered definition, as JSON or as the object read from it.

        Returns:
            A line a field that differs, sorted by field; empty where the definitions are equal.

        Example:
            ``['target_column: registered "frequency", now "total_spent"']``
        """
        registered = read_definition(other)
        now = read_definition(self.to_json())
        return [
            f"{field}: registered {_shown(registered, field)}, now {_shown(now, field)}"
            for field in sorted({*registered, *now})
            if registered.get(field) != now.get(field)
        ]


def derive_contract(definition: ModelDefinition, source: Contract) -> Contract:
    """The contract of an ML dataset: what its definition takes from its source's contract.

    Args:
        definition: The definition, which names only columns that the source has.
        source: Contract of the definition's source table.

    Returns:
        A closed contract with the definition's columns, in order. Types, descriptions, what is
        required, the primary key and the contract's version are the source's.
    """
    columns = tuple(
        Column(
            name=column.name,
            physical_type=column.physical_type,
            description=column.description,
            required=column.required,
        )
        for column in map(source.column, definition.columns)
    )
    return Contract(
        table=definition.table,
        columns=columns,
        version=source.version,
        description=(
            f"Dataset of {definition.model_name} version {definition.version}, a row of"
            f" {source.table} each: entity key {', '.join(definition.entity_key)}, features"
            f" {', '.join(definition.feature_columns)}, target {definition.target_column}."
        ),
        primary_key=source.primary_key,
        definition=definition,
    )


def dataset_name(table: str) -> str:
    """Kedro name of a table: a dot in a dataset name would mean a namespace."""
    return table.replace(".", "_")


def split_namespace(namespace: str) -> tuple[str, int]:
    """Model name and version of a namespace: ``churn_model_v1`` gives ``("churn_model", 1)``."""
    model_name, _, version = namespace.rpartition("_v")
    return model_name, int(version)


def next_version(model_name: str, taken: Iterable[str]) -> int:
    """The version after the highest of a model's.

    Args:
        model_name: Name of the model.
        taken: Namespaces that are listed or registered, of this and of other models.
    """
    versions = (version for name, version in map(split_namespace, taken) if name == model_name)
    return max(versions, default=0) + 1


def canonical_json(definition: "Mapping[str, Any]") -> str:
    """JSON of a definition with sorted keys and no spaces."""
    return json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_definition(definition: "str | Mapping[str, Any]") -> dict[str, Any]:
    """The object of a definition that is given as JSON or as an object."""
    return dict(json.loads(definition) if isinstance(definition, str) else definition)


def _shown(definition: "Mapping[str, Any]", field: str) -> str:
    if field not in definition:
        return "absent"
    return json.dumps(definition[field], ensure_ascii=False)
