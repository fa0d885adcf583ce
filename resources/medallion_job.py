"""The jobs of the bundle, made from the registered pipelines each time it is validated.

`medallion` has a task for each layer, after those that write what it reads; `check_ledger` checks
one run of it. What a team sets is a variable in `databricks.yml`; what follows from the code is
here.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from databricks.bundles.core import Bundle, Resources
from databricks.bundles.jobs import Job
from kedro.framework.project import configure_project, settings
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.errors import UserError
from nbx_medallion.pipeline_registry import register_pipelines

PROJECT = Path(__file__).resolve().parents[1]
WHEEL = "dist/*.whl"
COMPUTES = ("serverless", "job_cluster")

# What the check of a run is given; the job itself has more.
CHECKED = ("env", "conf_source", "run_id")


@dataclass(frozen=True)
class LayerTask:
    """A registered pipeline as a task.

    Attributes:
        name: Name of the pipeline, and of the task.
        depends_on: Tasks that write what it reads, sorted.
    """

    name: str
    depends_on: tuple[str, ...]


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
    tasks, parameters = tasks_of(target), job_parameters(target, variables)
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
            "description": "Received files to registered ML datasets: a task for each layer.",
            "parameters": _parameters(parameters),
            "tasks": [_layer(task, parameters, compute) for task in tasks],
            "timeout_seconds": variables["timeout_seconds"],
            "email_notifications": {"on_failure": variables["notify_on_failure"]},
            "notification_settings": {"no_alert_for_canceled_runs": True},
            **_trigger(variables),
            **common,
        },
        "check_ledger": {
            "name": f"nbx-medallion-{target}-check-ledger",
            "description": "Checks that one run wrote every table and lost no record.",
            "parameters": _parameters({name: parameters[name] for name in CHECKED}),
            "tasks": [_task("check_ledger", ["--check-ledger", *map(_passed, CHECKED)], compute)],
            **common,
        },
    }


def tasks_of(target: str) -> list[LayerTask]:
    """The layers as tasks, from the pipelines registered for an environment."""
    catalog = DataCatalog.from_config(_config(target)["catalog"])
    return layer_tasks(register_pipelines(), is_kept(catalog))


def job_parameters(target: str, variables: Collection[str]) -> dict[str, str]:
    """Parameters of the job: the twin of each environment variable, and what all tasks share.

    Args:
        target: Target of the bundle, an environment of the project.
        variables: Names of the bundle's variables: where one is named as a source's parameter,
            ``raw_<source>_path``, it is the default.
    """
    landing = {
        source.variable.lower(): f"/Volumes/${{bundle.target}}/landing/{source.name}"
        for source in _config(target).declared.sources
    }
    return {
        "env": "${bundle.target}",
        **{
            name: f"${{var.{name}}}" if name in variables else default
            for name, default in landing.items()
        },
        "pipeline_config_path": "",
        "lakehouse_root": "",
        "conf_source": "${workspace.file_path}/conf",
        "git_sha": "${var.git_sha}",
        "run_id": "",
    }


def _config(target: str) -> MedallionConfigLoader:
    configure_project("nbx_medallion")
    return MedallionConfigLoader(str(PROJECT / "conf"), target, **settings.CONFIG_LOADER_ARGS)


def _layer(task: LayerTask, parameters: Iterable[str], compute: str) -> dict[str, Any]:
    arguments = [
        f"--pipelines={task.name}",
        *map(_passed, parameters),
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


def layer_tasks(
    pipelines: Mapping[str, Pipeline], is_kept: Callable[[str], bool]
) -> list[LayerTask]:
    """The tasks of the job that runs all layers, each after those that it depends on.

    Args:
        pipelines: The registered pipelines.
        is_kept: Whether a dataset outlives the process that wrote it.

    Returns:
        One task a pipeline, but for the default one, in the order of registration.

    Raises:
        UserError: A task needs what another keeps in memory only.
    """
    layers = {name: pipeline for name, pipeline in pipelines.items() if name != "__default__"}
    writers = {
        _plain(dataset): name
        for name, pipeline in layers.items()
        for dataset in pipeline.all_outputs()
    }
    tasks = []
    for name, pipeline in layers.items():
        # Free inputs only: what the layer makes for itself is no dependency.
        needed = {dataset for dataset in pipeline.inputs() if _plain(dataset) in writers}
        lost = sorted(dataset for dataset in needed if not is_kept(dataset))
        if lost:
            from_task = writers[_plain(lost[0])]
            raise UserError(
                f"{lost[0]}: the task {name!r} reads it and the task {from_task!r} writes it, but"
                " it is kept in memory only, and tasks do not share memory. Give it a table or a"
                " file in conf/base/catalog.yml, or move its nodes into one pipeline."
            )
        depends_on = sorted({writers[_plain(dataset)] for dataset in needed} - {name})
        tasks.append(LayerTask(name, tuple(depends_on)))
    return tasks


def is_kept(catalog: DataCatalog) -> Callable[[str], bool]:
    """Tells for a catalog whether a dataset outlives its process: it has an entry, not of memory.

    Args:
        catalog: The catalog of any environment.
    """

    def kept(name: str) -> bool:
        return name in catalog and not isinstance(catalog.get(name), MemoryDataset)

    return kept


def _plain(dataset: str) -> str:
    """The name of a dataset without the side that it is seen from."""
    return dataset.partition("@")[0]
