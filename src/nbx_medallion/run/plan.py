"""What a run has to do to each table, and why: from logs, definitions, what was received."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from nbx_medallion.contracts.definition import definition_changes
from nbx_medallion.contracts.source import Source
from nbx_medallion.errors import TableError
from nbx_medallion.landing.book import Book
from nbx_medallion.landing.inbox import Receipt
from nbx_medallion.tables.log import Log, Status
from nbx_medallion.tables.run import Definition


@dataclass(frozen=True)
class Step:
    """What happens to a table.

    Attributes:
        reason: Why, in words.
        pending: Batches of its input that the table, of silver the clean one, does not have yet;
            None where there is no table, or where they are not kept apart.
        going: Of bronze: the deliveries, as (path, batch), whose records are taken out.
    """

    action: Literal["skip", "extend", "rebuild"]
    reason: str
    pending: frozenset[str] | None = frozenset()
    going: frozenset[tuple[str, str]] = frozenset()

    @property
    def is_needed(self) -> bool:
        """True if the table is written."""
        return self.action != "skip"


@dataclass(frozen=True)
class Plan:
    """What a run has to do, and what that follows from.

    Attributes:
        logs: Of each table that the run writes or reads.
        definitions: Of each table that the run writes; bronze has none.
        books: What was received of each source whose bronze is written.
        receipts: What the landing of each holds that is new, also where this run, whose id is not
            later than the newest batch, may not receive it.
        inputs: For each table that is written, in the order of writing, those it is made from.
        commits: For each table that is made from commits, the registry, the tables that have them.
        registered: Table, definition and content of the states that are in the registry.
        extensible: Tables of gold that can be made from what was appended to their one input.
        full: Whether silver and what follows is asked to be made again.
        steps: What happens to each table that is written.
    """

    run_id: str
    logs: Mapping[str, Log]
    definitions: Mapping[str, Definition]
    books: Mapping[str, Book]
    receipts: Mapping[str, Receipt]
    inputs: Mapping[str, Sequence[str]]
    commits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    registered: Collection[tuple[Any, ...]] = ()
    extensible: Collection[str] = ()
    full: bool = False
    steps: dict[str, Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the steps; a `UserError` where others changed data, or records are missing."""
        for table, inputs in self.inputs.items():
            source = Source.of_table(table)
            if table in self.commits:
                self.steps[table] = self._plan_registry(table)
            elif source is None:
                self.steps[table] = self._plan_made(table, inputs)
            elif table == source.raw:
                self.steps[table] = self._plan_bronze(source)
            elif table not in self.steps:
                self.steps.update(dict.fromkeys(source.silver, self._plan_silver(source)))

    def receipt(self, source: Source) -> Receipt | None:
        """What this run receives of a source; None where it may not, or does not write bronze."""
        book = self.books.get(source.name)
        return self.receipts[source.name] if book and self.run_id > book.newest else None

    def is_written(self, table: str) -> bool:
        """True if the run writes a table."""
        return table in self.steps and self.steps[table].is_needed

    def _plan_bronze(self, source: Source) -> Step:
        log, book, receipt = self.logs[source.raw], self.books[source.name], self.receipt(source)
        refuse_foreign(log)
        surplus = log.rows - book.records()
        if surplus < 0:
            raise TableError(
                f"{source.raw}: expected {book.records():,} records, as received by"
                f" ops.landing_files, found {log.rows:,}: {-surplus:,} are missing. Restore the"
                " table, or remove ops.landing_files too to have all files received again."
            )
        going = replaced = receipt.replaced if receipt else frozenset()
        if surplus:
            going |= {one.id for one in book.deliveries() if not one.counts}
        if not log.commits:
            return Step("rebuild", "no table yet", going=going)
        if going:
            files = sorted({path for path, _ in replaced})
            shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if files[3:] else "")
            why = [f"records of {shown} are replaced"] if files else []
            why += [f"{surplus:,} retracted records are taken out"] if surplus else []
            return Step("rebuild", "; ".join(why), going=going)
        new = receipt.scan.records if receipt else 0
        if not new:
            return Step("skip", "nothing new")
        return Step("extend", f"{new:,} new record{'' if new == 1 else 's'}")

    def _plan_silver(self, source: Source) -> Step:
        bronze = self.logs[source.raw]
        refuse_foreign(bronze)
        reasons, changes, records = [], {}, {}
        for table in source.silver:
            log = self.logs[table]
            if record := log.last_record():
                records[table] = record
                changes[table] = bronze.change_since(record.inputs[source.raw], record.at)
            if reason := self._why_remade(log):
                reasons.append(reason)
            elif not changes[table].appended:
                reasons.append(f"{source.raw} was replaced in part")
        clean = changes.get(source.clean)
        pending = clean.batches if clean else None
        before = self.steps.get(source.raw, Step("skip", ""))
        if before.is_needed and pending is not None:
            pending |= {self.run_id}
        if self.full:
            return Step("rebuild", "asked for", pending)
        if before.going:
            reasons.append(f"{source.raw} is replaced in part")
        if not reasons:
            superseded = records[source.superseded]
            if superseded.anew and superseded.inputs != records[source.clean].inputs:
                reasons.append("an earlier rebuild was cut short")
        if reasons or pending is None:
            return Step("rebuild", "; ".join(dict.fromkeys(reasons)), pending)
        if before.is_needed or not (clean and clean.same):
            return Step("extend", f"{_batches(pending)} of {source.raw}", pending)
        return Step("skip", "nothing changed", pending)

    def _plan_made(self, table: str, inputs: Sequence[str]) -> Step:
        log = self.logs[table]
        changed = [one for one in inputs if self.is_written(one)]
        for one in inputs:
            if not (one in changed and self.steps[one].action == "rebuild" and self.full):
                refuse_foreign(self.logs[one])
        if self.full:
            return Step("rebuild", "asked for")
        if reason := self._why_remade(log):
            return Step("rebuild", reason)
        record = log.last_record()
        made_from: dict[str, tuple[int, datetime]] = {}
        if record:
            made_from = {one: (version, record.at) for one, version in record.inputs.items()}
        is_alone = len(inputs) == 1 and table in self.extensible
        if is_alone and (batches := self._appended(inputs[0], made_from)):
            return Step("extend", f"{_batches(batches)} of {inputs[0]}", batches)
        if changed:
            return Step("rebuild", f"{', '.join(changed)} is written")
        moved = [
            one for one in inputs
            if one not in made_from or not self.logs[one].change_since(*made_from[one]).same
        ]  # fmt: skip
        if moved:
            return Step("rebuild", f"{', '.join(moved)} changed")
        return Step("skip", "nothing changed")

    def _appended(
        self, table: str, made_from: Mapping[str, tuple[int, datetime]]
    ) -> frozenset[str]:
        """Batches that were appended to an input, or will be; none where it is another change."""
        if table not in made_from:
            return frozenset()
        change, step = self.logs[table].change_since(*made_from[table]), self.steps.get(table)
        batches = change.batches
        if step and step.is_needed:
            batches |= step.pending or frozenset()
        is_made_again = step is not None and step.action == "rebuild"
        return batches if change.appended and not is_made_again else frozenset()

    def _plan_registry(self, table: str) -> Step:
        models = self.commits[table]
        states = {
            (model, made["definition_hash"], made["content_hash"])
            for model in models
            for made in (commit.metadata for commit in self.logs[model].own())
            if "content_hash" in made
        }
        is_behind = any(map(self.is_written, models)) or states - set(self.registered)
        if is_behind or not self.logs[table].commits:
            return Step("extend", "datasets to register")
        return Step("skip", "nothing to register")

    def _why_remade(self, log: Log) -> str:
        """Why what is there of a table cannot be kept, empty if it can."""
        status = log.status() if self.full else refuse_foreign(log)
        if status.name == "missing":
            return "no table yet"
        if status.name == "restored":
            return f"{log.table} was restored to before version {status.version}"
        if status.name == "unknown":
            return f"the log of {log.table} no longer tells what it was made from"
        record, (made_by, now) = log.last_record(), self.definitions[log.table]
        if record and record.definition != made_by:
            return ", ".join(definition_changes(log.definition(), now)) or "its definition changed"
        return ""


def _batches(batches: Collection[str]) -> str:
    return f"{len(batches)} batch{'' if len(batches) == 1 else 'es'}"


def refuse_foreign(log: Log) -> Status:
    """How a table is; a `UserError` where another program changed its data."""
    status = log.status()
    if status.name == "foreign":
        found = next(commit for commit in log.commits if commit.version == status.version)
        who = f" by {found.user}" if found.user else ""
        again = ", or run with --params full_refresh=true to make it again"
        if log.table.startswith("bronze."):
            again = f", or `kedro lakehouse adopt {log.table} --why TEXT` to accept what is there"
        elif log.table.startswith("ops."):
            again = ""
        raise TableError(
            f"{log.table}: expected changes by this pipeline only, found {found.operation}{who} at"
            f" {found.timestamp:%Y-%m-%d %H:%M:%S} UTC, version {found.version}. Nothing was"
            f" written. Restore the table to version {found.version - 1}{again}."
        )
    return status
