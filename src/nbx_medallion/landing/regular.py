"""Regular CSV text, recognised and counted by vector operations on its bytes.

A text is regular where every quote opens a field, closes one, or is half of a doubled quote in a
quoted field. There the strict rule of `csv_records`, PyArrow and any other reader agree.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_LF, _CR = 10, 13


class Prefix(NamedTuple):
    """The regular records that a text starts with.

    Attributes:
        length: Bytes, up to and with the last line end outside quotes. 0: there is none.
        has_quotes: Whether a quote is among them.
        multiline: Whether a line end in quotes is among them.
    """

    length: int
    has_quotes: bool
    multiline: bool


def regular_prefix(data: bytes, final: bool, separator: int, quote: int) -> Prefix:
    """Find how far a text is regular.

    Args:
        data: Text from the start of a record.
        final: Whether nothing follows: then a last record needs no line end.
        separator: The separator's byte.
        quote: The quote's byte.

    Returns:
        The longest such prefix of whole records.
    """
    if data.find(quote) < 0:
        return Prefix(len(data) if final else _last_line(data), False, False)
    text = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(text == quote)
    stop = _first_irregular(text, quotes, separator, quote)
    ends = np.flatnonzero(_line_ends(data, text))
    outside = np.searchsorted(quotes, ends) % 2 == 0
    if final and stop == len(data) and len(quotes) % 2 == 0:
        length = len(data)
    else:
        cuts = ends[outside & (ends < stop)] + 1
        if len(cuts) and cuts[-1] == len(data) and data[-1] == _CR and not final:
            cuts = cuts[:-1]  # whether an LF follows is not known yet
        length = int(cuts[-1]) if len(cuts) else 0
    return Prefix(length, bool(quotes[0] < length), bool(np.any(~outside & (ends < length))))


def count_records(data: bytes, quote: int, multiline: bool) -> int:
    """Count the records of a regular text by its line ends.

    Args:
        data: Whole records.
        quote: The quote's byte.
        multiline: Whether there are line ends in quotes.

    Returns:
        The number of lines outside quotes that are not blank.
    """
    if not data:
        return 0
    text = np.frombuffer(data, np.uint8)
    is_end = _line_ends(data, text)
    ends = np.flatnonzero(is_end)
    if multiline:
        ends = ends[np.searchsorted(np.flatnonzero(text == quote), ends) % 2 == 0]
    ended = np.count_nonzero(~is_end[ends[ends > 0] - 1])
    return int(ended) + int(not is_end[-1])


def _last_line(data: bytes) -> int:
    """Offset after the last line end; a CR at the very end does not count: LF may follow."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1


def _line_ends(data: bytes, text: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    ends: npt.NDArray[np.bool_] = text == _LF
    return np.logical_or(ends, text == _CR) if b"\r" in data else ends


def _first_irregular(
    text: npt.NDArray[np.uint8], quotes: npt.NDArray[Any], separator: int, quote: int
) -> int:
    """Offset of the first quote that is not where a quote may be; the text's length if none."""
    edge = np.zeros(256, np.bool_)
    # A quote beside another is half of a doubled one, or of an empty field.
    edge[[separator, _LF, _CR, quote]] = True
    opens, closes = quotes[::2], quotes[1::2]
    open_ok = edge[text[opens - 1]]
    if opens[0] == 0:
        open_ok[0] = True
    close_ok = edge[text[np.minimum(closes + 1, len(text) - 1)]]
    stops = [len(text)]
    if not open_ok.all():
        stops.append(int(opens[np.argmin(open_ok)]))
    if not close_ok.all():
        # The record of a wrong close starts before the field's opening quote.
        stops.append(int(opens[np.argmin(close_ok)]))
    return min(stops)
