"""What accompanies every run: its name, how its tables are written, checks, the ops tables."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.contracts.definition import definition_hash
from nbx_medallion.contracts.lineage import BATCH_ID, SOURCE_FILE, SUPERSEDED_BY_BATCH
from nbx_medallion.contracts.source import Source
from nbx_medallion.datasets import (
    BatchesDataset,
    DeltaTableDataset,
    EarlierDataset,
    LandingDataset,
)
from nbx_medallion.errors import ConfigurationError, LandingError
from nbx_medallion.landing.book import Event, read_book
from nbx_medallion.landing.notes import landing_notes
from nbx_medallion.model_versions import dataset_name
from nbx_medallion.run import checks
from nbx_medallion.run.ledger import LedgerRow
from nbx_medallion.run.progress import watched
from nbx_medallion.run.summary import RunReport, render
from nbx_medallion.run.survey import EVENTS, LEDGER, RULE_COUNTS, RUNS, SUMMARY, Survey
from nbx_medallion.tables.columns import any_of, any_pair
from nbx_medallion.tables.run import RunTables, Way

_RUN_ID = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z(-[A-Za-z0-9_-]{1,64})?")


class NamingHooks:
    """Names a run."""

    @hook_impl
    def after_catalog_created(
        self, catalog: DataCatalog, parameters: dict[str, Any], save_version: str | None
    ) -> None:
        """Name the run: as the parameter ``run_id`` says, else as Kedro names its session.

        Raises:
            UserError: The parameter has another form.
        """
        given = parameters["params:run_id"]
        if given is None and save_version:
            catalog.save("params:run_id", save_version)
        elif given is not None and not _RUN_ID.fullmatch(str(given)):
            raise ConfigurationError(
                f"run_id: expected YYYY-MM-DDTHH.MM.SS.mmmZ, with a suffix such as -42 where"
                f" needed, found {given!r}. Leave it out to have one made."
            )


class RunHooks:
    """Carries out the plan of one run: tells its datasets how, checks, and keeps the ops tables."""

    def __init__(
        self, survey: Survey, config: MedallionConfigLoader, started: datetime, git_sha: str | None
    ) -> None:
        self._survey, self._declared, self._started = survey, config.declared, started
        self._engine = str(config.engines.get("engine"))
        steps = survey.steps
        self._sources = [
            source for source in self._declared.sources if {source.raw, source.clean} & steps.keys()
        ]
        self._counts: list[dict[str, Any]] = []
        self.report = RunReport(survey.run_id, config.environment)
        self.report.notes += survey.notes
        self.report.notes += [f"{file} is used" for file in self._declared.overrides]
        for model in self._declared.models:
            self.report.notes += model.warnings if model.table in steps else ()
        texts = survey.facts.definitions
        self._run = RunTables(
            run_id=survey.run_id,
            environment=config.environment,
            git_sha=git_sha,
            inputs=survey.facts.inputs,
            definitions={table: (definition_hash(text), text) for table, text in texts.items()},
            found={table: (log.head, log.rows) for table, log in survey.facts.logs.items()},
            watch=self._watch,
            judge=self._judge_rows,
        )
        for source in self._sources:
            self._prepare_bronze(source)
            self._prepare_silver(source)
        for table in (EVENTS, RUNS, LEDGER, RULE_COUNTS):
            survey.lakehouse.table(table).run = self._run

    def _prepare_bronze(self, source: Source) -> None:
        if not (step := self._survey.steps.get(source.raw)):
            return
        self.report.notes = self._told(source) + self.report.notes
        if not step.is_needed:
            return
        events = self._events(source)
        self._run.note(source.raw, events=[event.to_json() for event in events])
        coming = {(event.path, event.batch_id) for event in events if event.records}
        replaced = any_pair(step.going | coming)
        way = Way("replace", lambda: replaced) if step.going else Way("append")
        self._run.ways[source.raw] = way

    def _prepare_silver(self, source: Source) -> None:
        step = self._survey.steps.get(source.clean)
        if not step or not step.is_needed:
            return
        taken = sorted(step.batches)
        if step.action == "rebuild":
            self._run.ways.update(dict.fromkeys(source.silver, Way("replace", anew=True)))
            self._run.batches[source.name] = None
            return
        self._run.batches[source.name] = taken
        of_batches = any_of(BATCH_ID, taken)
        by_batches = f"{of_batches} OR {any_of(SUPERSEDED_BY_BATCH, taken)}"

        @cache
        def and_losers() -> str:
            superseded = self._table(source.superseded).load()
            losers = superseded.where(f"{any_of(SUPERSEDED_BY_BATCH, taken)} AND NOT {of_batches}")
            pairs = losers.select(SOURCE_FILE, BATCH_ID).distinct().collect()
            return " OR ".join(filter(None, (of_batches, any_pair(map(tuple, pairs)))))

        scopes: list[Callable[[], str]] = [lambda: of_batches, lambda: by_batches, and_losers]
        for table, where in zip(source.silver, scopes, strict=True):
            self._run.ways[table] = Way("replace", where)

    def begin(self) -> None:
        """Note what was received, where no commit of bronze will."""
        steps = self._survey.steps
        idle = [s for s in self._sources if s.raw in steps and not steps[s.raw].is_needed]
        events = {event for source in idle for event in self._events(source)}
        self._note(events | self._survey.unnoted)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Tell the datasets what the run knows."""
        self._catalog = catalog
        for name in pipeline.datasets():
            dataset = catalog.get(name)
            if isinstance(dataset, DeltaTableDataset | EarlierDataset | BatchesDataset):
                dataset.run = self._run
        for source in self._sources:
            landing = catalog.get(source.landing)
            if isinstance(landing, LandingDataset) and source.name in self._survey.receipts:
                scan = self._survey.receipts[source.name].scan
                may_receive = self._survey.facts.receipts[source.name] is not None
                landing.scan = scan if may_receive else replace(scan, files=())

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Note what was received, judge the quarantine, and keep what was counted.

        Raises:
            UserError: More records are in quarantine than the contract allows.
        """
        if dataset_name.endswith(checks.PROFILE):
            clean = Source(dataset_name.removesuffix(checks.PROFILE)).clean
            for kind, name, records in data.collect():
                counts = self.report.reasons if kind == "reason" else self.report.warnings
                counts[name] = counts.get(name, 0) + records
                self._counts.append(
                    {"table_name": clean, "kind": kind, "name": name, "records": records}
                )
        table = self._tables.get(dataset_name, "")
        if (source := Source.of_table(table)) is None:
            return
        if table == source.raw:
            self._note(self._events(source))
        if table == source.quarantine:
            self._judge(source)

    def finish(self) -> None:
        """Check that every record is accounted for, keep the ops tables, print the summary.

        Raises:
            UserError: Records were lost or doubled.
        """
        self._balance()
        lines = {table: self._line(table) for table in self._survey.steps}
        self._keep("succeeded", plan=lines)
        self._print()

    def refuse_late(self) -> None:
        """Raise a `UserError` where files came that this run may not receive."""
        facts = self._survey.facts
        found = {name for name, receipt in self._survey.receipts.items() if receipt.events}
        if late := sorted(n for n in found if facts.receipts[n] is None):
            raise LandingError(
                f"{self._run.run_id}: expected a run id later than that of the newest batch,"
                f" {facts.books[late[0]].newest}, found files that are new for"
                f" {', '.join(late)}. They were not received. Run again under a later id."
            )

    @contextmanager
    def recorded(self, explain: Callable[[Exception], str]) -> Iterator[None]:
        """Keep in the ops tables what a run did that fails or is interrupted in the block."""
        try:
            yield
        except Exception as error:
            with suppress(Exception):
                self._keep("failed", error=explain(error))
                if self.report.rows:
                    self._print("failed after ")
            raise
        except BaseException:
            with suppress(Exception):
                self._keep("interrupted")
            raise

    # ---- what is told, written and checked

    def _print(self, outcome: str = "") -> None:
        sys.stdout.write(render(self.report, self._seconds(), outcome) + "\n")

    def _watch(self, table: str) -> AbstractContextManager[None]:
        source = Source.of_table(table)
        if source and table == source.raw:
            from nbx_medallion.landing.source import records_read

            scan = self._survey.receipts[source.name].scan
            return watched(f"writing {table}", scan.records, records_read)
        return watched(f"writing {table}")

    @property
    def _tables(self) -> Mapping[str, str]:
        """Table of each Delta dataset that the run has, by name in the catalog."""
        return {name: dataset.table_name for name, dataset in self._survey.datasets.items()}

    def _table(self, table: str) -> DeltaTableDataset:
        found = checks.delta_table(self._catalog, dataset_name(table))
        found.run = self._run
        return found

    def _events(self, source: Source) -> list[Event]:
        """What this run received of a source."""
        receipt = self._survey.facts.receipts.get(source.name)
        return list(receipt.events) if receipt else []

    def _told(self, source: Source) -> list[str]:
        receipt = self._survey.receipts[source.name]
        contract = self._declared.contract(source.clean)
        notes = [*receipt.notes, *(landing_notes(receipt.scan, contract) if receipt.events else ())]
        several = len(self._declared.sources) > 1
        return [f"{source.name}: {note}" if several else note for note in notes]

    def _note(self, events: Collection[Event]) -> None:
        rows = sorted(map(asdict, events), key=itemgetter("source", "path"))
        self._survey.lakehouse.save(EVENTS, rows)

    def _judge_rows(self, table: str, rows: int) -> None:
        limits = self._declared.contract(table).row_limits
        self.report.notes += checks.check_row_count(table, rows, limits)

    def _judge(self, source: Source) -> None:
        limits = self._declared.contract(source.clean).limits
        step = self._survey.steps[source.clean]
        if limits:
            self.report.notes += checks.check_limits(
                source,
                limits,
                self._table(source.raw).load(),
                self._table(source.quarantine),
                step,
            )

    def _received(self, source: Source) -> int:
        """Records of all files that were received and not retracted, as far as the run knows."""
        known = {event for event in self._survey.known if event.source == source.name}
        return read_book(known.union(self._events(source))).records()

    def _balance(self) -> None:
        rows = {table: rows for table, (_, rows) in self._run.found.items()}
        for source in self._sources:
            if source.raw in self._survey.steps:
                received = self._received(source)
                checks.check_balance("received", received, {source.raw: rows[source.raw]})
            if source.clean in self._survey.steps:
                parts = {table: rows[table] for table in source.silver}
                checks.check_balance(source.raw, rows[source.raw], parts)

    def _seconds(self) -> float:
        return round((datetime.now(UTC) - self._started).total_seconds(), 3)

    def _line(self, table: str) -> dict[str, Any]:
        """What `ops.runs` says of a table: what was done, and what it is made from now."""
        step, found = self._survey.steps[table], self._run.found
        return {
            "action": step.action,
            "reason": step.reason,
            "version": found[table][0],
            "made_by": self._run.definitions.get(table, (None,))[0],
            "inputs": {name: found[name][0] for name in self._run.inputs[table]},
        }

    def _keep(
        self, status: str, error: str | None = None, plan: Mapping[str, Any] | None = None
    ) -> None:
        """Append to the ops tables, and write the summary."""
        done = self._survey.steps if plan is not None else self._run.written
        tables = [table for table in self._survey.steps if table in done]
        self.report.rows = [self._row(table) for table in tables]
        logs, found = self._survey.facts.logs, self._run.found
        self.report.changes = {table: found[table][1] - logs[table].rows for table in tables}
        self.report.why = {table: self._survey.steps[table].reason for table in tables}
        named = {"run_id": self._run.run_id, "environment": self._run.environment}
        save = self._survey.lakehouse.save
        save(LEDGER, [asdict(row) for row in self.report.rows])
        save(RULE_COUNTS, [named | count for count in self._counts])
        layers = dict.fromkeys(table.partition(".")[0] for table in self._survey.steps)
        run = named | {
            "pipelines": ", ".join(layers),
            "started_at": self._started,
            "seconds": self._seconds(),
            "status": status,
            "error": error,
            "git_sha": self._run.git_sha,
            "engine": self._engine,
            "plan": None if plan is None else json.dumps(plan),
        }
        save(RUNS, [run])
        self._survey.lakehouse.catalog.save(SUMMARY, asdict(self.report))

    def _row(self, table: str) -> LedgerRow:
        step, logs = self._survey.steps[table], self._survey.facts.logs
        version, rows = self._run.found[table]
        source = Source.of_table(table)
        made_from = self._run.inputs[table]
        rows_in = self._run.found[made_from[0]][1] if made_from else rows
        if source and table == source.raw:
            rows_in = self._received(source)
        parts = source.silver[:2] if source and table == source.clean else ()
        counts = [self._run.found[name][1] for name in parts] or [0, 0]
        seconds = self._run.written[table].seconds if table in self._run.written else 0.0
        return LedgerRow(
            run_id=self._run.run_id,
            environment=self._run.environment,
            table_name=table,
            action=step.action,
            rows_in=rows_in,
            rows_out=rows,
            rows_quarantined=counts[0],
            rows_superseded=counts[1],
            delta_version_before=logs[table].head if logs[table].commits else None,
            delta_version_after=version,
            seconds=round(seconds, 3),
        )


def git_sha(project: Path, given: str | None) -> str | None:
    """The commit that is checked out, ``-dirty`` where tracked files differ; None outside git."""
    if given:
        return given
    command = ["git", "-C", str(project), "describe", "--always", "--dirty", "--abbrev=40"]
    command.append("--exclude=*")  # else a tag is named
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
