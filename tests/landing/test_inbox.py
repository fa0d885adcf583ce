"""The states of files, and that bronze has each record once, whatever happens to them."""

import gzip
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest
from desk import Desk, states, values
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from nbx_medallion.errors import LandingError
from nbx_medallion.landing import inbox
from nbx_medallion.landing.book import Event
from nbx_medallion.landing.dialect import CsvDialect


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "in").mkdir()
    return Desk(tmp_path / "in")


# States.


def test_new_files_are_received_with_what_is_known_of_them(desk: Desk) -> None:
    path = desk.put("x/a.csv", "h\n1\n2\n")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    desk.put("b.csv", "")
    receipt = desk.run()
    assert receipt.events[1] == Event(
        source="sales",
        event="received",
        path="x/a.csv",
        location=str(path),
        size_bytes=6,
        modified_at=datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC),
        fingerprint=sha256(b"h\n1\n2\n").hexdigest(),
        records=2,
        header="h",
        batch_id="001",
        reason=None,
    )
    assert states(receipt) == {"b.csv": ("received", 0), "x/a.csv": ("received", 2)}
    assert receipt.events[0].header is None
    assert desk.bronze == [("x/a.csv", "001", 1, "1"), ("x/a.csv", "001", 2, "2")]
    assert (receipt.replaced, receipt.notes) == (frozenset(), ())


