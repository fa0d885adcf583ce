"""Errors that pass from a process to another as text."""

from hypothesis import given
from hypothesis import strategies as st

from nbx_medallion.errors import EngineError, LandingError, UserError, find_marked, marked_in_text

MESSAGES = st.text(st.characters(exclude_characters="\x02\x03"))


@given(st.sampled_from([UserError, LandingError, EngineError]), MESSAGES, MESSAGES)
def test_a_marked_error_is_found_in_any_text(
    kind: type[UserError], message: str, around: str
) -> None:
    text = ""
    try:
        with marked_in_text():
            raise kind(message)
    except UserError as error:
        text = f"{around}\nnbx_medallion.errors.{kind.__name__}: {error}\n{around}"

    found = find_marked(text)

    assert type(found) is kind
    assert str(found) == message


@given(MESSAGES)
def test_nothing_is_found_where_nothing_was_marked(text: str) -> None:
    assert find_marked(text) is None
    assert find_marked(f"LandingError: {text}") is None
