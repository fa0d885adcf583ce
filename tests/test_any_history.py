"""Whatever happens to folder, tables and runs, a completed run leaves what an own account says."""

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from deltalake.exceptions import DeltaError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from test_run import Lakehouse

from nbx_medallion.config import current_config
from nbx_medallion.errors import UserError
from nbx_medallion.run.amend import Amending
from nbx_medallion.tables.run import Write
from nbx_medallion.tables.table import PathTable
from nbx_medallion.tables.writing import Target

HEADER = "order_id,customer_id,amount"
CONTRACT = "base/contracts/silver/sales_clean.odcs.yaml"
BRONZE, CLEAN, CORE = "bronze.sales_raw", "silver.sales_clean", "gold_core.customer_metrics"
SILVER = (CLEAN, "silver.sales_quarantine", "silver.sales_superseded")
MODELS = ("gold_ml.churn_model_v1", "gold_ml.clv_model_v2")
EVENTS, REGISTRY = "ops.landing_files", "ml_registry.model_versions"
TABLES = (BRONZE, *SILVER, CORE, *MODELS, EVENTS, REGISTRY)
LAYERS = (["bronze"], ["silver"], ["gold_core"], ["gold_ml", "ml_registry"], ["bronze", "silver"])

EMPTY = "0 rows, and the contract wants more than 0 rows"
LATE = "expected a run id later than that of the newest batch"
OVERTAKEN = "another run wrote the table while this one was at work"