def test_a_file_of_the_same_size_and_time_is_not_read_unless_asked(desk: Desk) -> None:
    path = desk.put("a.csv", "h\n1\n")
    desk.run()
    before = path.stat()
    path.write_bytes(b"h\n2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    receipt = desk.run()
    assert (receipt.events, receipt.scan.files, receipt.notes) == ((), (), ())
    assert states(desk.run(verify=True)) == {"a.csv": ("changed", 1)}
    assert desk.bronze == [("a.csv", "003", 1, "2")]
    assert desk.run(verify=True).events == ()


def test_a_file_that_was_only_touched_is_the_same(desk: Desk) -> None:
    path = desk.put("a.csv", "h\n1\n")
    desk.run()
    os.utime(path, ns=(0, 0))
    receipt = desk.run()
    assert (receipt.events, receipt.scan.files) == ((), ())


def test_a_file_that_has_grown_gives_its_new_records(desk: Desk) -> None:
    path = desk.put("a.csv", "h,i\n1,a\n\nbad\n")
    desk.run()
    desk.append("a.csv", "3,b\n\nbad\n5,c")
    receipt = desk.run()
    assert states(receipt) == {"a.csv": ("grown", 3)}
    (event,) = receipt.events
    content = path.read_bytes()
    assert (event.size_bytes, event.header) == (len(content), "h,i")
    assert event.fingerprint == sha256(content).hexdigest()
    assert desk.bronze == [
        ("a.csv", "001", 1, "1"),
        ("a.csv", "001", 2, "bad"),
        ("a.csv", "002", 3, "3"),
        ("a.csv", "002", 4, "bad"),
        ("a.csv", "002", 5, "5"),
    ]
    (part,) = receipt.scan.files[0].ranges
    assert (part.start, part.length) == (13, 12)


def test_only_what_follows_is_read_of_a_large_file(desk: Desk) -> None:
    desk.put("a.csv", b"h,i\n" + b"1,2\n" * 4_000_000)
    desk.run()
    desk.append("a.csv", b"3,4\n" * 5_000_000)
    receipt = desk.look()
    (file,) = receipt.scan.files
    assert (file.records, file.ranges[0].start, file.ranges[0].first_row) == (
        5_000_000, 16_000_004, 4_000_001,
    )  # fmt: skip
    assert len(file.ranges) == 3
    assert sum(part.length for part in file.ranges) == 20_000_000


UTF8, LATIN, UTF16 = map(CsvDialect, ",,,", '"""', ("utf-8", "latin-1", "utf-16"))
BOM16, ONE16, TWO16 = b"\xff\xfe", "h\né\n".encode("utf-16-le"), "ã\n".encode("utf-16-le")
GZ = ".csv.gz"


def gz(text: str, encoding: str = "utf-8") -> bytes:
    return gzip.compress(text.encode(encoding))


@pytest.mark.parametrize(
    ("dialect", "suffix", "old", "more", "event"),
    [
        (LATIN, ".csv", b"h\n\xe9\n", b"\xe3\n", "grown"),
        (UTF16, ".csv", BOM16 + ONE16, TWO16, "grown"),
        (UTF16, ".csv", BOM16 + ONE16[:-1], b"\0" + TWO16, "changed"),
        (UTF8, GZ, gz("h\né\n"), gz("ã\n"), "grown"),
        (LATIN, GZ, gz("h\né\n", "latin-1"), gz("ã\n", "latin-1"), "grown"),
        (UTF8, GZ, gz("h\né"), gz("\nã\n"), "changed"),
        (UTF8, ".csv", b"\xef\xbb\xbfh\r\n\xc3\xa9\r", b"\n\xc3\xa3\r\n", "grown"),
    ],
    ids=["latin-1", "utf-16", "utf-16-cut", "gzip", "gzip-latin-1", "gzip-no-line-end", "bom-crlf"],
)
def test_growth_in_other_encodings(  # noqa: PLR0917
    tmp_path: Path, dialect: CsvDialect, suffix: str, old: bytes, more: bytes, event: str
) -> None:
    desk = Desk(tmp_path, dialect)
    desk.put("a" + suffix, old)
    desk.run()
    desk.append("a" + suffix, more)
    assert states(desk.run()) == {"a" + suffix: (event, 1 if event == "grown" else 2)}
    assert values(desk.bronze) == ["é", "ã"]
    assert [row[2] for row in desk.bronze] == [1, 2]


def test_gzip_that_was_cut_in_a_member_has_not_grown(desk: Desk) -> None:
    """A whole member and a part of the next cannot be received, so the event is made by hand."""
    packed = gzip.compress(b"h\n1\n") + gzip.compress(b"2\n" * 5)
    desk.put("a.csv.gz", gzip.compress(b"h\n1\n"))
    event = desk.run().events[0]
    cut = packed[:-9]
    desk.events = [
        replace(event, size_bytes=len(cut), fingerprint=sha256(cut).hexdigest(), records=1)
    ]
    desk.put("a.csv.gz", packed)
    assert states(desk.run()) == {"a.csv.gz": ("changed", 6)}


@pytest.mark.parametrize("old", ["h\n1", "h", "", "\n\n", 'h\n"1\n', 'h\n1\n"2', '"h\n'])
@pytest.mark.parametrize("more", ["7\n", "\n", '"\n', 'x\n3\n"\n'])
def test_a_file_without_header_or_end_is_read_anew_when_it_grows(
    desk: Desk, old: str, more: str
) -> None:
    """Else `1` could become `17`, or a field go on: a record would be wrong."""
    desk.put("a.csv", old)
    desk.run()
    desk.append("a.csv", more)
    assert states(desk.run())["a.csv"][0] == "changed"
    undisturbed = Desk(desk.root)
    undisturbed.run()
    assert [row[2:] for row in desk.bronze] == [row[2:] for row in undisturbed.bronze]


def test_quotes_that_close_or_are_wrong_do_not_keep_a_file_from_growing(desk: Desk) -> None:
    desk.put("a.csv", 'h\n"1\n1"\n"x"y\nz"\n')
    desk.run()
    desk.append("a.csv", "4\n")
    assert states(desk.run()) == {"a.csv": ("grown", 1)}
    assert [row[2:] for row in desk.bronze] == [(1, "1\n1"), (2, '"x"y'), (3, 'z"'), (4, "4")]


def test_a_corrected_file_replaces_its_records(desk: Desk) -> None:
    desk.put("a.csv", "h\n1\n2\n")
    desk.put("b.csv", "h\n3\n")
    desk.run()
    desk.append("a.csv", "4\n")
    desk.run()
    desk.put("a.csv", "h\n9\n")
    receipt = desk.run()
    assert states(receipt) == {"a.csv": ("changed", 1)}
    assert receipt.replaced == {("a.csv", "001"), ("a.csv", "002")}
    assert receipt.notes == ("received with other content: a.csv (3 records replaced by 1)",)
    assert desk.bronze == [("b.csv", "001", 1, "3"), ("a.csv", "003", 1, "9")]
    desk.append("a.csv", "8\n")
    assert states(desk.run()) == {"a.csv": ("grown", 1)}
    assert desk.bronze[1:] == [("a.csv", "003", 1, "9"), ("a.csv", "004", 2, "8")]
    desk.put("a.csv", "h\n")
    assert desk.run().replaced == {("a.csv", "003"), ("a.csv", "004")}
    desk.put("a.csv", "h\n7\n")
    assert desk.run().replaced == frozenset()


@pytest.mark.parametrize("on_rewrite", ["replace", "add"])
def test_a_file_is_read_again_once_the_reader_options_are_corrected(
    tmp_path: Path, on_rewrite: str
) -> None:
    desk = Desk(tmp_path, on_rewrite=on_rewrite)
    (tmp_path / "a.csv").write_text("h;i\n1;2\n")
    desk.run()
    assert [row[3] for row in desk.bronze] == ["1;2"]

    desk.dialect = CsvDialect(separator=";")
    receipt = desk.run()

    [event] = receipt.events
    assert (event.event, event.reason) == ("changed", 'read with {"separator": ";"}')
    assert receipt.notes == ("read with other options: a.csv (1 record replaced by 1)",)
    assert [row[1:] for row in desk.bronze] == [("002", 1, "1")]
    with (tmp_path / "a.csv").open("a") as file:
        file.write("3;4\n")
    assert [event.event for event in desk.run().events] == ["grown"]
    assert desk.run().events == ()


def test_what_is_gone_stays_and_is_told(desk: Desk) -> None:
    for at in range(12):
        desk.put(f"{at:02}.csv", f"h\n{at}\n")
    desk.run()
    for at in range(12):
        (desk.root / f"{at:02}.csv").unlink()
    receipt = desk.run()
    assert receipt.events == ()
    assert receipt.notes == (
        "received before and no longer there (their records stay): "
        + ", ".join(f"{at:02}.csv (1 record)" for at in range(10))
        + " and 2 more",
    )
    assert len(desk.bronze) == 12


def test_what_is_not_listed_today_is_not_gone(desk: Desk) -> None:
    desk.path += "/*"
    for name in ("a.csv", "b.dat"):
        desk.put(name, "h\n1\n")
    desk.run()
    for path in (desk.root, desk.root / "a.csv", desk.root / "*.csv"):
        desk.path = str(path)
        assert desk.run().notes == ()
    (desk.root / "b.dat").unlink()
    for path in (desk.root, desk.root / "a.csv", desk.root / "*.csv"):
        desk.path = str(path)
        assert desk.run().notes == (
            "received before and no longer there (their records stay): b.dat (1 record)",
        )


def test_a_second_copy_is_counted_and_pointed_out(desk: Desk) -> None:
    desk.put("a.csv", "h\n1\n")
    desk.run()
    desk.put("b.csv", "h\n1\n")
    receipt = desk.run()
    assert states(receipt) == {"b.csv": ("received", 1)}
    assert receipt.notes == ("the same content as a received file, counted again: b.csv (a.csv)",)


def test_a_name_that_is_not_utf8_has_a_place(desk: Desk) -> None:
    name = os.fsdecode(b"S\xe3o.csv")
    desk.put(name, "h\n1\n")
    (event,) = desk.run().events
    assert event.location == str(desk.root / "S\\xe3o.csv")
    assert desk.run().events == ()
    desk.append(name, "2\n")
    assert states(desk.run()) == {"S\ufffdo.csv": ("grown", 1)}


# Columns.


def test_the_spelling_of_bronze_holds_and_else_a_preferred_one(desk: Desk) -> None:
    desk.put("a.csv", "Id,x\n1,2\n")

    def problems(prefer: list[str], existing: list[str]) -> list[str | None]:
        receipt = inbox.receive(
            desk.book, "sales", desk.path, "RAW_SALES_PATH", "001", desk.dialect,
            prefer=prefer, existing=existing,
        )  # fmt: skip
        return [file.header.problem for file in receipt.scan.files]

    assert problems(["id"], []) == [None]
    assert problems(["id"], ["Id", "y"]) == [None]
    assert problems(["Id"], ["id"]) == [
        "the column 'Id' differs only in case from 'id' of earlier files"
    ]


# Paths.


def test_where_everything_is_gone_a_path_that_was_received_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for path in ("in", "in/*.csv", "in/a.csv"):
        desk = Desk(tmp_path / "in")
        desk.path = str(tmp_path / path)
        with pytest.raises(LandingError, match=r"or set RAW_SALES_PATH to where they are\.$"):
            desk.look()
        desk.put("a.csv", "h\n1\n")
        desk.run()
        (desk.root / "a.csv").unlink()
        assert desk.run().notes == (
            "received before and no longer there (their records stay): a.csv (1 record)",
        )
        for wrong in ("inn", "in/b.csv", "inn/*.csv"):
            desk.path = str(tmp_path / wrong)
            with pytest.raises(LandingError, match="RAW_SALES_PATH"):
                desk.look()
        desk.path = str(tmp_path / path)
        (tmp_path / "in").rmdir()
        with pytest.raises(LandingError, match="RAW_SALES_PATH"):
            desk.look()
        (tmp_path / "in").mkdir()


@pytest.mark.parametrize(
    ("how", "moment"),
    [
        *product(("grows", "changes"), ("_hash", "HashingFile", "scan_file")),
        ("changes and looks the same", "scan_file"),
        *product(("goes",), ("_hash", "scan_file", "unite")),
        ("grows", "unite"),
    ],
)
def test_a_file_that_changes_meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, moment: str, how: str
) -> None:
    desk.put("a.csv", "h\n1\n")
    desk.run()
    desk.append("a.csv", "2\n")
    path = desk.root / "a.csv"
    before = path.stat()
    real = getattr(inbox, moment)

    def disturbed(*args: object, **options: object) -> object:
        if how == "goes":
            path.unlink()
        elif how == "grows":
            desk.append("a.csv", "3\n")
        else:
            path.write_bytes(b"h\n1\n9\n")
            os.utime(path, ns=(0, 0 if how == "changes" else before.st_mtime_ns))
        return real(*args, **options)

    monkeypatch.setattr(inbox, moment, disturbed)
    with pytest.raises(LandingError) as error:
        desk.run()
    assert error.value.message.startswith(f"{path}: the file changed while it was being read: ")
    assert error.value.message.endswith(
        ". Nothing new of it was written. Run again when the file is complete."
    )
    assert desk.bronze == [("a.csv", "001", 1, "1")]


