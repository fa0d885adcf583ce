"""What a run has to say of the files that it read."""

import bz2
import gzip
import io
import itertools
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nbx_medallion.config import MedallionConfigLoader
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.inbox import scan_landing
from nbx_medallion.landing.notes import landing_notes

GOOD = "customer_id,amount,order_id,order_date,product,channel\n1,2,3,,,\n"
PRODUCTS = GOOD + '1,2,3,,"pão de açúcar",\n' * 20


KEY = "order_id (the key: its records are never compared)"


class Notes:
    """A landing folder and what is said of it."""

    def __init__(self, config: MedallionConfigLoader, folder: Path) -> None:
        self._contract = config.declared.contract("silver.sales_clean")
        self._folder = folder
        self.existing: list[str] = []

    def __call__(self, csv: dict[str, Any] | None = None, **files: str | bytes) -> list[str]:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (self._folder / name.replace("_", ".")).write_bytes(data)
        dialect, known = CsvDialect.from_config(csv), self._contract.inputs
        scan = scan_landing(str(self._folder), "RAW_SALES_PATH", dialect, known)
        return landing_notes(scan, self._contract, self.existing)


@pytest.fixture
def notes(project_config: MedallionConfigLoader, tmp_path: Path) -> Notes:
    """A landing folder and what is said of it."""
    return Notes(project_config, tmp_path)


def test_files_of_the_contract_need_no_note(notes: Notes) -> None:
    assert notes(a_csv=GOOD, b_csv=PRODUCTS, c_csv="\ufeff" + PRODUCTS * 2, d_csv="") == []


def test_each_kind_of_note_is_one_line_however_many_files(notes: Notes) -> None:
    others = {f"z{at:02}_txt": "" for at in range(12)}
    twice = {f"u{at}_csv": "a,A\n1,2\n" for at in range(2)}
    blank = {f"v{at}_csv": f"amount,,customer_id\n1,2,{at}\n" for at in range(2)}
    assert notes(a_csv=GOOD, b_csv=GOOD, **twice, **blank, **others) == [
        "not read, neither .csv nor .csv.gz: " + ", ".join(f"z{at:02}.txt" for at in range(10))
        + " and 2 more",
        "u0.csv, u1.csv: no record could be mapped to columns: the names 'a' and 'A' differ only in"
        " case",
        "v0.csv, v1.csv: columns without a name are _c1",
        "the same content under several names, each counted: a.csv, b.csv",
        "the same content under several names, each counted: u0.csv, u1.csv",
        f"v0.csv, v1.csv lack {KEY}, order_date, product, channel, which the contract uses",
        "columns that the contract does not use, kept in bronze: _c1",
    ]  # fmt: skip


def test_very_long_column_name_is_shortened(notes: Notes) -> None:
    assert notes(a_csv=GOOD.replace("\n", f",{'x' * 5000}\n", 1).replace(",,,", ",,,,")) == [
        "columns that the contract does not use, kept in bronze: " + "x" * 80 + "… (5,000"
        " characters)"
    ]


def required(*names: str) -> str:
    return f"{', '.join(names)} (required: all its records are in quarantine)"


def test_what_each_file_lacks_is_told_by_file(notes: Notes) -> None:
    wrong = "order_no,customer_id,{},order date,product\n1,2,3,,\n"
    assert notes(
        a_csv=GOOD,
        b_csv="order_no,customer_id,total,product,order_date,channel\n1,2,3,,,\n",
        c_csv=wrong.format("amount"),
        d_csv=wrong.format("amount") + "4,5,6,,\n",
        e_csv=wrong.format("sum"),
        f_csv="order_no\n",
    ) == [
        f"b.csv lacks {KEY}, {required('amount')}, which the contract uses",
        f"c.csv, d.csv lack {KEY}, order_date, channel, which the contract uses",
        f"e.csv lacks {KEY}, {required('amount')}, order_date, channel, which the contract uses",
        "columns that the contract does not use, kept in bronze: order_no, total, 'order date',"
        " sum",
    ]


def test_what_no_file_ever_had_is_told_where_other_columns_came_instead(notes: Notes) -> None:
    few = "order_id,customer_id,amount\n1,2,3\n"
    assert notes(a_csv=few) == []
    notes.existing = ["channel"]
    assert notes(a_csv=few) == ["a.csv lacks channel, which the contract uses"]
    assert notes(a_csv=few.replace("amount", "amount,date").replace("3", "3,4")) == [
        "a.csv lacks channel, which the contract uses",
        "columns that the contract does not use, kept in bronze: date; no file has order_date,"
        " product, which it uses",
    ]


