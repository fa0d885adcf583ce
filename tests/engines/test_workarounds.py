"""Each workaround for an engine: that it works, and that it is still needed.

Where a test "is still" fails after an update, the engine has been mended and the workaround can go.
"""

import inspect
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, command

from nbx_medallion.engines.sail import hidden, start_sail
from nbx_medallion.errors import UserError


@pytest.mark.parametrize("engine_name", ["sail"], indirect=True)
def test_sail_is_still_writing_beside_an_odd_path(engine_session: Any, tmp_path: Path) -> None:
    engine_session.range(1).write.format("delta").save(str(tmp_path / "a b"))

    assert "a b" not in {path.name for path in tmp_path.iterdir()}


def test_sail_is_still_ending_where_a_variable_is_not_text() -> None:
    script = """
import os
os.environb[b"ODD"] = bytes([255])
from pysail.spark import SparkConnectServer
SparkConnectServer("127.0.0.1", 0).start(background=True)
"""

    assert command("-c", script, cwd=Path.cwd()).returncode != 0


def test_variable_that_is_not_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD", os.fsdecode(b"\xff"))

    with pytest.raises(UserError) as raised, start_sail({}):
        pass

    assert "'sail' needs an environment of UTF-8 text, and the variable 'ODD'" in str(raised.value)


def test_progress_bar_of_pyspark_is_still_importing_ipython() -> None:
    from pyspark.sql.connect.shell import progress

    assert "import get_terminal_size" in inspect.getsource(progress)
    assert "IPython" in inspect.getsource(progress)


def test_ipython_is_hidden_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)

    with hidden("IPython"), pytest.raises(ImportError):
        import IPython  # noqa: F401

    assert "IPython" not in sys.modules


def test_pyspark_is_still_leaving_its_jvm() -> None:
    from pyspark import SparkContext

    assert "_gateway" not in inspect.getsource(SparkContext.stop)


@pytest.mark.parametrize("engine_name", ["spark"], indirect=True)
def test_no_jvm_is_left_by_an_interrupt_of_its_start(engine_name: str, tmp_path: Path) -> None:
    kedro = str(Path(sys.executable).with_name("kedro"))
    process = subprocess.Popen(
        [kedro, "run", "--env", "staging"],
        cwd=REPOSITORY, env=os.environ | {"LAKEHOUSE_ROOT": str(tmp_path)},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    while "starting Spark" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.5)

    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 1
    assert told.startswith("Interrupted. ")
    assert told.count("\n") == 1
    # A process that ended counts until somebody has asked how.
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a process of the run is left")