# What breaks without a rule.


def test_scope_by_path_and_batch(desk: Desk) -> None:
    desk.put("x.csv", "h\n1\n")
    desk.run()
    desk.rename("x.csv", "y.csv")
    desk.put("x.csv", "h\n2\n")
    assert states(desk.run()) == {"y.csv": ("moved", 0), "x.csv": ("received", 1)}
    with pytest.raises(LandingError, match=r"x\.csv: expected one file"):
        desk.retract("x.csv")
    desk.retract("x.csv", str(desk.root / "y.csv"))
    desk.run()
    assert desk.bronze == [("x.csv", "002", 1, "2")]


def test_moved(desk: Desk) -> None:
    desk.put("x.csv", "h\n1\n")
    desk.run()
    desk.rename("x.csv", "archive/y.csv")
    receipt = desk.run()
    assert states(receipt) == {"archive/y.csv": ("moved", 0)}
    assert receipt.events[0].reason == '["x.csv","001"]'
    assert receipt.notes == (
        "received before under another name, not read again: archive/y.csv (was x.csv)",
    )
    assert desk.run().events == ()
    desk.append("archive/y.csv", "2\n")
    assert states(desk.run()) == {"archive/y.csv": ("grown", 1)}
    assert desk.bronze == [("x.csv", "001", 1, "1"), ("archive/y.csv", "004", 2, "2")]


