"""Folders of awkward sales files, and an independent account of what becomes of each record."""

import gzip
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

COLUMNS = ("order_id", "customer_id", "amount", "order_date", "product", "channel")
OURS = (
    "_corrupt_record", "_corrupt_reason", "_source_file", "_row_number", "_ingested_at",
    "_batch_id", "_reasons",
)  # fmt: skip
EXTRA = ("note", " Extra col\u200b", "preço (R$)", "a.b", "`q`", "", " ")
SPOILED = (
    "order_id",
    "amount\u00a0",
    "Amount",
    "_source_file",
    "_REASONS",
    "x\0",
    '"open',
    b"S\xe3o",
)
LINE_ENDS = (b"\n", b"\r\n", b"\r")
BOM = b"\xef\xbb\xbf"

GOOD_AMOUNTS = (
    "10.50", "0.01", "-2.25", "+3", "0", "-0", " 7.1 ", "1.5000", "0" * 40 + "7.10", "\t12\u00a0",
    "9999999999999999.99", "-9999999999999999.99", "+9999999999999999.990", "9999999999999999",
)  # fmt: skip
BAD_AMOUNTS = (
    "abc", "12.345", "0.001", "10000000000000000", "-10000000000000000.00", "9999999999999999.995",
    "1e2", ".5", "5.", "1,5", "1 000", "--1", "+-1", "NaN", "Infinity", "٣", "$1", "1.5d", "0x10",
    "1\n2",
)  # fmt: skip
GOOD_DATES = ("2024-01-02", "2024-02-29", "0001-01-01", "9999-12-31", " 2024-12-31\t", "1582-10-10")
BAD_DATES = (
    "2024-02-30", "2023-02-29", "2024-13-01", "2024-00-10", "0000-01-01", "2024-1-2", "20240102",
    "02/01/2024", "2024-01-02T00:00:00", "today", "+2024-01-02", "-2024-01-02", "٢٠٢٤-01-02",
)  # fmt: skip
BLANK = ("", "", " ", "\t ", "\u00a0", "\u3000\u2003", "\n", "\ufeff", "\u200b", "\0", "\0 \0")
PIECES = (
    "a", "Z", "0042", " ", ",", '"', '""', "\n", "\r\n", "\r", "\n\n", ";", "\t", "\\", "\\n", "'",
    "é", "ção", "😀", "\u0301", "\u2028", "\x85", "\x0b", "\0", "\x1a", "\ufeff", "\u2060",
    "\ufffd", "NULL", "%", "{}", "`", ".", "=", "#", "٣",
)  # fmt: skip


Place = tuple[str, int]
"""File and row number of a record."""
Record = Mapping[str, str | None] | str
"""Received values by column, or the text of a malformed record."""
Raw = tuple[bytes, list[bytes] | str]
"""A record's bytes, and its fields or what is wrong with its quotes."""

# Making files.


def _text(rng: Random) -> str:
    return "".join(rng.choices(PIECES, k=rng.randint(0, 5)))


def _value(rng: Random, name: str, orders: int) -> str:
    kind = rng.randint(0, 19)
    if name == "order_id":
        plain = f"{rng.choice(('', '', 'a', 'A', '0'))}{rng.randint(1, orders)}"
        odd = rng.choice((f" {plain}\t", f"{plain}\u3000", *BLANK, _text(rng)))
        return odd if kind < 5 else plain
    if name == "customer_id":
        odd = rng.choice((" 77 ", "ção", "😀\u0301", "NULL", _text(rng), *BLANK))
        return odd if kind < 4 else f"{rng.randint(1, 99):04}"
    if name == "amount":
        odd = rng.choice((*BAD_AMOUNTS, *BLANK))
        return odd if kind < 4 else rng.choice(GOOD_AMOUNTS)
    if name == "order_date":
        odd = rng.choice((*BAD_DATES, *BLANK))
        return odd if kind < 4 else rng.choice(GOOD_DATES)
    return _text(rng) if kind < 12 else rng.choice(("Lamp", "web", "", "Desk lamp, black"))


