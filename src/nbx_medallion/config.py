"""The project's configuration: Kedro's OmegaConf loader, plus what it does not read.

Contracts and the model list are read here, as text, because OmegaConf merges contract files into
one mapping and reports a JSON error at line 0.
"""

import os
import re
import subprocess
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import yaml
from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings
from kedro.io.core import generate_timestamp
from kedro.utils import find_kedro_project
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nbx_medallion.contracts.loader import parse_contract
from nbx_medallion.contracts.model import Contract
from nbx_medallion.contracts.usage import check_layer
from nbx_medallion.errors import UserError
from nbx_medallion.ml_models.config import parse_models
from nbx_medallion.ml_models.definition import ModelDefinition, derive_contract

MODELS_VARIABLE = "PIPELINE_CONFIG_PATH"
_MODELS_FILE = "ml_models.json"
# A drive of Windows has one letter.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_RESOLVING = "UserError raised while resolving interpolation: "
_RUN_ID = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z(-[A-Za-z0-9_-]{1,64})?")


def on_databricks() -> bool:
    """Whether this process runs on a Databricks runtime, which brings its own session."""
    return "DATABRICKS_RUNTIME_VERSION" in os.environ


class MedallionConfigLoader(OmegaConfigLoader):
    """Kedro's loader with the project's resolvers, contracts and model list.

    Resolvers: ``${environment:}`` (``local`` for a plain run), ``${env_path:VARIABLE,default}`` (a
    path from an environment variable, relative to the working directory; the default is left to
    Kedro, which resolves it against the project), ``${run_id:}``, ``${on_databricks:}``.

    Kedro gives ``register_pipelines`` neither the environment nor the configuration source, so
    the last instance is kept: see `current_config`.
    """

    current: ClassVar["MedallionConfigLoader | None"] = None

    def __init__(self, conf_source: str, env: str | None = None, **kwargs: Any) -> None:
        self._contracts: dict[str, Contract] = {}
        super().__init__(conf_source, env, **kwargs)
        MedallionConfigLoader.current = self

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Configuration of a kind, resolved with this loader's resolvers.

        OmegaConf's resolvers belong to the process: they are set anew, so that two loaders of one
        process do not get each other's.
        """
        resolvers: dict[str, Callable[..., Any]] = {
            "environment": lambda: self.environment,
            "env_path": _env_path,
            "on_databricks": on_databricks,
            "run_id": lambda: self.run_id,
        }
        for name, resolver in resolvers.items():
            OmegaConf.register_new_resolver(name, resolver, replace=True)
        try:
            return super().__getitem__(key)
        except OmegaConfBaseException as error:
            text, _, where = str(error).partition("\n")
            if text.startswith(_RESOLVING):
                raise UserError(text.removeprefix(_RESOLVING)) from None
            raise UserError(
                f"The configuration {key!r} of the environment {self.environment!r}: {text}"
                f" ({where.strip().partition(chr(10))[0]}). Correct its files, or globals.yml."
            ) from None

    def _read_dir_configs(
        self, conf_path: str, patterns: list[str], *args: Any, **kwargs: Any
    ) -> Any:
        """What a folder declares; nothing where the default environment's is missing.

        A package has no ``conf/local``: it is a user's own.

        Raises:
            UserError: There is no environment of this name, or a file is not a mapping.
        """
        folder = Path(conf_path)
        if folder.name == self.environment and not self._fs.isdir(folder.as_posix()):
            if self.environment == self.default_run_env:
                return {}
            entries = self._fs.ls(folder.parent.as_posix(), detail=False)
            known = sorted(Path(entry).name for entry in entries if self._fs.isdir(entry))
            raise UserError(
                f"{self.env}: expected an environment of {self.conf_source}, one of:"
                f" {', '.join(known)}. Correct --env or KEDRO_ENV."
            )
        try:
            return super()._read_dir_configs(conf_path, patterns, *args, **kwargs)
        except (AttributeError, ValueError, OSError, yaml.YAMLError) as error:
            for file in sorted({f for p in patterns for f in self._fs.glob(f"{folder}/{p}")}):
                self._check_mapping(file)
            raise UserError(str(error)) from None

    def _check_mapping(self, file: str) -> None:
        """Refuse a file that Kedro cannot read, which it does not name or says the wrong line of.

        Raises:
            UserError: It is not text, not YAML or JSON, or something else than a mapping.
        """
        try:
            content = yaml.safe_load(self._read(file))
        except OSError as error:
            found = (error.strerror or str(error)).lower()
        except yaml.YAMLError as error:
            found = " ".join(str(error).replace('"<unicode string>", ', "").split())
        else:
            if content is None or isinstance(content, dict):
                return
            found = f"a {type(content).__name__}"
        raise UserError(
            f"{file}: expected YAML or JSON with a mapping of names to values, found: {found}."
            " Correct or restore it."
        )

    @property
    def environment(self) -> str:
        """Name of the environment of this run."""
        return str(self.env or self.default_run_env)

    @cached_property
    def run_id(self) -> str:
        """Id of this run, sortable by time: ``2026-01-31T23.59.59.999Z``, or that and a suffix.

        Raises:
            UserError: The parameter ``run_id`` has another form.
        """
        parameters = self.runtime_params or {}
        if "run_id" not in parameters:
            return str(generate_timestamp())
        given = parameters["run_id"]
        if not _RUN_ID.fullmatch(str(given)):
            raise UserError(
                f"run_id: expected YYYY-MM-DDTHH.MM.SS.mmmZ, with a suffix such as -42 where"
                f" needed, found {given!r}. Leave it out to have one made."
            )
        return str(given)

    @cached_property
    def git_sha(self) -> str | None:
        """The commit that is checked out, None outside git. The parameter ``git_sha`` wins."""
        given = (self.runtime_params or {}).get("git_sha")
        if given:
            return str(given)
        folder = Path(self.conf_source).parent
        try:
            found = subprocess.run(  # noqa: S603
                ["git", "-C", str(folder), "rev-parse", "HEAD"],  # noqa: S607
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return found.stdout.strip()

    def contract(self, table: str) -> Contract:
        """The contract of a table, from its file or, for an ML dataset, from its definition.

        Args:
            table: ``<schema>.<table>``.

        Raises:
            UserError: There is no contract for the table, or it is not valid.
        """
        if table not in self._contracts:
            self._contracts[table] = self._load_contract(table)
        return self._contracts[table]

    @cached_property
    def models(self) -> tuple[ModelDefinition, ...]:
        """The definitions of the model list, one a (model, version), in its order.

        Raises:
            UserError: The file is missing or not valid; the message lists every error.
        """
        file, text = self._read_models()
        tables = [f"gold_core.{name}" for name in self._contract_names("gold_core")]
        return parse_models(text, file, {table: self.contract(table) for table in tables})

    def contract_tables(self) -> list[str]:
        """Names of the tables that have a contract file, as ``<schema>.<table>``, sorted."""
        folder = f"{self._base}/contracts"
        schemas = sorted(Path(path).name for path in self._fs.ls(folder, detail=False))
        return [f"{schema}.{name}" for schema in schemas for name in self._contract_names(schema)]

    @property
    def _base(self) -> str:
        return Path(self._get_conf_env_path(self.base_env)).as_posix()

    def _contract_names(self, schema: str) -> list[str]:
        files = self._fs.glob(f"{self._base}/contracts/{schema}/*.odcs.yaml")
        return sorted(Path(file).name.removesuffix(".odcs.yaml") for file in files)

    def _load_contract(self, table: str) -> Contract:
        schema, _, name = table.partition(".")
        if schema == "gold_ml":
            for definition in self.models:
                if definition.namespace == name:
                    return derive_contract(definition, self.contract(definition.source_table))
            raise UserError(
                f"{table}: no model of this name and version is in {self._read_models()[0]}."
                f" Expected one of: {', '.join(d.namespace for d in self.models)}."
            )
        relative = f"contracts/{schema}/{name}.odcs.yaml"
        file = f"{self._base}/{relative}"
        if not self._fs.isfile(file):
            raise UserError(
                f"{table}: there is no contract {file}. Write one: every table of the pipeline"
                " has its columns, types and rules there."
            )
        shown = f"conf/{self.base_env}/{relative}"
        try:
            parsed = parse_contract(self._read(file), shown)
        except RecursionError:
            raise UserError(
                f"{shown}: expected YAML and SQL that a person wrote, found some that is nested"
                " too deeply to be read. Simplify it."
            ) from None
        check_layer(parsed)
        return parsed

    def _read_models(self) -> tuple[str, str]:
        given = os.environ.get(MODELS_VARIABLE)
        if not given:
            file = f"{self._base}/{_MODELS_FILE}"
            if not self._fs.exists(file):
                raise UserError(
                    f"{file}: the model list is missing. Restore it, or name another file in"
                    f" {MODELS_VARIABLE}."
                )
            return f"conf/{self.base_env}/{_MODELS_FILE}", self._read(file)
        path = Path(_env_path(MODELS_VARIABLE, ""))
        try:
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise OSError("a device or a pipe")
            return given, path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            found = "nothing there"
        except UnicodeDecodeError as error:
            found = f"bytes that are not UTF-8 (at byte {error.start})"
        except OSError as error:
            found = (error.strerror or str(error)).lower()
        raise UserError(
            f"{MODELS_VARIABLE}={given}: expected a JSON file with the model list, found {found}"
            f" ({path.absolute()}). Correct the variable, or unset it to use the project's own."
        )

    def _read(self, file: str) -> str:
        with self._fs.open(file, "rb") as stream:
            content = stream.read()
        try:
            return str(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise UserError(
                f"{file}: expected UTF-8 text, found other bytes (at byte {error.start}). Restore"
                " the file, or save it as UTF-8."
            ) from error


def current_config() -> MedallionConfigLoader:
    """The configuration of this process: the last loader built, or one for the working directory.

    Kedro builds a loader before it loads pipelines, but for ``kedro registry``.
    """
    if MedallionConfigLoader.current is None:
        project = find_kedro_project(Path.cwd()) or Path.cwd()
        return MedallionConfigLoader(
            conf_source=str(project / settings.CONF_SOURCE),
            env=os.environ.get("KEDRO_ENV"),
            **settings.CONFIG_LOADER_ARGS,
        )
    return MedallionConfigLoader.current


def contract(table: str) -> Contract:
    """The contract of ``<schema>.<table>`` in the current configuration."""
    return current_config().contract(table)


def _env_path(variable: str, default: str) -> str:
    given = os.environ.get(variable)
    if not given:
        return default
    found = None
    if _URL.match(given):
        found = "a URL"
    elif "{" in given or "}" in given:
        found = "braces, which stand for names in a catalog"
    try:
        path = Path(given).expanduser().absolute()
        path.exists()
    except RuntimeError:
        found = "the home of a user that is not known"
    except OSError as error:
        found = (error.strerror or str(error)).lower()
    if found:
        raise UserError(
            f"{variable}={given}: expected a path of this machine, found {found}. Correct the"
            " variable, or unset it to use the project's own."
        )
    return path.as_posix()
