"""Messages of WebSockets: compressed ones are inflated within a bound, and shells in JSON are found."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.inspect.messages import MOST_BYTES, inflated, shell_in

TAIL = b"\x00\x00\xff\xff"
PROMPT = "\x1b[?2004hlabuser@vm:~$ "


def compressed(*messages: bytes) -> bytes:
    """Messages as one stream, each with its own tail."""
    packer = zlib.compressobj(wbits=-15)
    return b"".join(packer.compress(message) + packer.flush(zlib.Z_SYNC_FLUSH) for message in messages)


def test_messages_are_inflated_as_one_stream() -> None:
    stream = compressed(b'{"type": "one"}', b'{"type": "two"}')
    assert stream.endswith(TAIL)
    assert inflated(stream) == b'{"type": "one"}{"type": "two"}'


def test_what_a_few_bytes_stand_for_is_bounded() -> None:
    assert inflated(compressed(bytes(1 << 20))) == bytes(MOST_BYTES)


@given(st.binary(max_size=200))
def test_any_bytes_inflate_to_something_or_to_nothing(stream: bytes) -> None:
    assert len(inflated(stream)) <= MOST_BYTES


@pytest.mark.parametrize(
    "messages",
    [
        json.dumps(["setup", {}]) + json.dumps(["stdout", PROMPT]),
        json.dumps({"channel": 1, "data": {"text": "root@host:/# "}}),
        "42" + json.dumps(["data", "[user@host dir]# "]),
        json.dumps(["stdout", "C:\\Users\\x>"]),
    ],
)
def test_a_prompt_in_a_string_is_a_shell(messages: str) -> None:
    assert shell_in(messages.encode()) in {"unix-shell", "windows-shell"}


@pytest.mark.parametrize(
    "messages",
    [
        b"",
        b'["message", {"user": "a", "text": "hello world"}]',
        b'{"text": "$ "}{"text": "# "}',
        b'["stdout", "user@vm:~$ ',
        b"[" * 4000,
        b"labuser@vm:~$ ",
        b"\xff\xfe",
    ],
)
def test_other_messages_are_none(messages: bytes) -> None:
    assert shell_in(messages) is None


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps([text]).encode()))
def test_any_messages_have_an_answer(messages: bytes) -> None:
    assert shell_in(messages) in {None, "unix-shell", "windows-shell"}
