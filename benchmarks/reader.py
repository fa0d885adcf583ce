"""Measure the landing reader beside Sail's native CSV reader, on one clean file into Delta.

Both write the received columns, `_source_file` and `_row_number`, on Sail, each run in a process of
its own. The native reader does not count records: its `_row_number` is
`monotonically_increasing_id()`, its `_source_file` a literal. They take turns (A B A B ...). Linux
only: peak memory is the process's own, as the kernel has it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).parents[1]
OURS, NATIVE = "landing", "native"
SETTINGS = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "false"}


def _frame(session: Any, reader: str, source: Path) -> Any:
    if reader == OURS:
        from nbx_medallion.landing.dialect import CsvDialect
        from nbx_medallion.landing.inbox import scan_landing
        from nbx_medallion.landing.source import landing_records

        scan = scan_landing(str(source), "RAW_SALES_PATH", CsvDialect())
        return landing_records(session, scan, all_at_once=True)
    from pyspark.sql import functions as F

    records = session.read.option("header", True).csv(str(source))
    ordinal = F.monotonically_increasing_id().cast("bigint")
    return records.select(
        "*", F.lit(source.name).alias("_source_file"), ordinal.alias("_row_number")
    )


def ingest(reader: str, source: Path, table: Path) -> dict[str, float]:
    """Read the file and write the table in this process.

    Args:
        reader: ``landing`` or ``native``.
        source: A CSV file without a fault.
        table: Folder of the table.

    Returns:
        Wall seconds from the first look at the file to the commit, the engine's start left out,
        and peak memory of the process, the engine in it, before and after.
    """
    from nbx_medallion.engines.sail import start_sail

    with start_sail(SETTINGS) as session:
        session.sql("SELECT 1").collect()
        before = _peak_mib()
        start = time.perf_counter()
        _frame(session, reader, source).write.format("delta").save(str(table))
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "started_mib": before, "peak_mib": _peak_mib()}


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def _in_a_process(reader: str, source: Path, work: Path) -> dict[str, float]:
    table = work / reader
    command = [sys.executable, __file__, "--one", reader, str(source), str(table)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"{reader}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    from deltalake import DeltaTable

    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    found["rows"] = DeltaTable(table).count()
    shutil.rmtree(table)
    return found


def compare(rows: int, repeats: int, work: Path) -> str:
    """Measure both readers in turn.

    Args:
        rows: Records of the input.
        repeats: Runs of each.
        work: Folder for the input and the tables.

    Returns:
        A Markdown table of medians.

    Raises:
        SystemExit: A run failed or lost records.
    """
    source = work / "sales.csv"
    script = REPOSITORY / "scripts" / "make_sales.py"
    make = [sys.executable, str(script), "--clean", "--rows", str(rows), "--out", str(source)]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    runs: dict[str, list[dict[str, float]]] = {OURS: [], NATIVE: []}
    for repeat in range(repeats + 1):
        for reader, found in runs.items():
            run = _in_a_process(reader, source, work)
            sys.stderr.write(f"{reader}, load {os.getloadavg()[0]:.1f}: {run}\n")
            if run["rows"] != rows:
                sys.exit(f"{reader}: {run['rows']:,} of {rows:,} records arrived")
            if repeat:  # the first one reads the file from the disk
                found.append(run)
    return _markdown(rows, runs)


def _markdown(rows: int, runs: dict[str, list[dict[str, float]]]) -> str:
    ratio = median(
        ours["seconds"] / native["seconds"]
        for ours, native in zip(runs[OURS], runs[NATIVE], strict=True)
    )
    lines = [
        "| records | reader | wall s, median (range) | ratio | MiB, engine started | MiB, peak |",
        "|--:|---|--:|--:|--:|--:|",
    ]
    for reader, found in runs.items():
        seconds = [run["seconds"] for run in found]
        cells = [
            f"{rows:,}",
            reader,
            f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})",
            f"{ratio:.2f}" if reader == OURS else "1",
            f"{median(run['started_mib'] for run in found):,.0f}",
            f"{median(run['peak_mib'] for run in found):,.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Measure the landing reader on Sail.")
    parser.add_argument("--rows", type=int, default=4_500_000, help="(%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each (%(default)s)")
    parser.add_argument("--work", type=Path, help="folder for input and tables (a temporary one)")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        reader, source, table = args.one
        sys.stdout.write(json.dumps(ingest(reader, Path(source), Path(table))) + "\n")
        return
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        sys.stdout.write(compare(args.rows, args.repeats, Path(folder)))


if __name__ == "__main__":
    main()
