"""What a run finds before it writes: its tables, what was received, and so what it has to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from nbx_medallion import pipelines
from nbx_medallion.config import Declarations
from nbx_medallion.contracts.definition import code_hash, define, definition_hash
from nbx_medallion.contracts.source import Source
from nbx_medallion.datasets import (
    BatchesDataset,
    DeltaCommitsDataset,
    DeltaTableDataset,
    LandingDataset,
)
from nbx_medallion.errors import ConfigurationError
from nbx_medallion.landing.book import Event, read_book
from nbx_medallion.model_versions import check_write_once, dataset_name
from nbx_medallion.run import checks
from nbx_medallion.run.plan import Plan, Step, refuse_foreign
from nbx_medallion.run.progress import watched
from nbx_medallion.tables.log import Commit, Log, Record
from nbx_medallion.tables.run import Definition, RunTables

EVENTS, RUNS = "ops.landing_files", "ops.runs"
REGISTRY = "ml_registry.model_versions"
LEDGER, RULE_COUNTS = "ops.run_ledger", "ops.rule_counts"
SUMMARY = "run_summary"


class Lakehouse:
    """The tables of an environment, as their logs and the ops tables tell of them.

    Attributes:
        run: What is known of the run that writes; None while none does.
        restored: Version that each table was left at whose rows cannot be made again, and that
            somebody restored to before.
    """

    def __init__(self, catalog: DataCatalog) -> None:
        self.catalog = catalog
        self.run: RunTables | None = None
        self.restored: dict[str, int] = {}
        self._lines: dict[str, list[Record]] = {}
        runs = self.rows(RUNS, ["run_id", "started_at", "seconds", "plan"])
        for run in sorted(runs, key=lambda run: (run["started_at"], run["run_id"])):
            ended = run["started_at"] + timedelta(seconds=run["seconds"])
            for table, line in json.loads(run["plan"] or "{}").items():
                record = Record(line["version"], line["made_by"], line["inputs"], at=ended)
                self._lines.setdefault(table, []).append(record)

    def table(self, table: str) -> DeltaTableDataset:
        """The dataset of ``<schema>.<table>``."""
        return checks.get_dataset(self.catalog, dataset_name(table), DeltaTableDataset)

    def log(self, table: str, dataset: Any = None, is_kept: bool = False) -> Log:
        """What its log, and `ops.runs`, tell of a table.

        Args:
            table: ``<schema>.<table>``.
            dataset: Its dataset, where that has another name.
            is_kept: Whether the rows cannot be made again. Where somebody restored it to before
                what this project left, the log is as `put_back` will leave it.
        """
        stored = (dataset or self.table(table)).table
        log: Log = replace(stored.log(), table=table, lines=self._lines.get(table, ()))
        if not is_kept or (status := log.status()).name != "restored":
            return log
        self.restored[table] = version = status.version
        back = Commit(log.head + 1, datetime.now(UTC), 0, operation="RESTORE", restored=version)
        return replace(log, commits=[*log.commits, back], rows=stored.row_count(version))

    def rows(self, table: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """All rows of a small table; none where there is no such table."""
        stored = self.table(table).table
        return stored.rows(columns, self.restored.get(table)) if stored.exists() else []

    @cached_property
    def noted(self) -> frozenset[Event]:
        """What `ops.landing_files` has; a `UserError` where another program changed it."""
        refuse_foreign(self.log(EVENTS, is_kept=True))
        return frozenset(map(Event.from_row, self.rows(EVENTS)))

    def events(self, source: Source, bronze: Log) -> set[Event]:
        """What was received of a source: what is noted, and what commits of its bronze carry."""
        carried = (event for commit in bronze.own() for event in commit.metadata.get("events", ()))
        noted = {event for event in self.noted if event.source == source.name}
        return noted.union(map(Event.from_row, carried))

    def put_back(self) -> None:
        """Restore each such table to how it was left; a `UserError` where that is gone."""
        for table, version in self.restored.items():
            self.table(table).table.restore(version)

    def told(self, what: str) -> list[str]:
        """A sentence for each restored table, what happens to it included."""
        return [
            f"{table} had been restored to an earlier version, which loses what was received since:"
            f" {what} to version {version}"
            for table, version in self.restored.items()
        ]

    def save(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Append rows to an ops table, if there are any."""
        if rows:
            dataset = self.table(table)
            dataset.run = self.run
            dataset.save(rows)

    def save_run(
        self,
        run: RunTables,
        pipelines: str,
        lines: Mapping[str, tuple[Step, Record]] | None,
        **others: Any,
    ) -> None:
        """Append a run to `ops.runs`.

        Args:
            run: What it knows of its tables.
            pipelines: What was run.
            lines: What happened to each table, and what it is made from now; None where the run
                did not pass its checks.
            **others: Other values than those of a run that succeeded at once.
        """
        plan = {
            table: {
                "action": step.action,
                "reason": step.reason,
                "version": made.version,
                "made_by": made.definition,
                "inputs": dict(made.inputs),
            }
            for table, (step, made) in (lines or {}).items()
        }
        row = {
            "run_id": run.run_id,
            "environment": run.environment,
            "pipelines": pipelines,
            "started_at": datetime.now(UTC),
            "seconds": 0.0,
            "status": "succeeded",
            "error": None,
            "git_sha": run.git_sha,
            "engine": None,
            "plan": None if lines is None else json.dumps(plan),
        }
        self.save(RUNS, [row | others])


