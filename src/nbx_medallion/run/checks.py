"""What is checked: contracts and graph before a run, and that every record is accounted for."""

from collections.abc import Iterable, Mapping, Sequence

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from nbx_medallion.config import Declarations
from nbx_medallion.contracts.differences import check_reads
from nbx_medallion.contracts.model import Limit
from nbx_medallion.contracts.source import Source
from nbx_medallion.datasets import DeltaTableDataset
from nbx_medallion.errors import ConfigurationError, TableError
from nbx_medallion.models import dataset_name
from nbx_medallion.tables.table import Table


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


def stored(catalog: DataCatalog, table: str) -> Table:
    """The table of a name, ``<schema>.<table>``."""
    return delta_table(catalog, dataset_name(table)).table


def table_inputs(pipeline: Pipeline, catalog: DataCatalog) -> dict[str, tuple[str, ...]]:
    """For each table that a pipeline writes, the tables that its node reads."""

    def tables(names: Sequence[str]) -> tuple[str, ...]:
        datasets = map(catalog.get, names)
        return tuple(d.table_name for d in datasets if isinstance(d, DeltaTableDataset))

    return {table: tables(node.inputs) for node in pipeline.nodes for table in tables(node.outputs)}


def check_contracts(declared: Declarations, inputs: Mapping[str, tuple[str, ...]]) -> None:
    """Check the contracts of tables that a pipeline writes, and its `table_inputs` against them.

    Raises:
        UserError: A contract is missing or not valid, a column that it reads is not there, or a
            node reads other tables than its table's contract declares.
    """
    for table, read in inputs.items():
        contract = declared.contract(table)
        source = Source.of_table(table)
        (declared.contract(source.clean) if source else contract).check_sql()
        if contract.reads and set(contract.reads) != set(read):
            raise ConfigurationError(
                f"{table}: expected a node that reads {', '.join(sorted(contract.reads))}, as its"
                f" contract declares, found one that reads {', '.join(sorted(read)) or 'none'}."
                " Correct the node's inputs, or `reads` in the contract."
            )
        check_reads(contract, declared.contract)


def check_bronze(catalog: DataCatalog, source: Source) -> None:
    """Check that bronze has every record that was received.

    Raises:
        UserError: Records were lost or doubled.
    """
    bronze = stored(catalog, source.raw)
    commits = bronze.commits()
    if commits:
        received = commits[-1].metadata["records_received"]
        check_balance("received", received, {source.raw: bronze.row_count()})


def check_silver(catalog: DataCatalog, source: Source) -> None:
    """Check that each bronze record is in silver, in quarantine or superseded.

    Tables that were made from different states of bronze are not compared: a run of single nodes
    leaves them so, and the next run of the layer makes all of them again.

    Raises:
        UserError: Records were lost or doubled.
    """
    names = (source.clean, source.quarantine, source.superseded)
    tables = {name: stored(catalog, name) for name in names}
    commits = [table.commits() for table in tables.values()]
    if not all(commits):
        return
    made_from = {made[-1].metadata["sources"].get(source.raw) for made in commits}
    if len(made_from) == 1:
        received = stored(catalog, source.raw).row_count(made_from.pop())
        counts = {name: table.row_count() for name, table in tables.items()}
        check_balance(source.raw, received, counts)


def check_limits(catalog: DataCatalog, source: Source, limits: Iterable[Limit]) -> list[str]:
    """Compare a quarantine, just written, with the limits of the contract.

    Returns:
        A sentence for each limit of severity `warning` that is exceeded.

    Raises:
        UserError: A limit of severity `error` is exceeded.
    """
    quarantine = delta_table(catalog, dataset_name(source.quarantine))
    rejected = quarantine.table.row_count()
    records = stored(catalog, source.raw).row_count()
    told = []
    for limit in limits:
        if not limit.is_broken(rejected, records):
            continue
        message = (
            f"{source.clean}: {rejected:,} of {records:,} records ({rejected / records:.1%}) are in"
            f" quarantine, and the contract allows {limit} ({limit.name})."
        )
        if limit.severity == "error":
            raise TableError(
                f"{message} Most frequent:\n{_top_reasons(quarantine)}\n"
                f"They are in {quarantine.table_name} ({quarantine.table.location}), column"
                " _reasons. No table after it was changed. Correct the files or the contract and"
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
        " A table was changed by another program, or a layer has a fault. Run the whole pipeline"
        " again to rebuild the tables from the landing files; if it does not balance then, report"
        " it with this message."
    )