def test_its_own_place_is_looked_up_absolutely(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.path = str(tmp_path / "r1")
    desk.put("r1/x.csv", "h\n1\n")
    desk.run()
    desk.path = str(tmp_path / "r2")
    desk.put("r2/x.csv", "h\n1\n")
    receipt = desk.run()
    assert states(receipt) == {"x.csv": ("received", 1)}
    assert desk.bronze == [("x.csv", "001", 1, "1"), ("x.csv", "002", 1, "1")]
    desk.path = str(tmp_path / "r3")
    desk.put("r1/x.csv", "h\n7\n")
    desk.put("r3/z.csv", "h\n1\n")
    assert states(desk.run()) == {"z.csv": ("moved", 0)}


def test_moved_names_its_file(desk: Desk) -> None:
    for name in ("a.csv", "b.csv"):
        desk.put(name, "h\n1\n")
    desk.run()
    desk.put("c.csv", "h\n1\n")
    desk.put("b.csv", "h\n2\n")
    receipt = desk.run()
    assert states(receipt) == {"c.csv": ("moved", 0), "b.csv": ("received", 1)}
    assert receipt.events[0].reason == '["b.csv","001"]'
    assert desk.run().events == ()


def test_moves_before_changes(desk: Desk) -> None:
    """Rotation."""
    desk.put("01.csv", "h\n1\n")
    desk.run()
    desk.rename("01.csv", "x.csv")
    desk.put("01.csv", "h\n2\n")
    assert states(desk.run()) == {"x.csv": ("moved", 0), "01.csv": ("received", 1)}
    assert desk.bronze == [("01.csv", "001", 1, "1"), ("01.csv", "002", 1, "2")]
    desk.rename("x.csv", "y.csv")
    desk.rename("01.csv", "x.csv")
    desk.rename("y.csv", "01.csv")
    assert states(desk.run()) == {"01.csv": ("moved", 0), "x.csv": ("moved", 0)}
    assert desk.run().events == ()


def test_under_add_a_rewritten_file_is_received(tmp_path: Path) -> None:
    desk = Desk(tmp_path, on_rewrite="add")
    for value in (1, 2, 3):
        desk.put("x.csv", f"h\n{value}\n")
        assert states(desk.run()) == {"x.csv": ("received", 1)}
    desk.append("x.csv", "4\n")
    assert states(desk.run()) == {"x.csv": ("grown", 1)}
    desk.on_rewrite = "replace"
    desk.put("x.csv", "h\n5\n")
    assert states(desk.run()) == {"x.csv": ("changed", 1)}
    assert values(desk.bronze) == ["1", "2", "5"]


def test_a_retraction_names_deliveries(desk: Desk) -> None:
    desk.put("x.csv", "h\n1\n")
    desk.run()
    desk.retract("x.csv")
    desk.append("x.csv", "2\n")
    desk.run()
    assert desk.bronze == [("x.csv", "002", 2, "2")]


def test_retracted_content_stays_out(desk: Desk) -> None:
    desk.put("x.csv", "h\n1\n")
    desk.run()
    desk.retract("x.csv")
    assert desk.run().notes == ("retracted, so not received: x.csv",)
    desk.put("y.csv", "h\n1\n")
    receipt = desk.run()
    assert (receipt.events, desk.bronze) == ((), [])
    assert receipt.notes == ("retracted, so not received: x.csv, y.csv",)


def test_a_retracted_file_keeps_its_place(desk: Desk) -> None:
    desk.put("x.csv", "h\n1\n")
    desk.run()
    desk.retract("x.csv")
    desk.run()
    desk.append("x.csv", "2\n")
    assert states(desk.run()) == {"x.csv": ("grown", 1)}
    assert desk.bronze == [("x.csv", "003", 2, "2")]
    desk.put("x.csv", "h\n3\n")
    assert states(desk.run()) == {"x.csv": ("changed", 1)}
    assert desk.bronze == [("x.csv", "004", 1, "3")]


def test_a_counting_file_is_moved_before_a_retracted_one(desk: Desk) -> None:
    for name in ("a.csv", "b.csv"):
        desk.put(name, "h\n1\n")
    desk.run()
    desk.retract("a.csv")
    desk.run()
    desk.rename("b.csv", "c.csv")
    (desk.root / "a.csv").unlink()
    assert desk.run().events[0].reason == '["b.csv","001"]'
    assert desk.bronze == [("b.csv", "001", 1, "1")]


def test_of_counting_files_the_one_received_first_is_moved(desk: Desk) -> None:
    for names in (["y.csv"], ["b.csv", "x.csv"]):
        for name in names:
            desk.put(name, "h\n1\n")
        desk.run()
    for name in ("b.csv", "x.csv", "y.csv"):
        (desk.root / name).unlink()
    for name in ("1.csv", "2.csv"):
        desk.put(name, "h\n1\n")
    reasons = [event.reason for event in desk.run().events]
    assert reasons == ['["y.csv","001"]', '["b.csv","002"]']


# All of it, at random.


@dataclass(eq=False)
class Paper:
    """A file as a person would keep account of it.

    Attributes:
        name: Where it is, None where it is nowhere.
        data: What it held when it was last received.
        rows: Its records in bronze, by what identifies them.
        count: Row number of its last record.
        was: Contents of it that had records which were not retracted.
    """

    name: str | None
    first: tuple[str, str]
    data: bytes = b""
    rows: dict[tuple[str, str, int], str] = field(default_factory=dict)
    count: int = 0
    was: set[bytes] = field(default_factory=set)


FORMS = {
    "utf-8": (".csv", CsvDialect()),
    "latin-1": (".csv", CsvDialect(encoding="latin-1")),
    "gzip": (".csv.gz", CsvDialect()),
}
numbers = st.integers(0, 3)
ends = st.sampled_from(["\n", "\r\n", ""])


class Handling(RuleBasedStateMachine):
    """Anything may happen to files between two runs; an account of its own tells bronze."""

    @initialize(form=st.sampled_from(list(FORMS)), on_rewrite=st.sampled_from(inbox.ON_REWRITE))
    def begin(self, form: str, on_rewrite: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.suffix, dialect = FORMS[form]
        self.desk = Desk(Path(self.folder.name), dialect, on_rewrite)
        self.papers: list[Paper] = []
        self.barred: set[bytes] = set()
        self.words = iter(f"é{number}" for number in range(1_000))
        self.write(0, 2, "\n")
        self.receive()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def name(self, number: int) -> str:
        return f"{number}{self.suffix}"

    def pack(self, text: str) -> bytes:
        data = text.encode(self.desk.dialect.encoding)
        return gzip.compress(data, mtime=0) if self.suffix.endswith("gz") else data

    def text(self, data: bytes) -> str:
        data = gzip.decompress(data) if self.suffix.endswith("gz") else data
        return data.decode(self.desk.dialect.encoding)

    def lines(self, count: int, end: str) -> str:
        return "\n".join(next(self.words) for _ in range(count)) + end

    @rule(number=numbers, count=st.integers(0, 3), end=ends, then=st.booleans())
    def write(self, number: int, count: int, end: str, then: bool = False) -> None:
        self.desk.put(self.name(number), self.pack("h\n" + self.lines(count, end)))
        if then:
            self.receive()

    @rule(number=numbers, count=st.integers(0, 2), end=ends, then=st.booleans())
    def append(self, number: int, count: int, end: str, then: bool) -> None:
        if (self.desk.root / self.name(number)).exists():
            self.desk.append(self.name(number), self.pack(self.lines(count, end)))
        if then:
            self.receive()

    @rule(number=numbers, to=numbers, is_copied=st.booleans())
    def move(self, number: int, to: int, is_copied: bool) -> None:
        path, other = self.desk.root / self.name(number), self.desk.root / self.name(to)
        if path.exists() and path != other:
            other.write_bytes(path.read_bytes())
            if not is_copied:
                path.unlink()

    @rule(number=numbers, to=numbers)
    def rotate(self, number: int, to: int) -> None:
        self.move(number, to, is_copied=False)
        self.write(number, 2, "\n", then=True)

    @rule(number=numbers)
    def remove(self, number: int) -> None:
        (self.desk.root / self.name(number)).unlink(missing_ok=True)

    @rule(which=st.integers(0, 20))
    def put_back(self, which: int) -> None:
        """An earlier content at its place, which is empty."""
        paper = self.papers[which % len(self.papers)]
        if paper.name and not (self.desk.root / paper.name).exists():
            self.desk.put(paper.name, paper.data)

    @rule(number=numbers)
    def touch(self, number: int) -> None:
        if (path := self.desk.root / self.name(number)).exists():
            os.utime(path, ns=(0, 1_000_000_000))

    @rule(which=st.integers(0, 20))
    def retract(self, which: int) -> None:
        paper = self.papers[which % len(self.papers)]
        if paper.was and paper.name:
            place = str(self.desk.root / paper.name)
            file = self.desk.book.places().get(place)
            assert file is not None
            self.desk.retract(file.content.path, place)
            self.barred |= paper.was
            paper.rows, paper.was = {}, set()

    @rule(verify=st.booleans())
    def receive(self, verify: bool = False) -> None:
        self.desk.run(verify=verify)
        self.account(f"{self.desk.runs:03}")
        expected = Counter(row for paper in self.papers for row in paper.rows.items())
        assert Counter((row[:3], row[3]) for row in self.desk.bronze) == expected
        again = self.desk.look(verify=verify)
        assert (again.events, again.replaced) == ((), frozenset())

    def account(self, batch: str) -> None:
        disk = {path.name: path.read_bytes() for path in self.desk.root.iterdir()}
        papers = self.papers
        same = {paper.name for paper in papers if disk.get(paper.name or "") == paper.data}
        lost = [paper for paper in papers if paper.name not in same]
        homes = {}
        for name in sorted(disk.keys() - same):
            alike = [paper for paper in lost if paper.data == disk[name]]
            if alike:
                alike.sort(key=lambda paper: (not paper.was, paper.first[1], paper.first[0]))
                homes[name] = alike[0]
                lost.remove(alike[0])
        for home in homes.values():
            home.name = None
        for name, home in homes.items():
            for paper in papers:
                paper.name = None if paper.name == name else paper.name
            home.name = name
        for name in sorted(disk.keys() - same - homes.keys()):
            data = disk[name]
            if data in self.barred:
                continue
            values = [line for line in self.text(data).splitlines()[1:] if line]
            here = next((paper for paper in papers if paper.name == name), None)
            start = 0
            if here and data.startswith(here.data) and self.text(here.data)[-1:] in "\r\n":
                start = here.count
            elif here and self.desk.on_rewrite == "replace":
                here.rows, here.was = {}, set()
            else:
                if here:
                    here.name = None
                here = Paper(name, (name, batch))
                papers.append(here)
            for at in range(start, len(values)):
                here.rows[name, batch, at + 1] = values[at]
            here.data, here.count = data, len(values)
            here.was.add(data)


Handling.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_whatever_happens_to_files_bronze_has_their_records = Handling.TestCase


def test_a_file_whose_copy_was_retracted_is_read_anew_with_other_options(desk: Desk) -> None:
    desk.put("a.csv", "h\n1\n")
    desk.put("copy.csv", "h\n1\n")
    desk.run()
    desk.retract("copy.csv")
    desk.run()
    desk.dialect = CsvDialect(encoding="cp1252")
    assert states(desk.run()) == {"a.csv": ("changed", 1)}
    assert values(desk.bronze) == ["1"]


# What is no CSV.


def test_what_is_no_csv_is_not_received_and_is_once_it_can_be_read(desk: Desk) -> None:
    packed = gzip.compress(b"h\n1\n2\n", mtime=0)
    desk.put("a.csv", packed)
    for _ in range(2):
        receipt = desk.run()
        assert receipt.events == ()
        assert [file.header.other for file in receipt.scan.files] == [
            "a gzip stream: name it .csv.gz"
        ]

    desk.rename("a.csv", "a.csv.gz")

    assert states(desk.run()) == {"a.csv.gz": ("received", 2)}
    assert values(desk.bronze) == ["1", "2"]


def test_a_received_file_that_becomes_no_csv_keeps_its_records(desk: Desk) -> None:
    desk.put("a.csv", "h\n1\n")
    desk.run()
    desk.put("a.csv", "<!doctype html>\n<p>Log in, please")
    receipt = desk.run()
    assert (receipt.events, receipt.notes) == ((), ())
    assert values(desk.bronze) == ["1"]

    desk.put("a.csv", "h\n1\n2\n")
    assert states(desk.run()) == {"a.csv": ("grown", 1)}


def test_a_copy_in_another_folder_is_pointed_out(desk: Desk, tmp_path: Path) -> None:
    desk.put("a.csv", "h\n1\n")
    desk.put("empty.csv", "")
    desk.run()
    (tmp_path / "copy").mkdir()
    for name in ("a.csv", "empty.csv"):
        (tmp_path / "copy" / name).write_bytes((desk.root / name).read_bytes())
    desk.path = str(tmp_path / "copy")

    receipt = desk.run()

    assert states(receipt) == {"a.csv": ("received", 1), "empty.csv": ("received", 0)}
    assert receipt.notes == ("the same content as a received file, counted again: a.csv (a.csv)",)
