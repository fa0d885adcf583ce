"""What accompanies every run: how its tables are written, checks, the ops tables."""

import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
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
from nbx_medallion.contracts.lineage import BATCH_ID, SOURCE_FILE, SUPERSEDED_BY_BATCH
from nbx_medallion.contracts.source import Source
from nbx_medallion.datasets import DeltaTableDataset
from nbx_medallion.errors import LandingError
from nbx_medallion.landing.book import Event, read_book
from nbx_medallion.landing.notes import landing_notes
from nbx_medallion.run import checks
from nbx_medallion.run.plan import Step
from nbx_medallion.run.progress import watched
from nbx_medallion.run.summary import RunReport, render
from nbx_medallion.run.survey import EVENTS, LEDGER, RULE_COUNTS, SUMMARY, Survey
from nbx_medallion.tables.conditions import any_of, any_pair
from nbx_medallion.tables.log import Record
from nbx_medallion.tables.run import RunTables, Way


class RunHooks:
    """Carries out the plan of one run: tells its datasets how, checks, and keeps the ops tables."""

    def __init__(
        self, survey: Survey, config: MedallionConfigLoader, started: datetime, git_sha: str | None
    ) -> None:
        self._survey, self._plan, self._declared = survey, survey.plan, config.declared
        self._lakehouse = survey.lakehouse
        self._started, self._engine = started, str(config.engines.get("engine"))
        self._sources = [
            source
            for source in self._declared.sources
            if {source.raw, source.clean} & self._plan.steps.keys()
        ]
        self._counts: list[dict[str, Any]] = []
        self.report = RunReport(self._plan.run_id, config.environment)
        self.report.notes += self._lakehouse.told("it was put back")
        self.report.notes += [f"{file} is used" for file in self._declared.overrides]
        for model in self._declared.models:
            self.report.notes += model.warnings if model.table in self._plan.steps else ()
        self._run = self._lakehouse.run = RunTables(
            run_id=self._plan.run_id,
            environment=config.environment,
            git_sha=git_sha,
            inputs=self._plan.inputs,
            definitions=self._plan.definitions,
            found={table: (log.head, log.rows) for table, log in self._plan.logs.items()},
            watch=self._watch,
            judge=self._judge_rows,
        )
        for source in self._sources:
            if source.raw in self._plan.steps:
                self.report.notes[:0] = self._told(source)
            if self._plan.is_written(source.raw):
                self._prepare_bronze(source, self._plan.steps[source.raw])
            if self._plan.is_written(source.clean):
                self._prepare_silver(source, self._plan.steps[source.clean])
        for table, step in self._plan.steps.items():
            if table in self._plan.extensible and not Source.of_table(table) and step.pending:
                self._run.ways[table] = Way("replace")
                self._run.batches[table] = sorted(step.pending)

    def _prepare_bronze(self, source: Source, step: Step) -> None:
        events = self._events(source)
        self._run.carried[source.raw] = {"events": [event.to_json() for event in events]}
        coming = {(event.path, event.batch_id) for event in events if event.records}
        replaced = any_pair(step.going | coming)
        way = Way("replace", lambda: replaced) if step.going else Way("append")
        self._run.ways[source.raw] = way

    def _prepare_silver(self, source: Source, step: Step) -> None:
        if step.action == "rebuild":
            self._run.ways.update(dict.fromkeys(source.silver, Way("replace", anew=True)))
            return
        self._run.batches[source.clean] = taken = sorted(step.pending or ())
        self._run.carried[source.clean] = {"batches": taken}
        of_batches = any_of(BATCH_ID, taken)
        by_batches = f"{of_batches} OR {any_of(SUPERSEDED_BY_BATCH, taken)}"

        @cache
        def and_losers() -> str:
            superseded = self._table(source.superseded).load()
            losers = superseded.where(f"{any_of(SUPERSEDED_BY_BATCH, taken)} AND NOT {of_batches}")
            pairs = losers.select(SOURCE_FILE, BATCH_ID).distinct().collect()
            return f"{of_batches} OR {any_pair(map(tuple, pairs))}" if pairs else ""

        scopes: list[Callable[[], str]] = [lambda: of_batches, lambda: by_batches, and_losers]
        for table, where in zip(source.silver, scopes, strict=True):
            self._run.ways[table] = Way("replace", where)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Tell the datasets what the run knows, and the nodes its id."""
        catalog.save("params:run_id", self._run.run_id)
        for name in pipeline.datasets():
            dataset: Any = catalog.get(name)
            if hasattr(dataset, "run"):
                dataset.run = self._run
        for source in (one for one in self._sources if one.name in self._plan.receipts):
            landing: Any = catalog.get(source.landing)
            scan = self._plan.receipts[source.name].scan
            landing.scan = scan if self._plan.receipt(source) else replace(scan, files=())

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Note what was received, hold the quarantine to its limits, keep what was counted."""
        if dataset_name.endswith(checks.PROFILE):
            clean = Source(dataset_name.removesuffix(checks.PROFILE)).clean
            for kind, name, records in data.collect():
                counts = self.report.reasons if kind == "reason" else self.report.warnings
                counts[name] = counts.get(name, 0) + records
                self._counts.append(
                    {"table_name": clean, "kind": kind, "name": name, "records": records}
                )
        table = self._survey.tables.get(dataset_name, "")
        source = Source.of_table(table)
        if source and table == source.raw:
            self._note(self._events(source))
        elif source and table == source.quarantine:
            limits = self._declared.contract(source.clean).limits
            records, quarantine = self._table(source.raw), self._table(table)
            step = self._plan.steps[source.clean]
            self.report.notes += checks.check_limits(source, limits, records, quarantine, step)
        elif source and table == source.clean:
            where = self._run.ways[table].where
            if where and where():
                self._follow_replacement(table)

    def _follow_replacement(self, table: str) -> None:
        """Have what extends a table made again, since earlier rows of it were replaced."""
        for follower, inputs in self._plan.inputs.items():
            if table in inputs and self._run.batches.pop(follower, []):
                step = Step("rebuild", f"earlier records of {table} were replaced")
                self._plan.steps[follower] = step

    @contextmanager
    def recorded(self, explain: Callable[[Exception], str]) -> Iterator[None]:
        """Keep in the ops tables what is done in the block, also where it fails, and check it.

        Raises:
            UserError: Records were lost or doubled, or files came that this run may not receive.
        """
        try:
            # What no commit of bronze will note.
            idle = [source for source in self._sources if not self._plan.is_written(source.raw)]
            events = {event for source in idle for event in self._events(source)}
            self._note(events.union(*self._survey.events.values()))
            yield
            self._balance()
            self._keep("succeeded")
            self._print()
        except Exception as error:
            with suppress(Exception):
                self._keep("failed", explain(error))
                if self.report.rows:
                    self._print("failed after ")
            raise
        except BaseException:
            with suppress(Exception):
                self._keep("interrupted")
            raise
        receipts = self._plan.receipts
        came = sorted(name for name, receipt in receipts.items() if receipt.events)
        if late := [name for name in came if not self._plan.receipt(Source(name))]:
            raise LandingError(
                f"{self._run.run_id}: expected a run id later than that of the newest batch,"
                f" {self._plan.books[late[0]].newest}, found files that are new for"
                f" {', '.join(late)}. They were not received. Run again under a later id."
            )

    # ---- what is told, checked and written

    def _balance(self) -> None:
        rows = {table: rows for table, (_, rows) in self._run.found.items()}
        for source in self._sources:
            if source.raw in self._plan.steps:
                received = self._received(source)
                checks.check_balance("received", received, {source.raw: rows[source.raw]})
            if source.clean in self._plan.steps:
                parts = {table: rows[table] for table in source.silver}
                checks.check_balance(source.raw, rows[source.raw], parts)

    def _print(self, outcome: str = "") -> None:
        sys.stdout.write(render(self.report, self._seconds(), outcome) + "\n")

    def _watch(self, table: str) -> AbstractContextManager[None]:
        source = Source.of_table(table)
        if source and table == source.raw:
            from nbx_medallion.landing.source import records_read

            scan = self._plan.receipts[source.name].scan
            return watched(f"writing {table}", scan.records, records_read)
        return watched(f"writing {table}")

    def _table(self, table: str) -> DeltaTableDataset:
        found = self._lakehouse.table(table)
        found.run = self._run
        return found

    def _events(self, source: Source) -> tuple[Event, ...]:
        """What this run received of a source."""
        receipt = self._plan.receipt(source)
        return receipt.events if receipt else ()

    def _received(self, source: Source) -> int:
        """Records of all files that were received and not retracted, as far as the run knows."""
        return read_book(self._survey.events[source.name].union(self._events(source))).records()

    def _told(self, source: Source) -> list[str]:
        receipt = self._plan.receipts[source.name]
        contract = self._declared.contract(source.clean)
        notes = list(receipt.notes)
        if receipt.events or receipt.scan.files:
            bronze = self._table(source.raw).table
            columns = bronze.columns() if self._plan.logs[source.raw].commits else ()
            notes += landing_notes(receipt.scan, contract, [column.name for column in columns])
        several = len(self._declared.sources) > 1
        return [f"{source.name}: {note}" if several else note for note in notes]

    def _note(self, events: Collection[Event]) -> None:
        new = events and set(events) - self._lakehouse.noted
        self._lakehouse.save(EVENTS, sorted(map(asdict, new), key=itemgetter("source", "path")))

    def _judge_rows(self, table: str, rows: int) -> None:
        limits = self._declared.contract(table).row_limits
        self.report.notes += checks.check_row_count(table, rows, limits)

    def _seconds(self) -> float:
        return round((datetime.now(UTC) - self._started).total_seconds(), 3)

    def _keep(self, status: str, error: str | None = None) -> None:
        """Append to the ops tables, and write the summary."""
        report, run, plan = self.report, self._run, self._plan
        passed = status == "succeeded"
        tables = [table for table in plan.steps if passed or table in run.written]
        report.rows = [self._row(table) for table in tables]
        report.changes = {table: run.found[table][1] - plan.logs[table].rows for table in tables}
        report.why = {table: plan.steps[table].reason for table in tables}
        named = {"run_id": run.run_id, "environment": run.environment}
        self._lakehouse.save(LEDGER, report.rows)
        self._lakehouse.save(RULE_COUNTS, [named | count for count in self._counts])
        lines = {
            table: (
                plan.steps[table],
                Record(
                    run.found[table][0],
                    run.definitions.get(table, (None,))[0],
                    {name: run.found[name][0] for name in run.inputs[table]},
                ),
            )
            for table in tables
        }
        self._lakehouse.save_run(
            run,
            ", ".join(dict.fromkeys(table.partition(".")[0] for table in plan.steps)),
            lines if passed else None,
            started_at=self._started,
            seconds=self._seconds(),
            status=status,
            error=error,
            engine=self._engine,
        )
        self._lakehouse.catalog.save(SUMMARY, asdict(report))

    def _row(self, table: str) -> dict[str, Any]:
        """The row of `ops.run_ledger`."""
        run, log, source = self._run, self._plan.logs[table], Source.of_table(table)
        version, rows = run.found[table]
        made_from = run.inputs[table]
        rows_in = run.found[made_from[0]][1] if made_from else rows
        if source and table == source.raw:
            rows_in = self._received(source)
        parts = source.silver[:2] if source and table == source.clean else ()
        quarantined, superseded = [run.found[name][1] for name in parts] or (0, 0)
        return {
            "run_id": run.run_id,
            "environment": run.environment,
            "table_name": table,
            "action": self._plan.steps[table].action,
            "rows_in": rows_in,
            "rows_out": rows,
            "rows_quarantined": quarantined,
            "rows_superseded": superseded,
            "delta_version_before": log.head if log.commits else None,
            "delta_version_after": version,
            "seconds": round(run.written[table].seconds, 3) if table in run.written else 0.0,
        }


def git_sha(project: Path) -> str | None:
    """The commit that is checked out, ``-dirty`` where tracked files differ; None outside git."""
    command = ["git", "-C", str(project), "describe", "--always", "--dirty", "--abbrev=40"]
    command.append("--exclude=*")  # else a tag is named
    with suppress(OSError, subprocess.CalledProcessError):
        found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        return found.stdout.strip()
    return None
