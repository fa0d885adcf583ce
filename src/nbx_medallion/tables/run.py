"""What a run knows of its tables: the version of each that it reads, and how each is written."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

#: Hash and text of what defines the content of a table.
Definition = tuple[str, Mapping[str, str]]


@dataclass(frozen=True)
class Write:
    """What a save did to its table.

    Attributes:
        before: Version before, None where the table was made.
        after: Version after; equal to `before` where the table was left alone.
        rows: Rows of the table after it.
        seconds: Time that it took, what the rows are computed from included.
    """

    before: int | None
    after: int
    rows: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Way:
    """How a table is written in a run.

    Attributes:
        mode: As `Target.write` has it.
        where: Gives the condition of the rows that are replaced, empty for none; None for all.
        anew: Whether the table is made from nothing.
    """

    mode: str
    where: Callable[[], str] | None = None
    anew: bool = False


@dataclass
class RunTables:
    """What a run knows of its tables, each named ``<schema>.<table>``.

    Attributes:
        git_sha: The commit that is checked out, None outside git.
        inputs: For each table that is written, those that it is made from.
        definitions: Of each table that is written; bronze has none.
        found: Version and rows of each table as the run found it, or left it.
        ways: How tables are written that are not always written the same way.
        batches: Batches of its input that a table takes in that is extended.
        carried: What the commits of a table carry beside the usual, as JSON values.
        written: What was done to each table that was saved.
        watch: Shows the progress of writing a table.
        judge: Is told how many rows a table would have whose contract limits them; may raise.
    """

    run_id: str
    environment: str
    git_sha: str | None = None
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    found: dict[str, tuple[int, int]] = field(default_factory=dict)
    ways: dict[str, Way] = field(default_factory=dict)
    batches: dict[str, list[str]] = field(default_factory=dict)
    carried: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: dict[str, Write] = field(default_factory=dict)
    watch: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext()
    judge: Callable[[str, int], None] = lambda table, rows: None
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    def version(self, table: str) -> int | None:
        """The version to read of a table: as the run found it, or left it; None where unknown."""
        return self.found[table][0] if table in self.found else None

    def save(self, table: str, write: Callable[[], Write]) -> None:
        """Write a table and keep what was done; writes of one table take turns."""
        with self._locks.setdefault(table, threading.Lock()):
            started = time.monotonic()
            with self.watch(table):
                made = write()
            old = self.written.get(table, made)
            seconds = old.seconds + time.monotonic() - started
            self.written[table] = Write(old.before, made.after, made.rows, seconds)
            self.found[table] = made.after, made.rows

    def metadata(self, table: str) -> dict[str, Any]:
        """What a commit of a table carries, what it is made from and by included."""
        made_by, defined_by = self.definitions.get(table, (None, {}))
        inputs = {name: self.found[name] for name in self.inputs.get(table, ())}
        return {
            "run_id": self.run_id,
            "environment": self.environment,
            "git_sha": self.git_sha,
            "table": table,
            "made_by": made_by,
            "defined_by": defined_by,
            "inputs": {name: {"version": v, "rows": rows} for name, (v, rows) in inputs.items()},
            "anew": table in self.ways and self.ways[table].anew,
            **self.carried.get(table, {}),
        }
