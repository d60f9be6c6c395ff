"""What a service manager is told: ready, stopping, a line of status, still alive (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

_NS_PER_US = 1000
_STATUS_BYTES = 1000


class Notifier:
    """Sends to the datagram socket that the environment names; does nothing where it names none.

    The socket is connected at once, so that it may be out of reach later.  The manager misses what it has no room
    for: nothing here waits or fails.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.problem = ""
        self._socket: socket.socket | None = None
        self._alive_every_ns = 0
        self._alive_ns: int | None = None
        address = environment.get("NOTIFY_SOCKET", "")
        if not address:
            return
        self._alive_every_ns = _watchdog_ns(environment) // 2
        try:
            self._socket = _connected(address)
        except (OSError, ValueError) as error:
            self.problem = f"cannot reach NOTIFY_SOCKET {address!r}: {error}; the service manager is told nothing"

    def ready(self) -> None:
        """Say that start-up is over."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def status(self, line: str) -> None:
        """Give the line that systemctl status shows."""
        text = line if line.isprintable() else ascii(line)
        self._send(f"STATUS={text.encode()[:_STATUS_BYTES].decode(errors='ignore')}")

    def alive(self, now_ns: int) -> None:
        """Say that the loop still turns, twice in the time that the watchdog gives."""
        if self._alive_every_ns and (self._alive_ns is None or now_ns - self._alive_ns >= self._alive_every_ns):
            self._alive_ns = now_ns
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send(message.encode())


def _connected(address: str) -> socket.socket:
    if not address.startswith(("/", "@")):
        raise ValueError("it is neither a path nor an abstract name")
    out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        out.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        out.close()
        raise
    return out


def _watchdog_ns(environment: Mapping[str, str]) -> int:
    """Return the time within which a sign of life is due; 0 when none is, or another process has to give it."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) * _NS_PER_US if text.isdecimal() and text.isascii() else 0
