"""Versions are write-once: a definition that changed needs a version of its own."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from nbx_medallion.errors import UserError
from nbx_medallion.ml_models.definition import ModelDefinition, next_version


class DatasetCommit(Protocol):
    """A commit of an ML dataset."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was attached to it, its ``definition`` (JSON) among that."""


def check_write_once(
    written: Mapping[ModelDefinition, Iterable[DatasetCommit]],
    listed: Iterable[ModelDefinition],
    exists: Callable[[str], bool],
) -> None:
    """Compare definitions with those that their datasets were written with.

    Args:
        written: Commits of each version's dataset, none where it is new.
        listed: All versions of the model list, written now or not.
        exists: Whether there is a dataset for a namespace such as ``churn_model_v3``.

    Raises:
        UserError: Definitions differ; the message shows how, and the next free version of each.
    """
    taken = {definition.namespace for definition in listed}
    refused = []
    for definition, commits in written.items():
        registered = [c.metadata["definition"] for c in commits if "definition" in c.metadata]
        differences = definition.difference(registered[-1]) if registered else []
        if differences:
            free = next_version(definition.model_name, taken)
            while exists(f"{definition.model_name}_v{free}"):
                free += 1
            refused.append(
                f"{definition.namespace} is written already, with another definition:\n"
                + "".join(f"  {line}\n" for line in differences)
                + f"  Versions are write-once: list the new definition as version {free} of"
                f" {definition.model_name}, or take the change back."
            )
    if refused:
        raise UserError("\n".join(refused) + "\nNothing was written.")
