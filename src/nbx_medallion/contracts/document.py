"""Reading a contract file as YAML and as the Open Data Contract Standard (ODCS).

The `open-data-contract-standard` package drops keys it does not know, so the YAML is compared with
the package's own models here.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import pydantic
import yaml
from open_data_contract_standard.model import CustomProperty, OpenDataContractStandard

from nbx_medallion.errors import UserError


class _Loader(yaml.SafeLoader):
    """A YAML loader that refuses a key written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value!r} is written twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_document(text: str, file: str) -> tuple[OpenDataContractStandard, list[str]]:
    """Read a contract file.

    Args:
        text: Content of the file.
        file: Its name, for messages.

    Returns:
        The document, and what is wrong with its keys and values.

    Raises:
        UserError: If it is not YAML, or not a mapping; or if a value's form is wrong.
    """
    try:
        raw = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UserError(f"{file}: {where}not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        found = "nothing" if raw is None else f"a {type(raw).__name__}"
        raise UserError(f"{file}: expected an ODCS document (keys and values), found {found}")
    problems = list(_unknown_keys(raw, OpenDataContractStandard, ""))
    known = {key: value for key, value in raw.items() if key in _keys(OpenDataContractStandard)}
    try:
        return OpenDataContractStandard(**known), problems
    except pydantic.ValidationError as error:
        problems += [_form(raw, detail) for detail in error.errors()]
        raise UserError(message(file, problems)) from None


def message(file: str, problems: Iterable[str]) -> str:
    """Put the problems of a file into one message."""
    lines = "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
    return f"{file}: the contract cannot be used:\n{lines}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Tell which known name was probably meant."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""


def _keys(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    fields = model.model_fields
    return {(info.alias or name): info.annotation for name, info in fields.items()}


def _models(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    """Yield the models a field's values may be."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in {typing.Union, types.UnionType, list}:
        for part in typing.get_args(annotation):
            yield from _models(part)


def _unknown_keys(raw: Any, model: type[pydantic.BaseModel], path: str) -> Iterator[str]:
    """Yield a problem for each key the standard does not have."""
    if isinstance(raw, list):
        for index, item in enumerate(raw):
            yield from _unknown_keys(item, model, f"{path}[{_label(item, index)}]")
    if not isinstance(raw, dict):
        return
    known = _keys(model)
    for key, value in raw.items():
        where = f"{path}.{key}" if path else str(key)
        if key not in known:
            yield f"{where}: ODCS has no such key{suggestion(str(key), known)}"
            continue
        children = list(_models(known[key]))
        if len(children) == 1 and children[0] is not CustomProperty:
            yield from _unknown_keys(value, children[0], where)


def _label(item: Any, index: int) -> str:
    """Name an item of a list as its owner would: by its name where it has one."""
    names = ("name", "property", "value") if isinstance(item, dict) else ()
    return str(next((item[name] for name in names if isinstance(item.get(name), str)), index))


def _form(raw: Any, detail: Any) -> str:
    """Say in one line what pydantic found wrong."""
    path = ""
    at = raw
    for part in detail["loc"]:
        if isinstance(at, list) and isinstance(part, int) and part < len(at):
            at = at[part]
            path += f"[{_label(at, part)}]"
        elif isinstance(at, dict) and part in at:
            at = at[part]
            path += f".{part}" if path else str(part)
    hint = ""
    if detail["type"].startswith("model") and "enum[" in path:
        hint = f" (write `- value: {at}`)"
    return f"{path}: {detail['msg'][0].lower()}{detail['msg'][1:]}, found {at!r}{hint}"
