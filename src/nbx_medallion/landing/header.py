"""What a header record says: one name a column, or why it says none."""

from collections import Counter
from dataclasses import dataclass

from nbx_medallion.contracts.lineage import RESERVED
from nbx_medallion.landing.records import Record

_MOST_BYTES = 1 << 20
_MOST_NAMES = 4096


@dataclass(frozen=True)
class Header:
    """A file's header.

    Attributes:
        text: The header record as received, its start where it is very long; None for a file
            without any record.
        columns: A name for each field, as received; None where it cannot be mapped.
        blank: Positions of blank names, from 0.
        problem: Why the header cannot be mapped; None where it can.
    """

    text: str | None
    columns: tuple[str, ...] | None
    blank: tuple[int, ...]
    problem: str | None


def read_header(record: Record | None) -> Header:
    """Name the columns of a file.

    A name is kept as received; one that is empty or all white space becomes `_c<position>`,
    counted from 0 as Spark does.

    Args:
        record: The first record that is not blank; None if there is none.

    Returns:
        The names, or why there are none.
    """
    if record is None:
        return Header(None, None, (), None)
    if len(record.raw) > _MOST_BYTES:
        start = record.raw[:1000].decode("utf-8", "replace")
        size = f"{len(record.raw):,} bytes, more than {_MOST_BYTES:,}"
        return Header(f"{start}...", None, (), f"the header has {size}")
    text = record.raw.decode("utf-8", "replace")
    if record.fields is None:
        return Header(text, None, (), "the header is unreadable: a quote does not close")
    try:
        names = [field.decode("utf-8") for field in record.fields]
    except UnicodeDecodeError:
        return Header(text, None, (), "the header is unreadable: not in the declared encoding")
    if "\0" in text:
        return Header(text, None, (), "the header is unreadable: it holds NUL characters")
    blank = tuple(at for at, name in enumerate(names) if not name.strip())
    for at in blank:
        names[at] = f"_c{at}"
    problem = _find_problem(names)
    return Header(text, None if problem else tuple(names), blank, problem)


def _find_problem(names: list[str]) -> str | None:
    if len(names) > _MOST_NAMES:
        return f"the header has {len(names):,} names, more than {_MOST_NAMES:,}"
    for name, times in Counter(names).items():
        if times > 1:
            return f"the name {name!r} stands {times} times in the header"
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in RESERVED:
            return f"the name {name!r} is kept for a column of ours"
        if name.lower() in seen:
            return f"the names {seen[name.lower()]!r} and {name!r} differ only in case"
        seen[name.lower()] = name
    return None
