"""What a person should know of the files that were received."""

import json
import re
from collections.abc import Collection, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from nbx_medallion.landing.files import LandingFile
from nbx_medallion.landing.scan import NO_HEADER, LandingScan

if TYPE_CHECKING:
    from nbx_medallion.contracts.model import Contract

_Kind = TypeVar("_Kind")


def landing_notes(
    scan: LandingScan, contract: "Contract", existing: Collection[str] = ()
) -> list[str]:
    """Say what may be wrong with received files, reader options that do not fit them first.

    A sentence for each kind of thing, with the files that it is true of. The contract is that of
    the table that they are cleaned into, `existing` are the columns that bronze has.
    """
    paths = [file.path for file in scan.files]
    entry = "landing_" + contract.table.partition(".")[2].removesuffix("_clean")
    notes = []
    read_with = {"encoding": scan.dialect.encoding, "separator": scan.dialect.delimiter}
    for option, value in read_with.items():
        declared = json.dumps(value)
        for fit, those in _by_kind([file.fits.get(option) for file in scan.files], paths):
            also = " (Latin-1 and more)" if fit == "cp1252" else ""
            notes.append(
                f"{listed(those)}: the {option} seems to be {json.dumps(fit)}{also}, not"
                f" {declared}: if all files are so, set csv: {{{option}: {json.dumps(fit)}}} at"
                f" {entry}, else convert these"
            )
    if scan.skipped:
        notes.append(f"not read, neither .csv nor .csv.gz: {listed(scan.skipped)}")
    for problem, those in _by_kind([file.header.problem for file in scan.files], paths):
        why = _shortened(problem, 200)
        remedy = (
            f"; set csv: {{header: [names]}} at {entry} for such files"
            if problem == NO_HEADER
            else ""
        )
        notes.append(f"{listed(those)}: no record could be mapped to columns: {why}{remedy}")
    for kind, those in _by_kind([file.header.other for file in scan.files], paths):
        notes.append(f"{listed(those)}: not read, since it is {kind}")
    notes += _notes_on_lines(scan, paths, entry)
    for blank, those in _by_kind([file.header.blank for file in scan.files], paths):
        unnamed = ", ".join(f"_c{at}" for at in blank)
        notes.append(f"{listed(those)}: columns without a name are {unnamed}")
    for _, those in _by_kind([file.fingerprint for file in scan.files], paths):
        if len(those) > 1:
            notes.append(f"the same content under several names, each counted: {listed(those)}")
    delivered = {*scan.columns, *existing}
    lacks = [_lacked(contract, file, delivered) for file in scan.files]
    for lacked, those in _by_kind(lacks, paths):
        what = ", ".join(_named(n) + why for n, why in zip(lacked, _FOLLOWS, strict=True) if n)
        verb = "lack" if len(those) > 1 else "lacks"
        notes.append(f"{listed(those)} {verb} {what}, which the contract uses")
    if further := [name for name in scan.columns if name not in contract.inputs]:
        told = {*delivered, *chain(*chain(*lacks))}
        unseen = [name for name in contract.inputs if name not in told]
        nowhere = f"; no file has {_named(unseen)}, which it uses" if unseen else ""
        notes.append(
            f"columns that the contract does not use, kept in bronze: {_named(further)}{nowhere}"
        )
    return notes


def _notes_on_lines(scan: LandingScan, paths: list[str], entry: str) -> list[str]:
    """What the lines of files have that most have not."""
    notes = []
    for trimmed, those in _by_kind([file.header.trimmed for file in scan.files], paths):
        quoted = listed([repr(name) for name in trimmed])
        notes.append(
            f"{listed(those)}: names are taken without the white space and invisible characters"
            f" around them: {quoted}"
        )
    ours = scan.dialect.separator
    for named, those in _by_kind([file.named for file in scan.files], paths):
        if ours not in (None, named):
            notes.append(
                f"{listed(those)}: the first line, sep={named}, names another separator than"
                f" {json.dumps(ours)}, which is set at {entry} and was used: correct one of the two"
            )
    if those := [file.path for file in scan.files if file.all_end_in_separator]:
        notes.append(
            f"{listed(those)}: each record ends in a separator that the header lacks, so it has a"
            " field too many: add a separator to the header, or take that of the records away"
        )
    if those := [f"{file.path} ({file.with_nul:,})" for file in scan.files if file.with_nul]:
        notes.append(
            f"values that hold NUL characters, kept unless they hold nothing else: {listed(those)}"
        )
    return notes


_FOLLOWS = (
    " (the key: its records are never compared)",
    " (required: all its records are in quarantine)",
    "",
)


def _lacked(
    contract: "Contract", file: LandingFile, delivered: Collection[str]
) -> tuple[tuple[str, ...], ...]:
    """What a file lacks: of the key, required, and what other files have; empty for nothing."""
    names = file.header.columns
    kinds: tuple[list[str], list[str], list[str]] = ([], [], [])
    if names is None or not file.records:
        return ()
    for column in contract.columns:
        absent = [name for name in column.inputs if name not in names]
        is_empty = len(absent) == len(column.inputs)
        if is_empty and column.name in contract.primary_key:
            kinds[0].extend(absent)
        elif is_empty and column.required:
            kinds[1].extend(absent)
        else:
            kinds[2].extend(name for name in absent if name in delivered)
    return tuple(tuple(dict.fromkeys(kind)) for kind in kinds) if any(kinds) else ()


def _named(names: Sequence[str]) -> str:
    return listed([name if re.fullmatch(r"[\w.-]+", name) else repr(name) for name in names])


def _by_kind(kinds: Sequence[_Kind | None], paths: list[str]) -> list[tuple[_Kind, list[str]]]:
    found: dict[_Kind, list[str]] = {}
    for kind, path in zip(kinds, paths, strict=True):
        if kind:
            found.setdefault(kind, []).append(path)
    return list(found.items())


def listed(names: Sequence[str], most: int = 10) -> str:
    """Give the first names, and say how many more there are."""
    shown = [_shortened(name, 80) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
