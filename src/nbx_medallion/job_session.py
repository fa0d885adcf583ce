"""A session of the project for job entry points, wherever the project and its configuration are."""

import contextlib
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.utils import find_kedro_project

from nbx_medallion.config import on_databricks
from nbx_medallion.errors import UserError
from nbx_medallion.run.session import MedallionSession

LANDING_VARIABLE = "RAW_SALES_PATH"
ROOT_VARIABLE = "LAKEHOUSE_ROOT"
_PACKAGE = "nbx_medallion"
_DATABRICKS_LANDING = "/mnt/raw/sales.csv"
_DBFS = Path("/dbfs")


@contextlib.contextmanager
def prepared_session(
    *,
    env: str | None,
    variables: dict[str, str | None],
    runtime_params: dict[str, str | None],
    conf_source: str | None,
    project_path: str | Path | None,
) -> Iterator[KedroSession]:
    """A session of the project, wherever the project is: a checkout, or an installed wheel.

    Args:
        env: See `nbx_medallion.job.run_pipeline`.
        variables: Environment variables for the time of the session; those without a value are
            left as they are.
        runtime_params: Kedro's runtime parameters; those without a value are left out.
        conf_source: See `nbx_medallion.job.run_pipeline`.
        project_path: See `nbx_medallion.job.run_pipeline`.

    Raises:
        UserError: There is no configuration, or on Databricks no environment is named.
    """
    environment = _environment(env)
    project = Path(project_path or find_kedro_project(Path.cwd()) or Path.cwd()).resolve()
    if _is_ours(project):
        bootstrap_project(project)
    else:
        project = Path.cwd()
        configure_project(_PACKAGE)
    conf = Path(conf_source).expanduser().absolute() if conf_source else project / "conf"
    _check(conf)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_variables(_for_databricks(variables, stack)))
        session = MedallionSession.create(
            project,
            env=environment,
            conf_source=str(conf),
            runtime_params={key: value for key, value in runtime_params.items() if value},
        )
        stack.enter_context(session)
        yield session


def _is_ours(project: Path) -> bool:
    """Whether a folder is a checkout of this project, and not of another Kedro project."""
    described = project / "pyproject.toml"
    return (
        (project / "src" / _PACKAGE).is_dir()
        and described.is_file()
        and f'package_name = "{_PACKAGE}"' in described.read_text("utf-8")
    )


def _environment(given: str | None) -> str | None:
    """The environment to run in, None for the default one of a laptop.

    Raises:
        UserError: On Databricks, none is named.
    """
    named = given or os.environ.get("KEDRO_ENV") or None
    if named is None and on_databricks():
        raise UserError(
            "env: expected the name of an environment, found none. On Databricks it says which"
            " catalog the tables are in: pass --env dev (or staging, or prod), or set KEDRO_ENV."
        )
    return named


def _for_databricks(
    variables: dict[str, str | None], stack: contextlib.ExitStack
) -> dict[str, str | None]:
    """The variables as a Databricks runtime needs them; elsewhere as they are."""
    if not on_databricks():
        return variables
    landing = variables[LANDING_VARIABLE] or os.environ.get(LANDING_VARIABLE) or _DATABRICKS_LANDING
    root = variables[ROOT_VARIABLE] or os.environ.get(ROOT_VARIABLE)
    if not root:
        # Tables are in the catalog; only the summary of the run is a file, of the driver's disk.
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="nbx-medallion-"))
    return {**variables, LANDING_VARIABLE: local_path(landing), ROOT_VARIABLE: root}


def local_path(path: str) -> str:
    """A path of Databricks' file system (``dbfs:/x``, a mount ``/mnt/x``) as files are opened."""
    if path.startswith("dbfs:/"):
        plain = "/" + path.removeprefix("dbfs:").lstrip("/")
        return plain if plain.startswith("/Volumes/") else f"{_DBFS}{plain}"
    return f"{_DBFS}{path}" if path.startswith("/mnt/") and _DBFS.is_dir() else path


@contextlib.contextmanager
def _variables(values: dict[str, str | None]) -> Iterator[None]:
    """Set environment variables for a time."""
    before = {name: os.environ.get(name) for name, value in values.items() if value}
    os.environ.update({name: value for name, value in values.items() if value})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _check(conf: Path) -> None:
    """Refuse a configuration that is not there, or that is neither a folder nor an archive."""
    if not conf.exists():
        raise UserError(
            f"{conf}: expected the project's configuration, found nothing. Name its folder or its"
            " .tar.gz with --conf-source, or run within the project."
        )
    if not conf.is_dir() and not tarfile.is_tarfile(conf):
        raise UserError(
            f"{conf}: expected a configuration folder or a .tar.gz of one, found another file."
            " `kedro package` makes one."
        )
