"""What a run finds before it writes: its tables, what was received, and so what it has to do."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from nbx_medallion import pipelines
from nbx_medallion.config import Declarations
from nbx_medallion.contracts.definition import code_hash, define
from nbx_medallion.contracts.source import Source
from nbx_medallion.datasets import DeltaCommitsDataset, DeltaTableDataset, LandingDataset
from nbx_medallion.errors import ConfigurationError, TableError
from nbx_medallion.landing.book import Book, Event, read_book
from nbx_medallion.landing.inbox import Receipt
from nbx_medallion.model_versions import check_write_once, dataset_name
from nbx_medallion.run import checks
from nbx_medallion.run.plan import Facts, Step, has_unregistered, refuse_foreign
from nbx_medallion.run.progress import watched
from nbx_medallion.tables.log import Log, Record

EVENTS, RUNS = "ops.landing_files", "ops.runs"
LEDGER, RULE_COUNTS = "ops.run_ledger", "ops.rule_counts"
SUMMARY = "run_summary"


class Lakehouse:
    """The tables of an environment, as their logs and the ops tables tell of them."""

    def __init__(self, catalog: DataCatalog) -> None:
        self.catalog = catalog
        self._lines: dict[str, list[Record]] = {}
        self._as_of: dict[str, int] = {}
        runs = self.rows(RUNS, ["run_id", "started_at", "plan"])
        for run in sorted(runs, key=lambda run: (run["started_at"], run["run_id"])):
            for table, line in json.loads(run["plan"] or "{}").items():
                record = Record(line["version"], line["made_by"], line["inputs"])
                self._lines.setdefault(table, []).append(record)

    def table(self, table: str) -> DeltaTableDataset:
        """The dataset of ``<schema>.<table>``."""
        return checks.delta_table(self.catalog, dataset_name(table))

    def log(self, table: str, dataset: DeltaTableDataset | None = None) -> Log:
        """What its log, and `ops.runs`, tell of a table."""
        stored = (dataset or self.table(table)).table
        log = replace(stored.log(), table=table, lines=self._lines.get(table, ()))
        version = self._as_of.get(table)
        return log if version is None else log.until(version, stored.row_count(version))

    def rows(self, table: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """All rows of a small table; none where there is no such table."""
        stored = self.table(table).table
        return stored.rows(columns) if stored.exists() else []

    def noted(self) -> frozenset[Event]:
        """What `ops.landing_files` has.

        Raises:
            UserError: Another program changed it.
        """
        refuse_foreign(self.log(EVENTS))
        return frozenset(map(Event.from_row, self.rows(EVENTS)))

    def save(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Append rows to an ops table, if there are any."""
        if rows:
            self.table(table).save(rows)

    def put_back(self, tables: Collection[str], only_tell: bool = False) -> list[str]:
        """Restore those that somebody restored to before what this project left; a note of each.

        Raises:
            UserError: It cannot be done any more.
        """
        notes = []
        for table in tables:
            status, stored = self.log(table).status(), self.table(table).table
            if status.name != "restored":
                continue
            what = "a run puts it back" if only_tell else "it was put back"
            notes.append(
                f"{table} had been restored to an earlier version, which loses what was received"
                f" since: {what} to version {status.version}"
            )
            if only_tell:
                self._as_of[table] = status.version
                continue
            try:
                stored.restore(status.version)
            except Exception as error:
                raise TableError(
                    f"{table}: expected to put it back to version {status.version}, which somebody"
                    f" restored away, found: {str(error).splitlines()[0]}. `kedro lakehouse adopt"
                    f" {table} --why TEXT` accepts what is there."
                ) from error
        return notes


def committed(bronze: Log) -> frozenset[Event]:
    """What the commits of a bronze table say was received."""
    events = (event for commit in bronze.own() for event in commit.metadata.get("events", ()))
    return frozenset(map(Event.from_row, events))


def read_books(lakehouse: Lakehouse, noted: frozenset[Event], source: Source) -> Book:
    """What was received of a source."""
    of_source = {event for event in noted if event.source == source.name}
    return read_book(of_source | committed(lakehouse.log(source.raw)))


@dataclass(frozen=True)
class Survey:
    """What a run found, and what it has to do.

    Attributes:
        pipeline: The steps that are selected.
        datasets: The Delta tables among its datasets, by their names in the catalog.
        steps: What happens to each table that it writes.
        receipts: What the landing of each source holds that is new, also where this run, whose id
            is not later than the newest batch, may not receive it.
        known: Events of its sources, of `ops.landing_files` and of bronze's commits.
        unnoted: Events that bronze's commits carry and `ops.landing_files` lacks.
        notes: What a person should know.
    """

    run_id: str
    pipeline: Pipeline
    lakehouse: Lakehouse
    datasets: Mapping[str, DeltaTableDataset]
    facts: Facts
    steps: Mapping[str, Step]
    receipts: Mapping[str, Receipt]
    known: frozenset[Event]
    unnoted: frozenset[Event]
    notes: list[str] = field(default_factory=list)

    def needed(self) -> list[str]:
        """Names of the nodes that have something to do, in order.

        One that writes no table is needed by those that read what it gives, or, where nobody does,
        after those that it reads from.
        """
        nodes = self.pipeline.nodes
        kept: list[Node] = []
        for node in nodes:
            tables = [
                self.datasets[name].table_name for name in node.outputs if name in self.datasets
            ]
            is_last = not any(set(node.outputs) & set(other.inputs) for other in nodes)
            given = {name for other in kept for name in other.outputs}
            if any(self.steps[table].is_needed for table in tables) or (
                not tables and is_last and given & set(node.inputs)
            ):
                kept.append(node)
        for node in reversed(nodes):
            wanted = {name for other in kept for name in other.inputs}
            if wanted & set(node.outputs) - self.datasets.keys():
                kept.append(node)
        return [node.name for node in nodes if node in kept]


