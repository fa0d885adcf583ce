"""Make sales CSV files: a small messy sample, or inputs of many million records.

The same arguments give the same bytes. Every value is a hash of the seed and the record's place,
so nothing is kept in memory and a repeated order can be rebuilt from its number alone.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

HEADER = ["order_id", "customer_id", "amount", "order_date", "product", "channel"]
EXTRA_COLUMN = "coupon"
PRODUCTS = ["Notebook", "Desk lamp", "Office chair", "Monitor 27", "Keyboard", "Café press", "Mug"]
CHANNELS = ["web", "store", "app", "phone"]
COUPONS = ["", "", "", "WELCOME10"]
FIRST_DAY = date(2024, 1, 1)
DAYS = 730
FIRST_ORDER = 10_001
FEWEST_CUSTOMERS = 50
ORDERS_PER_CUSTOMER = 15
CHUNK = 1 << 18

Ints = npt.NDArray[np.int64]
Fields = list[str]


def _set(position: int, value: str) -> Callable[[Fields], Fields]:
    return lambda fields: [*fields[:position], value, *fields[position + 1 :]]


# What can be wrong or odd with a record, dealt in turn. The last four are odd but valid.
KINDS: dict[str, Callable[[Fields], Fields]] = {
    "missing-customer": _set(1, ""),
    "bad-amount": _set(2, "n/a"),
    "too-few-fields": lambda fields: fields[:3],
    "blank-customer": _set(1, "   "),
    "bad-date": lambda fields: _set(3, f"{fields[3][:4]}-02-30")(fields),
    "three-decimals": lambda fields: _set(2, fields[2] + "5")(fields),
    "too-many-fields": lambda fields: [*fields, "surplus"],
    "missing-amount": _set(2, ""),
    "foreign-date": lambda fields: _set(3, "/".join(reversed(fields[3].split("-"))))(fields),
    "unclosed-quote": lambda fields: _set(4, '"' + fields[4])(fields),
    "return": lambda fields: _set(2, "-" + fields[2])(fields),
    "quoted-comma": lambda fields: _set(4, f'"{fields[4]}, black"')(fields),
    "quoted-quote": lambda fields: _set(4, f'"{fields[4]} 12"""')(fields),
    "padded-customer": lambda fields: _set(1, f" {fields[1]} ")(fields),
}


@dataclass(frozen=True)
class Options:
    """What to make.

    Args:
        rows: Records in all, malformed ones counted.
        seed: Another seed gives other values.
        bad: Share of records with one of ``kinds``, between 0 and 1.
        duplicates: Share of records that repeat an earlier order with a corrected amount.
        kinds: Names from ``KINDS``.
        extra_column: Give the last file one more column.
    """

    rows: int
    seed: int
    bad: float
    duplicates: float
    kinds: tuple[str, ...]
    extra_column: bool = False


def _hash(seed: int, stream: int, places: Ints) -> npt.NDArray[np.uint64]:
    """Return 64 well-mixed bits for each place (splitmix64)."""
    start = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03) % 2**64
    z = places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _draw(seed: int, stream: int, places: Ints, below: int) -> Ints:
    """Return a whole number from 0 to ``below - 1`` for each place."""
    return (_hash(seed, stream, places) % np.uint64(below)).astype(np.int64)


def _chosen(share: float, seed: int, stream: int, start: int, stop: int) -> tuple[Ints, Ints]:
    """Choose one place at random in each window of ``1 / share`` places.

    Returns:
        The chosen places in ``[start, stop)``, and the number of each one's window.
    """
    if share == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    width = 1 / share
    windows = np.arange(max(int(start / width) - 1, 0), int(stop / width) + 2, dtype=np.int64)
    lowest = np.ceil(windows * width).astype(np.int64)
    size = np.ceil((windows + 1) * width).astype(np.int64) - lowest
    places = lowest + (_hash(seed, stream, windows) % size.astype(np.uint64)).astype(np.int64)
    inside = (places >= start) & (places < stop)
    return places[inside], windows[inside]


def _pick(values: Sequence[str], indices: Ints) -> Any:
    return pa.array(values).take(pa.array(indices))