@dataclass(frozen=True)
class Survey:
    """What a run found of its pipeline, and its plan.

    Attributes:
        tables: Table of each Delta dataset of the pipeline, by name in the catalog.
        events: What was received of each source whose bronze is written.
    """

    pipeline: Pipeline
    lakehouse: Lakehouse
    tables: Mapping[str, str]
    plan: Plan
    events: Mapping[str, set[Event]]

    def needed(self) -> list[str]:
        """Names of the nodes that have something to do, in order.

        One that writes no table is needed by those that read what it gives, or, where nobody does,
        after those that it reads from.
        """
        nodes = self.pipeline.nodes
        kept: list[Node] = []
        for node in nodes:
            tables = [self.tables[name] for name in node.outputs if name in self.tables]
            is_last = not any(set(node.outputs) & set(other.inputs) for other in nodes)
            given = {name for other in kept for name in other.outputs}
            if any(map(self.plan.is_written, tables)) or (
                not tables and is_last and given & set(node.inputs)
            ):
                kept.append(node)
        for node in reversed(nodes):
            wanted = {name for other in kept for name in other.inputs}
            if wanted & set(node.outputs) - self.tables.keys():
                kept.append(node)
        return [node.name for node in nodes if node in kept]


def take_survey(
    pipeline: Pipeline, catalog: DataCatalog, declared: Declarations, params: Mapping[str, Any]
) -> Survey:
    """Look at tables and landing, check what would make the run fail, and plan. Starts no engine.

    Raises:
        UserError: A contract, a folder, an ML definition or a table is not as it must be.
    """
    full, verify = (_flag(params, name) for name in ("full_refresh", "verify"))
    inputs = checks.table_inputs(pipeline, catalog)
    found: dict[str, Any] = {name: catalog.get(name) for name in sorted(pipeline.datasets())}
    tables = {n: d.table_name for n, d in found.items() if isinstance(d, DeltaTableDataset)}
    commits = {
        tables[out]: [found[name].table_name for name in read]
        for node in pipeline.nodes
        if (read := [n for n in node.inputs if isinstance(found[n], DeltaCommitsDataset)])
        for out in node.outputs
    }
    datasets = {
        dataset.table_name: dataset
        for kind in (DeltaCommitsDataset, DeltaTableDataset)
        for dataset in found.values()
        if isinstance(dataset, kind)
    }
    catalog.get(SUMMARY)
    lakehouse = Lakehouse(catalog)
    for table in (EVENTS, RUNS, LEDGER, RULE_COUNTS):
        lakehouse.table(table).check()
        lakehouse.table(table).check_columns()
    for table, dataset in datasets.items():
        dataset.check()
        if table not in inputs:
            dataset.refuse_missing()
    checks.check_contracts(declared, inputs)
    lakehouse.log(EVENTS, is_kept=True)  # it is put back by a run of any layer
    sources = [source for source in declared.sources if source.raw in inputs]
    kept = {source.raw for source in declared.sources}
    logs = {name: lakehouse.log(name, one, name in kept) for name, one in datasets.items()}
    written = [model for model in declared.models if model.table in inputs]
    registered = lakehouse.rows(REGISTRY, ["table_name", "definition"]) if written else []
    written_with = {row["table_name"]: row["definition"] for row in registered} | {
        model.table: commit.metadata["definition"]
        for model in written
        for commit in logs[model.table].own()
        if "definition" in commit.metadata
    }
    check_write_once(
        {model: written_with[model.table] for model in written if model.table in written_with},
        declared.models,
        lambda model: catalog.exists(f"{model}.dataset@table"),
    )
    for dataset in datasets.values():
        dataset.check_columns()
    events = {source.name: lakehouse.events(source, logs[source.raw]) for source in sources}
    books = {name: read_book(of_source) for name, of_source in events.items()}
    receipts = {}
    for source in sources:
        landing = checks.get_dataset(catalog, source.landing, LandingDataset)
        columns = []
        if logs[source.raw].commits:
            bronze = datasets[source.raw].table.columns(lakehouse.restored.get(source.raw))
            columns = [column.name for column in bronze]
        with watched(f"looking at {source.landing}"):
            receipts[source.name] = landing.receive(
                books[source.name], params["run_id"], columns, verify=verify
            )
    key = ["table_name", "definition_hash", "content_hash"]
    plan = Plan(
        run_id=params["run_id"],
        logs=logs,
        definitions={
            table: definition_of(declared, table)
            for table in inputs
            if table not in commits and not table.startswith("bronze.")
        },
        books=books,
        receipts=receipts,
        inputs=inputs,
        commits=commits,
        registered={
            tuple(row[k] for k in key) for name in commits for row in lakehouse.rows(name, key)
        },
        extensible={d.table_name for d in found.values() if isinstance(d, BatchesDataset)},
        full=full,
    )
    for source in declared.sources:
        if plan.is_written(source.clean):
            declared.contract(source.clean).check_sql()
    return Survey(pipeline, lakehouse, tables, plan, events)


def _flag(params: Mapping[str, Any], name: str) -> bool:
    value = params[name]
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"{name}: expected true or false, found {value!r}. Correct it in parameters.yml, or"
            f" pass --params {name}=true."
        )
    return value


def definition_of(declared: Declarations, table: str) -> Definition:
    """What defines the content of a table of silver or gold: its contract, its layer's nodes."""
    source = Source.of_table(table)
    contract = declared.contract(source.clean if source else table)
    text = define(contract, _code(table.partition(".")[0]))
    return definition_hash(text), text


@cache
def _code(layer: str) -> str:
    return code_hash((Path(pipelines.__file__).parent / layer / "nodes.py").read_text("utf-8"))