def test_column_that_the_contract_requires_and_no_file_has(notes: Notes) -> None:
    assert notes(a_csv="customer,amount\n1,2\n") == [
        f"a.csv lacks {KEY}, {required('customer_id')}, which the contract uses",
        "columns that the contract does not use, kept in bronze: customer; no file has"
        " order_date, product, channel, which it uses",
    ]


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(GOOD.encode(), mtime=0), "a gzip stream: name it .csv.gz"),
        (zipped("a.csv"), "an archive: unpack it"),
        (zipped(), "an archive: unpack it"),
        (zipped("[Content_Types].xml", "xl/a"), "an Excel workbook: save its sheet as CSV"),
        (zipped("xl/workbook.xml"), "an Excel workbook: save its sheet as CSV"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + b"x", "an old Excel workbook: save its sheet as CSV"),
        (bz2.compress(GOOD.encode()), "an archive: unpack it"),
        (lzma.compress(GOOD.encode()), "an archive: unpack it"),
        (b"\n <!DOCTYPE HTML><p>a,b", "a web page: fetch the file again"),
        (b"\xef\xbb\xbf<html lang='en'>\n<p>Log in, please", "a web page: fetch the file again"),
        (b"<?xml version='1.0'?>\n<a>1,2</a>", "an XML document: export it as CSV"),
        (b"%PDF-1.7\n1 0 obj", "a PDF document: export it as CSV"),
        (b"PAR1\x15\x04", "a Parquet file: export it as CSV"),
    ],
    ids=itertools.count(),
)
def test_what_is_no_csv_is_named_and_not_read(notes: Notes, content: bytes, kind: str) -> None:
    assert notes(a_csv=content, b_csv=GOOD, c_csv_gz=gzip.compress(content)) == [
        f"a.csv, c.csv.gz: not read, since it is {kind}"
    ]


@pytest.mark.parametrize("name", ["PK", "PAR1", "html", "BZh", "7z"])
def test_a_name_that_looks_like_another_kind_is_a_name(notes: Notes, name: str) -> None:
    assert notes(a_csv=GOOD.replace("\n", f",{name}\n", 1).replace(",,,", ",,,,")) == [
        f"columns that the contract does not use, kept in bronze: {name}"
    ]


# What the lines of files have.


def test_names_that_trimming_changed_are_quoted(notes: Notes) -> None:
    odd = GOOD.replace("order_id", " order_id\u200b").replace("channel", "\u00a0channel")
    assert notes(a_csv=odd, b_csv=odd + "1,2,4,,,\n", c_csv=GOOD) == [
        "a.csv, b.csv: names are taken without the white space and invisible characters around"
        " them: ' order_id\\u200b', '\\xa0channel'"
    ]


def test_files_without_a_header_are_one_line_with_the_remedy(notes: Notes) -> None:
    files = {f"z{at}_csv": f"{at},0043,11.00,2025-01-03\n" for at in range(300)}
    assert notes(a_csv=GOOD, **files) == [
        "z0.csv, z1.csv, z10.csv, z100.csv, z101.csv, z102.csv, z103.csv, z104.csv, z105.csv,"
        " z106.csv and 290 more: no record could be mapped to columns: the first line is no"
        " header: none of the contract's names, but a number or a date; set csv: {header:"
        " [names]} at landing_sales for such files"
    ]
    (header,) = [GOOD.splitlines()[0].split(",")]
    assert notes({"header": header}) == []


def test_separator_that_a_first_line_names_and_the_entry_not(notes: Notes) -> None:
    content = "sep=;\n" + GOOD.replace(",", ";")
    assert notes(a_csv=content) == []
    assert notes({"separator": ";"}) == []
    found = notes({"separator": "|"}, b_csv=content + "1;2;4;;;\n")
    assert (
        'a.csv, b.csv: the first line, sep=;, names another separator than "|", which is set at'
        " landing_sales and was used: correct one of the two"
    ) in found


def test_records_that_all_end_in_a_separator(notes: Notes) -> None:
    content = GOOD.replace("1,2,3,,,", "1,2,3,,,,\n2,3,4,,,,")
    assert notes(A_CSV=content) == [
        "A.CSV: each record ends in a separator that the header lacks, so it has a field too many:"
        " add a separator to the header, or take that of the records away"
    ]


