"""A kind of received file, and all that follows from the contract of its clean table."""

import re
from dataclasses import dataclass
from typing import Self

from nbx_medallion.contracts import lineage
from nbx_medallion.contracts.model import Column, Contract


@dataclass(unsafe_hash=True)
class Source:
    """Names that follow from the name of a source, such as `sales`.

    Those of its received files in Kedro, of the environment variable of their path, and of its
    tables; those of silver are one unit, in the order of writing.
    """

    name: str

    def __post_init__(self) -> None:
        self.landing = f"landing_{self.name}"
        self.variable = f"RAW_{self.name.upper()}_PATH"
        self.raw = f"bronze.{self.name}_raw"
        self.clean = f"silver.{self.name}_clean"
        self.quarantine = f"silver.{self.name}_quarantine"
        self.superseded = f"silver.{self.name}_superseded"
        self.silver = (self.quarantine, self.superseded, self.clean)

    @classmethod
    def of_table(cls, table: str) -> Self | None:
        """The source that a bronze or silver table belongs to, None for any other table."""
        kind = "bronze.{}_raw|silver.{}_clean|silver.{}_quarantine|silver.{}_superseded"
        found = re.fullmatch(kind.replace("{}", "([a-z][a-z0-9_]*)"), table)
        return cls(found[found.lastindex or 0]) if found else None


def derive_contracts(source: Source, clean: Contract) -> dict[str, Contract]:
    """The contracts of a source's raw, quarantine and superseded table, of clean's version."""
    described = {
        source.raw: (
            lineage.RAW,
            f"Every record that was received in a {source.name} file, as received, whether or not"
            " the file is still there; those of a corrected or retracted file are taken out. Each"
            " received column is kept as a string under its own name (a field of zero characters is"
            " NULL); a column a file lacks is NULL in its records.",
        ),
        source.quarantine: (
            lineage.QUARANTINE,
            f"Records that the contract of {source.clean} rejects, every received column as"
            " received, with the reasons.",
        ),
        source.superseded: (
            lineage.SUPERSEDED,
            f"Valid records that are not in {source.clean} because a later record has the same"
            f" primary key. Together {source.clean}, {source.quarantine} and this table have each"
            f" record of {source.raw} exactly once.",
        ),
    }
    contracts, optional = {}, {lineage.CORRUPT_RECORD, lineage.CORRUPT_REASON}
    for table, (names, description) in described.items():
        is_open = lineage.CORRUPT_RECORD in names
        contracts[table] = Contract(
            table,
            tuple(
                Column(name, *lineage.OWN_COLUMNS[name], required=name not in optional)
                for name in names
            ),
            clean.version,
            description,
            primary_key=() if is_open else lineage.RECORD,
            open=is_open,
        )
    return contracts