def _written(rng: Random, value: str) -> bytes:
    """A field, in quotes where it has to be and sometimes where it has not."""
    data = value.encode()
    if value.startswith('"') or any(c in value for c in ",\r\n") or rng.randint(0, 3) == 0:
        return b'"' + data.replace(b'"', b'""') + b'"'
    return data


def _written_name(rng: Random, name: str | bytes) -> bytes:
    if isinstance(name, bytes):
        return name
    return name.encode() if name == '"open' else _written(rng, name)


def _malformed(rng: Random, fields: list[bytes]) -> bytes:
    at = rng.randrange(len(fields))
    kind = rng.randint(0, 6)
    if kind == 0:
        return b",".join([b"short", *fields[1 : max(at, 1)]])
    if kind == 1:
        return b",".join([*fields, *[b"surplus"] * rng.randint(1, 3)])
    spoiled = (b"not a record", b'"a"b', b'"open', b"S\xe3o", b'"\xff\n"')[kind - 2]
    return b",".join([*fields[:at], spoiled, *fields[at + 1 :]]) if kind > 2 else spoiled


def _header(rng: Random) -> list[str | bytes]:
    names: list[str | bytes] = list(COLUMNS)
    kind = rng.randint(0, 19)
    if kind < 7:
        rng.shuffle(names)
    if 4 <= kind < 9:
        names.pop(rng.randrange(len(names)))
    if 7 <= kind < 14:
        names[rng.randint(0, len(names)) :] = rng.sample(EXTRA[:5], rng.randint(1, 3))
        names += [name for name in COLUMNS if name not in names and rng.randint(0, 9)]
    if kind == 14:
        names.append(rng.choice(EXTRA[5:]))
    if kind == 15:
        names.append(rng.choice(SPOILED))
    return names


@dataclass(frozen=True)
class SalesFile:
    """A file as received.

    Attributes:
        path: Relative to the landing folder.
        content: Its bytes, before they are compressed.
        rows: The fields of each record; None where a file has a line that may swallow others.
    """

    path: str
    content: bytes
    rows: list[tuple[str, ...] | bytes] | None

    def write(self, folder: Path) -> None:
        """Write it below a folder."""
        file = folder / self.path
        file.parent.mkdir(parents=True, exist_ok=True)
        packed = self.path.endswith(".gz")
        file.write_bytes(gzip.compress(self.content, mtime=0) if packed else self.content)


def make_file(rng: Random, path: str, records: int, orders: int) -> SalesFile:
    """Make a file; each choice is the generator's, so that Hypothesis can make it simpler."""
    names = _header(rng)
    end = rng.choice((*LINE_ENDS, None))
    header = b",".join(_written_name(rng, name) for name in names)
    parts = [rng.choice((b"", b"", b"", BOM, b"\n")), header, end or b"\n"]
    rows: list[tuple[str, ...] | bytes] = []
    swallows = False
    for _ in range(records):
        values = tuple(_value(rng, name if isinstance(name, str) else "", orders) for name in names)
        fields = [_written(rng, value) for value in values]
        if rng.randint(0, 14) == 0:
            line = _malformed(rng, fields)
            swallows = swallows or line.count(b'"') > 0
            rows.append(line)
        else:
            line = b",".join(fields)
            rows.append(values)
        parts += [line, end or rng.choice(LINE_ENDS)]
        if rng.randint(0, 19) == 0:
            parts.append(end or b"\n")
    if rng.randint(0, 2) == 0:
        parts.pop()
    unreadable = any(name in ('"open', b"S\xe3o") for name in names)
    return SalesFile(path, b"".join(parts), None if swallows or unreadable else rows)


@dataclass(frozen=True)
class Folder:
    """Files in the batches in which they are received."""

    batches: list[list[SalesFile]]


NAMES = ("a.csv", "b.csv", "B.CSV", "sub/a.csv", "é 1.csv", "z.csv.gz", "😀.csv")


