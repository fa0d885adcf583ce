"""What a person tells the lakehouse: take a file out, accept what is there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.contracts.definition import definition_changes
from nbx_medallion.contracts.lineage import BATCH_ID, SOURCE_FILE
from nbx_medallion.contracts.source import Source
from nbx_medallion.errors import ConfigurationError, TableError, did_you_mean
from nbx_medallion.landing import book
from nbx_medallion.landing.book import Book, Event, read_book
from nbx_medallion.run.plan import Step
from nbx_medallion.run.survey import EVENTS, Lakehouse, definition_of
from nbx_medallion.tables.log import Record
from nbx_medallion.tables.run import RunTables


@dataclass
class Amending:
    """What a person tells, in a command of an id, and why."""

    lakehouse: Lakehouse
    config: MedallionConfigLoader
    run_id: str
    why: str

    def __post_init__(self) -> None:
        self._run = self.lakehouse.run = RunTables(self.run_id, self.config.environment)

    def retract(self, source: str, path: str, location: str | None = None) -> list[Event]:
        """Note that the records of a file are to be taken out: the next run does it.

        Args:
            source: Name of the source.
            path: The file, as `_source_file` has it.
            location: Which one, where several files had records under this path.

        Returns:
            An event for each delivery of the file; a `UserError` where there is no one such.
        """
        known = {one.name: one for one in self.config.declared.sources}
        if source not in known:
            raise ConfigurationError(
                f"{source}: expected a source, one of: {', '.join(known)}."
                f"{did_you_mean(source, known)}"
            )
        found = self._received(known[source])
        events = book.retract(found, path, location, self.why)
        self.lakehouse.save(EVENTS, [asdict(event) for event in events])
        return events

    def adopt(self, table: str) -> str:
        """Accept somebody's change of data in bronze, elsewhere a changed definition.

        Returns:
            What was accepted, in a sentence; a `UserError` where there is nothing.
        """
        declared = self.config.declared
        declared.refuse_unknown(table)
        if table.startswith("ops."):
            raise TableError(f"{table}: expected bronze, silver or gold. Restore an ops table.")
        source = Source.of_table(table)
        if source and table == source.raw:
            return self._adopt_rows(source)
        lines, told = {}, list[str]()
        for one in source.silver if source else (table,):
            log, (made_by, now) = self.lakehouse.log(one), definition_of(declared, one)
            record, status = log.last_record(), log.status()
            if record is None or status.name != "as left":
                raise TableError(
                    f"{one}: expected a table as this pipeline left it, found it {status.name}."
                    " Only a changed definition can be accepted: run to have the table made again."
                )
            if record.definition != made_by:
                told += definition_changes(log.definition(), now)
            lines[one] = Record(log.head, made_by, record.inputs)
        if not told:
            raise TableError(
                f"{table}: expected a definition that changed, found none. Nothing to accept."
            )
        self._adopt(table, lines)
        return f"{table}: accepted without being made again: {', '.join(dict.fromkeys(told))}"

    def _adopt_rows(self, source: Source) -> str:
        log = self.lakehouse.log(source.raw)
        status = log.status()
        if status.name in ("missing", "as left"):
            raise TableError(
                f"{source.raw}: expected a change by somebody else, found the table {status.name}."
                " Nothing to accept."
            )
        rows = self.lakehouse.table(source.raw).load().groupBy(SOURCE_FILE, BATCH_ID).count()
        there = {(row[SOURCE_FILE], row[BATCH_ID]): row["count"] for row in rows.collect()}
        known = self._received(source)
        received = {one.id: one.records for one in known.deliveries() if one.counts}
        if surplus := sorted(f for f, n in there.items() if n > received.get(f, 0)):
            raise TableError(
                f"{source.raw}: expected no other records than those that were received, found more"
                f" of {surplus[0][0]!r}, batch {surplus[0][1]!r}. Take them out again, or restore"
                " the table."
            )
        lost = {one: records - there.get(one, 0) for one, records in received.items()}
        gone = [
            Event(
                source.name, "retracted", path, "", None, None, None, records, None, batch,
                f"adopted: {self.why}",
            )
            for (path, batch), records in lost.items()
            if records
        ]  # fmt: skip
        self.lakehouse.save(EVENTS, [asdict(event) for event in gone])
        self._adopt(source.raw, {source.raw: Record(log.head, None, {})})
        return (
            f"{source.raw}: accepted as it is, {sum(lost.values()):,} records fewer. Silver follows"
            " in the next run."
        )

    def _received(self, source: Source) -> Book:
        found = read_book(self.lakehouse.events(source, self.lakehouse.log(source.raw)))
        self.lakehouse.put_back()
        return found

    def _adopt(self, table: str, lines: Mapping[str, Record]) -> None:
        step = Step("skip", f"adopted: {self.why}")
        self.lakehouse.save_run(
            self._run, f"adopt {table}", {one: (step, record) for one, record in lines.items()}
        )
