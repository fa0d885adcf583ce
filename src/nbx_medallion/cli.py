"""The project's own commands: ``kedro contracts``, and ``kedro package`` in place of Kedro's."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import isabstract
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import settings
from kedro.framework.startup import ProjectMetadata
from kedro.io import DataCatalog
from kedro.runner import AbstractRunner
from kedro.utils import load_obj

from nbx_medallion.config import MedallionConfigLoader, current_config
from nbx_medallion.contracts.reference import reference
from nbx_medallion.errors import ConfigurationError
from nbx_medallion.inspect import as_text, runs, states
from nbx_medallion.output import keep_output_from_failing
from nbx_medallion.pipeline_registry import register_pipelines
from nbx_medallion.run.amend import Amending
from nbx_medallion.run.checks import check_contracts, table_inputs
from nbx_medallion.run.session import MedallionSession, own_engine

DOCUMENT = Path("docs/DATA_CONTRACTS_AND_RULES.md")
START = "<!-- made by `kedro contracts docs`: what is below is not edited by hand -->\n"
END = "<!-- end of what `kedro contracts docs` makes -->\n"
_OF_A_RUN_ONLY = {"runner", "is_async", "runner_params", "load_versions", "config", "pipeline"}
_OF_A_RUN_ONLY |= {"only_missing_outputs"}

# Kedro imports this module before it carries out any command in a project.
keep_output_from_failing()


@click.group()
def cli() -> None:
    """Commands of the NBX medallion pipeline."""


@cli.command(params=kedro_run.params)
@click.pass_context
def run(context: click.Context, /, runner: str | None, **others: Any) -> Any:
    """Run the pipelines, as Kedro does; a runner that is not there is one message."""
    try:
        found = load_obj(runner or "SequentialRunner", "kedro.runner")
        if not (isinstance(found, type) and issubclass(found, AbstractRunner)) or isabstract(found):
            raise ValueError("it is no runner")
    except (AttributeError, ImportError, ValueError) as error:
        raise ConfigurationError(
            f"--runner: expected SequentialRunner, ThreadRunner, or the import path of a class,"
            f" found {runner!r}: {error}"
        ) from None
    return context.forward(kedro_run)


@cli.command()
@click.pass_obj
def package(metadata: ProjectMetadata) -> None:
    """Make dist/*.whl, and dist/conf-nbx_medallion.tar.gz of the configuration.

    Nothing of conf/local is in them: it is a user's own. Kedro's command of this name leaves out
    files that end in .yml only.
    """
    project, conf = metadata.project_path, settings.CONF_SOURCE
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    built = subprocess.run(build, cwd=project, capture_output=True, check=False)  # noqa: S603
    click.echo((built.stdout + built.stderr).decode(errors="replace"))
    if built.returncode:
        raise click.exceptions.Exit(built.returncode)
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
    conf, arguments = metadata.project_path / settings.CONF_SOURCE, settings.CONFIG_LOADER_ARGS
    environments = sorted(path.name for path in conf.iterdir() if path.is_dir())
    environments.remove(arguments["base_env"])
    for environment in environments:
        config = MedallionConfigLoader(str(conf), env=environment, **arguments)
        declared = config.declared
        for table in declared.tables:
            declared.contract(table).check_sql()
        with own_engine():
            catalog = DataCatalog.from_config(config["catalog"])
            inputs = table_inputs(register_pipelines()["__default__"], catalog)
        check_contracts(declared, inputs)
        click.echo(
            f"{config.environment}: {len(declared.tables)} contracts and"
            f" {len(declared.models)} model versions are valid."
        )
        for file in declared.overrides:
            click.echo(f"  {file} is used.")


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
        raise ConfigurationError(f"{DOCUMENT} is out of date. Run `kedro contracts docs`.")
    else:
        path.write_text(made, encoding="utf-8")
        click.echo(f"{DOCUMENT} written.")


def with_reference(text: str) -> str:
    """Put the reference of the current contracts in its place in a document, between two marks.

    Raises:
        UserError: A mark is missing.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ConfigurationError(
            f"{DOCUMENT}: expected the lines {START.strip()!r} and {END.strip()!r}, around what is"
            " made from the contracts. Restore them."
        )
    declared = current_config().declared
    made = reference(map(declared.contract, declared.tables))
    return f"{before}{start}\n{made}\n{end}{after}"


@cli.group()
def lakehouse() -> None:
    """Ask the lakehouse what a run would do and what was done, and correct what was received."""


_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ENV = click.option("--env", "-e", help="Environment, else local.")
_WHY = click.option("--why", required=True, help="The reason, which is kept.")


@lakehouse.command(params=[p for p in kedro_run.params if p.name not in _OF_A_RUN_ONLY])
@_AS_JSON
def plan(as_json: bool, env: str | None, **options: Any) -> None:
    """What a run with these options would do to each table, and why. Nothing is written."""
    conf_source, params = options.pop("conf_source"), options.pop("params")
    with _session(env, conf_source=conf_source, runtime_params=params) as session:
        survey = session.plan(list(options.pop("pipelines")), **options)
    steps, receipts = survey.plan.steps.items(), survey.plan.receipts.values()
    rows = [{"table": name, "action": one.action, "reason": one.reason} for name, one in steps]
    notes = survey.lakehouse.told("a run puts it back")
    notes += [note for receipt in receipts for note in receipt.notes]
    if as_json:
        click.echo(json.dumps({"tables": rows, "notes": notes}, indent=2))
        return
    click.echo(as_text(rows))
    for note in notes:
        click.echo(f"  {note}")


@lakehouse.command()
@click.argument("table", required=False)
@click.option("--last", default=20, show_default=True, help="How many.")
@_ENV
@_AS_JSON
def history(table: str | None, last: int, env: str | None, as_json: bool) -> None:
    """The last runs, or the last states of a TABLE, such as silver.sales_clean."""
    with _session(env) as session:
        found = session.lakehouse
        rows = states(found, table, last) if table else runs(found, last)
        if table and not rows:
            current_config().declared.refuse_unknown(table)
    click.echo(json.dumps(rows, indent=2) if as_json else as_text(rows))


@lakehouse.command()
@click.argument("source")
@click.argument("path")
@_WHY
@click.option("--location", help="The absolute path, where several files had records under PATH.")
@_ENV
def retract(source: str, path: str, why: str, location: str | None, env: str | None) -> None:
    """Have the next run take out the records of a file: PATH as _source_file has it."""
    with _amending(env, why) as amending:
        events = amending.retract(source, path, location)
    records = sum(event.records for event in events)
    click.echo(f"{path}: {records:,} records of {source} are taken out by the next run.")


@lakehouse.command()
@click.argument("table")
@_WHY
@_ENV
def adopt(table: str, why: str, env: str | None) -> None:
    """Accept what is there: in bronze what somebody else changed, elsewhere a new definition."""
    with _amending(env, why) as amending:
        click.echo(amending.adopt(table))


@contextmanager
def _amending(env: str | None, why: str) -> Iterator[Amending]:
    with _session(env) as session:
        yield Amending(session.lakehouse, current_config(), session.session_id, why)


@contextmanager
def _session(env: str | None, **options: Any) -> Iterator[MedallionSession]:
    session: Any = MedallionSession.create(env=env, **options)
    with session, own_engine():
        yield session
