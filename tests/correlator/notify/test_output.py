"""What an output says when it could not deliver."""

from __future__ import annotations

from correlator.notify.output import OutputError


def test_what_a_server_said_is_one_line_of_bounded_length() -> None:
    error = OutputError("a\r\n\x1b[31m" + "x" * 10_000)
    assert str(error).isprintable()
    assert len(str(error)) == 500
    assert not error.lasting