def take_survey(
    pipeline: Pipeline,
    catalog: DataCatalog,
    declared: Declarations,
    params: Mapping[str, Any],
    put_back: bool = True,
) -> Survey:
    """Look at tables and landing, check what would make the run fail, and plan. Starts no engine.

    Args:
        pipeline: The steps that are selected.
        catalog: The datasets.
        declared: Contracts, sources and models.
        params: The parameters, of which the run's id is one.
        put_back: Whether a bronze table that somebody restored is put back.

    Raises:
        UserError: A contract, a folder, an ML definition or a table is not as it must be.
    """
    options = {name: _flag(params, name) for name in ("full_refresh", "verify")}
    run_id = params["run_id"]
    inputs = checks.table_inputs(pipeline, catalog)
    found = {name: catalog.get(name) for name in sorted(pipeline.datasets())}
    datasets = {name: d for name, d in found.items() if isinstance(d, DeltaTableDataset)}
    tables = {dataset.table_name: dataset for dataset in datasets.values()}
    commits = {
        datasets[out].table_name: [
            d.table for d in map(found.get, node.inputs) if isinstance(d, DeltaCommitsDataset)
        ]
        for node in pipeline.nodes
        for out in node.outputs
        if out in datasets
    }
    commits = {table: read for table, read in commits.items() if read}
    models = {d.table_name: d for read in commits.values() for d in read}
    catalog.get(SUMMARY)
    lakehouse = Lakehouse(catalog)
    for table in (EVENTS, RUNS, LEDGER, RULE_COUNTS):
        lakehouse.table(table).check()
    for table, dataset in (models | tables).items():
        dataset.check()
        if table not in inputs:
            dataset.refuse_missing()
    checks.check_contracts(declared, inputs)
    sources = [source for source in declared.sources if source.raw in inputs]
    restorable = [EVENTS, *(source.raw for source in sources)]
    if put_back and any(lakehouse.log(one).status().name == "restored" for one in restorable):
        # It may refuse, and then nothing is written.
        take_survey(pipeline, catalog, declared, params, put_back=False)
    notes = lakehouse.put_back(restorable, only_tell=not put_back)
    logs = {table: lakehouse.log(table, dataset) for table, dataset in (models | tables).items()}
    _check_models(declared, logs, inputs, catalog)
    noted = lakehouse.noted() if sources else frozenset[Event]()
    events = {source.name: committed(logs[source.raw]) for source in sources}
    books = {
        source.name: read_book({e for e in noted if e.source == source.name} | events[source.name])
        for source in sources
    }
    receipts = {}
    for source in sources:
        landing = catalog.get(source.landing)
        if not isinstance(landing, LandingDataset):
            raise ConfigurationError(
                f"{source.landing}: expected a LandingDataset in the catalog, found"
                f" {type(landing).__name__}. Restore its entry or pattern in catalog.yml."
            )
        bronze = tables[source.raw].table
        columns = [column.name for column in bronze.columns()] if logs[source.raw].commits else []
        with watched(f"looking at {source.landing}"):
            receipts[source.name] = landing.receive(
                books[source.name], run_id, columns, verify=options["verify"]
            )
    facts = Facts(
        run_id,
        logs,
        {
            table: definition_of(declared, table)
            for table in inputs
            if table not in commits and not table.startswith("bronze.")
        },
        books,
        {n: r if run_id > books[n].newest else None for n, r in receipts.items()},
        inputs,
        {table: [d.table_name for d in read] for table, read in commits.items()},
        any(
            _lacks(lakehouse, table, [logs[d.table_name] for d in read])
            for table, read in commits.items()
        ),
        options["full_refresh"],
    )
    steps = facts.plan()
    for source in declared.sources:
        if any(steps[table].is_needed for table in source.silver if table in steps):
            declared.contract(source.clean).check_sql()
    return Survey(
        run_id,
        pipeline,
        lakehouse,
        datasets,
        facts,
        steps,
        receipts,
        noted.union(*events.values()),
        frozenset().union(*events.values()) - noted,
        notes,
    )


def _flag(params: Mapping[str, Any], name: str) -> bool:
    value = params[name]
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"{name}: expected true or false, found {value!r}. Correct it in parameters.yml, or"
            f" pass --params {name}=true."
        )
    return value


def _check_models(
    declared: Declarations, logs: Mapping[str, Log], inputs: Collection[str], catalog: DataCatalog
) -> None:
    check_write_once(
        {
            model: commit.metadata["definition"]
            for model in declared.models
            if model.table in inputs
            for commit in logs[model.table].own()
            if "definition" in commit.metadata
        },
        listed=declared.models,
        exists=lambda namespace: catalog.exists(f"{namespace}.dataset@table"),
    )


def definition_of(declared: Declarations, table: str) -> dict[str, str]:
    """What defines the content of a table of silver or gold: its contract, its layer's nodes."""
    source = Source.of_table(table)
    contract = declared.contract(source.clean if source else table)
    return define(contract, _code(table.partition(".")[0]))


@cache
def _code(layer: str) -> str:
    return code_hash((Path(pipelines.__file__).parent / layer / "nodes.py").read_text("utf-8"))


def _lacks(lakehouse: Lakehouse, registry: str, models: Collection[Log]) -> bool:
    key = ["table_name", "definition_hash", "content_hash"]
    known = {tuple(row[name] for name in key) for row in lakehouse.rows(registry, key)}
    return has_unregistered(models, known)
