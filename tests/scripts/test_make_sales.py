import csv
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "scripts" / "make_sales.py"
SAMPLE = REPOSITORY / "data" / "landing" / "sales"


def make(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def sample_lines() -> list[str]:
    return [
        line
        for path in sorted(SAMPLE.glob("*.csv"))
        for line in path.read_text(encoding="utf-8").splitlines()[1:]
    ]


def test_tracked_sample_is_what_the_script_makes(tmp_path: Path) -> None:
    assert make("--files", 2, "--extra-column", "--out", tmp_path).returncode == 0

    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in SAMPLE.glob("*.csv")}
    assert sorted(made) == ["sales_1.csv", "sales_2.csv"]


@pytest.mark.parametrize(
    ("trouble", "part"),
    [
        ("leading zeros", ",0042,"),
        ("missing customer", ",,"),
        ("blank customer", ",   ,"),
        ("no amount in it", ",n/a,"),
        ("returned goods", ",-"),
        ("30 February", "-02-30,"),
        ("another form of date", "/2025,"),
        ("a quoted comma", ', black",'),
        ("a quoted quote", ' 12""",'),
        ("an unclosed quote", ',"Mug,'),
        ("too many fields", ",surplus"),
    ],
)
def test_sample_shows_trouble(trouble: str, part: str) -> None:
    assert any(part in line for line in sample_lines()), trouble


def test_sample_has_too_short_records_and_an_extra_column_in_its_second_file() -> None:
    headers = [path.read_text().splitlines()[0] for path in sorted(SAMPLE.glob("*.csv"))]

    assert headers[1] == headers[0] + ",coupon"
    assert min(line.count(",") for line in sample_lines()) == 2


def test_sample_repeats_orders_within_a_file_and_across_files() -> None:
    orders = [
        [line.split(",")[0] for line in path.read_text().splitlines()[1:]]
        for path in sorted(SAMPLE.glob("*.csv"))
    ]

    assert any(len(set(in_file)) < len(in_file) for in_file in orders)
    assert set(orders[0]) & set(orders[1])


def test_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made = make("--rows", 3_000, "--seed", seed, "--out", tmp_path / f"{name}.csv")
        assert made.returncode == 0, made.stderr

    a, b, c = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert a == b
    assert a != c


def test_records_do_not_depend_on_chunks_or_files(tmp_path: Path) -> None:
    # More than one chunk of 262,144 records.
    make("--rows", 300_000, "--out", tmp_path / "one.csv")
    made = make("--rows", 300_000, "--files", 3, "--out", tmp_path / "three")

    parts = [path.read_bytes().split(b"\n", 1) for path in sorted((tmp_path / "three").iterdir())]
    assert [Path(line).name for line in made.stdout.splitlines()] == [
        "sales_1.csv",
        "sales_2.csv",
        "sales_3.csv",
    ]
    assert (
        parts[0][0] + b"\n" + b"".join(part[1] for part in parts)
        == (tmp_path / "one.csv").read_bytes()
    )


def test_clean_input_has_nothing_wrong(tmp_path: Path) -> None:
    make("--rows", 2_000, "--clean", "--out", tmp_path / "clean.csv")

    with (tmp_path / "clean.csv").open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    assert len({record["order_id"] for record in records}) == 2_000
    assert all(all(record.values()) and len(record) == 6 for record in records)
    assert all(float(record["amount"]) > 0 for record in records)


def test_a_kind_can_be_left_out(tmp_path: Path) -> None:
    make("--rows", 2_000, "--without", "unclosed-quote", "--out", tmp_path / "x.csv")

    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 2_001


def test_shares_are_kept(tmp_path: Path) -> None:
    kinds = "missing-customer"
    shares = ("--bad", 0.1, "--duplicates", 0.02)
    made = make("--rows", 10_000, *shares, "--kinds", kinds, "--out", tmp_path / "x.csv")
    assert made.returncode == 0, made.stderr

    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    assert sum(not record["customer_id"] for record in records) == 1_000
    repeated = len(records) - len({record["order_id"] for record in records})
    assert repeated == pytest.approx(200, rel=0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--files", 2, "--out", "x.csv"), "--files 2 needs a folder, and --out names a file"),
        (("--files", 9, "--rows", 8, "--out", "x"), "--files 9 needs as many records"),
        (("--kinds", "typo", "--out", "x"), "unknown: typo; known: missing-customer,"),
        (
            ("--kinds", "return", "--without", "return", "--out", "x"),
            "--without leaves no kind: give --bad 0 for no bad records",
        ),
        (("--bad", 1.5, "--out", "x"), "argument --bad: expected a share from 0 to 1, found 1.5"),
        (("--rows", 0, "--out", "x"), "argument --rows: expected a whole number from 1, found 0"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[object, ...], message: str) -> None:
    made = make(*arguments)

    assert made.returncode == 2
    assert message in made.stderr
