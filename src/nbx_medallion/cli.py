"""The project's own commands: ``kedro contracts``, and ``kedro package`` in place of Kedro's."""

import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import click
from kedro.framework.cli.project import run
from kedro.framework.cli.utils import call
from kedro.framework.project import pipelines, settings
from kedro.framework.startup import ProjectMetadata
from kedro.io import DataCatalog
from kedro.utils import load_obj

from nbx_medallion.config import MedallionConfigLoader, current_config
from nbx_medallion.contracts.reference import reference
from nbx_medallion.contracts.usage import check_usage
from nbx_medallion.datasets.commits import DeltaCommitsDataset
from nbx_medallion.datasets.delta_table import DeltaTableDataset
from nbx_medallion.errors import UserError

# Kedro looks for the packaged project's `run` here, where a project has commands of its own.
__all__ = ["cli", "run"]

DOCUMENT = Path("docs/DATA_CONTRACTS_AND_RULES.md")
START = "<!-- made by `kedro contracts docs`: what is below is not edited by hand -->\n"
END = "<!-- end of what `kedro contracts docs` makes -->\n"


def _known_runner(context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """Refuse a runner that is not there, which Kedro answers with a traceback."""
    try:
        load_obj(name or "SequentialRunner", "kedro.runner")
    except (AttributeError, ImportError, ValueError) as error:
        raise UserError(
            f"--runner: expected SequentialRunner, ThreadRunner, or the import path of a class,"
            f" found {name!r}: {error}"
        ) from None
    return name


next(option for option in run.params if option.name == "runner").callback = _known_runner


@click.group()
def cli() -> None:
    """Commands of the NBX medallion pipeline."""


@cli.command()
@click.pass_obj
def package(metadata: ProjectMetadata) -> None:
    """Make dist/*.whl, and dist/conf-nbx_medallion.tar.gz of the configuration.

    Nothing of conf/local is in them: it is a user's own. Kedro's command of this name leaves out
    files that end in .yml only.
    """
    project, conf = metadata.project_path, settings.CONF_SOURCE
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    call(build, cwd=str(project))
    private = f"{conf}/{settings.CONFIG_LOADER_ARGS['default_run_env']}"
    with tarfile.open(project / f"dist/conf-{metadata.package_name}.tar.gz", "w:gz") as archive:
        archive.add(project / conf, conf, filter=lambda e: None if e.name == private else e)


@cli.group()
def contracts() -> None:
    """Check data contracts, and describe them for people."""


@contracts.command()
@click.pass_obj
def check(metadata: ProjectMetadata) -> None:
    """Check every contract and the model list, for each environment.

    Exit code 1 and one message where a contract is not valid, a table has none, or a column that
    code or a model uses does not exist. Needs no engine and no table.
    """
    environments = list(_environments(metadata.project_path / settings.CONF_SOURCE))
    for environment, config in environments:
        for table in config.contract_tables():
            config.contract(table)
        check_usage(config.contract("silver.sales_clean"))
        catalog = DataCatalog.from_config(config["catalog"])
        for name in sorted(pipelines["__default__"].datasets() | {"ops_run_ledger"}):
            dataset = catalog.get(name)
            if isinstance(dataset, DeltaCommitsDataset):
                dataset = dataset.table
            if isinstance(dataset, DeltaTableDataset):
                _ = dataset.contract
        click.echo(
            f"{environment}: {len(config.contract_tables())} contracts and"
            f" {len(config.models)} model versions are valid."
        )


@contracts.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; fail if out of date.")
@click.pass_obj
def docs(metadata: ProjectMetadata, only_check: bool) -> None:
    """Write the reference of the contracts into docs."""
    path = metadata.project_path / DOCUMENT
    text = path.read_text(encoding="utf-8")
    made = with_reference(text)
    if made == text:
        click.echo(f"{DOCUMENT} is up to date.")
    elif only_check:
        raise UserError(f"{DOCUMENT} is out of date. Run `kedro contracts docs`.")
    else:
        path.write_text(made, encoding="utf-8")
        click.echo(f"{DOCUMENT} written.")


def with_reference(text: str) -> str:
    """Put the reference of the current contracts in its place in a document.

    Args:
        text: The document, with the two marks.

    Raises:
        UserError: A mark is missing.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise UserError(
            f"{DOCUMENT}: expected the lines {START.strip()!r} and {END.strip()!r}, around what is"
            " made from the contracts. Restore them."
        )
    config = current_config()
    made = reference(config.contract(table) for table in config.contract_tables())
    return f"{before}{start}\n{made}\n{end}{after}"


def _environments(conf: Path) -> Iterator[tuple[str, MedallionConfigLoader]]:
    arguments = settings.CONFIG_LOADER_ARGS
    for folder in sorted(path for path in conf.iterdir() if path.is_dir()):
        if folder.name != arguments["base_env"]:
            yield folder.name, MedallionConfigLoader(str(conf), env=folder.name, **arguments)
