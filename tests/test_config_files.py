"""Configuration files and variables that Kedro cannot use: one message that names them."""

import os
import shutil
from pathlib import Path

import pytest
from conftest import REPOSITORY
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project

from nbx_medallion.config import MedallionConfigLoader, path_from_variable
from nbx_medallion.errors import UserError

MAPPING = "expected YAML or JSON with a mapping of names to values, found: "


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A copy of the project's configuration."""
    bootstrap_project(REPOSITORY)
    return Path(shutil.copytree(REPOSITORY / "conf", tmp_path / "conf"))


def read(conf: Path, key: str) -> None:
    """Read what a run reads."""
    loader = MedallionConfigLoader(str(conf), **settings.CONFIG_LOADER_ARGS)
    _ = loader[key], loader.declared.models


def refused(conf: Path, key: str) -> str:
    """The message for a kind of configuration that cannot be read."""
    with pytest.raises(UserError) as raised:
        read(conf, key)
    return raised.value.message


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("globals.yml", b"- a\n", f"{MAPPING}a list. Correct or restore it."),
        ("engines.yml", b"- a\n", f"{MAPPING}a list. Correct or restore it."),
        (
            "parameters.yml",
            b"a:\n\tb: 1\n",
            f"{MAPPING}while scanning for the next token found character '\\t' that cannot start"
            " any token in line 2, column 1: b: 1 ^. Correct or restore it.",
        ),
        (
            "catalog.yml",
            b"a: 1\nb: \xff\n",
            "expected UTF-8 text, found other bytes (at byte 8). Restore the file, or save it as"
            " UTF-8.",
        ),
    ],
)
def test_a_file_that_is_no_mapping(conf: Path, file: str, content: bytes, found: str) -> None:
    (conf / "base" / file).write_bytes(content)
    key = "catalog" if file == "globals.yml" else file.removesuffix(".yml")
    assert refused(conf, key) == f"{conf}/base/{file}: {found}"


def test_a_value_that_globals_lack(conf: Path) -> None:
    (conf / "base" / "globals.yml").write_text("")
    assert refused(conf, "catalog") == (
        "The configuration 'catalog' of the environment 'local': Globals key 'catalog' not found"
        " and no default value provided. (full_key: _delta.catalog). Correct its files, or"
        " globals.yml."
    )


def test_a_key_in_two_files(conf: Path) -> None:
    (conf / "base" / "parameters_b.yml").write_text("a: 1\n")
    (conf / "base" / "parameters_a.yml").write_text("a: 1\n")
    message = refused(conf, "parameters")
    assert message.startswith("Duplicate keys found in ")
    assert message.endswith(": a")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("s3://bucket/sales", "a URL"),
        ("file:/tmp/sales", "a URL"),
        ("/data/{table}", "braces, which stand for names in a catalog"),
        ("~nobody.of.this.name/x", "the home of a user that is not known"),
        ("/" + "a" * 300, "file name too long"),
    ],
)
@pytest.mark.parametrize("variable", ["LAKEHOUSE_ROOT", "RAW_SALES_PATH"])
def test_a_variable_that_is_no_path(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, found: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError) as raised:
        path_from_variable(variable, "its default")
    assert str(raised.value) == (
        f"{variable}={value}: expected a path of this machine, found {found}. Correct the"
        " variable, or unset it to use the project's own."
    )


def test_a_variable_that_is_no_path_is_told_for_the_catalog(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_ROOT", "s3://bucket")
    assert refused(conf, "catalog").startswith("LAKEHOUSE_ROOT=s3://bucket: expected a path")


def test_a_model_list_that_has_no_end(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = conf / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setenv("PIPELINE_CONFIG_PATH", str(pipe))
    assert refused(conf, "parameters") == (
        f"PIPELINE_CONFIG_PATH={pipe}: expected a JSON file with the model list, found no file,"
        f" but something else ({pipe}). Correct the variable, or unset it to use the project's own."
    )
