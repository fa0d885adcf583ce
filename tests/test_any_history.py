"""Whatever happens to folder, tables and runs, a completed run leaves what an own account says."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from test_run import Lakehouse

from nbx_medallion.config import current_config
from nbx_medallion.errors import UserError
from nbx_medallion.run.amend import Amending
from nbx_medallion.tables.table import PathTable

HEADER = "order_id,customer_id,amount"
CONTRACT = "base/contracts/silver/sales_clean.odcs.yaml"
BRONZE, CLEAN, CORE = "bronze.sales_raw", "silver.sales_clean", "gold_core.customer_metrics"
SILVER = (CLEAN, "silver.sales_quarantine", "silver.sales_superseded")
MODELS = ("gold_ml.churn_model_v1", "gold_ml.clv_model_v2")
TABLES = (BRONZE, *SILVER, CORE, *MODELS, "ops.landing_files", "ml_registry.model_versions")
LAYERS = (["bronze"], ["silver"], ["gold_core"], ["gold_ml", "ml_registry"], ["bronze", "silver"])

EMPTY = "0 rows, and the contract wants more than 0 rows"

Record = tuple[str, str, int]
"""File, batch and row number."""


class Killed(BaseException):
    """The process ends here."""


@dataclass(eq=False)
class Paper:
    """A file as a person would keep account of it: where it is, what it held, its records."""

    name: str | None
    first: tuple[str, str]
    text: str = ""
    rows: dict[Record, str] = field(default_factory=dict)
    count: int = 0
    was: set[str] = field(default_factory=set)


@contextmanager
def killed_after(commits: int) -> Iterator[list[int]]:
    """Let the process end after so many commits; gives how many there were."""
    made = [0]
    own = {name: getattr(PathTable, name) for name in ("write", "append_rows", "restore")}

    def ending(name: str) -> Any:
        def commit(self: PathTable, *args: Any, **kwargs: Any) -> Any:
            if made[0] == commits:
                raise Killed
            done = own[name](self, *args, **kwargs)
            made[0] += 1
            if made[0] == commits:
                raise Killed
            return done

        return commit

    for name in own:
        setattr(PathTable, name, ending(name))
    try:
        yield made
    finally:
        for name, method in own.items():
            setattr(PathTable, name, method)


class Account:
    """What has to be in the tables, by rules that are spelt out here once more."""

    def __init__(self) -> None:
        self.papers: list[Paper] = []
        self.barred: set[str] = set()
        self.refunds_are_wrong = False

    def receive(self, folder: Path, batch: str) -> None:
        """Take in what a run of this id receives from the folder as it is."""
        disk = {path.name: path.read_text() for path in folder.iterdir()}
        papers = self.papers
        same = {paper.name for paper in papers if disk.get(paper.name or "") == paper.text}
        lost = [paper for paper in papers if paper.name not in same]
        homes: dict[str, Paper] = {}
        for name in sorted(disk.keys() - same):
            alike = [paper for paper in lost if paper.text == disk[name]]
            if alike:
                alike.sort(key=lambda paper: (not paper.was, paper.first[1], paper.first[0]))
                homes[name] = alike[0]
                lost.remove(alike[0])
        for home in homes.values():
            home.name = None
        for name, home in homes.items():
            for paper in papers:
                paper.name = None if paper.name == name else paper.name
            home.name = name
        for name in sorted(disk.keys() - same - homes.keys()):
            if disk[name] not in self.barred:
                self._receive_file(name, disk[name], batch)

    def _receive_file(self, name: str, text: str, batch: str) -> None:
        lines = text.splitlines()[1:]
        here = next((paper for paper in self.papers if paper.name == name), None)
        start = 0
        if here is None:
            here = Paper(name, (name, batch))
            self.papers.append(here)
        elif text.startswith(here.text) and here.text.endswith("\n"):
            start = here.count
        else:
            here.rows, here.was = {}, set()
        for at in range(start, len(lines)):
            here.rows[name, batch, at + 1] = lines[at]
        here.text, here.count = text, len(lines)
        here.was.add(text)

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

        def place(record: Record) -> tuple[str, str, int]:
            return (record[1], record[0], record[2])

        later = {
            record: {
                other
                for other, values in valid.items()
                if fields[0] and values[0] == fields[0] and place(other) > place(record)
            }
            for record, fields in valid.items()
        }
        clean = {record: fields for record, fields in valid.items() if not later[record]}
        return clean, rejected, {record: found for record, found in later.items() if found}


class AnyHistory(RuleBasedStateMachine):
    """Folder, tables and runs, in any order."""

    folder: Path
    moments: Iterator[int]

    @initialize()
    def begin(self) -> None:
        self.place = tempfile.TemporaryDirectory(dir=self.folder)
        root = Path(self.place.name)
        self.lake = Lakehouse(root, "local")
        self.lake.conf = root / "conf"
        shutil.copytree(REPOSITORY / "conf", self.lake.conf)
        os.environ |= {
            "RAW_SALES_PATH": str(self.lake.landing),
            "LAKEHOUSE_ROOT": str(self.lake.root),
        }
        self.account = Account()
        self.moments, self.numbers = count(1), count(1)
        self.pending: str | None = None
        self.write(0, [(1, "a", 5), (2, "b", -1), (3, "", 1)])
        self.run_all()

    def teardown(self) -> None:
        if hasattr(self, "place"):
            self.place.cleanup()

    # ---- the folder

    def path(self, number: int) -> Path:
        return self.lake.landing / f"{number}.csv"

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

    @rule(number=files, orders=orders)
    def write(self, number: int, orders: list[tuple[Any, ...]]) -> None:
        self.path(number).write_text(f"{HEADER},note\n{self.lines(orders)}")

    @rule(number=files, orders=orders)
    def append(self, number: int, orders: list[tuple[Any, ...]]) -> None:
        if self.path(number).exists():
            with self.path(number).open("a") as file:
                file.write(self.lines(orders))

    @rule(number=files, to=files, is_copied=st.booleans())
    def move(self, number: int, to: int, is_copied: bool) -> None:
        if self.path(number).exists() and number != to:
            self.path(to).write_bytes(self.path(number).read_bytes())
            if not is_copied:
                self.path(number).unlink()

    @rule(number=files)
    def archive(self, number: int) -> None:
        self.path(number).unlink(missing_ok=True)

    @rule(which=st.integers(0, 9))
    def retract(self, which: int) -> None:
        known = [paper for paper in self.account.papers if paper.was and paper.name and paper.rows]
        if self.pending or not known:
            return
        paper = known[which % len(known)]
        path = next(iter(paper.rows))[0]
        self.amending().retract("sales", path, str(self.lake.landing / str(paper.name)))
        self.account.barred |= paper.was
        paper.rows, paper.was = {}, set()

    def amending(self) -> Amending:
        with self.lake.session() as session:
            return Amending(session.lakehouse, current_config(), session.session_id, "a reason")

    # ---- contracts, and what others do

    @rule()
    def edit_contract(self) -> None:
        file, wrong = self.lake.conf / CONTRACT, self.account.refunds_are_wrong
        old, new = ("error", "warning") if wrong else ("warning", "error")
        text = file.read_text()
        assert text.count(f"severity: {old}") == 1
        file.write_text(text.replace(f"severity: {old}", f"severity: {new}"))
        self.account.refunds_are_wrong = not wrong

    @rule(table=st.sampled_from(TABLES), what=st.sampled_from(["compact", "vacuum", "properties"]))
    def maintain(self, table: str, what: str) -> None:
        found = self.lake.table(table)
        if what == "compact":
            found.optimize.compact()
        elif what == "vacuum":
            found.vacuum(dry_run=False)
        else:
            found.alter.set_table_properties({"delta.logRetentionDuration": "interval 90 days"})

    @rule(table=st.sampled_from(TABLES[:-1]), back=st.integers(1, 5))
    def restore(self, table: str, back: int) -> None:
        found = self.lake.table(table)
        if found.version() - back >= 1:
            found.restore(found.version() - back)

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
                paper.rows = {record: t for record, t in paper.rows.items() if record[2] != 1}
            self.run_all()
        else:
            self.run_all(full_refresh=True)

    # ---- runs

    def named(self, **options: Any) -> dict[str, Any]:
        return {"run_id": self.run_id(next(self.moments)), **options}

    @staticmethod
    def run_id(number: int) -> str:
        return f"2027-01-01T00.{number // 60:02}.{number % 60:02}.000Z"

    @rule(layers=st.sampled_from(LAYERS))
    def run_some(self, layers: list[str]) -> None:
        named = self.named()
        restored = self.lake.table(BRONZE).history(1)[0]["operation"] == "RESTORE"
        if self.pending or (restored and "bronze" not in layers):
            return
        try:
            self.lake.run(pipeline_names=layers, runtime_params=named)
        except UserError as error:
            assert EMPTY in str(error)  # noqa: PT017
        if "bronze" in layers:
            self.account.receive(self.lake.landing, named["run_id"])

    @rule(commits=st.integers(1, 9), again=st.booleans())
    def run_until_killed(self, commits: int, again: bool) -> None:
        named = self.named()
        with killed_after(commits):
            try:
                self.lake.run(runtime_params=named)
            except Killed:
                pass
            except UserError as error:
                assert EMPTY in str(error)  # noqa: PT017
                self.account.receive(self.lake.landing, named["run_id"])
                return
            else:
                self.account.receive(self.lake.landing, named["run_id"])
                return
        if self.received(named["run_id"]):
            self.account.receive(self.lake.landing, named["run_id"])
        if again:
            self.finish(named)

    def finish(self, named: dict[str, Any]) -> None:
        """The same run id again, as a job's retry: what came meanwhile is for a later one."""
        was_received = self.received(named["run_id"])
        try:
            self.lake.run(runtime_params=named)
        except UserError as error:
            late = "expected a run id later than that of the newest batch"
            assert EMPTY in str(error) or late in str(error)  # noqa: PT017
        if not was_received and self.received(named["run_id"]):
            self.account.receive(self.lake.landing, named["run_id"])

    def received(self, run_id: str) -> bool:
        """Whether this run has received: bronze's commits and the notes tell."""
        entries = self.lake.table(BRONZE).history()
        noted = {
            row["batch_id"] for row in self.rows("ops.landing_files") if row["event"] != "retracted"
        }
        return run_id in noted or any(run_id in entry.get("userMetadata", "") for entry in entries)

    @rule(full_refresh=st.booleans())
    def run_all(self, full_refresh: bool = False) -> None:
        named = self.named(full_refresh=full_refresh)
        refused = ""
        try:
            self.lake.run(runtime_params=named)
        except UserError as error:
            refused = str(error)
        self.account.receive(self.lake.landing, named["run_id"])
        self.check_records()
        if refused:
            assert EMPTY in refused
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
        registered = self.rows("ml_registry.model_versions")
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
    return type("History", (AnyHistory,), {"folder": tmp_path})


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
@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
def test_any_history_long(history: type[AnyHistory]) -> None:
    run_state_machine_as_test(history, settings=options(100, 25))
