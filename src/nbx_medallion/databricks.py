"""The job entry point: the pipelines for those who run them without Kedro's command line.

`run_pipeline` for Python, `nbx-medallion` for a shell and for Databricks. Each environment
variable of the project has a parameter here, because serverless jobs have no variables of their
own; what is not given, or given empty, is left to the variable and then to the default.
"""

import argparse
import contextlib
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kedro.framework.project import configure_project, pipelines, settings
from kedro.framework.startup import bootstrap_project
from kedro.utils import find_kedro_project

from nbx_medallion.config import MODELS_VARIABLE, MedallionConfigLoader
from nbx_medallion.engines import on_databricks
from nbx_medallion.errors import ConfigurationError, UserError
from nbx_medallion.output import keep_output_from_failing
from nbx_medallion.run.checks import check_run, table_inputs
from nbx_medallion.run.session import MedallionSession, own_engine
from nbx_medallion.run.survey import LEDGER

ROOT_VARIABLE = "LAKEHOUSE_ROOT"
_PACKAGE = "nbx_medallion"
_DBFS = Path("/dbfs")
_OPTIONS = {
    "--env": "environment: dev, staging, prod (default: KEDRO_ENV, then local)",
    "--pipeline-config-path": f"model list (default: {MODELS_VARIABLE})",
    "--lakehouse-root": f"folder of the tables, off Databricks (default: {ROOT_VARIABLE})",
    "--pipelines": "registered pipelines, comma-separated (default: all)",
    "--run-id": "id of the run, YYYY-MM-DDTHH.MM.SS.mmmZ[-suffix] (default: a new one)",
    "--job-start-time": "start of the job run, to make the run id from: ISO 8601",
    "--job-run-id": "number of the job run, to make the run id from",
    "--git-sha": "commit recorded with every table (default: the one checked out)",
    "--conf-source": "configuration folder or .tar.gz (default: conf of the project)",
}


def run_pipeline(  # noqa: PLR0913
    env: str | None = None,
    config_path: str | None = None,
    *,
    lakehouse_root: str | None = None,
    pipelines: Sequence[str] = (),
    run_id: str | None = None,
    git_sha: str | None = None,
    conf_source: str | None = None,
    project_path: str | Path | None = None,
    **raw_paths: str | None,
) -> dict[str, Any]:
    """Run the project's pipelines, from the landing files to the registry.

    Args:
        env: Default: ``KEDRO_ENV``, then ``local``; on Databricks it must be named.
        config_path: The model list. Default: ``PIPELINE_CONFIG_PATH``, then the project's own.
        lakehouse_root: Folder of the tables, off Databricks. Default: ``LAKEHOUSE_ROOT``, then the
            project's own.
        pipelines: Names of registered pipelines. Default: all layers.
        run_id: Id of the run; tasks of one job share it. Default: a new one.
        git_sha: Commit that is recorded with every table. Default: the one checked out.
        conf_source: Configuration folder or archive. Default: ``conf`` of the project.
        project_path: The project. Default: the one that the working directory is in.
        **raw_paths: The files of a source, as ``raw_<source>_path``. Default:
            ``RAW_<SOURCE>_PATH``, then the catalog's; on Databricks ``/mnt/raw/<source>.csv``.

    Raises:
        UserError: Something a user can cause and mend; the message says what.

    Example:
        ```python
        run_pipeline(env="dev", raw_sales_path="/Volumes/dev/landing/sales")
        ```
    """
    with _session(
        env, config_path=config_path, lakehouse_root=lakehouse_root, run_id=run_id,
        git_sha=git_sha, conf_source=conf_source, project_path=project_path, **raw_paths,
    ) as session:  # fmt: skip
        return session.run(pipeline_names=list(pipelines) or None)


def check_ledger(run_id: str | None, env: str | None = None, **others: Any) -> str:
    """The ledger of a run of all layers, as Markdown; arguments as of `run_pipeline`.

    Raises:
        UserError: No run is named, the run did not write every table, or it does not balance.
    """
    if not run_id:
        raise ConfigurationError("run_id: expected the run to check, found none. Pass --run-id.")
    with _session(env, **others) as session, own_engine():
        lakehouse = session.lakehouse
        written = table_inputs(pipelines["__default__"], lakehouse.catalog)
        found = [row for row in lakehouse.rows(LEDGER) if row["run_id"] == run_id]
    return check_run(run_id, found, written)


def job_run_id(start_time: str, run: str) -> str:
    """The run id that all tasks of a job run share, also when tasks are retried or repaired.

    Of ``{{job.start_time.iso_datetime}}`` and ``{{job.run_id}}``: for 2026-01-31T23:59:59.5Z and
    42 it is 2026-01-31T23.59.59.500Z-42. Where one has another form: `UserError`.
    """
    try:
        started = datetime.fromisoformat(start_time.strip())
    except ValueError as error:
        raise ConfigurationError(
            f"--job-start-time: expected a time such as 2026-01-31T23:59:59.999Z, found"
            f" {start_time!r}. Pass {{{{job.start_time.iso_datetime}}}}, or --run-id instead."
        ) from error
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run):
        raise ConfigurationError(
            f"--job-run-id: expected letters, digits, - or _, found {run!r}. Pass"
            " {{job.run_id}}, or --run-id instead."
        )
    started = started.astimezone(UTC) if started.tzinfo else started
    return f"{started:%Y-%m-%dT%H.%M.%S}.{started.microsecond // 1000:03d}Z-{run}"


