"""The job entry point: the pipelines for those who run them without Kedro's command line.

`run_pipeline` for Python, `nbx-medallion` for a shell and for Databricks. Each environment
variable of the project has a parameter here, because serverless jobs have no variables of their
own; what is not given, or given empty, is left to the variable and then to the default.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from nbx_medallion.config import MODELS_VARIABLE
from nbx_medallion.errors import UserError
from nbx_medallion.job_session import LANDING_VARIABLE, ROOT_VARIABLE, prepared_session
from nbx_medallion.ledger_check import check_ledger

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def run_pipeline(  # noqa: PLR0913
    env: str | None = None,
    config_path: str | None = None,
    raw_sales_path: str | None = None,
    *,
    lakehouse_root: str | None = None,
    pipelines: Sequence[str] = (),
    run_id: str | None = None,
    git_sha: str | None = None,
    conf_source: str | None = None,
    project_path: str | Path | None = None,
) -> dict[str, Any]:
    """Run the project's pipelines, from the landing files to the registry.

    Args:
        env: Environment (dev, staging, prod). Default: ``KEDRO_ENV``, then ``local``; on
            Databricks it must be named.
        config_path: The model list. Default: ``PIPELINE_CONFIG_PATH``, then the project's own.
        raw_sales_path: The sales files. Default: ``RAW_SALES_PATH``, then the sample of the
            project; on Databricks ``/mnt/raw/sales.csv``.
        lakehouse_root: Folder of the tables. Default: ``LAKEHOUSE_ROOT``, then the project's own.
            Not used for tables on Databricks: these are in the environment's catalog.
        pipelines: Names of registered pipelines. Default: all layers.
        run_id: Id of the run; tasks of one job share it. Default: a new one.
        git_sha: Commit that is recorded with every table. Default: the one checked out.
        conf_source: Configuration folder or archive. Default: ``conf`` of the project.
        project_path: The project. Default: the one that the working directory is in.

    Returns:
        What no dataset of the catalog takes: usually nothing.

    Raises:
        UserError: Something a user can cause and mend; the message says what.

    Example:
        ```python
        run_pipeline(env="dev", raw_sales_path="/Volumes/dev/landing/sales")
        ```
    """
    with prepared_session(
        env=env,
        variables={
            LANDING_VARIABLE: raw_sales_path,
            MODELS_VARIABLE: config_path,
            ROOT_VARIABLE: lakehouse_root,
        },
        runtime_params={"run_id": run_id, "git_sha": git_sha},
        conf_source=conf_source,
        project_path=project_path,
    ) as session:
        return session.run(pipeline_names=list(pipelines) or None)


def job_run_id(start_time: str, run: str) -> str:
    """The run id that all tasks of a job run share, also when tasks are retried or repaired.

    Args:
        start_time: When the job run started, ISO 8601: ``{{job.start_time.iso_datetime}}``.
        run: The job run: ``{{job.run_id}}``.

    Raises:
        UserError: One of them has another form.

    Example:
        ``job_run_id("2026-01-31T23:59:59.5Z", "42")`` is ``2026-01-31T23.59.59.500Z-42``.
    """
    text = re.sub(r"Z$", "+00:00", start_time.strip())
    # Python 3.10 reads three or six digits of a second only.
    text = re.sub(r"\.(\d+)", lambda found: "." + found[1][:6].ljust(6, "0"), text)
    try:
        started = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(
            f"--job-start-time: expected a time such as 2026-01-31T23:59:59.999Z, found"
            f" {start_time!r}. Pass {{{{job.start_time.iso_datetime}}}}, or --run-id instead."
        ) from error
    if not _NAME.fullmatch(run):
        raise UserError(
            f"--job-run-id: expected letters, digits, - or _, found {run!r}. Pass"
            " {{job.run_id}}, or --run-id instead."
        )
    if started.tzinfo is None:
        started = started.replace(tzinfo=timezone.utc)
    started = started.astimezone(timezone.utc)
    return f"{started:%Y-%m-%dT%H.%M.%S}.{started.microsecond // 1000:03d}Z-{run}"


def main(arguments: Sequence[str] | None = None, project_path: Path | None = None) -> None:
    """The command ``nbx-medallion``: exit code 1 and one message where the run is refused."""
    given = _parser().parse_args(arguments)
    run_id = given.run_id
    try:
        if not run_id and given.job_start_time:
            run_id = job_run_id(given.job_start_time, given.job_run_id or "0")
        if given.check_ledger:
            report = check_ledger(
                run_id, given.env, conf_source=given.conf_source, project_path=project_path,
                lakehouse_root=given.lakehouse_root, config_path=given.pipeline_config_path,
            )  # fmt: skip
            sys.stdout.write(report + "\n")
            return
        run_pipeline(
            env=given.env,
            config_path=given.pipeline_config_path,
            raw_sales_path=given.raw_sales_path,
            lakehouse_root=given.lakehouse_root,
            pipelines=[name.strip() for name in given.pipelines.split(",") if name.strip()],
            run_id=run_id,
            git_sha=given.git_sha,
            conf_source=given.conf_source,
            project_path=project_path,
        )
    except UserError as error:
        # The text is the exit status: a terminal shows it, and so does a job's run page.
        raise SystemExit(f"Error: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nbx-medallion",
        description="Run the medallion pipelines. An option that is given empty is not given.",
        allow_abbrev=False,
    )
    options = {
        "--env": "environment: dev, staging, prod (default: KEDRO_ENV, then local)",
        "--raw-sales-path": f"sales files (default: {LANDING_VARIABLE})",
        "--pipeline-config-path": f"model list (default: {MODELS_VARIABLE})",
        "--lakehouse-root": f"folder of the tables, off Databricks (default: {ROOT_VARIABLE})",
        "--run-id": "id of the run, YYYY-MM-DDTHH.MM.SS.mmmZ[-suffix] (default: a new one)",
        "--job-start-time": "start of the job run, to make the run id from: ISO 8601",
        "--job-run-id": "number of the job run, to make the run id from",
        "--git-sha": "commit recorded with every table (default: the one checked out)",
        "--conf-source": "configuration folder or .tar.gz (default: conf of the project)",
    }
    for name, text in options.items():
        parser.add_argument(name, help=text, type=lambda value: value or None)
    parser.add_argument(
        "--pipelines", default="", help="registered pipelines, comma-separated (default: all)"
    )
    parser.add_argument(
        "--check-ledger",
        action="store_true",
        help="run nothing: check that the run --run-id is whole and balances in the ledger",
    )
    return parser


if __name__ == "__main__":
    main()
