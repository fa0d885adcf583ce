"""What a run has to do to each table, and why: from logs, definitions, what was received."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nbx_medallion.contracts.definition import definition_changes, definition_hash
from nbx_medallion.contracts.source import Source
from nbx_medallion.errors import TableError
from nbx_medallion.landing.book import Book
from nbx_medallion.landing.inbox import Receipt
from nbx_medallion.tables.log import Log, Status

Action = Literal["skip", "extend", "rebuild"]
Batches = frozenset[str]
Delivery = tuple[str, str]


@dataclass(frozen=True)
class Step:
    """What happens to a table.

    Attributes:
        reason: Why, in words.
        batches: Of silver that is extended: the batches that it takes in.
        pending: Of silver: the batches that clean does not have yet; None where there is no clean.
        going: Of bronze: the deliveries, as (path, batch), whose records are taken out.
    """

    action: Action
    reason: str
    batches: Batches = frozenset()
    pending: Batches | None = frozenset()
    going: frozenset[Delivery] = frozenset()

    @property
    def is_needed(self) -> bool:
        """True if the table is written."""
        return self.action != "skip"


@dataclass(frozen=True)
class Facts:
    """What a plan is made from.

    Attributes:
        logs: Of each table that the run writes or reads.
        definitions: Of each table that the run writes; bronze has none.
        books: What was received of each source whose bronze is written.
        receipts: What the landing of each holds that is new; None where this run may not receive.
        inputs: For each table that is written, in the order of writing, those it is made from.
        commits: For each table that is made from commits, the registry, the tables that have them.
        unregistered: Whether such a table lacks one.
        full: Whether silver and what follows is asked to be made again.
    """

    run_id: str
    logs: Mapping[str, Log]
    definitions: Mapping[str, Mapping[str, str]]
    books: Mapping[str, Book]
    receipts: Mapping[str, Receipt | None]
    inputs: Mapping[str, Sequence[str]]
    commits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unregistered: bool = False
    full: bool = False
    _steps: dict[str, Step] = field(default_factory=dict)

    def plan(self) -> dict[str, Step]:
        """A step for each table that is written.

        Raises:
            UserError: Another program changed the data of a table, or records are missing.
        """
        for table, inputs in self.inputs.items():
            source = Source.of_table(table)
            if table in self.commits:
                self._steps[table] = self._plan_registry(table)
            elif source is None:
                self._steps[table] = self._plan_made(table, inputs)
            elif table == source.raw:
                self._steps[table] = self._plan_bronze(source)
            elif table not in self._steps:
                self._steps.update(dict.fromkeys(source.silver, self._plan_silver(source)))
        return self._steps

    def _plan_bronze(self, source: Source) -> Step:
        log, book, receipt = self.logs[source.raw], self.books[source.name], None
        refuse_foreign(log)
        receipt = self.receipts[source.name]
        surplus = log.rows - book.records()
        if surplus < 0:
            raise TableError(
                f"{source.raw}: expected {book.records():,} records, as received by"
                f" ops.landing_files, found {log.rows:,}: {-surplus:,} are missing. Restore the"
                " table, or remove ops.landing_files too to have all files received again."
            )
        going = receipt.replaced if receipt else frozenset()
        if surplus:
            going |= {one.id for one in book.deliveries() if not one.counts}
        new = receipt.scan.records if receipt else 0
        records = f"{new:,} new record{'' if new == 1 else 's'}"
        if not log.commits:
            return Step("rebuild", "no table yet", going=going)
        if going:
            files = sorted({path for path, _ in receipt.replaced}) if receipt else []
            shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if files[3:] else "")
            why = [f"records of {shown} are replaced"] if files else []
            why += [f"{surplus:,} retracted records are taken out"] if surplus else []
            return Step("rebuild", "; ".join(why), going=going)
        return Step("extend", records) if new else Step("skip", "nothing new")

    def _plan_silver(self, source: Source) -> Step:
        bronze = self.logs[source.raw]
        refuse_foreign(bronze)
        reasons, changes, records = [], {}, {}
        for table in source.silver:
            log = self.logs[table]
            record = records[table] = log.last_record()
            if record:
                changes[table] = bronze.change_since(record.inputs[source.raw])
            if reason := self._why_remade(log):
                reasons.append(reason)
            elif not changes[table].appended:
                reasons.append(f"{source.raw} was replaced in part")
        clean = changes.get(source.clean)
        pending = clean.batches if clean else None
        before = self._steps.get(source.raw, Step("skip", ""))
        if before.is_needed and pending is not None:
            pending |= {self.run_id}
        if self.full:
            return Step("rebuild", "asked for", pending=pending)
        if before.going:
            reasons.append(f"{source.raw} is replaced in part")
        made = [record for record in (records[one] for one in source.silver[1:]) if record]
        if not reasons and made[0].anew and made[0].inputs != made[1].inputs:
            reasons.append("an earlier rebuild was cut short")
        if reasons:
            return Step("rebuild", "; ".join(dict.fromkeys(reasons)), pending=pending)
        if before.is_needed or not (clean and clean.same):
            taken = pending or frozenset()
            batches = f"{len(taken)} batch{'' if len(taken) == 1 else 'es'}"
            return Step("extend", f"{batches} of {source.raw}", batches=taken, pending=pending)
        return Step("skip", "nothing changed", pending=pending)

    def _plan_made(self, table: str, inputs: Sequence[str]) -> Step:
        changed = [one for one in inputs if one in self._steps and self._steps[one].is_needed]
        for one in inputs:
            if not (one in changed and self._steps[one].action == "rebuild" and self.full):
                refuse_foreign(self.logs[one])
        if self.full:
            return Step("rebuild", "asked for")
        log = self.logs[table]
        if reason := self._why_remade(log):
            return Step("rebuild", reason)
        if changed:
            return Step("rebuild", f"{', '.join(changed)} is written")
        record = log.last_record()
        made_from = record.inputs if record else {}
        moved = [
            one for one in inputs
            if one not in made_from or not self.logs[one].change_since(made_from[one]).same
        ]  # fmt: skip
        if moved:
            return Step("rebuild", f"{', '.join(moved)} changed")
        return Step("skip", "nothing changed")

    def _plan_registry(self, table: str) -> Step:
        waits = any(
            one in self._steps and self._steps[one].is_needed for one in self.commits[table]
        )
        if waits or self.unregistered or not self.logs[table].commits:
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
        record, now = log.last_record(), self.definitions[log.table]
        if record and record.definition != definition_hash(now):
            return ", ".join(definition_changes(log.definition(), now)) or "its definition changed"
        return ""


def refuse_foreign(log: Log) -> Status:
    """How a table is.

    Raises:
        UserError: Another program changed its data.
    """
    status = log.status()
    if status.name == "foreign":
        found = next(commit for commit in log.commits if commit.version == status.version)
        who = f" by {found.user}" if found.user else ""
        again = "run with --params full_refresh=true to make it again"
        if log.table.startswith("bronze."):
            again = f"`kedro lakehouse adopt {log.table} --why TEXT` to accept what is there"
        raise TableError(
            f"{log.table}: expected changes by this pipeline only, found {found.operation}{who} at"
            f" {found.timestamp:%Y-%m-%d %H:%M:%S} UTC, version {found.version}. Nothing was"
            f" written. Restore the table to version {found.version - 1}, or {again}."
        )
    return status


def has_unregistered(models: Iterable[Log], registered: Collection[tuple[Any, ...]]) -> bool:
    """True if a dataset has a state, (table, definition, content), that is not registered."""
    return any(
        (log.table, commit.metadata["definition_hash"], commit.metadata["content_hash"])
        not in registered
        for log in models
        for commit in log.own()
        if "content_hash" in commit.metadata
    )
