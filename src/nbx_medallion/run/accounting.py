"""Whether every record is accounted for, and what else a run has to say of its records."""

from collections.abc import Iterable, Sequence

from kedro.io import DataCatalog

from nbx_medallion.contracts.model import Contract, Threshold
from nbx_medallion.datasets.delta_table import DeltaTableDataset
from nbx_medallion.errors import UserError
from nbx_medallion.landing.scan import LandingScan
from nbx_medallion.run.ledger import check_balance

BRONZE = "bronze_sales_raw"
SILVER = "silver_sales_clean"
QUARANTINE = "silver_sales_quarantine"
SUPERSEDED = "silver_sales_superseded"
SALES = "silver.sales_clean"


def delta_table(catalog: DataCatalog, name: str) -> DeltaTableDataset:
    """The Delta table of a name in the catalog.

    Raises:
        UserError: The catalog declares it otherwise, or not at all.
    """
    dataset = catalog.get(name)
    if not isinstance(dataset, DeltaTableDataset):
        raise UserError(
            f"{name}: expected a DeltaTableDataset in the catalog, found"
            f" {type(dataset).__name__}. Restore its entry or pattern in catalog.yml."
        )
    return dataset


def check_bronze(catalog: DataCatalog) -> None:
    """Check that bronze has every record that was received.

    Raises:
        UserError: Records were lost or doubled.
    """
    bronze = delta_table(catalog, BRONZE)
    commits = bronze.commits()
    if commits:
        received = commits[-1].metadata["records_received"]
        check_balance("received", received, {"bronze.sales_raw": bronze.row_count()})


def check_silver(catalog: DataCatalog) -> None:
    """Check that each bronze record is in silver, in quarantine or superseded.

    Tables that were made from different states of bronze are not compared: a run of single nodes
    leaves them so, and the next run of the layer makes all of them again.

    Raises:
        UserError: Records were lost or doubled.
    """
    tables = [delta_table(catalog, name) for name in (SILVER, QUARANTINE, SUPERSEDED)]
    commits = [table.commits() for table in tables]
    if not all(commits):
        return
    made_from = {made[-1].metadata["sources"][BRONZE] for made in commits}
    if len(made_from) == 1:
        check_balance(
            "bronze.sales_raw",
            delta_table(catalog, BRONZE).row_count(made_from.pop()),
            {table.table_name: table.row_count() for table in tables},
        )


def check_thresholds(catalog: DataCatalog, thresholds: Iterable[Threshold]) -> list[str]:
    """Compare the quarantine, just written, with what the contract allows.

    Args:
        catalog: The catalog of the run.
        thresholds: The contract's limits.

    Returns:
        A sentence for each limit of severity `warning` that is exceeded.

    Raises:
        UserError: A limit of severity `error` is exceeded.
    """
    quarantine = delta_table(catalog, QUARANTINE)
    rejected, records = quarantine.row_count(), delta_table(catalog, BRONZE).row_count()
    told = []
    for threshold in thresholds:
        if not threshold.is_broken(rejected, records):
            continue
        limit = f"{'less than' if threshold.exclusive else 'at most'} {threshold.limit}"
        unit = "%" if threshold.unit == "percent" else " records"
        message = (
            f"{SALES}: {rejected:,} of {records:,} records ({rejected / records:.1%}) are in"
            f" quarantine, and the contract allows {limit}{unit} ({threshold.name})."
        )
        if threshold.severity == "error":
            raise UserError(
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
        .agg(F.count(F.lit(1)).alias("records"))
        .orderBy(F.desc("records"), "reason")
        .limit(most)
        .collect()
    )
    return "\n".join(f"  {row['records']:,}  {row['reason']}" for row in counts)


def landing_notes(scan: LandingScan, contract: Contract) -> list[str]:
    """What a person should know of the files that were received.

    Args:
        scan: The files.
        contract: Contract of the table that they are cleaned into.
    """
    notes = []
    if scan.skipped:
        notes.append(f"not read, neither .csv nor .csv.gz: {_listed(scan.skipped)}")
    reasons: dict[str, list[str]] = {}
    for path, why in scan.unmapped.items():
        reasons.setdefault(why, []).append(path)
    notes += [
        f"{_listed(paths)}: no record could be mapped to columns: {_shortened(why, 200)}"
        for why, paths in reasons.items()
    ]
    notes += [
        f"{path}: columns without a name are {', '.join(f'_c{place}' for place in places)}"
        for path, places in scan.blank_headers.items()
    ]
    names: dict[str, list[str]] = {}
    for file in scan.files:
        names.setdefault(file.fingerprint, []).append(file.path)
    notes += [
        f"the same content under several names, each counted: {_listed(paths)}"
        for paths in names.values()
        if len(paths) > 1
    ]
    missing = [
        column.name
        for column in contract.columns
        if column.required and not set(column.inputs) & set(scan.columns)
    ]
    if missing and scan.files:
        notes.append(
            f"no file has what {', '.join(missing)} is made from, which the contract requires, so"
            " every record is in quarantine: check header, separator and encoding of the files"
        )
    further = [name for name in scan.columns if name not in contract.inputs]
    if further:
        notes.append(f"columns that the contract does not use, kept in bronze: {_listed(further)}")
    return notes


def _listed(names: Sequence[str], most: int = 10) -> str:
    """The first names, and how many more there are."""
    shown = [_shortened(name, 80) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
