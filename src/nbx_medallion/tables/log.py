"""What the log of a table tells: who changed it, and what it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

_EVER = datetime.max.replace(tzinfo=UTC)
# How operations begin that leave the rows as they are, as Delta on Spark, delta-rs and Sail name
# them. Whatever else there is counts as a change of data.
_MAINTENANCE = (
    "ADD ", "CHANGE ", "CLUSTER BY", "COMPUTE ", "DELETION VECTOR TOMBSTONES", "DOMAIN METADATA",
    "DROP CONSTRAINT", "DROP FEATURE", "EMPTY COMMIT", "OPTIMIZE", "REMOVE COLUMN MAPPING", "REORG",
    "ROW TRACKING ", "SET ", "UNSET ", "UPDATE COLUMN METADATA", "UPDATE FIELD METADATA",
    "UPDATE SCHEMA", "UPDATE TABLE METADATA", "UPGRADE PROTOCOL", "VACUUM",
)  # fmt: skip


@dataclass(frozen=True)
class Commit:
    """One commit of a Delta table.

    Attributes:
        timestamp: When it was committed, UTC.
        row_count: Rows that it wrote: all rows of the table, where it replaced them.
        metadata: What this project attached to it; empty where another program wrote it.
        operation: What it did, in Delta's words.
        restored: The version that a RESTORE went back to, None for any other commit; 0 where only
            a time is told, since nobody says of which zone.
        user: Who made it, as far as the log tells.
    """

    version: int
    timestamp: datetime
    row_count: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    operation: str = ""
    restored: int | None = None
    user: str = ""

    @property
    def changes_data(self) -> bool:
        """True for all but maintenance."""
        operation = self.operation.upper()
        is_maintenance = operation == "CREATE TABLE" or operation.startswith(_MAINTENANCE)
        return bool(self.metadata) or not is_maintenance

    @property
    def is_foreign(self) -> bool:
        """True for a change of data by somebody else, a RESTORE aside."""
        return self.changes_data and not self.metadata and self.restored is None


@dataclass(frozen=True)
class Record:
    """A table at a version is what its definition makes of these versions of its inputs.

    Attributes:
        definition: Hash of what defines the content; None for bronze, which nothing can remake.
        inputs: Version of each input, by ``<schema>.<table>``.
        anew: Whether a rebuild wrote it.
        at: When that was so: a commit of such a version that is later is of a table made anew.
    """

    version: int
    definition: str | None
    inputs: Mapping[str, int]
    anew: bool = False
    at: datetime = _EVER


@dataclass(frozen=True)
class Status:
    """How a table is, beside what this project last left.

    Attributes:
        name: `missing`, `as left` (maintenance aside), `restored` to before, `foreign` where
            somebody changed its data, `unknown` where the log no longer tells.
        version: Of the foreign commit; else as this project left the table, -1 where unknown.
    """

    name: Literal["missing", "as left", "restored", "foreign", "unknown"]
    version: int = -1


@dataclass(frozen=True)
class Change:
    """What happened to an input since a version.

    Attributes:
        appended: True where nothing or only appends of ours happened; what cannot be told counts as
            replaced.
        batches: Run ids of our commits since.
        same: True where only maintenance happened.
    """

    appended: bool
    batches: frozenset[str]
    same: bool


@dataclass(frozen=True)
class Log:
    """What a plan may see of a table.

    Attributes:
        table: ``<schema>.<table>``.
        commits: Oldest first, as far as the log goes back; none where there is no table.
        rows: Rows at the newest version, by the log's statistics.
        lines: What `ops.runs` says of the table, oldest first.
    """

    table: str
    commits: Sequence[Commit] = ()
    rows: int = 0
    lines: Sequence[Record] = ()

    @property
    def head(self) -> int:
        """The newest version, -1 where there is no table."""
        return self.commits[-1].version if self.commits else -1

    def own(self) -> list[Commit]:
        """The commits of this project, oldest first."""
        return [commit for commit in self.commits if commit.metadata]

    def history(self) -> Iterator[tuple[int, Commit | None]]:
        """Versions from the newest back, following restores, with None where the log ends."""
        by_version = {commit.version: commit for commit in self.commits}
        version = self.head
        while version >= 0:
            found = by_version.get(version)
            yield version, found
            if found is None:
                return
            version = version - 1 if found.restored is None else found.restored

    def last_record(self) -> Record | None:
        """The newest of: our last commit's, and the last line of `ops.runs`, which goes first."""
        records = [_record(commit) for commit in self.own()]
        made_at = {commit.version: commit.timestamp for commit in self.commits}
        records += [
            line
            for line in self.lines
            if line.version <= self.head and made_at.get(line.version, line.at) <= line.at
        ]
        return max(reversed(records), key=lambda record: record.version, default=None)

    def status(self) -> Status:
        """How the table is beside what this project last left."""
        if not self.commits:
            return Status("missing")
        record = self.last_record()
        left = record.version if record else -1
        for version, commit in self.history():
            if record and version == left:
                return Status("as left", left)
            if version < left:
                return Status("restored", left)
            if commit is None:
                break
            if commit.is_foreign:
                return Status("foreign", version)
        return Status("unknown")

    def change_since(self, version: int, at: datetime = _EVER) -> Change:
        """What happened to the table since a version that it had at a time."""
        batches, appended, same = set[str](), True, True
        for number, commit in self.history():
            if number == version and not (commit and commit.timestamp > at):
                return Change(appended, frozenset(batches), same)
            if commit is None or number <= version:
                break
            if commit.metadata:
                batches.update(commit.metadata.get("batches", [commit.metadata["run_id"]]))
                appended &= commit.metadata["kind"] == "append"
                same = False
            elif commit.is_foreign:
                appended = same = False
        return Change(False, frozenset(batches), False)

    def definition(self) -> Mapping[str, str]:
        """What defined the content in the last commit of ours; empty where there is none."""
        own = self.own()
        return own[-1].metadata.get("defined_by", {}) if own else {}

    def content_commit(self) -> Commit | None:
        """Our commit that the present rows stand on; None where somebody changed them since."""
        for _, commit in self.history():
            if commit is None or commit.is_foreign:
                return None
            if commit.metadata:
                return commit
        return None


def _record(commit: Commit) -> Record:
    made = commit.metadata
    inputs = {name: one["version"] for name, one in made["inputs"].items()}
    return Record(commit.version, made["made_by"], inputs, made["anew"], commit.timestamp)