Record = tuple[str, str, int]
"""File, batch and row number."""


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_after(commits: int) -> Iterator[None]:
    """Let the process end after so many commits; a new table counts twice: written, and moved.

    Nothing is written or removed after the end.
    """
    made = [0]
    own: dict[str, Any] = {
        name: getattr(PathTable, name) for name in ("write", "append_rows", "restore")
    }
    staged, rmtree = PathTable.staged, shutil.rmtree

    def count_one() -> None:
        made[0] += 1
        if made[0] == commits:
            raise Killed

    def ending(name: str) -> Any:
        def commit(self: PathTable, *args: Any, **kwargs: Any) -> Any:
            if made[0] >= commits:
                raise Killed
            done = own[name](self, *args, **kwargs)
            count_one()
            return done

        return commit

    @contextmanager
    def moved(self: PathTable) -> Iterator[Any]:
        with staged(self) as table:
            yield table
        count_one()

    def left(*args: Any, **kwargs: Any) -> None:
        if made[0] < commits:
            rmtree(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in own:
            patch.setattr(PathTable, name, ending(name))
        patch.setattr(PathTable, "staged", moved)
        patch.setattr(shutil, "rmtree", left)
        yield


@contextmanager
def meanwhile(table: str, happen: Callable[[], None]) -> Iterator[list[Any]]:
    """Let something happen just before the run writes a table; gives it until it happened."""
    own, waiting = Target.write, [happen]

    def write(self: Target, *args: Any, **kwargs: Any) -> Write:
        if waiting and self.contract.table == table:
            waiting.pop()()
        return own(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Target, "write", write)
        yield waiting


@dataclass(eq=False)
class Paper:
    """A file as a person would keep account of it: where it is, what it held, its records.

    `was` has the content of each delivery that counts, by (file, batch).
    """

    place: str | None
    first: tuple[str, str]
    text: str = ""
    rows: dict[Record, str] = field(default_factory=dict)
    count: int = 0
    was: dict[tuple[str, str], str] = field(default_factory=dict)

    def take_out(self, gone: Callable[[Record], bool]) -> Iterator[tuple[str, str, str, int, str]]:
        """Forget records, by whole deliveries or not; an event for each that has fewer."""
        for delivery in list(self.was):
            of = [record for record in self.rows if record[:2] == delivery]
            lost = [record for record in of if gone(record)]
            for record in lost:
                del self.rows[record]
            if lost:
                yield ("retracted", *delivery, len(lost), "")
            if of and len(of) == len(lost):
                del self.was[delivery]


class Account:
    """What has to be in the tables, by rules that are spelt out here once more."""

    def __init__(self) -> None:
        self.papers: list[Paper] = []
        self.barred: set[str] = set()
        self.events: Counter[tuple[str, str, str, int, str]] = Counter()
        self.refunds_are_wrong = False
        self.highest_wins = False
        self.rewritten_is_new = False

    def receive(self, disk: dict[str, str], root: str, batch: str) -> None:
        """Take in what a run of this id receives from a folder, of all files that there are."""
        papers = self.papers
        listing = {place: text for place, text in disk.items() if place.startswith(f"{root}/")}
        same = {paper.place for paper in papers if listing.get(paper.place or "") == paper.text}
        lost = [paper for paper in papers if disk.get(paper.place or "") != paper.text]
        homes: dict[str, Paper] = {}
        for place in sorted(listing.keys() - same):
            alike = [paper for paper in lost if paper.text == listing[place]]
            if alike:
                alike.sort(key=lambda paper: (not paper.was, paper.first[1], paper.first[0]))
                homes[place] = alike[0]
                lost.remove(alike[0])
        for home in homes.values():
            home.place = None
        for place, home in homes.items():
            for paper in papers:
                paper.place = None if paper.place == place else paper.place
            home.place = place
            first = json.dumps(home.first, separators=(",", ":"))
            self.events["moved", os.path.basename(place), batch, 0, first] += 1
        for place in sorted(listing.keys() - same - homes.keys()):
            if listing[place] not in self.barred:
                self._receive_file(place, listing[place], batch)

    def _receive_file(self, place: str, text: str, batch: str) -> None:
        lines, name = text.splitlines()[1:], os.path.basename(place)
        here = next((paper for paper in self.papers if paper.place == place), None)
        start, event = 0, "received"
        if here and text.startswith(here.text) and here.text.endswith("\n"):
            start, event = here.count, "grown"
        elif here and not self.rewritten_is_new:
            here.rows, here.was, event = {}, {}, "changed"
        else:
            if here:
                here.place = None
            here = Paper(place, (name, batch))
            self.papers.append(here)
        for at in range(start, len(lines)):
            here.rows[name, batch, at + 1] = lines[at]
        here.text, here.count, here.was[name, batch] = text, len(lines), text
        self.events[event, name, batch, len(lines) - start, ""] += 1

    @property
    def bronze(self) -> dict[Record, str]:
        """Each record as received."""
        return {record: line for paper in self.papers for record, line in paper.rows.items()}

    def silver(self) -> tuple[dict[Record, list[str]], set[Record], dict[Record, set[Record]]]:
        """Clean and rejected records, and those that lost, each with all that are later."""
        valid, rejected = {}, set()
        for record, line in self.bronze.items():
            fields = line.split(",")
            is_amount = fields[2].lstrip("-").isdigit()
            is_refund = is_amount and int(fields[2]) < 0
            if not fields[1] or not is_amount or (is_refund and self.refunds_are_wrong):
                rejected.add(record)
            else:
                valid[record] = fields

        def order(record: Record) -> tuple[int, str, str, int]:
            by = int(valid[record][2]) if self.highest_wins else 0
            return (by, record[1], record[0], record[2])

        later = {
            record: {
                other
                for other, values in valid.items()
                if fields[0] and values[0] == fields[0] and order(other) > order(record)
            }
            for record, fields in valid.items()
        }
        clean = {record: fields for record, fields in valid.items() if not later[record]}
        return clean, rejected, {record: found for record, found in later.items() if found}


class AnyHistory(RuleBasedStateMachine):
    """Folder, tables and runs, in any order."""

    folder: Path
    env: str
    moments: Iterator[int]

    @initialize()
    def begin(self) -> None:
        self.tempdir = tempfile.TemporaryDirectory(dir=self.folder)
        root = Path(self.tempdir.name)
        self.lake = Lakehouse(root, self.env)
        self.lake.conf = root / "conf"
        shutil.copytree(REPOSITORY / "conf", self.lake.conf)
        self.folders = (self.lake.landing, root / "elsewhere")
        self.folders[1].mkdir()
        for folder in self.folders:
            (folder / "empty.csv").write_text(f"{HEADER}\n")
        os.environ["LAKEHOUSE_ROOT"] = str(self.lake.root)
        self.account = Account()
        self.moments, self.numbers = count(1), count(1)
        self.look_at(0)
        self.write(0, 0, [(1, "a", 5), (2, "b", -1), (3, "", 1)], True)
        self.run_all()

    def teardown(self) -> None:
        if hasattr(self, "tempdir"):
            self.tempdir.cleanup()

    # ---- the folders

    def lines(self, orders: list[tuple[Any, ...]]) -> str:
        # The last field, which no contract reads, makes each line another.
        return "".join(f"{o},{c},{a},{next(self.numbers)}\n" for o, c, a in orders)

    orders = st.lists(
        st.tuples(
            st.sampled_from(["", 1, 2, 3, 4]), st.sampled_from(["", "a", "b"]),
            st.sampled_from([1, 7, -2, "x"]),
        ),
        max_size=4,
    )  # fmt: skip
    files = st.integers(0, 2)
    folders_of = st.sampled_from([0, 0, 0, 1])

    @rule(at=folders_of)
    def look_at(self, at: int) -> None:
        """Where the variable points."""
        self.root = self.folders[at]
        os.environ["RAW_SALES_PATH"] = str(self.root)

    def path(self, at: int, number: int) -> Path:
        return self.folders[at] / f"{number}.csv"

    @rule(at=folders_of, number=files, orders=orders, is_ended=st.sampled_from([True, True, False]))
    def write(self, at: int, number: int, orders: list[tuple[Any, ...]], is_ended: bool) -> None:
        text = f"{HEADER},note\n{self.lines(orders)}"
        self.path(at, number).write_text(text if is_ended else text[:-1])

    @rule(at=folders_of, number=files, orders=orders)
    def append(self, at: int, number: int, orders: list[tuple[Any, ...]]) -> None:
        if self.path(at, number).exists():
            with self.path(at, number).open("a") as file:
                file.write(self.lines(orders))

    @rule(at=folders_of, number=files, to=folders_of, name=files, is_copied=st.booleans())
    def move(self, at: int, number: int, to: int, name: int, is_copied: bool) -> None:
        if self.path(at, number).exists() and (at, number) != (to, name):
            self.path(to, name).write_bytes(self.path(at, number).read_bytes())
            if not is_copied:
                self.path(at, number).unlink()

    @rule(at=folders_of, number=files, orders=orders)
    def rotate(self, at: int, number: int, orders: list[tuple[Any, ...]]) -> None:
        self.move(at, number, at, 2, False)
        self.write(at, number, orders, True)

    @rule(at=folders_of, number=files)
    def archive(self, at: int, number: int) -> None:
        self.path(at, number).unlink(missing_ok=True)

    @rule(which=st.integers(0, 9))
    def retract(self, which: int) -> None:
        known = [paper for paper in self.account.papers if paper.rows]
        if not known:
            return
        paper = known[which % len(known)]
        path, place = next(iter(paper.rows))[0], paper.place
        papers = self.account.papers
        others = [o for o in papers if o.place == place and any(d[0] == path for d in o.was)]
        self.amending().retract("sales", path, place or "")
        for paper in others:
            self.account.barred |= set(paper.was.values())
            for delivery in paper.was:
                if not any(record[:2] == delivery for record in paper.rows):
                    self.account.events["retracted", *delivery, 0, ""] += 1
            self.account.events.update(paper.take_out(lambda _: True))
            paper.was = {}

    def amending(self) -> Amending:
        with self.lake.session() as session:
            return Amending(session.lakehouse, current_config(), session.session_id, "a reason")

    def receive(self, run_id: str, account: Account | None = None) -> None:
        """Take into the account what a run of this id receives."""
        paths = (path for folder in self.folders for path in folder.iterdir())
        disk = {str(path): path.read_text() for path in paths}
        (account or self.account).receive(disk, str(self.root), run_id)

    # ---- contracts, and what others do

    def edit(self, old: str, new: str) -> None:
        file = self.lake.conf / CONTRACT
        text = file.read_text()
        assert text.count(old) == 1
        file.write_text(text.replace(old, new))

    @rule()
    def edit_rule(self) -> None:
        wrong = self.account.refunds_are_wrong
        words = ("severity: warning", "severity: error")
        self.edit(*(reversed(words) if wrong else words))
        self.account.refunds_are_wrong = not wrong

    @rule()
    def edit_order(self) -> None:
        highest = self.account.highest_wins
        latest = "    customProperties:\n      - {property: latestBy, value: amount}\n"
        texts = ("    properties:\n", f"{latest}    properties:\n")
        self.edit(*(reversed(texts) if highest else texts))
        self.account.highest_wins = not highest

    @rule()
    def edit_source(self) -> None:
        is_new = self.account.rewritten_is_new = not self.account.rewritten_is_new
        entry = f"landing_sales: {{on_rewrite: {'add' if is_new else 'replace'}}}\n"
        (self.lake.conf / self.env / "catalog.yml").write_text(entry)

    @rule(table=st.sampled_from(TABLES), what=st.sampled_from(["compact", "vacuum", "properties"]))
    def maintain(self, table: str, what: str) -> None:
        found = self.lake.table(table)
        if what == "compact":
            found.optimize.compact()
        elif what == "vacuum":
            found.vacuum(dry_run=False)
        else:
            found.alter.set_table_properties({"delta.logRetentionDuration": "interval 90 days"})

    @rule(table=st.sampled_from(TABLES), back=st.integers(1, 5))
    def restore(self, table: str, back: int) -> None:
        found = self.lake.table(table)
        if found.version() - back >= 1:
            with suppress(DeltaError):  # the log of that version may be gone
                found.restore(found.version() - back)

    @rule(table=st.sampled_from([BRONZE, *SILVER, CORE, EVENTS]))
    def cut_log(self, table: str) -> None:
        """Delta removes old entries of the log; not while somebody's RESTORE is to be put back."""
        found = self.lake.table(table)
        entries = found.history(1)
        in_time = (BRONZE, EVENTS)
        if table in in_time and (entries[0]["operation"] == "RESTORE" or not self.is_noted()):
            return
        found.create_checkpoint()
        for version in range(found.version()):
            log = self.lake.path(table) / f"_delta_log/{version:020}.json"
            log.unlink(missing_ok=True)

    def is_noted(self) -> bool:
        """Whether the notes have what bronze's commits say."""
        if self.lake.table(EVENTS).history(1)[0]["operation"] == "RESTORE":
            return False
        noted = {(row["path"], row["batch_id"]) for row in self.rows(EVENTS)}
        entries = self.lake.table(BRONZE).history()
        carried = [json.loads(e.get("userMetadata", "{}")).get("events", ()) for e in entries]
        return all((e["path"], e["batch_id"]) in noted for events in carried for e in events)

    @rule(table=st.sampled_from([BRONZE, CLEAN, CORE]))
    def meddle(self, table: str) -> None:
        self.run_all()
        column, value = ("customer_id", "a") if table == CORE else ("_row_number", 1)
        where = f"{column} = {value!r}"
        if not self.account.silver()[0] or all(row[column] != value for row in self.rows(table)):
            return
        self.lake.table(table).delete(where)
        before = self.lake.versions()
        assert self.lake.refused(runtime_params=self.named()).startswith(
            f"{table}: expected changes by this pipeline only, found DELETE"
        )
        assert self.lake.versions() == before
        if table == BRONZE:
            assert "accepted as it is" in self.amending().adopt(BRONZE)
            for paper in self.account.papers:
                self.account.events.update(paper.take_out(lambda record: record[2] == 1))
            self.run_all()
        else:
            self.run_all(full_refresh=True)

    # ---- runs

    def named(self, **options: Any) -> dict[str, Any]:
        return {"run_id": self.run_id(next(self.moments)), **options}

    @staticmethod
    def run_id(number: int) -> str:
        return f"2027-01-01T00.{number // 60:02}.{number % 60:02}.000Z"

    def run(self, named: dict[str, Any], *refusals: str, **options: Any) -> str:
        """Run; the message where it is refused, for one of the reasons that are given."""
        try:
            self.lake.run(runtime_params=named, **options)
        except UserError as error:
            message = str(error)
            assert any(one in message for one in (EMPTY, *refusals)), message
            return message
        return ""

    def is_restored(self) -> bool:
        return bool(self.lake.table(BRONZE).history(1)[0]["operation"] == "RESTORE")

    @rule(layers=st.sampled_from(LAYERS))
    def run_some(self, layers: list[str]) -> None:
        if self.is_restored() and "bronze" not in layers:
            return
        named = self.named()
        self.run(named, pipeline_names=layers)
        if "bronze" in layers:
            self.receive(named["run_id"])

    @rule(commits=st.integers(1, 9), again=st.booleans())
    def run_until_killed(self, commits: int, again: bool) -> None:
        named = self.named()
        with killed_after(commits):
            try:
                self.run(named)
            except Killed:
                pass
            else:
                self.receive(named["run_id"])
                return
        if self.received(named["run_id"]):
            self.receive(named["run_id"])
        if again:
            self.finish(named)

    def finish(self, named: dict[str, Any]) -> None:
        """The same run id again, as a job's retry: what came meanwhile is for a later one."""
        was_received = self.received(named["run_id"])
        self.run(named, LATE)
        if not was_received and self.received(named["run_id"]):
            self.receive(named["run_id"])

    def received(self, run_id: str) -> bool:
        """Whether this run has received: bronze's commits and the notes tell."""
        entries = self.lake.table(BRONZE).history()
        noted = {row["batch_id"] for row in self.rows(EVENTS) if row["event"] != "retracted"}
        return run_id in noted or any(run_id in entry.get("userMetadata", "") for entry in entries)

    @rule(table=st.sampled_from([BRONZE, *SILVER, CORE, *MODELS]), layers=st.sampled_from(LAYERS))
    def run_two(self, table: str, layers: list[str]) -> None:
        """Another run comes in between, just before this one writes a table."""
        if self.is_restored():
            return
        first, second = self.named(), self.named()

        def run_other() -> None:
            if self.received(first["run_id"]):
                self.receive(first["run_id"])
            self.run(second, pipeline_names=layers)
            if "bronze" in layers:
                self.receive(second["run_id"])

        with meanwhile(table, run_other) as waiting:
            self.run(first, OVERTAKEN)
        if waiting or self.received(first["run_id"]):
            self.receive(first["run_id"])

    @rule()
    def run_late(self) -> None:
        """A run whose clock is behind receives nothing, and does the rest."""
        expected = deepcopy(self.account)
        self.receive("2027-01-02T00.00.00.000Z", expected)
        late = self.run({"run_id": "2026-12-31T00.00.00.000Z"}, LATE)
        self.check_records()
        if late and EMPTY in late:
            return
        assert bool(late) is (expected.events != self.account.events)
        self.check_gold()

    @rule(full_refresh=st.booleans())
    def run_all(self, full_refresh: bool = False) -> None:
        named = self.named(full_refresh=full_refresh)
        refused = self.run(named)
        self.receive(named["run_id"])
        self.check_records()
        if refused:
            assert not self.account.silver()[0]
            return
        self.check_gold()
        versions = self.lake.versions()
        self.lake.run(runtime_params=self.named())
        after = self.lake.versions()
        changed = {table for table in after if after[table] != versions.get(table)}
        assert changed <= {"ops.runs", "ops.run_ledger"}

    # ---- what has to be there

    def rows(self, table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.lake.table(table).to_pyarrow_table().to_pylist()
        return found

    def check_records(self) -> None:
        def of(row: dict[str, Any], by: str = "") -> Record:
            if by:
                return (row[f"{by}_file"], row[f"{by}_batch"], row[f"{by}_row"])
            return (row["_source_file"], row["_batch_id"], row["_row_number"])

        fields = (*HEADER.split(","), "note")
        bronze = [(of(r), ",".join(r[f] or "" for f in fields)) for r in self.rows(BRONZE)]
        assert Counter(bronze) == Counter(self.account.bronze.items())
        names = ("event", "path", "batch_id", "records")
        events = Counter(
            (*(row[n] for n in names), row["reason"] if row["event"] == "moved" else "")
            for row in self.rows(EVENTS)
        )
        assert events == self.account.events
        clean, rejected, lost = self.account.silver()
        found = {
            of(row): [row["order_id"] or "", row["customer_id"], str(row["amount"])]
            for row in self.rows(CLEAN)
        }
        assert found == {
            record: [order, customer, f"{amount}.00"]
            for record, (order, customer, amount, _) in clean.items()
        }
        assert Counter(of(row) for row in self.rows(SILVER[1])) == Counter(rejected)
        superseded = self.rows(SILVER[2])
        assert Counter(of(row) for row in superseded) == Counter(lost.keys())
        assert all(of(row, "_superseded_by") in lost[of(row)] for row in superseded)

    def check_gold(self) -> None:
        totals: dict[str, list[int]] = {}
        for _, customer, amount, _ in self.account.silver()[0].values():
            totals.setdefault(customer, []).append(int(amount))
        expected = {
            customer: (len(amounts), Decimal(sum(amounts)), sum(amounts) / len(amounts))
            for customer, amounts in totals.items()
        }
        names = ("frequency", "total_spent", "avg_ticket")
        for table in (CORE, *MODELS):
            rows = self.rows(table)
            assert len(rows) == len(expected)
            assert {r["customer_id"]: tuple(r[n] for n in names) for r in rows} == expected
        registered = self.rows(REGISTRY)
        states = Counter((row["table_name"], row["content_hash"]) for row in registered)
        assert set(states.values()) == {1}
        for table in MODELS:
            log = [
                e["userMetadata"] for e in self.lake.table(table).history() if "userMetadata" in e
            ]
            made = {text.partition('"content_hash": "')[2][:64] for text in log}
            assert {content for name, content in states if name == table} == made - {""}


@pytest.fixture
def history(
    engine_name: str, engine_session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> type[AnyHistory]:
    """The machine, on the engine of the test."""
    monkeypatch.setenv("RAW_SALES_PATH", "")
    monkeypatch.setenv("LAKEHOUSE_ROOT", "")
    env = "local" if engine_name == "sail" else "staging"
    return type("History", (AnyHistory,), {"folder": tmp_path, "env": env})


def options(examples: int, steps: int, **others: Any) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        **others,
    )


@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
def test_any_history(history: type[AnyHistory]) -> None:
    phases = (Phase.generate,)
    run_state_machine_as_test(history, settings=options(4, 10, derandomize=True, phases=phases))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine_name", "examples", "steps"),
    [("sail", 100, 25), ("spark", 8, 12)],
    indirect=["engine_name"],
)
def test_any_history_long(history: type[AnyHistory], examples: int, steps: int) -> None:
    run_state_machine_as_test(history, settings=options(examples, steps))
