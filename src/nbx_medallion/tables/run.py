"""What a run knows of its tables."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Write:
    """What a save did to its table.

    Attributes:
        before: Version before, None where the table was made.
        after: Version after; equal to `before` where the table was left alone.
        rows: Rows that were written, or that a table has which `replace_changed` left alone.
        seconds: Time that it took, what the rows are computed from included.
    """

    before: int | None
    after: int
    rows: int
    seconds: float = 0.0


@dataclass(frozen=True)
class RunTables:
    """Which version a run read of each ``<schema>.<table>``, and what it wrote.

    Attributes:
        git_sha: The commit that is checked out, None outside git.
        inputs: For each table that is written, those that it is made from.
        read: Version that each table was read at.
        written: What was done to each table that was saved.
    """

    run_id: str
    environment: str
    git_sha: str | None
    inputs: Mapping[str, tuple[str, ...]]
    read: dict[str, int] = field(default_factory=dict)
    written: dict[str, Write] = field(default_factory=dict)
    _notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    def version(self, table: str, current: Callable[[], int]) -> int:
        """The version to read of a table: what the run wrote, or what it found at first."""
        if table in self.written:
            self.read[table] = self.written[table].after
        elif table not in self.read:
            self.read[table] = current()
        return self.read[table]

    def save(self, table: str, write: Callable[[], Write]) -> None:
        """Write a table and keep what was done; writes of one table take turns, and add up."""
        with self._locks.setdefault(table, threading.Lock()):
            started = time.monotonic()
            made = write()
            old = self.written.get(table, Write(made.before, made.after, 0))
            seconds = old.seconds + time.monotonic() - started
            self.written[table] = Write(old.before, made.after, old.rows + made.rows, seconds)

    def note(self, table: str, **metadata: Any) -> None:
        """Have the commits of a table carry something more, as JSON values."""
        self._notes[table] = self._notes.get(table, {}) | metadata

    def metadata(self, table: str) -> dict[str, Any]:
        """What a commit of a table carries, also the versions it is made from where it read any."""
        made_from = self.inputs.get(table, ())
        return {
            "run_id": self.run_id,
            "environment": self.environment,
            "git_sha": self.git_sha,
            "sources": {name: self.read[name] for name in made_from if name in self.read},
            **self._notes.get(table, {}),
        }
