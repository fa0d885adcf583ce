"""What a person should know of the files that were received."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from nbx_medallion.landing.scan import LandingScan

if TYPE_CHECKING:
    from nbx_medallion.contracts.model import Contract

_Kind = TypeVar("_Kind")


def landing_notes(scan: LandingScan, contract: "Contract") -> list[str]:
    """Say what may be wrong with received files, reader options that do not fit them first.

    A sentence for each kind of thing, with the files that it is true of. The contract is that of
    the table that they are cleaned into.
    """
    paths = [file.path for file in scan.files]
    entry = "landing_" + contract.table.partition(".")[2].removesuffix("_clean")
    notes = []
    for option in ("encoding", "separator"):
        declared = json.dumps(getattr(scan.dialect, option))
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
        notes.append(f"{listed(those)}: no record could be mapped to columns: {why}")
    for blank, those in _by_kind([file.header.blank for file in scan.files], paths):
        unnamed = ", ".join(f"_c{at}" for at in blank)
        notes.append(f"{listed(those)}: columns without a name are {unnamed}")
    for _, those in _by_kind([file.fingerprint for file in scan.files], paths):
        if len(those) > 1:
            notes.append(f"the same content under several names, each counted: {listed(those)}")
    missing = [
        column.name
        for column in contract.columns
        if column.required and not set(column.inputs) & set(scan.columns)
    ]
    if missing and scan.records:
        notes.append(
            f"no file has what {', '.join(missing)} is made from, which the contract requires, so"
            " every record is in quarantine: check header, separator and encoding of the files"
        )
    further = [name for name in scan.columns if name not in contract.inputs]
    if further:
        notes.append(f"columns that the contract does not use, kept in bronze: {listed(further)}")
    return notes


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
