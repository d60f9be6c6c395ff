"""What a service manager is told, on real datagram sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.notify import Notifier

S = 1_000_000_000


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket, and its address as the environment has it."""
    name = f"@tunnelwatch-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        listening.settimeout(10)
        yield listening, name


def test_the_life_of_a_service_is_told_in_the_words_of_sd_notify(manager: tuple[socket.socket, str]) -> None:
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.status("listening on eth0")
    notifier.stopping()
    notifier.close()
    notifier.ready()
    assert [listening.recv(100) for _ in range(3)] == [b"READY=1", b"STATUS=listening on eth0", b"STOPPING=1"]
    listening.setblocking(False)
    with pytest.raises(BlockingIOError):
        listening.recv(100)


def test_a_status_is_one_line_of_bounded_length(manager: tuple[socket.socket, str]) -> None:
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.status("two\nlines")
    notifier.status("é" * 10_000)
    assert listening.recv(100) == rb"STATUS='two\nlines'"
    assert len(listening.recv(100_000).decode()) == 507
    notifier.close()


def test_the_watchdog_hears_twice_in_its_time(manager: tuple[socket.socket, str]) -> None:
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())})
    for tenths in range(100):
        notifier.alive(7 * S + tenths * S // 10)
    notifier.close()
    listening.setblocking(False)
    assert [listening.recv(100) for _ in range(5)] == [b"WATCHDOG=1"] * 5
    with pytest.raises(BlockingIOError):
        listening.recv(100)


@pytest.mark.parametrize(
    "watchdog", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "-5"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}]
)
def test_no_watchdog_of_ours_hears_nothing(manager: tuple[socket.socket, str], watchdog: dict[str, str]) -> None:
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name, **watchdog})
    notifier.alive(7 * S)
    notifier.ready()
    assert listening.recv(100) == b"READY=1"
    notifier.close()


@pytest.mark.parametrize("address", ["/nowhere/notify", "vsock:2:1234", "notify", "/" + "n" * 200, "@" + "n" * 200])
def test_a_socket_that_cannot_be_reached_is_a_problem_in_one_line_and_no_error(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address})
    assert notifier.problem.startswith(f"cannot reach NOTIFY_SOCKET {address!r}: ")
    notifier.ready()
    notifier.close()


def test_a_manager_that_went_away_or_does_not_listen_holds_nothing_up(manager: tuple[socket.socket, str]) -> None:
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    for _ in range(10_000):  # far more than its queue takes
        notifier.ready()
    listening.close()
    notifier.ready()
    notifier.close()


def test_without_a_manager_nothing_is_sent() -> None:
    notifier = Notifier({})
    notifier.ready()
    notifier.alive(1)
    assert notifier.problem == ""
