"""Silver tables of the tests: kept as rows, and taken in as a run does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbx_medallion.contracts.model import Contract
from nbx_medallion.contracts.reading import parse_contract
from nbx_medallion.contracts.source import Source, derive_contracts
from nbx_medallion.pipelines.silver.nodes import (
    clean_records,
    find_superseded,
    profile_records,
    quarantine_records,
    select_records,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

CONTRACTS = Path(__file__).parents[3] / "conf/base/contracts"
LINEAGE = "_source_file string, _row_number bigint, _batch_id string"
Rows = list[tuple[Any, ...]]


def silver_contract() -> Contract:
    file = CONTRACTS / "silver/sales_clean.odcs.yaml"
    return parse_contract(file.read_text(encoding="utf-8"), "silver/sales_clean.odcs.yaml")


def contract_of(columns: str, table: str = "") -> Contract:
    """A contract of silver.sales_clean with the given properties."""
    return parse_contract(
        "apiVersion: v3.1.0\nkind: DataContract\nid: silver.sales_clean\nversion: 1.0.0\n"
        f"schema:\n- name: sales_clean\n{table}  properties:\n{columns}",
        "silver/sales_clean.odcs.yaml",
    )


def bronze(
    session: SparkSession, received: list[str], rows: Sequence[tuple[Any, ...]]
) -> DataFrame:
    """A bronze frame: the received columns, the raw text, and file, row and batch."""
    from pyspark.sql import functions as F

    columns = [f"`{name}` string" for name in (*received, "_corrupt_record")]
    frame = session.createDataFrame(list(rows), ", ".join([*columns, LINEAGE]))
    ingested = F.lit("2026-01-01 00:00:00").cast("timestamp").alias("_ingested_at")
    return frame.select("*", ingested)


def no_rows(session: SparkSession, contract: Contract) -> DataFrame:
    """A table of a contract, as a rebuild finds it."""
    return session.createDataFrame([], ddl(contract))


def ddl(contract: Contract) -> str:
    return ", ".join(f"`{name}` {kind}" for name, kind in contract.schema)


def plain(frame: DataFrame) -> Rows:
    """The rows of a frame in an order that does not depend on the engine."""
    rows = [tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in frame.collect()]
    return sorted(rows, key=repr)


def split(frame: DataFrame, contract: Contract) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Quarantine, superseded and clean of all records of a bronze frame, lazily."""
    quarantine = quarantine_records(frame, contract)
    nothing = no_rows(frame.sparkSession, contract)
    superseded = find_superseded(frame, quarantine, nothing, None, contract)
    return quarantine, superseded, clean_records(frame, superseded, nothing, None, contract)


@dataclass
class SilverTables:
    """The silver tables of a contract, as rows by column, and what becomes of them.

    Attributes:
        schemas: Columns of each table, in Spark's DDL or as Spark has them.
        replaced: Rows of clean that the last write replaced.
    """

    session: SparkSession
    contract: Contract
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    schemas: dict[str, Any] = field(default_factory=dict)
    replaced: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        derived = derive_contracts(Source("sales"), self.contract)
        self.schemas = {
            "clean": ddl(self.contract),
            "superseded": ddl(derived["silver.sales_superseded"]),
        }
        self.tables = {"quarantine": [], "superseded": [], "clean": []}

    def take_in(self, records: DataFrame, batches: list[str] | None, times: int = 1) -> None:
        """Extend the tables by batches of bronze, or make them anew of all.

        Args:
            times: How often quarantine and superseded are written before clean is, as where runs
                are killed in between.
        """
        before = self._frame("clean", []) if batches is None else self.frame("clean")
        new = select_records(records, batches)

        def of_batches(row: dict[str, Any]) -> bool:
            return batches is None or row["_batch_id"] in batches

        def by_batches(row: dict[str, Any]) -> bool:
            return of_batches(row) or row["_superseded_by_batch"] in (batches or [])

        for _ in range(times):
            self._replace("quarantine", quarantine_records(new, self.contract), of_batches)
            quarantine = self.frame("quarantine")
            lost = find_superseded(new, quarantine, before, batches, self.contract)
            self._replace("superseded", lost, by_batches)
        found = [
            row for row in self.tables["superseded"] if by_batches(row) and not of_batches(row)
        ]
        pairs = {(row["_source_file"], row["_batch_id"]) for row in found}
        earlier = [] if batches is None else self.tables["clean"]
        self.replaced = [r for r in earlier if (r["_source_file"], r["_batch_id"]) in pairs]
        clean_replaced = self._frame("clean", self.replaced)
        superseded = self.frame("superseded")
        self._replace(
            "clean",
            clean_records(new, superseded, clean_replaced, batches, self.contract),
            lambda row: of_batches(row) or (row["_source_file"], row["_batch_id"]) in pairs,
        )

    def profile(self, batches: list[str] | None) -> Rows:
        """What the profile of a run has that took these batches in."""
        clean, quarantine = self.frame("clean"), self.frame("quarantine")
        return plain(profile_records(clean, quarantine, batches, self.contract))

    def frame(self, table: str) -> DataFrame:
        """A table as a frame."""
        return self._frame(table, self.tables[table])

    def rows(self, table: str, *columns: str) -> Rows:
        """A table's rows in an order that does not depend on the engine, or some columns of it."""
        found = [[row[name] for name in columns or row] for row in self.tables[table]]
        plain_rows = [tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in found]
        return sorted(plain_rows, key=repr)

    def _frame(self, table: str, rows: list[dict[str, Any]]) -> DataFrame:
        return self.session.createDataFrame(
            [tuple(row.values()) for row in rows], self.schemas[table]
        )

    def _replace(
        self, table: str, frame: DataFrame, goes: Callable[[dict[str, Any]], bool]
    ) -> None:
        """Replace rows as `replaceWhere` does; Sail does not check that the new ones are in it."""
        new: list[Row] = frame.collect()
        self.schemas.setdefault(table, frame.schema)
        rows = [row.asDict() for row in new]
        assert all(goes(row) for row in rows), f"{table}: rows beyond what is replaced"
        self.tables[table] = [row for row in self.tables[table] if not goes(row)] + rows
