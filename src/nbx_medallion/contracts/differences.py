"""What a contract declares, beside what is there: columns of a frame or table, tables it reads."""

from collections import Counter
from collections.abc import Callable, Sequence

from nbx_medallion.contracts.model import Contract
from nbx_medallion.contracts.types import parse_type
from nbx_medallion.errors import ConfigurationError

Schema = Sequence[tuple[str, str]]


def schema_differences(expected: Schema, found: Schema, *, is_open: bool = False) -> list[str]:
    """A line for each difference between two schemas: name and Spark type of columns, in order.

    An open one may have further string columns anywhere among the expected ones.
    """
    wanted, given = dict(expected), dict(found)
    counts = Counter(name for name, _ in found).items()
    differences = [f"{name}: {count} columns have this name" for name, count in counts if count > 1]
    for name, kind in expected:
        if name not in given:
            similar = [other for other in given if other.lower() == name.lower()]
            hint = f" (there is {similar[0]!r})" if similar else ""
            differences.append(f"{name}: expected {kind}, is missing{hint}")
        elif given[name] != kind:
            differences.append(f"{name}: expected {kind}, found {given[name]}")
    for name, kind in found:
        if name not in wanted and not is_open:
            differences.append(f"{name}: not in the contract, found {kind}")
        elif name not in wanted and kind != "string":
            differences.append(f"{name}: expected string, as every received column, found {kind}")
    common = [name for name, _ in expected if name in given]
    order = [name for name in given if name in wanted]
    if common != order:
        differences.append(f"order: expected {', '.join(common)}, found {', '.join(order)}")
    return differences


def check_reads(contract: Contract, contract_of: Callable[[str], Contract]) -> None:
    """Refuse a contract where a table lacks a column that it reads, or its type loses values."""
    for table, columns in contract.reads.items():
        types = dict(contract_of(table).schema)
        wrong = [
            f"  {name}: expected {needed}, found {types.get(name, 'no such column')}"
            for name, needed in columns.items()
            if name not in types or not _fits(types[name], needed)
        ]
        if wrong:
            listed = "\n".join(wrong)
            raise ConfigurationError(
                f"{table}: {contract.table} is computed from columns that the contract does not"
                f" have so:\n{listed}\n"
                "Give them in the contract; a transformLogic can compute them from other columns."
                f" What is needed is declared as `reads` in the contract of {contract.table}."
            )


def _fits(declared: str, needed: str) -> bool:
    found, wanted = parse_type(declared), parse_type(needed)
    if found is None or wanted is None or {found.name, wanted.name} != {"decimal"}:
        return declared == needed
    whole = found.precision - found.scale
    return found.scale <= wanted.scale and whole <= wanted.precision - wanted.scale
