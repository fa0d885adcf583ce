"""The jobs of the bundle, made from the registered pipelines each time it is validated.

`medallion` has a task for each layer; `check_ledger` checks one run of it. What a team sets is a
variable in `databricks.yml`; what follows from the code is here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from databricks.bundles.core import Bundle, Resources
from databricks.bundles.jobs import Job
from kedro.framework.project import configure_project, settings
from kedro.io import DataCatalog

from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.errors import UserError
from nbx_medallion.job_graph import LayerTask, is_kept, layer_tasks
from nbx_medallion.pipeline_registry import register_pipelines

PROJECT = Path(__file__).resolve().parents[1]
WHEEL = "dist/*.whl"
COMPUTES = ("serverless", "job_cluster")

# Job parameters: the twin of each environment variable, and what all tasks of a run share.
PARAMETERS = {
    "env": "${bundle.target}",
    "raw_sales_path": "${var.raw_sales_path}",
    "pipeline_config_path": "",
    "lakehouse_root": "",
    "conf_source": "${workspace.file_path}/conf",
    "git_sha": "${var.git_sha}",
    "run_id": "",
}


def load_resources(bundle: Bundle) -> Resources:
    """The jobs of a target; what is wrong with a variable or the pipelines is one error of it.

    Args:
        bundle: The target and the values of the variables.
    """
    resources = Resources()  # type: ignore[no-untyped-call]
    try:
        for name, job in job_definitions(bundle.target, bundle.variables).items():
            resources.add_job(name, Job.from_dict(job))  # type: ignore[arg-type]
    except UserError as error:
        resources.add_diagnostic_error(str(error))
    return resources


def job_definitions(target: str, variables: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The jobs of a target, as the Jobs API names things.

    Args:
        target: Target of the bundle, an environment of the project.
        variables: Values of the bundle's variables.

    Raises:
        UserError: A variable has a value that cannot be, or tasks would share memory.
    """
    compute = variables["compute"]
    if compute not in COMPUTES:
        raise UserError(f"compute: expected one of: {', '.join(COMPUTES)}; found {compute!r}.")
    common = {
        "max_concurrent_runs": 1,
        "queue": {"enabled": True},
        "tags": {"project": "nbx-medallion", "environment": target, **variables["tags"]},
        "permissions": variables["job_permissions"],
        **_run_as(variables["run_as"]),
        **_compute(compute, variables),
    }
    return {
        "medallion": {
            "name": f"nbx-medallion-{target}",
            "description": "Sales files to registered ML datasets: a task for each layer.",
            "parameters": _parameters(PARAMETERS),
            "tasks": [_layer(task, compute) for task in tasks_of(target)],
            "timeout_seconds": variables["timeout_seconds"],
            "email_notifications": {"on_failure": variables["notify_on_failure"]},
            "notification_settings": {"no_alert_for_canceled_runs": True},
            **_trigger(variables),
            **common,
        },
        "check_ledger": {
            "name": f"nbx-medallion-{target}-check-ledger",
            "description": "Checks that one run wrote every table and lost no record.",
            "parameters": _parameters(
                {name: PARAMETERS[name] for name in ("env", "conf_source", "run_id")}
            ),
            "tasks": [
                _task(
                    "check_ledger",
                    ["--check-ledger", *map(_passed, ("env", "conf_source", "run_id"))],
                    compute,
                )
            ],
            **common,
        },
    }


def tasks_of(target: str) -> list[LayerTask]:
    """The layers as tasks, from the pipelines registered for an environment."""
    configure_project("nbx_medallion")
    config = MedallionConfigLoader(str(PROJECT / "conf"), target, **settings.CONFIG_LOADER_ARGS)
    return layer_tasks(register_pipelines(), is_kept(DataCatalog.from_config(config["catalog"])))


def _layer(task: LayerTask, compute: str) -> dict[str, Any]:
    arguments = [
        f"--pipelines={task.name}",
        *map(_passed, PARAMETERS),
        # Equal for all tasks of a run, also when one is retried or the run is repaired.
        "--job-start-time={{job.start_time.iso_datetime}}",
        "--job-run-id={{job.run_id}}",
    ]
    return {
        **_task(task.name, arguments, compute),
        "depends_on": [{"task_key": name} for name in task.depends_on],
        "max_retries": "${var.max_retries}",
        "min_retry_interval_millis": 60_000,
        "retry_on_timeout": False,
    }


def _task(key: str, arguments: Sequence[str], compute: str) -> dict[str, Any]:
    on = (
        {"environment_key": "default"}
        if compute == "serverless"
        else {"job_cluster_key": "default", "libraries": [{"whl": WHEEL}]}
    )
    return {
        "task_key": key,
        "python_wheel_task": {
            "package_name": "nbx_medalion_pipeline",
            "entry_point": "nbx-medallion",
            "parameters": list(arguments),
        },
        **on,
    }


def _compute(compute: str, variables: dict[str, Any]) -> dict[str, Any]:
    if compute == "serverless":
        spec = {"environment_version": "${var.environment_version}", "dependencies": [WHEEL]}
        return {"environments": [{"environment_key": "default", "spec": spec}]}
    if not variables["node_type_id"]:
        raise UserError(
            "node_type_id: expected the cloud's name of a machine, found none. A job cluster needs"
            " it: pass --var node_type_id=i3.xlarge (AWS), Standard_D4ds_v5 (Azure), or set it in"
            " databricks.yml."
        )
    cluster = {
        "spark_version": "${var.spark_version}",
        "node_type_id": "${var.node_type_id}",
        "num_workers": "${var.num_workers}",
        "data_security_mode": "SINGLE_USER",
    }
    return {"job_clusters": [{"job_cluster_key": "default", "new_cluster": cluster}]}


def _trigger(variables: dict[str, Any]) -> dict[str, Any]:
    """What starts the job: a schedule, arriving files, or nothing but a person or a deployment."""
    cron, url = variables["schedule"], variables["file_arrival_url"]
    if cron and url:
        raise UserError(
            "schedule, file_arrival_url: expected one of them, found both. A job has one trigger:"
            " leave one empty in databricks.yml."
        )
    if cron:
        timing = {"quartz_cron_expression": cron, "timezone_id": "${var.schedule_timezone}"}
        return {"schedule": {**timing, "pause_status": "UNPAUSED"}}
    if url:
        # Files arrive in bunches: one run for all of them.
        arrival = {"url": url, "wait_after_last_change_seconds": 120}
        return {"trigger": {"file_arrival": arrival, "pause_status": "UNPAUSED"}}
    return {}


def _run_as(principal: str) -> dict[str, Any]:
    """Who the job runs as: a person's e-mail address, or a service principal's application id."""
    if not principal:
        return {}
    kind = "user_name" if "@" in principal else "service_principal_name"
    return {"run_as": {kind: principal}}


def _parameters(parameters: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "default": default} for name, default in parameters.items()]


def _passed(parameter: str) -> str:
    """A job parameter as an option of the entry point."""
    return f"--{parameter.replace('_', '-')}={{{{job.parameters.{parameter}}}}}"
