"""Measure what a run costs where little is new, beside the hand-written script's full run.

On one lakehouse, in one go: the script's full run, the first full run, increments of new orders, a
file of corrections, runs with nothing new and `kedro registry list` beside them. Linux only.
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from statistics import median

from run import BIN, COMMANDS, REFERENCE, RESULTS, Run, machine, make_input, measure

NEW = 100_000
CORRECTIONS = 100
KEDRO = str(BIN / "kedro")


def split(source: Path, rows: int, increments: int, landing: Path, waiting: Path) -> None:
    """Cut a file in a first one of so many records, and increments of `NEW` records each.

    Increments are of new orders: what repeats one of an earlier file is left out.
    """
    with source.open("rb") as lines:
        header, highest = next(lines), 0
        parts = [(landing / "first.csv", rows)]
        parts += [(waiting / f"more_{at}.csv", NEW) for at in range(1, increments + 1)]
        for path, count in parts:
            earlier = highest
            with path.open("wb") as part:
                part.write(header)
                for line in itertools.islice(lines, count):
                    order = line.partition(b",")[0]
                    number = int(order) if order.isdigit() else highest
                    if number > earlier:
                        part.write(line)
                        highest = max(highest, number)


def correct(file: Path, corrections: Path) -> None:
    """Write a file that repeats the last orders of another with other amounts."""
    header, *lines = file.read_text().splitlines()
    wanted = [line.split(",") for line in lines if line.count(",") == header.count(",")]
    at = header.split(",").index("amount")
    rows = [
        ",".join([*f[:at], "1.00", *f[at + 1 :]])
        for f in wanted[-CORRECTIONS:]
        if '"' not in "".join(f)
    ]
    corrections.write_text("\n".join([header, *rows, ""]))


def steps(rows: int, engine: str, increments: int, work: Path) -> Iterator[tuple[str, Run]]:
    """Measure step by step, in the order in which they are named."""
    landing, waiting = work / "landing", work / "waiting"
    for folder in (landing, waiting):
        folder.mkdir()
    made = work / "all.csv"
    make_input(rows + increments * NEW, made)
    split(made, rows, increments, landing, waiting)
    made.unlink()
    first = str(landing / "first.csv")
    script = {"RAW_SALES_PATH": first, "LAKEHOUSE_ROOT": str(work / "script")}
    yield REFERENCE, measure(COMMANDS[REFERENCE], script)
    places = {"RAW_SALES_PATH": str(landing), "LAKEHOUSE_ROOT": str(work / "lakehouse")}
    command = COMMANDS[engine]
    yield "full run", measure(command, places)
    for path in sorted(waiting.iterdir()):
        path.rename(landing / path.name)
        yield "new orders", measure(command, places)
    correct(landing / f"more_{increments}.csv", landing / "corrections.csv")
    yield "corrections", measure(command, places)
    for _ in range(3):
        yield "kedro registry list", measure([KEDRO, "registry", "list"], places)
        yield "nothing new", measure(command, places)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[4_500_000], help="(%(default)s)")
    parser.add_argument("--increments", type=int, default=3, help="how many (%(default)s)")
    parser.add_argument("--engine", choices=("sail", "spark"), default="sail")
    parser.add_argument("--work", type=Path, help="folder for inputs and tables")
    parser.add_argument("--results", type=Path, default=RESULTS, help="(%(default)s)")
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    sys.stdout.write("| records | step | wall s, median | CPU s | peak MiB | beside the script |\n")
    sys.stdout.write("|--:|---|--:|--:|--:|--:|\n")
    for rows in args.rows:
        found: dict[str, list[Run]] = {}
        with tempfile.TemporaryDirectory(dir=args.work) as folder:
            for step, run in steps(rows, args.engine, args.increments, Path(folder)):
                sys.stderr.write(f"{rows:,} records, {step}: {run}\n")
                found.setdefault(step, []).append(run)
        reference = found[REFERENCE][0].seconds
        for step, runs in found.items():
            seconds = median(run.seconds for run in runs)
            cpu = median(run.cpu_seconds for run in runs)
            peak = max(run.peak_mib for run in runs)
            sys.stdout.write(
                f"| {rows:,} | {step} | {seconds:.2f} | {cpu:.1f} | {peak:,} |"
                f" {seconds / reference:.2f} |\n"
            )
        result = {
            "date": date.today().isoformat(),
            "rows": rows,
            "engine": args.engine,
            "machine": machine(),
            "steps": {step: [asdict(run) for run in runs] for step, runs in found.items()},
        }
        path = args.results / f"increments-{args.engine}-{rows}.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
