"""Messages sent to real collectors: over UDP, TCP and a unix socket, and those that go away."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from notices import notice

from correlator.notify.collector import SyslogOutput
from correlator.notify.formats.places import parse_address
from correlator.notify.output import OutputError

TIMEOUT_S = 20


def output(address: str, timeout_s: float = TIMEOUT_S) -> SyslogOutput:
    return SyslogOutput(parse_address(address), 16, timeout_s)


def bound(family: int, kind: int, where: tuple[str, int] | str) -> socket.socket:
    server = socket.socket(family, kind)
    server.settimeout(TIMEOUT_S)
    server.bind(where)
    return server


def framed_message(stream: socket.socket) -> bytes:
    """Read one message with its length in front."""
    length = b""
    while not length.endswith(b" "):
        length += stream.recv(1)
    message = b""
    while len(message) < int(length):
        message += stream.recv(int(length) - len(message))
    return message


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_datagram_a_message(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with bound(family, socket.SOCK_DGRAM, (host.strip("[]"), 0)) as server:
        sender = output(f"udp://{host}:{server.getsockname()[1]}")
        for number in range(2):
            sender.deliver(notice(number))
            message = server.recv(65536)
            assert message.startswith(b"<132>1 2023-11-14T22:13:20")
            assert message.endswith(notice(number).alarm["message"].encode())
        sender.close()


def test_a_unix_socket_that_is_made_again_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sender = output(f"unix://{path}")
    with pytest.raises(OutputError, match=f"cannot send to {path}"):
        sender.deliver(notice())
    for _ in range(2):
        with bound(socket.AF_UNIX, socket.SOCK_DGRAM, str(path)) as server:
            sender.deliver(notice())
            assert server.recv(65536).startswith(b"<132>1 ")
        path.unlink()
        with pytest.raises(OutputError, match="cannot send"):
            sender.deliver(notice())
    sender.close()


def test_over_tcp_messages_follow_each_other_on_one_connection() -> None:
    with bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as server:
        server.listen()
        sender = output(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        sender.deliver(notice(1))
        stream, _ = server.accept()
        with stream:
            stream.settimeout(TIMEOUT_S)
            sender.deliver(notice(2))
            assert framed_message(stream).endswith(notice(1).alarm["message"].encode())
            assert framed_message(stream).endswith(notice(2).alarm["message"].encode())
        sender.close()


def test_a_collector_that_closed_gets_the_next_message_over_a_new_connection() -> None:
    with bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as server:
        server.listen()
        sender = output(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        sender.deliver(notice(1))
        stream, _ = server.accept()
        framed_message(stream)
        stream.close()  # its FIN is on its way when close returns, on the same host
        sender.deliver(notice(2))
        again, _ = server.accept()
        with again:
            again.settimeout(TIMEOUT_S)
            assert framed_message(again).endswith(notice(2).alarm["message"].encode())
        sender.close()


def test_a_collector_that_reads_nothing_is_given_up_after_the_time_limit() -> None:
    with bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.listen()
        sender = output(f"tcp://127.0.0.1:{server.getsockname()[1]}", 0.2)
        with pytest.raises(OutputError, match="timed out"):  # noqa: PT012 - once the buffers are full
            for _ in range(100_000):
                sender.deliver(notice(1, message="x" * 3000))
        sender.close()


def test_nobody_there_is_one_line() -> None:
    with bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(OutputError, match=f"cannot send to tcp://127.0.0.1:{port}: Connection refused"):
        output(f"tcp://127.0.0.1:{port}").deliver(notice())
    with pytest.raises(OutputError, match=r"cannot send to udp://nowhere\.invalid"):
        output("udp://nowhere.invalid").deliver(notice())