def _columns(options: Options, start: int, stop: int) -> tuple[list[Any], Ints, Ints]:
    """Make the text of each column for the records in ``[start, stop)``.

    Returns:
        The columns, the positions of bad records in them, and the kind of each one.
    """
    seed = options.seed
    origins = np.arange(start, stop, dtype=np.int64)
    cents = 100 + _draw(seed, 1, origins, 500_000)

    bad, windows = _chosen(options.bad, seed, 8, start, stop)
    again, _ = _chosen(options.duplicates, seed, 9, start, stop)
    again = again[~np.isin(again, bad) & (again > 0)]
    origins[again - start] = again - 1 - _draw(seed, 10, again, 2**62) % np.minimum(again, 10**6)

    customers = max(options.rows // ORDERS_PER_CUSTOMER, FEWEST_CUSTOMERS)
    customer_ids = pa.array(_draw(seed, 2, origins, customers) + 1).cast(pa.string())
    days = [(FIRST_DAY + timedelta(days=day)).isoformat() for day in range(DAYS)]
    columns = [
        pa.array(origins + FIRST_ORDER).cast(pa.string()),
        pc.utf8_lpad(customer_ids, 4, "0"),
        pc.binary_join_element_wise(
            pa.array(cents // 100).cast(pa.string()),
            _pick([f"{cent:02}" for cent in range(100)], cents % 100),
            ".",
        ),
        _pick(days, _draw(seed, 3, origins, DAYS)),
        _pick(PRODUCTS, _draw(seed, 4, origins, len(PRODUCTS))),
        _pick(CHANNELS, _draw(seed, 5, origins, len(CHANNELS))),
    ]
    return columns, bad - start, windows % max(len(options.kinds), 1)


def _lines(options: Options, start: int, stop: int, extra_column: bool) -> Any:
    """Make the records in ``[start, stop)`` as an Arrow array of lines with their line ends."""
    columns, bad, kinds = _columns(options, start, stop)
    if extra_column:
        places = np.arange(start, stop, dtype=np.int64)
        columns.append(_pick(COUPONS, _draw(options.seed, 6, places, len(COUPONS))))
    lines = pc.binary_join_element_wise(*columns, ",")
    if bad.size:
        good_fields = zip(
            *(column.take(pa.array(bad)).to_pylist() for column in columns), strict=True
        )
        mask = np.zeros(stop - start, dtype=bool)
        mask[bad] = True
        spoiled = [
            ",".join(KINDS[options.kinds[kind]](list(fields)))
            for kind, fields in zip(kinds, good_fields, strict=True)
        ]
        lines = pc.replace_with_mask(lines, pa.array(mask), pa.array(spoiled))
    return pc.binary_join_element_wise(lines, "", "\n")


def _write_file(file: BinaryIO, options: Options, start: int, stop: int, extra: bool) -> None:
    """Write the records in ``[start, stop)`` under a header, a chunk at a time."""
    header = [*HEADER, EXTRA_COLUMN] if extra else HEADER
    file.write((",".join(header) + "\n").encode())
    for low in range(start, stop, CHUNK):
        lines = _lines(options, low, min(low + CHUNK, stop), extra)
        # The text buffer of the array is the file's content: the lines stand end to end in it.
        file.write(lines.buffers()[2])


def write_sales(options: Options, paths: Sequence[Path]) -> Iterator[Path]:
    """Write the records over the files, in order and in like numbers.

    Args:
        options: What to make.
        paths: The files; missing folders are made.

    Yields:
        Each file, once it is whole.
    """
    bounds = [options.rows * number // len(paths) for number in range(len(paths) + 1)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        extra = options.extra_column and number == len(paths) - 1
        with path.open("wb") as file:
            _write_file(file, options, bounds[number], bounds[number + 1], extra)
        yield path


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, found {text}")
    return share


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {','.join(KINDS)}")
    return kinds


def _count(text: str) -> int:
    digits = text.replace("_", "")
    if not digits.isdecimal() or int(digits) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text}")
    return int(digits)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Make sales CSV files. The same arguments give the same bytes.",
        epilog=(
            "The tracked sample:  make_sales.py --files 2 --extra-column --out data/landing/sales  "
            "A large input:  make_sales.py --rows 45_000_000 --bad 0.01 --duplicates 0.01 "
            "--out /tmp/sales.csv"
        ),
    )
    parser.add_argument("--out", type=Path, required=True, help="a .csv file, or a folder")
    parser.add_argument("--rows", type=_count, default=140, help="records in all (%(default)s)")
    parser.add_argument("--files", type=_count, default=1, help="how many files (%(default)s)")
    parser.add_argument("--seed", type=int, default=5, help="(%(default)s)")
    parser.add_argument(
        "--bad", type=_share, default=0.2, help="share of bad or odd records (%(default)s)"
    )
    parser.add_argument(
        "--kinds",
        type=_kinds,
        default=tuple(KINDS),
        help=f"what is wrong with them, dealt in turn (all: {','.join(KINDS)})",
    )
    parser.add_argument(
        "--without", type=_kinds, default=(), help="kinds to leave out, e.g. unclosed-quote"
    )
    parser.add_argument(
        "--duplicates",
        type=_share,
        default=0.05,
        help="share that repeats an earlier order with another amount (%(default)s)",
    )
    parser.add_argument("--clean", action="store_true", help="nothing bad, odd or repeated")
    parser.add_argument(
        "--extra-column", action="store_true", help=f"the last file has a column {EXTRA_COLUMN}"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: Its arguments; those of the process by default.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    options = Options(
        rows=args.rows,
        seed=args.seed,
        bad=0 if args.clean else args.bad,
        duplicates=0 if args.clean else args.duplicates,
        kinds=tuple(kind for kind in args.kinds if kind not in args.without),
        extra_column=args.extra_column,
    )
    one_file = args.out.suffix == ".csv"
    if one_file and args.files > 1:
        parser.error(f"--files {args.files} needs a folder, and --out names a file: {args.out}")
    if not options.kinds and options.bad:
        parser.error("--without leaves no kind: give --bad 0 for no bad records")
    if args.rows < args.files:
        parser.error(f"--files {args.files} needs as many records, and --rows is {args.rows}")
    digits = len(str(args.files))
    names = [f"sales_{number:0{digits}}.csv" for number in range(1, args.files + 1)]
    for path in write_sales(options, [args.out] if one_file else [args.out / n for n in names]):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