def test_values_with_nul_are_counted(notes: Notes) -> None:
    assert notes(a_csv=GOOD + "\0,2,4,,x\0y,\n", b_csv=GOOD + "1,2\0,5,,,\n", c_csv=GOOD * 1) == [
        "values that hold NUL characters, kept unless they hold nothing else: a.csv (2), b.csv (1)"
    ]


# Reader options that do not fit.


def names(note: str, *facts: str) -> bool:
    return all(fact in note for fact in facts)


@pytest.mark.parametrize(
    ("content", "declared", "fits"),
    [
        (PRODUCTS.encode("latin-1"), "utf-8", "cp1252"),
        (GOOD.encode() + b"1,2,3,,,\n" * 400_000 + b"4,5,6,,caf\xe9,\n", "utf-8", "cp1252"),
        (GOOD.replace("product", "produção").encode("latin-1"), "utf-8", "cp1252"),
        (PRODUCTS.replace("pão", "“pão” de 5 €").encode("cp1252"), "utf-8", "cp1252"),
        (PRODUCTS.encode("utf-16"), "utf-8", "utf-16"),
        (PRODUCTS.encode("utf-16-le"), "utf-8", "utf-16-le"),
        (GOOD.encode("utf-16-be"), "utf-8", "utf-16-be"),
        (GOOD.encode("utf-32"), "utf-8", "utf-32"),
        (PRODUCTS.encode("utf-16"), "cp1252", "utf-16"),
        (PRODUCTS.encode(), "ascii", "utf-8"),
    ],
)
def test_encoding_that_would_fit_is_named_first(
    notes: Notes, content: bytes, declared: str, fits: str
) -> None:
    found = notes({"encoding": declared}, good_csv=GOOD.encode(declared), a_txt="", bad_csv=content)
    option = f'csv: {{encoding: "{fits}"}} at landing_sales'
    assert names(found[0], "bad.csv: ", f'not "{declared}"', option)
    assert "good.csv" not in found[0]
    assert "a.txt" in found[1]


def test_latin_1_is_called_by_its_name(notes: Notes) -> None:
    packed = gzip.compress(PRODUCTS.encode("latin-1"))
    found = notes(a_csv=PRODUCTS.encode("latin-1"), b_csv_gz=packed)
    assert len(found) == 1
    assert names(found[0], "a.csv, b.csv.gz: ", "Latin-1", '"cp1252"', '"utf-8"')


@pytest.mark.parametrize(
    "content",
    [
        PRODUCTS.encode() + b"1,2,3,,caf\xe9,\n",
        PRODUCTS.encode("cp850"),
        PRODUCTS.encode("mac-roman"),
        GOOD.encode() + bytes(range(256)) * 9,
        GOOD.encode() + b"1,2,3,,\0,\n",
        GOOD.replace("product", "product\0").encode(),
        GOOD.encode() + b"1,2,3,,\x81\xe9\xe9,\n",
    ],
    ids=["damaged", "dos", "mac", "no_text", "nul", "nul_in_header", "not_in_cp1252"],
)
def test_no_encoding_is_named_that_does_not_fit(notes: Notes, content: bytes) -> None:
    assert not any("encoding seems" in note for note in notes(a_csv=content))


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separator_that_would_fit_is_named_first(notes: Notes, separator: str) -> None:
    quoted = '"customer_id","amount"\n"1","2,5"\n'.replace('","', f'"{separator}"')
    plain = GOOD.replace(",", separator)
    found = notes(a_csv=plain, b_csv=quoted, c_csv=GOOD, d_txt="", e_csv="amount\n1\n")
    option = {"\t": r'csv: {separator: "\t"}'}.get(separator, f'csv: {{separator: "{separator}"}}')
    assert names(found[0], "a.csv, b.csv: ", 'not ","', option, "landing_sales")
    assert "d.txt" in found[1]


def test_separator_other_than_a_declared_one(notes: Notes) -> None:
    assert names(notes({"separator": ";"}, a_csv=GOOD)[0], 'not ";"', 'csv: {separator: ","}')


def test_encoding_and_separator_of_one_file(notes: Notes) -> None:
    found = notes(a_csv=PRODUCTS.replace(",", ";").encode("latin-1"))
    assert names(found[0], 'csv: {encoding: "cp1252"}')
    assert names(found[1], 'csv: {separator: ";"}')


@pytest.mark.parametrize("header", ['a,"b;c', '"a', "a;b,c", "amount"])
def test_no_separator_is_named_that_does_not_part_the_header(notes: Notes, header: str) -> None:
    assert not any("separator seems" in note for note in notes(a_csv=f"{header}\n1\n"))
