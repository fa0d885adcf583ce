"""Measure whole runs side by side on the same generated input.

`sail` is `kedro run`, `spark` is `kedro run --env staging`, and `duckdb` the hand-written script
`duckdb_reference.py`. They take turns (A B A B ...), each into an empty folder, and their tables
must agree in row counts and in the sum of `total_spent`. Linux only: memory is read from `/proc`.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

import pyarrow.compute as pc
from deltalake import DeltaTable

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
BIN = Path(sys.executable).parent
REFERENCE = "duckdb"
COMMANDS: dict[str, tuple[str, ...]] = {
    "sail": (str(BIN / "kedro"), "run"),
    REFERENCE: (sys.executable, str(REPOSITORY / "benchmarks" / "duckdb_reference.py")),
    "spark": (str(BIN / "kedro"), "run", "--env", "staging"),
}
ENVIRONMENTS = {"spark": "staging"}
# DuckDB takes all lines up to the next quote for one record, so this kind cannot agree.
LEFT_OUT = "unclosed-quote"
SAMPLE_SECONDS = 0.1
MIB = 1024 * 1024


@dataclass(frozen=True)
class Run:
    """One whole process, with all that it started.

    Args:
        seconds: Wall time from start to exit.
        cpu_seconds: User and system time of the process and the children it waited for.
        peak_mib: The larger of the process's own peak and the sampled sum of its tree.
        load_before: Load average of the machine over the last minute, at the start.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    load_before: float


def _tree(root: int) -> Iterable[int]:
    """Yield a process and all below it."""
    yield root
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{root}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def measure(command: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        environment: Variables on top of this process's own.

    Returns:
        What it took.

    Raises:
        SystemExit: The command failed; the end of its output is in the message.
    """
    load = os.getloadavg()[0]
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        ended = threading.Event()
        peaks = [0]

        def sample() -> None:
            while not ended.wait(SAMPLE_SECONDS):
                peaks.append(sum(map(_resident_bytes, _tree(process.pid))))

        sampler = threading.Thread(target=sample, daemon=True)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        ended.set()
        sampler.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(
                f"{' '.join(command)}: exit code {process.returncode}\n{output.read()[-4000:]}"
            )
    return Run(
        seconds=round(seconds, 2),
        cpu_seconds=round(usage.ru_utime + usage.ru_stime, 2),
        peak_mib=round(max(*peaks, usage.ru_maxrss * 1024) / MIB),
        load_before=round(load, 2),
    )


def facts_of(lakehouse: Path) -> dict[str, str]:
    """Return the row count of each table, and the sum of what customers spent."""
    facts = {}
    for log in sorted(lakehouse.glob("*/*/_delta_log")):
        table = DeltaTable(log.parent)
        facts[f"{log.parent.parent.name}.{log.parent.name}"] = f"{table.count()} rows"
    metrics = DeltaTable(lakehouse / "gold_core" / "customer_metrics").to_pyarrow_dataset()
    spent = metrics.to_table(columns=["total_spent"])["total_spent"]
    facts["sum of total_spent"] = str(pc.sum(spent))
    return facts


def differences(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Compare each engine's tables with the reference's; what only a Kedro run has is left out."""
    expected = found[REFERENCE]
    return [
        f"{fact}: {REFERENCE} {value}, {engine} {facts.get(fact, 'none')}"
        for engine, facts in found.items()
        for fact, value in expected.items()
        if facts.get(fact) != value
    ]


def make_input(rows: int, path: Path) -> None:
    """Write one CSV file with 1 % bad and 1 % repeated records."""
    script = REPOSITORY / "scripts" / "make_sales.py"
    shares = ["--bad", "0.01", "--duplicates", "0.01", "--without", LEFT_OUT]
    subprocess.run(  # noqa: S603
        [sys.executable, str(script), "--rows", str(rows), *shares, "--out", str(path)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def compare(rows: int, engines: Sequence[str], repeats: int, work: Path) -> dict[str, list[Run]]:
    """Measure each engine in turn on a new input.

    Args:
        rows: Records of the input.
        engines: Names from ``COMMANDS``.
        repeats: Runs of each.
        work: Folder for the input and the tables; both are removed again.

    Returns:
        The runs of each engine.

    Raises:
        SystemExit: A run failed, or tables differ.
    """
    landing = work / "sales.csv"
    make_input(rows, landing)
    runs: dict[str, list[Run]] = {engine: [] for engine in engines}
    found: dict[str, dict[str, str]] = {}
    for repeat in range(repeats):
        for engine in engines:
            root = work / "lakehouse"
            places = {"RAW_SALES_PATH": str(landing), "LAKEHOUSE_ROOT": str(root)}
            run = measure(COMMANDS[engine], places)
            runs[engine].append(run)
            sys.stderr.write(f"{rows:,} rows, {engine}, {repeat + 1} of {repeats}: {run}\n")
            found[engine] = facts_of(root / ENVIRONMENTS.get(engine, "local"))
            shutil.rmtree(root)
    landing.unlink()
    if REFERENCE in found and (differ := differences(found)):
        sys.exit("\n".join(["The tables differ:", *differ]))
    return runs


def _middle(runs: Sequence[Run], figure: str) -> float:
    return float(median(getattr(run, figure) for run in runs))


def markdown(rows: int, runs: Mapping[str, Sequence[Run]]) -> str:
    """Return the lines of a Markdown table: medians, the range, and ratios to the reference."""
    lines = []
    for engine, each in runs.items():
        seconds = [run.seconds for run in each]
        ratios = ["", ""]
        if REFERENCE in runs:
            pairs = zip(each, runs[REFERENCE], strict=True)
            speed = median(run.seconds / reference.seconds for run, reference in pairs)
            memory = _middle(each, "peak_mib") / _middle(runs[REFERENCE], "peak_mib")
            ratios = [f"{speed:.2f}", f"{memory:.2f}"]
        cells = [
            f"{rows:,}",
            engine,
            f"{median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})",
            f"{_middle(each, 'cpu_seconds'):.1f}",
            f"{_middle(each, 'peak_mib'):,.0f}",
            *ratios,
        ]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


HEADING = """\
| records | run | wall s, median (range) | CPU s | peak MiB | wall ratio | peak ratio |
|--:|---|--:|--:|--:|--:|--:|
"""


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    packages = ("kedro", "pysail", "pyspark", "delta-spark", "deltalake", "duckdb", "pyarrow")
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[100_000, 4_500_000], help="(%(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument(
        "--engines", nargs="+", choices=COMMANDS, default=["sail", REFERENCE], help="(%(default)s)"
    )
    parser.add_argument(
        "--work", type=Path, help="folder for inputs and tables (a temporary one): 60 B a record"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder for a JSON file a size (%(default)s)"
    )
    return parser


def main() -> None:
    """Run the command line."""
    args = _parser().parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    tables = HEADING
    if args.work:
        args.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        # The first run of an engine may compile modules or fetch JARs: it does not count.
        compare(1_000, args.engines, 1, Path(folder))
        for rows in args.rows:
            runs = compare(rows, args.engines, args.repeats, Path(folder))
            tables += markdown(rows, runs)
            result = {
                "date": date.today().isoformat(),
                "rows": rows,
                "machine": machine(),
                "runs": {engine: [asdict(run) for run in each] for engine, each in runs.items()},
            }
            path = args.results / f"{rows}.json"
            path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(tables)


if __name__ == "__main__":
    main()
