"""What is checked: contracts and graph before a run, and that every record is accounted for."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from nbx_medallion.config import Declarations
from nbx_medallion.contracts.differences import check_reads
from nbx_medallion.contracts.lineage import BATCH_ID
from nbx_medallion.contracts.model import Limit
from nbx_medallion.contracts.source import Source
from nbx_medallion.datasets import DeltaTableDataset
from nbx_medallion.errors import ConfigurationError, TableError
from nbx_medallion.run.plan import Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PROFILE = ".silver_profile"


def delta_table(catalog: DataCatalog, name: str) -> DeltaTableDataset:
    """The Delta table of a name in the catalog.

    Raises:
        UserError: The catalog declares it otherwise, or not at all.
    """
    dataset = catalog.get(name)
    if not isinstance(dataset, DeltaTableDataset):
        raise ConfigurationError(
            f"{name}: expected a DeltaTableDataset in the catalog, found"
            f" {type(dataset).__name__}. Restore its entry or pattern in catalog.yml."
        )
    return dataset


def table_inputs(pipeline: Pipeline, catalog: DataCatalog) -> dict[str, tuple[str, ...]]:
    """For each table that a pipeline writes, in order, the tables that it is made from.

    What a node reads from memory is made from what the node read that gave it. Bronze is made from
    no table, and silver from bronze alone.

    Raises:
        UserError: A node's output is neither a Delta table nor read by another node.
    """
    read = {name for node in pipeline.nodes for name in node.inputs}
    in_memory: dict[str, tuple[str, ...]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for node in pipeline.nodes:
        inputs: list[str] = []
        for name in node.inputs:
            dataset: Any = catalog.get(name)
            is_table = isinstance(dataset, DeltaTableDataset)
            inputs += [dataset.table_name] if is_table else in_memory.get(name, ())
        made_from = tuple(dict.fromkeys(inputs))
        for name in node.outputs:
            is_passed_on = name in read and isinstance(catalog.get(name), MemoryDataset)
            if is_passed_on or name.endswith(PROFILE):
                in_memory[name] = made_from
                continue
            table = delta_table(catalog, name).table_name
            source = Source.of_table(table)
            of_source = (source.raw,) if source and table != source.raw else ()
            found[table] = of_source if source else made_from
    return found


def check_contracts(declared: Declarations, inputs: Mapping[str, tuple[str, ...]]) -> None:
    """Check the contracts of tables that a pipeline writes, and its `table_inputs` against them.

    Raises:
        UserError: A contract is missing or not valid, a column that it reads is not there, or a
            node reads other tables than its table's contract declares.
    """
    for table, read in inputs.items():
        contract = declared.contract(table)
        if contract.reads and set(contract.reads) != set(read):
            raise ConfigurationError(
                f"{table}: expected a node that reads {', '.join(sorted(contract.reads))}, as its"
                f" contract declares, found one that reads {', '.join(sorted(read)) or 'none'}."
                " Correct the node's inputs, or `reads` in the contract."
            )
        check_reads(contract, declared.contract)


def check_limits(
    source: Source,
    limits: Iterable[Limit],
    records: "DataFrame",
    quarantine: DeltaTableDataset,
    step: Step,
) -> list[str]:
    """Compare a quarantine, just written, with the limits of the contract.

    Args:
        source: The source of the records.
        limits: The limits.
        records: The records, as received.
        quarantine: The rejected ones.
        step: Its pending batches are judged, each by itself, and in a rebuild all together too.

    Returns:
        A sentence for each limit of severity `warning` that is exceeded.

    Raises:
        UserError: A limit of severity `error` is exceeded.
    """
    received, rejected = (_by_batch(frame) for frame in (records, quarantine.load()))
    judged = {
        f"batch {one}": (rejected.get(one, 0), received.get(one, 0))
        for one in sorted(received if step.pending is None else step.pending)
    }
    if step.action == "rebuild" and (len(received) > 1 or not judged):
        judged["all batches"] = (sum(rejected.values()), sum(received.values()))
    told = []
    for what, (bad, of) in judged.items():
        for limit in limits:
            if not limit.is_broken(bad, of):
                continue
            message = (
                f"{source.clean}: {bad:,} of {of:,} records ({bad / of:.1%}) of {what} are in"
                f" quarantine, and the contract allows {limit} ({limit.name})."
            )
            if limit.severity == "error":
                raise TableError(
                    f"{message} Most frequent:\n{_top_reasons(quarantine)}\n"
                    f"They are in {quarantine.table_name} ({quarantine.table.location}), column"
                    " _reasons. No table after it was changed. Correct the files or the contract,"
                    f" or take the files out with `kedro lakehouse retract {source.name} PATH"
                    " --why TEXT`, and run again."
                )
            told.append(message)
    return told


def _by_batch(frame: "DataFrame") -> dict[str, int]:
    return {row[BATCH_ID]: row["count"] for row in frame.groupBy(BATCH_ID).count().collect()}


def check_row_count(table: str, rows: int, limits: Collection[Limit]) -> list[str]:
    """Compare how many rows a table is about to have with the limits of its contract.

    Returns:
        A sentence for each limit of severity `warning` that is exceeded.

    Raises:
        UserError: A limit of severity `error` is exceeded.
    """
    told = []
    for limit in limits:
        if limit.is_broken(rows):
            message = f"{table}: {rows:,} rows, and the contract wants {limit} ({limit.name})."
            if limit.severity == "error":
                raise TableError(
                    f"{message} The table is as it was, those before it are written. Look at what"
                    " they hold: `kedro lakehouse history`; correct the files or the contract, and"
                    " run again."
                )
            told.append(message)
    return told


def _top_reasons(quarantine: DeltaTableDataset, most: int = 5) -> str:
    from pyspark.sql import functions as F

    counts = (
        quarantine.load()
        .select(F.explode("_reasons").alias("reason"))
        .groupBy("reason")
        .count()
        .orderBy(F.desc("count"), "reason")
        .head(most)
    )
    return "\n".join(f"  {count:,}  {reason}" for reason, count in counts)


def check_balance(what: str, received: int, parts: Mapping[str, int]) -> None:
    """Compare how many records of something went in with how many are where.

    Raises:
        UserError: They differ.
    """
    found = sum(parts.values())
    if found == received:
        return
    listed = " + ".join(f"{name} {count:,}" for name, count in parts.items())
    total = f" = {found:,}" if len(parts) > 1 else ""
    direction = f"{abs(received - found):,} {'lost' if found < received else 'too many'}"
    raise TableError(
        f"Records are not accounted for: {what} {received:,}, but {listed}{total} ({direction})."
        " A table was changed by another program, or a layer has a fault. Run again with --params"
        " full_refresh=true to make silver again; if it does not balance then, report it with this"
        " message."
    )
