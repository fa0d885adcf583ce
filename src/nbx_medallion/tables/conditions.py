"""Conditions in SQL that say which rows of a table a write replaces."""

from collections.abc import Iterable

from nbx_medallion.contracts.lineage import BATCH_ID, SOURCE_FILE
from nbx_medallion.tables.columns import literal, quoted

# Sail 0.7.2 takes seconds to see which files of a table a longer list replaces, minutes for 3,000
# values: tests/tables/test_sail_traps.py tells when it does not.
_MANY = 50


def any_of(column: str, values: Iterable[str], term: str = "") -> str:
    """A condition in SQL: the column, or another term, has one of these values."""
    term, texts = term or quoted(column), [literal(value) for value in sorted(values)]
    condition = f"{term} IN ({', '.join(texts)})" if texts else "false"
    if len(texts) <= _MANY:
        return condition
    return f"({term} >= {texts[0]} AND {term} <= {texts[-1]} AND if({condition}, true, false))"


def any_pair(pairs: Iterable[tuple[str, str]]) -> str:
    """A condition in SQL: the record is of one of these (file, batch) pairs; empty for none."""
    known = set(pairs)
    if not known:
        return ""
    # No batch has a slash. The first two parts let engines leave out files of the table; an OR of
    # a part for each of 1,000 batches ends the process on Sail 0.7.2.
    names = [f"{batch}/{file}" for file, batch in known]
    batches, files = {batch for _, batch in known}, {file for file, _ in known}
    pair = any_of("", names, f"concat({quoted(BATCH_ID)}, '/', {quoted(SOURCE_FILE)})")
    return f"({any_of(BATCH_ID, batches)} AND {any_of(SOURCE_FILE, files)} AND {pair})"
