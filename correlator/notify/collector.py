"""Notices sent to a syslog collector, over UDP, TCP or a unix socket."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from correlator.notify.formats.notice import Notice
from correlator.notify.formats.places import Address
from correlator.notify.formats.syslog import framed, syslog_message
from correlator.notify.output import OutputError


class SyslogOutput:
    """One connection, made when it is needed and again when it was lost."""

    name = "syslog"

    def __init__(self, address: Address, facility: int, timeout_s: float) -> None:
        self._address = address
        self._facility = facility
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._host = socket.gethostname()

    def deliver(self, notice: Notice) -> None:
        """Send one message; what UDP loses nobody is told of."""
        message = syslog_message(notice, self._facility, self._host, os.getpid())
        try:
            connection = self._connected()
            connection.sendall(framed(message) if self._address.scheme == "tcp" else message)
        except OSError as error:
            self.close()
            fact = error.strerror or str(error)
            raise OutputError(f"cannot send to {self._where()}: {fact}") from None

    def abort(self) -> None:
        """End what is being sent."""
        connection = self._socket
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is not None and self._is_lost(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _connect(self) -> socket.socket:
        scheme, host, port, path = self._address
        if scheme == "tcp":
            return socket.create_connection((host, port), self._timeout_s)
        if scheme == "unix":
            family, kind, where = socket.AF_UNIX, socket.SOCK_DGRAM, path
        else:
            family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]  # type: ignore[assignment] # of a family
        connection = socket.socket(family, kind)
        try:
            connection.settimeout(self._timeout_s)
            connection.connect(where)
        except OSError:
            connection.close()
            raise
        return connection

    def _is_lost(self, connection: socket.socket) -> bool:
        """Whether the collector has closed: what is sent then is accepted by the kernel, and lost."""
        if self._address.scheme != "tcp":
            return False
        connection.settimeout(0)
        try:
            while connection.recv(4096):
                pass  # a collector says nothing that matters
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            connection.settimeout(self._timeout_s)
        return True

    def _where(self) -> str:
        scheme, host, port, path = self._address
        return path if scheme == "unix" else f"{scheme}://{host}:{port}"
