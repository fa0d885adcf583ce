"""The zip of the project: what is in it, that it is reproducible, and that it runs elsewhere."""

import importlib.util
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from conftest import REPOSITORY, command
from deltalake import DeltaTable


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location(
        "package_project", REPOSITORY / "scripts/package_project.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    ["README.md", "src/nbx_medallion/job.py", "conf/local/.gitkeep", "data/landing/sales/a.csv",
     ".github/workflows/ci-cd.yml", "orchestration/job_entrypoint.py", "databricks.yml"],
)  # fmt: skip
def test_source_belongs(script: ModuleType, name: str) -> None:
    assert script.belongs(name)


@pytest.mark.parametrize(
    "name",
    ["conf/local/globals.yml", "conf/local/credentials.yaml", "conf/local/x.json", "dist/a.whl",
     "src/a/__pycache__/b.pyc", ".venv/bin/python", "data/lakehouse/dev/ops/x.parquet", ".env",
     "conf/base/credentials.yml", "server.key", "x.egg-info/PKG-INFO", ".mypy_cache/a.json",
     ".databricks/bundle/x", "spark-warehouse/a", ".git/config", "sub/.env.prod", "ID_RSA",
     "conf/base/secrets.yaml", "store.jks"],
)  # fmt: skip
def test_private_and_made_files_do_not_belong(script: ModuleType, name: str) -> None:
    assert not script.belongs(name)


def test_same_files_give_the_same_bytes_with_and_without_git(
    script: ModuleType, tmp_path: Path
) -> None:
    names = script.package(REPOSITORY, tmp_path / "first.zip")
    tracked = subprocess.run(
        ["git", "-C", str(REPOSITORY), "ls-files"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert set(names) <= set(tracked)

    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        archive.extractall(unpacked)
    for junk in ("conf/local/secret.json", "src/__pycache__/a.pyc", ".env", "dist/old.zip"):
        (unpacked / junk).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / junk).write_text("private")
    os.utime(unpacked / "README.md", (2_000_000_000, 2_000_000_000))

    # Also where the zip of before is among the files.
    for _ in range(2):
        assert script.package(unpacked, unpacked / "second.zip") == names
    assert (tmp_path / "first.zip").read_bytes() == (unpacked / "second.zip").read_bytes()


def test_unpacked_zip_runs_the_main_job(script: ModuleType, tmp_path: Path) -> None:
    script.package(REPOSITORY, tmp_path / "project.zip")
    project = tmp_path / "elsewhere/project"
    with zipfile.ZipFile(tmp_path / "project.zip") as archive:
        archive.extractall(project)

    done = command("orchestration/job_entrypoint.py", cwd=project, HOME=str(tmp_path))

    assert done.returncode == 0, done.stderr
    registry = project / "data/lakehouse/local/ml_registry/model_versions"
    assert DeltaTable(str(registry)).to_pyarrow_table().num_rows == 2
    shutil.rmtree(project)
