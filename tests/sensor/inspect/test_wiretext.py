"""Text from the wire is what records take, whatever the bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensor.inspect.wiretext import wire_text


def test_printable_ascii_stays_and_the_rest_is_escaped() -> None:
    assert wire_text(b"plain text") == "plain text"
    assert wire_text(b"a\x00\x1b\x7f\xe9\n") == "a\\x00\\x1b\\x7f\\xe9\\x0a"


@given(st.binary(max_size=600), st.integers(0, 300))
def test_any_bytes_are_printable_and_bounded(value: bytes, limit: int) -> None:
    text = wire_text(value, limit)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= limit
