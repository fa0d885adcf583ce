"""The project's configuration: Kedro's loader with resolvers of ours, and what it declares.

Contracts and the model list are read as text, because OmegaConf merges contract files into one
mapping and reports a JSON error at line 0.
"""

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import yaml
from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings
from kedro.io import DataCatalog
from kedro.io.catalog_config_resolver import CatalogConfigResolver
from kedro.utils import find_kedro_project
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nbx_medallion.contracts.model import Contract
from nbx_medallion.contracts.reading import parse_contract
from nbx_medallion.contracts.source import Source, derive_contracts
from nbx_medallion.engines import on_databricks
from nbx_medallion.errors import ConfigurationError, did_you_mean
from nbx_medallion.model_versions import ModelDefinition, derive_contract, parse_models

MODELS_VARIABLE = "PIPELINE_CONFIG_PATH"
_MODELS_FILE = "ml_models.json"
_CONTRACT_SUFFIX = ".odcs.yaml"
_DECLARING = (f"contracts/*/*{_CONTRACT_SUFFIX}", _MODELS_FILE)
# A drive of Windows has one letter.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_RESOLVING = "ConfigurationError raised while resolving interpolation: "


class MedallionConfigLoader(OmegaConfigLoader):
    """Kedro's loader with the project's resolvers, and one message for what is wrong in a file.

    Resolvers: ``${environment:}`` (``local`` for a plain run), ``${env_path:VARIABLE,default}`` (a
    path from an environment variable, relative to the working directory; the default is left to
    Kedro, which resolves it against the project), ``${on_databricks:}``.

    Kedro gives ``register_pipelines`` neither the environment nor the configuration source, so
    the last instance is kept: see `current_config`.
    """

    current: ClassVar["MedallionConfigLoader | None"] = None

    def __init__(self, conf_source: str, env: str | None = None, **kwargs: Any) -> None:
        super().__init__(conf_source, env, **kwargs)
        self.declared = Declarations(self)
        MedallionConfigLoader.current = self

    @property
    def environment(self) -> str:
        """Name of the environment of this run."""
        return str(self.env or self.default_run_env)

    @cached_property
    def engines(self) -> dict[str, Any]:
        """What ``engines.yml`` has."""
        return self["engines"]

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Configuration of a kind; a `UserError` where a file, or a value in it, is not valid.

        OmegaConf's resolvers belong to the process: they are set anew, so that two loaders of one
        process do not get each other's.
        """
        OmegaConf.register_new_resolver("environment", lambda: self.environment, replace=True)
        OmegaConf.register_new_resolver("env_path", path_from_variable, replace=True)
        OmegaConf.register_new_resolver("on_databricks", on_databricks, replace=True)
        try:
            found = super().__getitem__(key)
        except OmegaConfBaseException as error:
            text, _, where = str(error).partition("\n")
            if text.startswith(_RESOLVING):
                raise ConfigurationError(text.removeprefix(_RESOLVING)) from None
            raise ConfigurationError(
                f"The configuration {key!r} of the environment {self.environment!r}: {text}"
                f" ({where.strip().partition(chr(10))[0]}). Correct its files, or globals.yml."
            ) from None
        return self._completed(found) if key == "catalog" else found

    @cached_property
    def files(self) -> dict[str, str]:
        """Contracts and model list, as ``conf/local/ml_models.json`` by path below ``local``.

        An environment's file is in place of base's of the same name.
        """
        found = {}
        for env in (self.base_env, self.environment):
            folder = self._folder(env)
            for pattern in _DECLARING:
                for file in self._fs.glob(f"{folder}/{pattern}"):
                    name = Path(file).relative_to(folder).as_posix()
                    found[name] = f"conf/{env}/{name}"
        return dict(sorted(found.items()))

    def entries(self, kind: str) -> dict[str, str]:
        """The file of each entry of a kind, as ``conf/local/catalog.yml``; of two the last one."""
        found: dict[str, str] = {}
        for env in (self.base_env, self.environment):
            folder = self._folder(env)
            for pattern in self.config_patterns[kind]:
                for file in self._fs.glob(f"{folder}/{pattern}"):
                    if file.endswith((".yml", ".yaml", ".json")):
                        name = f"conf/{env}/{Path(file).relative_to(folder).as_posix()}"
                        found |= dict.fromkeys(yaml.safe_load(self.read_text(file)) or {}, name)
        return found

    def read(self, file: str) -> str:
        """The text of a file of `files`."""
        return self.read_text(f"{self._folder('')}/{file.removeprefix('conf/')}")

    def _completed(self, catalog: dict[str, Any]) -> dict[str, Any]:
        """Entries that name no type are laid over the pattern that their name matches."""
        patterns = {name: entry for name, entry in catalog.items() if "{" in name}
        resolver = CatalogConfigResolver(
            patterns, default_runtime_patterns=DataCatalog.default_runtime_patterns
        )
        for name, entry in catalog.items():
            if name in patterns or name.startswith("_"):
                continue
            if not isinstance(entry, dict):
                raise ConfigurationError(
                    f"{name}: expected an entry of keys and values, found {entry!r}. Correct it in"
                    f" {self.entries('catalog')[name]}."
                )
            if "type" in entry:
                continue
            if not resolver.match_dataset_pattern(name):
                raise ConfigurationError(
                    f"{name}: expected an entry with a type, or a name that a pattern of"
                    f" conf/base/catalog.yml matches, found the keys {', '.join(entry)}. Correct"
                    f" the name, or give the type, in {self.entries('catalog')[name]}."
                )
            whole: Any = OmegaConf.merge(resolver.resolve_pattern(name), entry)
            self._refuse_unused(name, whole)
            catalog[name] = OmegaConf.to_container(whole)
        return catalog

    def _refuse_unused(self, name: str, entry: Mapping[str, Any]) -> None:
        """Refuse an entry of the environment for a source or a table that nothing declares."""
        declared, file = self.declared, self.entries("catalog")[name]
        if not file.startswith(f"conf/{self.environment}/"):
            return
        known: list[str] = []
        if found := entry.get("source"):
            known = [source.name for source in declared.sources]
        elif found := entry.get("table"):
            known = declared.all_tables
        if found and found not in known:
            raise ConfigurationError(
                f"{name}: expected an entry of something that a contract or the model list"
                f" declares, found {found!r}.{did_you_mean(found, known)} Correct the name in"
                f" {file}."
            )

    def _folder(self, env: str) -> str:
        return Path(self._get_conf_env_path(env)).as_posix()

    def read_text(self, file: str) -> str:
        """The text of any file; a `UserError` where it cannot be read, or is not UTF-8."""
        try:
            with self._fs.open(file, "rb") as stream:
                return str(stream.read().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            found = f"other bytes (at byte {error.start}). Restore the file, or save it as UTF-8."
        except OSError as error:
            found = f"{(error.strerror or str(error)).lower()}. Restore the file, or its rights."
        raise ConfigurationError(f"{file}: expected UTF-8 text, found {found}")

    def _read_dir_configs(
        self, conf_path: str, patterns: list[str], *args: Any, **kwargs: Any
    ) -> Any:
        # A package has no conf/local: it is a user's own.
        folder = Path(conf_path)
        if folder.name == self.environment and not self._fs.isdir(folder.as_posix()):
            if self.environment == self.default_run_env:
                return {}
            entries = self._fs.ls(folder.parent.as_posix(), detail=False)
            known = sorted(Path(entry).name for entry in entries if self._fs.isdir(entry))
            raise ConfigurationError(
                f"{self.env}: expected an environment of {self.conf_source}, one of:"
                f" {', '.join(known)}. Correct --env or KEDRO_ENV."
            )
        try:
            return super()._read_dir_configs(conf_path, patterns, *args, **kwargs)
        except (AttributeError, ValueError, OSError, yaml.YAMLError) as error:
            # Kedro does not name the file, or says the wrong line of it.
            for file in sorted({f for p in patterns for f in self._fs.glob(f"{folder}/{p}")}):
                self._check_mapping(file)
            raise ConfigurationError(str(error)) from None

    def _check_mapping(self, file: str) -> None:
        try:
            content = yaml.safe_load(self.read_text(file))
        except yaml.YAMLError as error:
            found = " ".join(str(error).replace('"<unicode string>", ', "").split())
        else:
            if content is None or isinstance(content, dict):
                return
            found = f"a {type(content).__name__}"
        raise ConfigurationError(
            f"{file}: expected YAML or JSON with a mapping of names to values, found: {found}."
            " Correct or restore it."
        )


class Declarations:
    """What a configuration declares: contracts, sources and models, each read when asked for."""

    def __init__(self, loader: MedallionConfigLoader) -> None:
        self._loader = loader
        self._contracts: dict[str, Contract] = {}

    @property
    def overrides(self) -> list[str]:
        """Files of the environment that are used in place of base's, or beside them."""
        base = f"conf/{self._loader.base_env}/"
        unused = {_MODELS_FILE} if os.environ.get(MODELS_VARIABLE) else set()
        files = self._loader.files.items()
        return [f for name, f in files if name not in unused and not f.startswith(base)]

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The kinds of received files: one a contract ``silver/<source>_clean``."""
        return tuple(
            source
            for table in self._contract_files
            if (source := Source.of_table(table)) and table == source.clean
        )

    @cached_property
    def models(self) -> tuple[ModelDefinition, ...]:
        """The definitions of the model list, one a (model, version), in its order.

        None may have the name of a source, which is a namespace too.
        """
        file, text = self._read_models()
        tables = [table for table in self._contract_files if table.startswith("gold_core.")]
        models = parse_models(text, file, {table: self.contract(table) for table in tables})
        for taken in {model.namespace for model in models} & {s.name for s in self.sources}:
            raise ConfigurationError(
                f"{taken}: expected names of sources and of model versions that differ, found one"
                f" of both. Rename the model in {file}, or the contract of silver.{taken}_clean."
            )
        return models

    @property
    def tables(self) -> list[str]:
        """Tables with a contract, but for ML datasets: ``<schema>.<table>``, sorted."""
        derived = [table for s in self.sources for table in (s.raw, s.quarantine, s.superseded)]
        return sorted({*self._contract_files, *derived})

    @property
    def all_tables(self) -> list[str]:
        """All of these, and ML datasets."""
        return [*self.tables, *(model.table for model in self.models)]

    def refuse_unknown(self, table: str) -> None:
        """Raise a `UserError` for the name of no table."""
        if table not in self.all_tables:
            raise ConfigurationError(
                f"{table}: expected a table of the pipeline, as <schema>.<table>."
                f"{did_you_mean(table, self.all_tables)}"
            )

    def contract(self, table: str) -> Contract:
        """The contract of a table: of its file, its source, or its model; else a `UserError`."""
        if table not in self._contracts:
            self._contracts[table] = self._load(table)
        return self._contracts[table]

    @cached_property
    def _contract_files(self) -> dict[str, str]:
        """File of each contract by table."""
        return {
            f"{Path(name).parent.name}.{Path(name).name.removesuffix(_CONTRACT_SUFFIX)}": file
            for name, file in self._loader.files.items()
            if name.endswith(_CONTRACT_SUFFIX)
        }

    def _load(self, table: str) -> Contract:
        schema, _, name = table.partition(".")
        if schema == "gold_ml":
            for definition in self.models:
                if definition.namespace == name:
                    return derive_contract(definition, self.contract(definition.source_table))
            raise ConfigurationError(
                f"{table}: no model of this name and version is in {self._read_models()[0]}."
                f" Expected one of: {', '.join(d.namespace for d in self.models)}."
            )
        file = self._contract_files.get(table)
        source = Source.of_table(table)
        if source in self.sources and table != source.clean:
            if file:
                raise ConfigurationError(
                    f"{file}: expected no contract of {table}, whose columns follow"
                    f" from {source.clean}. Remove the file."
                )
            return derive_contracts(source, self.contract(source.clean))[table]
        if not file:
            expected = f"contracts/{schema}/{name}{_CONTRACT_SUFFIX}"
            raise ConfigurationError(
                f"{table}: there is no contract {expected} in conf/{self._loader.base_env} or"
                f" conf/{self._loader.environment}. Write one: every table of the pipeline has its"
                " columns, types and rules there."
            )
        return parse_contract(self._loader.read(file), file)

    def _read_models(self) -> tuple[str, str]:
        """Name and text of the model list."""
        given = os.environ.get(MODELS_VARIABLE)
        if not given:
            file = self._loader.files.get(_MODELS_FILE)
            if not file:
                raise ConfigurationError(
                    f"conf/{self._loader.base_env}/{_MODELS_FILE}: the model list is missing."
                    f" Restore it, or name another file in {MODELS_VARIABLE}."
                )
            return file, self._loader.read(file)
        path = Path(path_from_variable(MODELS_VARIABLE))
        if not path.is_file():
            found = "no file, but something else" if path.exists() else "nothing there"
            raise ConfigurationError(
                f"{MODELS_VARIABLE}={given}: expected a JSON file with the model list, found"
                f" {found} ({path.absolute()}). Correct the variable, or unset it to use the"
                " project's own."
            )
        return given, self._loader.read_text(path.as_posix())


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


def path_from_variable(variable: str, default: str = "") -> str:
    """A path of this machine that a variable names, else the default; or a `UserError`."""
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
        raise ConfigurationError(
            f"{variable}={given}: expected a path of this machine, found {found}. Correct the"
            " variable, or unset it to use the project's own."
        )
    return path.as_posix()