def make_folder(rng: Random, most: int, files: int, batches: int) -> Folder:
    """Make a folder.

    Args:
        rng: Makes each choice.
        most: Most records of a file.
        files: Most files.
        batches: Most batches.
    """
    paths = rng.sample(NAMES, rng.randint(1, files))
    orders = max(2, most * len(paths) // 4)
    made = [make_file(rng, path, rng.randint(0, most), orders) for path in paths]
    cut = rng.randint(1, len(made)) if batches > 1 else len(made)
    return Folder([part for part in (made[:cut], made[cut:]) if part])


# What becomes of each record, by rules that are spelt out here once more.

_FIELD = rb'(?:"[^"]*(?:""[^"]*)*"(?=[,\r\n]|\Z)|(?!")[^,\r\n]*)'
_RECORD = re.compile(_FIELD + rb"(?:," + _FIELD + rb")*(?=[\r\n]|\Z)")
_ONE_FIELD = re.compile(_FIELD)
_LINE = re.compile(rb"[^\r\n]*")
_AMOUNT = re.compile(r"([+-]?)0*([0-9]+)(?:\.([0-9]*?)0*)?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
_INVISIBLE = "".join(map(chr, (0xAD, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F),
                               *range(0x2060, 0x2065), *range(0x2066, 0x206A))))  # fmt: skip
_SPACE = (
    "".join(c for c in map(chr, range(0x110000)) if unicodedata.category(c) in ("Zs", "Zl", "Zp"))
    + "\t\n\x0b\x0c\r\x85\ufeff"
    + _INVISIBLE
)


def read_records(content: bytes) -> list[Raw]:
    """Each record; its quotes are wrong where one does not close before a separator."""
    records: list[Raw] = []
    at = 0
    while at < len(content):
        if content[at] in b"\r\n":
            at += 1
            continue
        whole = _RECORD.match(content, at)
        if whole is None:
            line = _LINE.match(content, at)
            assert line is not None
            records.append((line[0], _find_wrong_quote(content, at)))
            at = line.end()
            continue
        fields = []
        while at <= whole.end():
            found = _ONE_FIELD.match(content, at)
            assert found is not None
            quoted = found[0].startswith(b'"')
            fields.append(found[0][1:-1].replace(b'""', b'"') if quoted else found[0])
            at = found.end() + 1
        records.append((whole[0], fields))
        at = whole.end()
    return records


def _find_wrong_quote(content: bytes, at: int) -> str:
    while field := _ONE_FIELD.match(content, at):
        at = field.end() + 1
    quoted = _QUOTED.match(content, at)
    if quoted is None or b"\n" in quoted[0] or b"\r" in quoted[0]:
        return "quote not closed"
    return "text after a closing quote"


def _is_utf8(data: bytes) -> bool:
    return data.decode("utf-8", "replace").encode() == data


def name_columns(record: Raw) -> tuple[str, ...] | None:
    """The columns that a header names; None where it cannot be mapped."""
    raw, fields = record
    if isinstance(fields, str) or not _is_utf8(raw) or b"\0" in raw:
        return None
    names = [one.decode().strip(_SPACE) or f"_c{at}" for at, one in enumerate(fields)]
    folded = [name.lower() for name in names]
    if len(set(folded)) < len(folded) or {name.lower() for name in OURS} & set(folded):
        return None
    return tuple(names)


def trim(value: str | None) -> str | None:
    """A value without what is invisible around it; None where nothing or NUL alone is left."""
    is_given = (value or "").strip(_SPACE + "\0")
    return value.strip(_SPACE) if value and is_given else None


def read_amount(text: str) -> Decimal | None:
    """A decimal(18,2); None where the text does not say one exactly."""
    found = _AMOUNT.fullmatch(text)
    if found is None or text.endswith("."):
        return None
    sign, whole, cents = found[1], found[2], found[3] or ""
    return Decimal(f"{sign}{whole}.{cents:0<2}") if len(whole) <= 16 and len(cents) <= 2 else None


def read_date(text: str) -> date | None:
    """A day; None where the text does not say one."""
    found = _DATE.fullmatch(text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


@dataclass
class Account:
    """Where each record has to be.

    Attributes:
        columns: The received columns.
        bronze: The record as received, by place.
        malformed: Why a record is, by place.
        batch: The batch of each file.
        silver: The typed values, by place.
        quarantine: The reasons, by place.
        superseded: The place of the record that is kept, by place.
    """

    columns: dict[str, None] = field(default_factory=dict)
    bronze: dict[Place, Record] = field(default_factory=dict)
    malformed: dict[Place, str] = field(default_factory=dict)
    batch: dict[str, str] = field(default_factory=dict)
    silver: dict[Place, tuple[Any, ...]] = field(default_factory=dict)
    quarantine: dict[Place, list[str]] = field(default_factory=dict)
    superseded: dict[Place, Place] = field(default_factory=dict)


def account_for(received: Iterable[tuple[str, list[SalesFile]]]) -> Account:
    """Say where each record of the files has to be.

    Args:
        received: Batch ids and their files.
    """
    account = Account()
    every = [(file, batch) for batch, files in received for file in files]
    spelling: dict[str, str] = {}
    for file, batch in sorted(every, key=lambda item: item[0].path):
        account.batch[file.path] = batch
        _receive(account, file, spelling)
    for place, record in account.bronze.items():
        _judge(account, place, record)
    _supersede(account)
    return account


def _receive(account: Account, file: SalesFile, spelling: dict[str, str]) -> None:
    records = read_records(file.content.removeprefix(BOM))
    names = name_columns(records[0]) if records else None
    if names is not None and any(spelling.get(name.lower(), name) != name for name in names):
        names = None
    for name in names or ():
        spelling[name.lower()] = name
        account.columns[name] = None
    for row, (raw, fields) in enumerate(records[1:], start=1):
        why = _find_fault(raw, fields, names)
        if why is not None or names is None or isinstance(fields, str):
            account.bronze[file.path, row] = raw.decode("utf-8", "replace")
            account.malformed[file.path, row] = f"record: {why}"
        else:
            values = [one.decode() or None for one in fields]
            account.bronze[file.path, row] = dict(zip(names, values, strict=True))


def _find_fault(raw: bytes, fields: list[bytes] | str, names: tuple[str, ...] | None) -> str | None:
    if names is None:
        return "header not mapped"
    if isinstance(fields, str):
        return fields
    if not _is_utf8(raw):
        return "bytes not in utf-8"
    found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
    return None if len(fields) == len(names) else f"{found}, header has {len(names)}"


def _judge(account: Account, place: Place, record: Mapping[str, str | None] | str) -> None:
    if isinstance(record, str):
        account.quarantine[place] = [account.malformed[place]]
        return
    text = {name: trim(record.get(name)) for name in COLUMNS}
    amount = read_amount(text["amount"]) if text["amount"] else None
    day = read_date(text["order_date"]) if text["order_date"] else None
    wrong = {
        "customer_id: required": text["customer_id"] is None,
        "amount: required": text["amount"] is None,
        "amount: type": text["amount"] is not None and amount is None,
        "order_date: type": text["order_date"] is not None and day is None,
    }
    reasons = [reason for reason, applies in wrong.items() if applies]
    if reasons:
        account.quarantine[place] = reasons
    else:
        typed = text | {"amount": amount, "order_date": day}
        account.silver[place] = tuple(typed[name] for name in COLUMNS)


def _supersede(account: Account) -> None:
    """By the latest of its key in the batch that brings a later one, batch by batch."""
    kept: dict[str, Place] = {}
    keyed = [(account.batch[place[0]], place, row[0]) for place, row in account.silver.items()]
    for batch in sorted(set(account.batch.values())):
        new = {place: key for of, place, key in sorted(keyed, key=lambda one: one[:2])
               if of == batch and key is not None}  # fmt: skip
        latest = {key: place for place, key in new.items()}
        before = {kept[key]: key for key in latest if key in kept}
        for place, key in (before | new).items():
            if latest[key] != place:
                account.superseded[place] = latest[key]
                del account.silver[place]
        kept |= latest
