"""What accompanies every run: checks before it, provenance and the ledger, a summary after it."""

import logging
import sys
import time
from dataclasses import asdict, replace
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from nbx_medallion.config import current_config
from nbx_medallion.contracts.usage import check_usage
from nbx_medallion.datasets.delta_table import DeltaTableDataset, Write
from nbx_medallion.datasets.landing import LandingFilesDataset
from nbx_medallion.landing.scan import LandingScan
from nbx_medallion.ml_models.write_once import check_write_once
from nbx_medallion.run.accounting import (
    BRONZE,
    QUARANTINE,
    SALES,
    SILVER,
    SUPERSEDED,
    check_bronze,
    check_silver,
    check_thresholds,
    delta_table,
    landing_notes,
)
from nbx_medallion.run.ledger import LedgerRow, RunReport, render

logger = logging.getLogger(__name__)

LANDING = "landing_sales"
PROFILE = "silver_sales_profile"
LEDGER = "ops_run_ledger"
SUMMARY = "run_summary"
CLEANED = {SILVER, QUARANTINE, SUPERSEDED}


class RunHooks:
    """Checks a run before it writes, attaches provenance to commits, and keeps the ledger."""

    def __init__(self) -> None:
        self._report = RunReport("", "")

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Find what would make the run fail, before an engine starts and before any write.

        Raises:
            UserError: A contract, a folder, or an ML definition is not as it must be.
        """
        config = current_config()
        self._catalog = catalog
        self._started = time.monotonic()
        self._sources: dict[str, dict[str, int]] = {}
        self._saves: dict[str, float] = {}
        self._entries: dict[str, LedgerRow] = {}
        self._report = RunReport(config.run_id, config.environment)
        check_usage(config.contract(SALES))
        outputs = pipeline.all_outputs()
        written = {
            model: delta_table(catalog, f"{model.namespace}.dataset@table")
            for model in config.models
            if f"{model.namespace}.dataset@table" in outputs
        }
        check_write_once(
            {model: dataset.commits() for model, dataset in written.items()},
            listed=config.models,
            exists=lambda namespace: catalog.exists(f"{namespace}.dataset@table"),
        )
        for name in sorted(pipeline.datasets() | {LEDGER, SUMMARY}):
            dataset = catalog.get(name)
            if isinstance(dataset, DeltaTableDataset):
                dataset.check(is_made_anew=name in outputs)
        self._report.notes += [note for model in written for note in model.warnings]

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Note which version of each table the node was given."""
        tables = {name: self._catalog.get(name) for name in node.inputs}
        self._sources[node.name] = {
            name: dataset.loaded_version
            for name, dataset in tables.items()
            if isinstance(dataset, DeltaTableDataset) and dataset.loaded_version is not None
        }

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Give the table what its commit is to carry."""
        dataset = self._catalog.get(dataset_name)
        if isinstance(dataset, DeltaTableDataset):
            config = current_config()
            dataset.provenance = {
                "run_id": config.run_id,
                "environment": config.environment,
                "git_sha": config.git_sha,
                "sources": self._sources.get(node.name, {}),
            }
            if dataset_name == BRONZE:
                dataset.provenance["records_received"] = self._landing().records
            logger.info("writing %s", dataset.table_name)
        self._saves[dataset_name] = time.monotonic()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Enter the table in the ledger, and check that every record is accounted for.

        Raises:
            UserError: Records were lost or doubled, or more are in quarantine than the contract
                allows.
        """
        seconds = time.monotonic() - self._saves.pop(dataset_name)
        dataset = self._catalog.get(dataset_name)
        if isinstance(dataset, DeltaTableDataset) and dataset.last_write is not None:
            self._entries[dataset_name] = self._entry(
                dataset_name, dataset.table_name, dataset.last_write, node, seconds
            )
        if dataset_name == PROFILE:
            for kind, name, rows in data.collect():
                counts = self._report.reasons if kind == "reason" else self._report.warnings
                counts[name] = rows
        if dataset_name == BRONZE:
            self._report.notes += landing_notes(self._landing(), current_config().contract(SALES))
            check_bronze(self._catalog)
        if dataset_name == QUARANTINE:
            contract = current_config().contract(SALES)
            self._report.notes += check_thresholds(self._catalog, contract.thresholds)
        if dataset_name in CLEANED and self._entries.keys() >= CLEANED:
            check_silver(self._catalog)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Check the tables as they now are, append to the ledger and print the summary.

        Raises:
            UserError: Records were lost or doubled.
        """
        self._keep()
        check_bronze(self._catalog)
        check_silver(self._catalog)
        sys.stdout.write(render(self._report, time.monotonic() - self._started) + "\n")

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Keep in the ledger what a failed run wrote before it failed."""
        if self._entries:
            self._keep()

    def _landing(self) -> LandingScan:
        landing = self._catalog.get(LANDING)
        if not isinstance(landing, LandingFilesDataset) or landing.scan is None:
            raise TypeError(f"{LANDING} is not a landing dataset that has been loaded")
        return landing.scan

    def _entry(
        self, dataset_name: str, table_name: str, write: Write, node: Node, seconds: float
    ) -> LedgerRow:
        rows_in = write.rows
        if dataset_name == BRONZE:
            rows_in = self._landing().records
        else:
            for source, version in self._sources[node.name].items():
                rows_in = delta_table(self._catalog, source).row_count(version)
                break
        return LedgerRow(
            run_id=self._report.run_id,
            environment=self._report.environment,
            table_name=table_name,
            rows_in=rows_in,
            rows_out=write.rows,
            rows_quarantined=0,
            rows_superseded=0,
            delta_version_before=write.before,
            delta_version_after=write.after,
            seconds=round(seconds, 3),
        )

    def _keep(self) -> None:
        """Append the run's rows to the ledger, and write its summary."""
        if SILVER in self._entries:
            self._entries[SILVER] = replace(
                self._entries[SILVER],
                rows_quarantined=delta_table(self._catalog, QUARANTINE).row_count(),
                rows_superseded=delta_table(self._catalog, SUPERSEDED).row_count(),
            )
        self._report.rows = list(self._entries.values())
        if self._report.rows:
            self._catalog.save(LEDGER, [asdict(row) for row in self._report.rows])
        self._catalog.save(SUMMARY, self._report.as_json())
