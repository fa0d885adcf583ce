"""Names of received columns."""

from collections.abc import Sequence

from nbx_medallion.contracts.lineage import RESERVED
from nbx_medallion.contracts.patterns import UNSEEN

_MOST = 4096


def column_names(received: Sequence[str]) -> tuple[str, ...]:
    """Trim names; a blank one is `_c<position>`, counted from 0 as Spark does."""
    return tuple(name.strip(UNSEEN) or f"_c{at}" for at, name in enumerate(received))


def find_problem(received: Sequence[str]) -> str | None:
    """Why these cannot be names of columns, None where they can."""
    if len(received) > _MOST:
        return f"the header has {len(received):,} names, more than {_MOST:,}"
    names = column_names(received)
    seen: dict[str, int] = {}
    for at, name in enumerate(names):
        if name.lower() in RESERVED:
            return f"the name {name!r} is kept for a column of ours"
        first = seen.setdefault(name.lower(), at)
        if names[first] != name:
            return f"the names {names[first]!r} and {name!r} differ only in case"
        if first != at:
            both = {received[i] for i in (first, at) if received[i].strip(UNSEEN)}
            if len(both) == 1:
                return f"the name {name!r} stands {names.count(name)} times in the header"
            first_name, other = received[first], received[at]
            return f"the names {first_name!r} and {other!r} differ only in what is trimmed"
    return None