def main(arguments: Sequence[str] | None = None, project_path: Path | None = None) -> None:
    """The command ``nbx-medallion``: exit code 1 and one message where the run is refused."""
    keep_output_from_failing()
    given = _parse(sys.argv[1:] if arguments is None else arguments)
    given |= {"project_path": project_path, "config_path": given.pop("pipeline_config_path", None)}
    names = [name.strip() for name in given.pop("pipelines", "").split(",") if name.strip()]
    start, run = given.pop("job_start_time", None), given.pop("job_run_id", "0")
    try:
        run_id = given.pop("run_id", None) or (job_run_id(start, run) if start else None)
        if given.pop("check_ledger", False):
            sys.stdout.write(check_ledger(run_id, **given) + "\n")
        else:
            run_pipeline(pipelines=names, run_id=run_id, **given)
    except UserError as error:
        # The text is the exit status: a terminal shows it, and so does a job's run page.
        raise SystemExit(f"Error: {error}") from None


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    """The options that are given and not empty."""
    parser = argparse.ArgumentParser(
        prog="nbx-medallion",
        description="Run the medallion pipelines. An option that is given empty is not given.",
        epilog="--raw-<source>-path names the files of a source (default: RAW_<SOURCE>_PATH).",
        allow_abbrev=False,
    )
    text = "run nothing: check that the run --run-id is whole and balances in the ledger"
    parser.add_argument("--check-ledger", action="store_true", help=text)
    for option, text in _OPTIONS.items():
        parser.add_argument(option, help=text)
    # Which sources there are is in the configuration, which is not read yet.
    for option in {argument.partition("=")[0] for argument in arguments}:
        if re.fullmatch(r"--raw-[a-z0-9-]+-path", option):
            parser.add_argument(option)
    return {name: value for name, value in vars(parser.parse_args(arguments)).items() if value}


@contextlib.contextmanager
def _session(env: str | None = None, **given: Any) -> Iterator[MedallionSession]:
    """A session of the project, wherever the project is: a checkout, or an installed wheel."""
    conf_source, project_path = given.pop("conf_source", None), given.pop("project_path", None)
    parameters = {name: given.pop(name, None) for name in ("run_id", "git_sha")}
    variables = {
        MODELS_VARIABLE: given.pop("config_path", None),
        ROOT_VARIABLE: given.pop("lakehouse_root", None) or os.environ.get(ROOT_VARIABLE),
    }
    env = env or os.environ.get("KEDRO_ENV") or None
    if env is None and on_databricks():
        raise ConfigurationError(
            "env: expected the name of an environment, found none. On Databricks it says which"
            " catalog the tables are in: pass --env dev (or staging, or prod), or set KEDRO_ENV."
        )
    project = Path(project_path or find_kedro_project(Path.cwd()) or Path.cwd()).resolve()
    if (project / "src" / _PACKAGE).is_dir() and (project / "pyproject.toml").is_file():
        bootstrap_project(project)
    else:
        project = Path.cwd()
        configure_project(_PACKAGE)
    conf = Path(conf_source).expanduser().absolute() if conf_source else project / "conf"
    if not conf.is_dir() and not (conf.is_file() and tarfile.is_tarfile(conf)):
        raise ConfigurationError(
            f"{conf}: expected the project's configuration, a folder or a .tar.gz of one that"
            f" `kedro package` makes, found {'another file' if conf.exists() else 'nothing'}. Name"
            " it with --conf-source, or run within the project."
        )
    sources = MedallionConfigLoader(str(conf), env, **settings.CONFIG_LOADER_ARGS).declared.sources
    known = [source.variable.lower() for source in sources]
    for unknown in given.keys() - known:
        raise ConfigurationError(
            f"{unknown}: expected a path of a source, one of: {', '.join(sorted(known))}. A source"
            " is what a contract silver/<source>_clean declares: correct the name, or add its"
            " contract."
        )
    variables |= {name.upper(): path for name, path in given.items()}
    with contextlib.ExitStack() as stack:
        if on_databricks():
            for source in sources:
                path = variables.get(source.variable) or os.environ.get(source.variable)
                variables[source.variable] = local_path(path or f"/mnt/raw/{source.name}.csv")
            if not variables[ROOT_VARIABLE]:
                # Tables are in the catalog; only the summary of the run is a file.
                folder = tempfile.TemporaryDirectory(prefix="nbx-medallion-")
                variables[ROOT_VARIABLE] = stack.enter_context(folder)
        for name, value in variables.items():
            if value:
                before = {name: os.environ[name]} if name in os.environ else {}
                stack.callback(os.environ.update, before)
                stack.callback(os.environ.pop, name, None)
                os.environ[name] = value
        session: Any = MedallionSession.create(
            project,
            env=env,
            conf_source=str(conf),
            runtime_params={name: value for name, value in parameters.items() if value},
        )
        yield stack.enter_context(session)


def local_path(path: str) -> str:
    """A path of Databricks' file system (``dbfs:/x``, a mount ``/mnt/x``) as files are opened."""
    if path.startswith("dbfs:/"):
        plain = "/" + path.removeprefix("dbfs:").lstrip("/")
        return plain if plain.startswith("/Volumes/") else f"{_DBFS}{plain}"
    return f"{_DBFS}{path}" if path.startswith("/mnt/") and _DBFS.is_dir() else path
