"""What accompanies every run: checks before it, provenance and the ledger, a summary after it."""

import re
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from nbx_medallion.config import current_config
from nbx_medallion.contracts.source import Source
from nbx_medallion.datasets import DeltaTableDataset, LandingDataset
from nbx_medallion.errors import ConfigurationError
from nbx_medallion.landing.notes import landing_notes
from nbx_medallion.landing.scan import LandingScan
from nbx_medallion.models import check_write_once
from nbx_medallion.run import checks
from nbx_medallion.run.ledger import LedgerRow
from nbx_medallion.run.summary import RunReport, render
from nbx_medallion.tables.run import RunTables

LEDGER = "ops_run_ledger"
SUMMARY = "run_summary"
PROFILE = ".silver_profile"
_RUN_ID = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z(-[A-Za-z0-9_-]{1,64})?")


class RunHooks:
    """Checks a run before it writes, gives its datasets what it knows, and keeps the ledger."""

    @hook_impl
    def after_catalog_created(
        self, catalog: DataCatalog, parameters: dict[str, Any], save_version: str | None
    ) -> None:
        """Name the run: as the parameter ``run_id`` says, else as Kedro names its session.

        Raises:
            UserError: The parameter has another form.
        """
        given = parameters["params:run_id"]
        if given is None and save_version:
            catalog.save("params:run_id", save_version)
        elif given is not None and not _RUN_ID.fullmatch(str(given)):
            raise ConfigurationError(
                f"run_id: expected YYYY-MM-DDTHH.MM.SS.mmmZ, with a suffix such as -42 where"
                f" needed, found {given!r}. Leave it out to have one made."
            )

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Find what would make the run fail, before an engine starts and before any write.

        Raises:
            UserError: A contract, a folder, or an ML definition is not as it must be.
        """
        config, declared = current_config(), current_config().declared
        self._catalog = catalog
        self._started = time.monotonic()
        # What a node writes outlives the run, but for counts of its summary.
        written = {name for name in pipeline.all_outputs() if not name.endswith(PROFILE)}
        for name in sorted({*written, LEDGER}):
            checks.delta_table(catalog, name)
        used = {n: catalog.get(n) for n in sorted(pipeline.datasets() | {LEDGER, SUMMARY})}
        self._run = RunTables(
            run_id=catalog.load("params:run_id"),
            environment=config.environment,
            git_sha=_git_sha(run_params),
            inputs=checks.table_inputs(pipeline, catalog),
        )
        self._report = RunReport(self._run.run_id, config.environment)
        self._report.notes += [f"{file} is used" for file in declared.overrides]
        for dataset in used.values():
            if isinstance(dataset, DeltaTableDataset | LandingDataset):
                dataset.run = self._run
            if isinstance(dataset, LandingDataset):
                dataset.check()
        checks.check_contracts(declared, self._run.inputs)
        models = [model for model in declared.models if model.table in self._run.inputs]
        check_write_once(
            {
                model: commit.metadata["definition"]
                for model in models
                for commit in checks.delta_table(catalog, _dataset(model.namespace)).table.commits()
                if "definition" in commit.metadata
            },
            listed=declared.models,
            exists=lambda namespace: catalog.exists(_dataset(namespace)),
        )
        for name, dataset in used.items():
            if isinstance(dataset, DeltaTableDataset):
                dataset.check(is_made_anew=name in written)
        self._report.notes += [note for model in models for note in model.warnings]

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Check that every record is accounted for, as soon as a table of a source is written.

        Raises:
            UserError: Records were lost or doubled, or more are in quarantine than the contract
                allows.
        """
        dataset = self._catalog.get(dataset_name)
        if dataset_name.endswith(PROFILE):
            for kind, name, rows in data.collect():
                counts = self._report.reasons if kind == "reason" else self._report.warnings
                counts[name] = counts.get(name, 0) + rows
        table = dataset.table_name if isinstance(dataset, DeltaTableDataset) else ""
        if (source := Source.of_table(table)) is None:
            return
        contract = current_config().declared.contract(source.clean)
        if table == source.raw:
            notes = landing_notes(self._scan(source), contract)
            several = len(current_config().declared.sources) > 1
            named = [f"{source.name}: {note}" if several else note for note in notes]
            self._report.notes = named + self._report.notes
            checks.check_bronze(self._catalog, source)
        if table == source.quarantine:
            self._report.notes += checks.check_limits(self._catalog, source, contract.limits)
        if self._run.written.keys() >= {source.clean, source.quarantine, source.superseded}:
            checks.check_silver(self._catalog, source)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Check the tables as they now are, append to the ledger and print the summary.

        Raises:
            UserError: Records were lost or doubled.
        """
        self._keep()
        for source in current_config().declared.sources:
            checks.check_bronze(self._catalog, source)
            checks.check_silver(self._catalog, source)
        sys.stdout.write(render(self._report, time.monotonic() - self._started) + "\n")

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Keep in the ledger what a failed run wrote before it failed."""
        if self._run.written:
            self._keep()

    def _scan(self, source: Source) -> LandingScan:
        landing = self._catalog.get(source.landing)
        if not isinstance(landing, LandingDataset) or landing.scan is None:
            raise TypeError(f"{source.landing} is not a landing dataset that has been loaded")
        return landing.scan

    def _keep(self) -> None:
        """Append the run's rows to the ledger, and write its summary."""
        self._report.rows = [self._row(table) for table in self._run.written]
        if self._report.rows:
            self._catalog.save(LEDGER, [asdict(row) for row in self._report.rows])
        self._catalog.save(SUMMARY, asdict(self._report))

    def _row(self, table: str) -> LedgerRow:
        write = self._run.written[table]
        source = Source.of_table(table)
        rows_in = write.rows
        if source and table == source.raw:
            rows_in = self._scan(source).records
        elif read := self._run.metadata(table)["sources"]:
            main, version = next(iter(read.items()))
            rows_in = checks.stored(self._catalog, main).row_count(version)
        beside = (source.quarantine, source.superseded) if source and table == source.clean else ()
        counts = [checks.stored(self._catalog, name).row_count() for name in beside] or [0, 0]
        return LedgerRow(
            run_id=self._run.run_id,
            environment=self._run.environment,
            table_name=table,
            rows_in=rows_in,
            rows_out=write.rows,
            rows_quarantined=counts[0],
            rows_superseded=counts[1],
            delta_version_before=write.before,
            delta_version_after=write.after,
            seconds=round(write.seconds, 3),
        )


def _dataset(namespace: str) -> str:
    return f"{namespace}.dataset@table"


def _git_sha(run_params: dict[str, Any]) -> str | None:
    """The parameter ``git_sha``, else the commit that is checked out; None outside git."""
    if given := (run_params.get("runtime_params") or {}).get("git_sha"):
        return str(given)
    command = ["git", "-C", str(run_params["project_path"]), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
