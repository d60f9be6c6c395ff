"""Text of strangers on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.safetext import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a b", "a b"), ("münchen", "münchen"), ("\x1b[31m", "\\x1b[31m"), ("a\nb\u2028", "a\\nb\\u2028")],
)
def test_what_could_command_a_terminal_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_the_result_is_printable_and_printable_text_stays(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
