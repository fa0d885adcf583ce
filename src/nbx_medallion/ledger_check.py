"""Whether a run is whole and balances, from the ledger: what a deployment waits for."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kedro.framework.project import pipelines

from nbx_medallion import engines
from nbx_medallion.config import MODELS_VARIABLE
from nbx_medallion.datasets.delta_table import DeltaTableDataset
from nbx_medallion.errors import UserError
from nbx_medallion.job_session import LANDING_VARIABLE, ROOT_VARIABLE, prepared_session
from nbx_medallion.run.ledger import check_balance
from nbx_medallion.run.session import find_user_error

LEDGER = "ops_run_ledger"
RECEIVED = "bronze.sales_raw"
CLEANED = "silver.sales_clean"


def check_ledger(  # noqa: PLR0913
    run_id: str | None,
    env: str | None = None,
    *,
    lakehouse_root: str | None = None,
    config_path: str | None = None,
    conf_source: str | None = None,
    project_path: str | Path | None = None,
) -> str:
    """Read the ledger of an environment and check one run of all layers.

    Args:
        run_id: The run.
        env: See `nbx_medallion.job.run_pipeline`, as for the others.
        lakehouse_root: Folder of the tables.
        config_path: The model list.
        conf_source: Configuration.
        project_path: The project.

    Returns:
        The run's ledger, as a Markdown table.

    Raises:
        UserError: No run is named, the run did not write every table, or it does not balance.
    """
    if not run_id:
        raise UserError("run_id: expected the run to check, found none. Pass --run-id.")
    with prepared_session(
        env=env,
        variables={
            LANDING_VARIABLE: None,
            MODELS_VARIABLE: config_path,
            ROOT_VARIABLE: lakehouse_root,
        },
        runtime_params={},
        conf_source=conf_source,
        project_path=project_path,
    ) as session:
        running_before = engines.session_is_running()
        try:
            catalog = session.load_context().catalog
            written = [catalog.get(name) for name in pipelines["__default__"].all_outputs()]
            expected = [item.table_name for item in written if isinstance(item, DeltaTableDataset)]
            frame = catalog.load(LEDGER)
            found = [row.asDict() for row in frame.where(frame["run_id"] == run_id).collect()]
        except Exception as error:
            mistake = find_user_error(error)
            raise (mistake or error) from None
        finally:
            if not running_before:
                engines.stop_session()
    return check_run(run_id, found, expected)


def check_run(run_id: str, ledger: Iterable[Mapping[str, Any]], expected: Iterable[str]) -> str:
    """Check the ledger rows of a run.

    Args:
        run_id: The run.
        ledger: Its rows. A task that was retried has entered its tables again: the last state of
            each table counts.
        expected: Tables that a whole run writes or leaves alone.

    Returns:
        The rows, as a Markdown table.

    Raises:
        UserError: A table is missing, or records are not accounted for.
    """
    rows = {}
    for row in sorted(ledger, key=lambda row: row["delta_version_after"]):
        rows[row["table_name"]] = row
    missing = sorted(set(expected) - rows.keys())
    if missing:
        raise UserError(
            f"Run {run_id} is not whole: the ledger has no entry for {', '.join(missing)}. Look at"
            " the tasks of the job run: one failed, or another run id was passed to it."
        )
    received, cleaned = rows[RECEIVED], rows[CLEANED]
    check_balance("received", received["rows_in"], {RECEIVED: received["rows_out"]})
    check_balance(
        RECEIVED,
        cleaned["rows_in"],
        {
            CLEANED: cleaned["rows_out"],
            "quarantine": cleaned["rows_quarantined"],
            "superseded": cleaned["rows_superseded"],
        },
    )
    check_balance(RECEIVED, received["rows_out"], {f"read for {CLEANED}": cleaned["rows_in"]})
    lines = [
        f"Run `{run_id}` is whole and balances.",
        "",
        "| table | rows in | rows out | quarantined | superseded | version |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {name} | {row['rows_in']:,} | {row['rows_out']:,} | {row['rows_quarantined']:,}"
        f" | {row['rows_superseded']:,} | {row['delta_version_after']} |"
        for name, row in sorted(rows.items())
    ]
    return "\n".join(lines)
