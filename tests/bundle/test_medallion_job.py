"""The jobs of the bundle against the Kedro graph, for each target and both kinds of compute."""

import pytest
from conftest import config_for
from databricks.bundles.jobs import Job
from kedro.pipeline import Pipeline
from loaded_bundle import TARGETS, load_jobs

from nbx_medallion.databricks import _parse
from nbx_medallion.pipeline_registry import register_pipelines

LAYERS = ["bronze", "silver", "gold_core", "gold_ml", "ml_registry"]
CLUSTER = {"compute": "job_cluster", "node_type_id": "i3.xlarge"}


def plain(names: set[str]) -> set[str]:
    """Datasets without the side that they are seen from."""
    return {name.split("@")[0] for name in names}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("compute", ["serverless", "job_cluster"])
def test_tasks_are_the_layers_and_wait_for_what_they_read(target: str, compute: str) -> None:
    jobs, problems = load_jobs(target, **(CLUSTER if compute == "job_cluster" else {}))
    assert problems == []
    tasks = {task["task_key"]: task for task in jobs["medallion"]["tasks"]}

    config_for(target)
    layers = {
        name: pipeline for name, pipeline in register_pipelines().items() if name != "__default__"
    }
    assert list(tasks) == list(layers) == LAYERS

    # Golden: a task waits for another exactly where a node of it reads what the other writes.
    def reads(reader: Pipeline, writer: Pipeline) -> bool:
        return bool(plain(reader.inputs()) & plain(writer.all_outputs()))

    for name, task in tasks.items():
        waits_for = {dependency["task_key"] for dependency in task.get("depends_on", [])}
        assert waits_for == {
            other for other in layers if other != name and reads(layers[name], layers[other])
        }
    assert {name: [d["task_key"] for d in tasks[name].get("depends_on", [])] for name in tasks} == {
        "bronze": [],
        "silver": ["bronze"],
        "gold_core": ["silver"],
        "gold_ml": ["gold_core"],
        "ml_registry": ["gold_ml"],
    }


def test_jobs_are_what_the_models_of_databricks_accept() -> None:
    for variables in ({}, CLUSTER):
        for name, job in load_jobs("prod", **variables)[0].items():
            assert Job.from_dict(job).as_dict() == job, name


def test_every_task_is_given_every_parameter_of_the_job() -> None:
    jobs, _ = load_jobs("prod")
    for job in jobs.values():
        names = {parameter["name"] for parameter in job["parameters"]}
        for task in job["tasks"]:
            arguments = task["python_wheel_task"]["parameters"]
            options = {text.partition("=")[0] for text in arguments}
            _parse(arguments)
            assert {f"--{name.replace('_', '-')}" for name in names} <= options
    twins = {"env", "raw_sales_path", "pipeline_config_path", "lakehouse_root"}
    assert twins <= {parameter["name"] for parameter in jobs["medallion"]["parameters"]}


def test_tasks_of_a_run_share_its_id_and_the_commit() -> None:
    jobs, _ = load_jobs("dev")
    defaults = {entry["name"]: entry.get("default") for entry in jobs["medallion"]["parameters"]}
    assert defaults["git_sha"] == "${var.git_sha}"
    for task in jobs["medallion"]["tasks"]:
        assert {
            "--git-sha={{job.parameters.git_sha}}",
            "--run-id={{job.parameters.run_id}}",
            "--job-start-time={{job.start_time.iso_datetime}}",
            "--job-run-id={{job.run_id}}",
            f"--pipelines={task['task_key']}",
        } <= set(task["python_wheel_task"]["parameters"])


def test_compute_is_serverless_or_a_job_cluster() -> None:
    serverless = load_jobs("dev")[0]["medallion"]
    assert serverless["environments"] == [
        {
            "environment_key": "default",
            "spec": {
                "environment_version": "${var.environment_version}",
                "dependencies": ["dist/*.whl"],
            },
        }
    ]
    assert "job_clusters" not in serverless
    assert {task["environment_key"] for task in serverless["tasks"]} == {"default"}

    cluster = load_jobs("dev", **CLUSTER)[0]["medallion"]
    assert "environments" not in cluster
    assert {task["job_cluster_key"] for task in cluster["tasks"]} == {"default"}
    assert all(task["libraries"] == [{"whl": "dist/*.whl"}] for task in cluster["tasks"])


def test_what_a_team_sets_is_in_the_job() -> None:
    job = load_jobs(
        "prod", schedule="", file_arrival_url="/Volumes/prod/landing/sales/",
        run_as="1b2c3d4e-0000-4000-8000-000000000000", notify_on_failure=["data@example.com"],
        tags={"cost_center": "42"}, job_permissions=[{"level": "CAN_VIEW", "group_name": "users"}],
    )[0]["medallion"]  # fmt: skip
    assert job["trigger"]["file_arrival"]["url"] == "/Volumes/prod/landing/sales/"
    assert "schedule" not in job
    assert job["run_as"] == {"service_principal_name": "1b2c3d4e-0000-4000-8000-000000000000"}
    assert job["email_notifications"] == {"on_failure": ["data@example.com"]}
    assert job["tags"] == {
        "project": "nbx-medallion", "environment": "prod", "cost_center": "42"
    }  # fmt: skip
    assert job["permissions"] == [{"level": "CAN_VIEW", "group_name": "users"}]
    assert load_jobs("prod")[0]["medallion"]["schedule"]["quartz_cron_expression"] == "0 0 5 * * ?"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"compute": "spark"}, "compute: expected one of: serverless, job_cluster; found 'spark'."),
        (
            {"compute": "job_cluster"},
            "node_type_id: expected the cloud's name of a machine, found none. A job cluster needs"
            " it: pass --var node_type_id=i3.xlarge (AWS), Standard_D4ds_v5 (Azure), or set it in"
            " databricks.yml.",
        ),
        (
            {"schedule": "0 0 5 * * ?", "file_arrival_url": "/Volumes/dev/landing/sales/"},
            "schedule, file_arrival_url: expected one of them, found both. A job has one trigger:"
            " leave one empty in databricks.yml.",
        ),
    ],
)
def test_wrong_variable_is_one_error(variables: dict[str, str], message: str) -> None:
    assert load_jobs("dev", **variables) == [{}, [message]]
