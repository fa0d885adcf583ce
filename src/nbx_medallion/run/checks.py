"""What is checked: contracts and graph before a run, and that every record is accounted for."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

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
_Kind = TypeVar("_Kind")
_HEADER = (
    "| table | rows in | rows out | quarantined | superseded | version |",
    "|---|--:|--:|--:|--:|--:|",
)


def get_dataset(catalog: DataCatalog, name: str, kind: type[_Kind]) -> _Kind:
    """The dataset of a name in the catalog; a `UserError` where it is not of this kind."""
    dataset = catalog.get(name)
    if not isinstance(dataset, kind):
        raise ConfigurationError(
            f"{name}: expected a {kind.__name__} in the catalog, found {type(dataset).__name__}."
            " Restore its entry or pattern in catalog.yml."
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
            table = get_dataset(catalog, name, DeltaTableDataset).table_name
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
    limits: Collection[Limit],
    records: DeltaTableDataset,
    quarantine: DeltaTableDataset,
    step: Step,
) -> list[str]:
    """Compare a quarantine, just written, with the limits of the contract.

    Args:
        source: The source of the records.
        limits: Those of its contract.
        records: As received.
        quarantine: The rejected ones.
        step: Its pending batches are judged, each by itself, and in a rebuild all together too.

    Returns:
        A sentence for each limit of severity `warning` that is exceeded.

    Raises:
        UserError: A limit of severity `error` is exceeded.
    """
    if not limits:
        return []
    received, rejected = (_by_batch(one.load()) for one in (records, quarantine))
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
    """Compare how many rows a table is about to have with limits, as `check_limits` does."""
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
    """Raise a `UserError` unless as many records of something went in as are in its parts."""
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


def check_run(run_id: str, ledger: Iterable[Mapping[str, Any]], expected: Iterable[str]) -> str:
    """Check a run by its ledger rows, and give them as a Markdown table.

    A task that was retried has entered its tables again: the last state of each table counts.

    Raises:
        UserError: A table that is expected is missing, or records are not accounted for.
    """
    in_order = sorted(ledger, key=lambda row: row["delta_version_after"])
    rows = {row["table_name"]: row for row in in_order}
    missing = sorted(set(expected) - rows.keys())
    if missing:
        raise TableError(
            f"Run {run_id} is not whole: the ledger has no entry for {', '.join(missing)}. Look at"
            " the tasks of the job run: one failed, or another run id was passed to it."
        )
    for source in dict.fromkeys(filter(None, map(Source.of_table, sorted(rows)))):
        received, cleaned = rows[source.raw], rows[source.clean]
        parts = {source.clean: cleaned["rows_out"]}
        parts |= {part: cleaned[f"rows_{part}"] for part in ("quarantined", "superseded")}
        read = {f"read for {source.clean}": cleaned["rows_in"]}
        check_balance("received", received["rows_in"], {source.raw: received["rows_out"]})
        check_balance(source.raw, cleaned["rows_in"], parts)
        check_balance(source.raw, received["rows_out"], read)
    lines = [f"Run `{run_id}` is whole and balances.", "", *_HEADER]
    lines += [
        f"| {name} | {row['rows_in']:,} | {row['rows_out']:,} | {row['rows_quarantined']:,}"
        f" | {row['rows_superseded']:,} | {row['delta_version_after']} |"
        for name, row in sorted(rows.items())
    ]
    return "\n".join(lines)
