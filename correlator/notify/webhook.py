"""Notices posted to a web server as JSON, each over a connection of its own; no redirects, no proxies."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from threading import Event, Timer
from typing import Final

from common import __version__
from correlator.notify.formats.notice import Notice, chat_line
from correlator.notify.formats.places import Url
from correlator.notify.output import OutputError

_AGAIN: Final = frozenset((408, 425, 429))
"""Answers below 500 after which the same may succeed later."""
_MAX_TOKEN: Final = 4096


class WebhookOutput:
    """Posts notices; the whole exchange has one time limit, whatever the server does. Its status is what counts."""

    name = "webhook"

    def __init__(self, url: Url, token_file: Path | None, ca_file: Path | None, timeout_s: float) -> None:
        self._url = url
        self._token_file = token_file
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._connection: HTTPConnection | None = None

    def deliver(self, notice: Notice) -> None:
        """Post one notice."""
        headers = {"Content-Type": "application/json", "User-Agent": f"tunnelwatch/{__version__}"} | self._secret()
        connection = self._connection = self._made()
        # A server that sends a byte now and then would never be late by the socket's own clock.
        late = Event()
        limit = Timer(self._timeout_s, _give_up, (connection, late))
        limit.daemon = True
        limit.start()
        try:
            connection.request("POST", self._url.target, chat_line(notice), headers)
            with connection.getresponse() as answer:
                status, reason = answer.status, answer.reason[:80]
                location = (answer.getheader("Location") or "")[:200]
        except (OSError, HTTPException, ValueError) as error:
            fact = getattr(error, "strerror", None) or str(error) or type(error).__name__
            if late.is_set() or isinstance(error, TimeoutError):
                fact = f"no answer in {self._timeout_s:g} s"
            raise OutputError(f"cannot post to {self._url.host}: {fact}") from None
        finally:
            limit.cancel()
            self._connection = None
            connection.close()
        if not 200 <= status < 300:
            where = f" to {location}: name that address" if 300 <= status < 400 else ""
            raise OutputError(
                f"{self._url.host} answered {status} {reason}{where}", lasting=status < 500 and status not in _AGAIN
            )

    def abort(self) -> None:
        """End what is being posted."""
        connection = self._connection
        if connection is not None:
            _shut(connection)

    def close(self) -> None:
        """Do nothing: no connection stays open."""

    def _made(self) -> HTTPConnection:
        url = self._url
        if not url.is_tls:
            return HTTPConnection(url.host, url.port, timeout=self._timeout_s)
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:
            raise OutputError(f"cannot read ca_file {self._ca_file}: {error.strerror or error}") from None
        return HTTPSConnection(url.host, url.port, timeout=self._timeout_s, context=context)

    def _secret(self) -> dict[str, str]:
        """Return the header with the token, which is read each time: it may be changed while this runs."""
        if self._token_file is None:
            return {}
        try:
            with self._token_file.open("rb") as file:
                token = file.read(_MAX_TOKEN).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise OutputError(f"cannot read token_file {self._token_file}: {error}") from None
        if not token.isprintable() or not token:
            raise OutputError(f"token_file {self._token_file} holds no token of one line")
        return {"Authorization": f"Bearer {token}"}


def _give_up(connection: HTTPConnection, late: Event) -> None:
    late.set()
    _shut(connection)


def _shut(connection: HTTPConnection) -> None:
    """Make whoever waits for a server go on, with an error."""
    sock: socket.socket | None = connection.sock
    if sock is not None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below TLS, which is in use by the other thread
