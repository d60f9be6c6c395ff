"""Who may speak on the link: ZeroMQ's questions about keys answered, and an account of those who may not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from typing import Any, Final, Protocol

import zmq
from zmq.auth import Authenticator

from common.keys import KeyPair, quoted
from common.sockets import encrypt

_DOMAIN: Final = "tunnelwatch"
_REQUESTS_PER_TURN: Final = 32
_SAY_EVERY_S: Final = 60.0


class Ring(Protocol):
    """The keys that may speak."""

    def refresh(self) -> None:
        """Learn what changed."""

    def sensor(self, public_key: str) -> str | None:
        """Return the sensor that a key speaks for, None for one that may not speak."""

    def was_revoked(self, public_key: str) -> bool:
        """Tell whether a key could speak once."""


class Gate:
    """Lets in the keys of a ring and nobody else; what a key may say is asked again at each message."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], own: KeyPair, ring: Ring) -> None:
        self._own = own
        self._ring = ring
        self.strangers = Strangers()
        self._authenticator = Authenticator(context)
        self._authenticator.configure_curve_callback(_DOMAIN, self)
        self._authenticator.start()
        self._address = ""

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """Where ZeroMQ asks: readable when ``turn`` has something to do."""
        return self._authenticator.zap_socket

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket ask here about everybody; without this handler it lets in nobody."""
        encrypt(socket, self._own)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN.encode())
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def turn(self) -> None:
        """Learn which keys changed, and answer ZeroMQ, which waits with the handshake meanwhile."""
        self._ring.refresh()
        for _ in range(_REQUESTS_PER_TURN):
            try:
                request = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._address = request[3].decode(errors="replace") if len(request) > 3 else ""
            _finish(self._authenticator.handle_zap_message(request))

    def callback(self, _domain: str, public_key: bytes) -> bool:
        """Tell the authenticator whether a key may connect."""
        key = public_key.decode()
        if self._ring.sensor(key) is not None:
            return True
        self.strangers.refused("revoked_key" if self._ring.was_revoked(key) else "unknown_key", key, self._address)
        return False

    def speaker(self, frame: zmq.Frame) -> str | None:
        """Return the sensor that a message's key speaks for; None, and counted, when it was revoked since."""
        sensor = self._ring.sensor(str(frame.get("User-Id")))
        if sensor is None:
            self.strangers.counts["message_of_revoked_key"] += 1
        return sensor

    def close(self) -> None:
        """Let nobody in any more."""
        self._authenticator.stop()


class Strangers:
    """Connections that were not let in: counted, and told in one line a minute at most."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._waiting = 0
        self._latest = ""
        self._told_s = float("-inf")

    def refused(self, reason: str, public_key: str, address: str) -> None:
        """Count a connection with a key of no sensor."""
        self.counts[reason] += 1
        self._waiting += 1
        where = f" from {address}" if address and address.isprintable() else ""
        known = "was revoked" if reason == "revoked_key" else "is no sensor's"
        self._latest = (
            f"the key {public_key}{where} {known}; to let it in: tunnelwatch sensors add NAME {quoted(public_key)}"
        )

    def news(self, now_s: float) -> str | None:
        """Return the line that is due, if one is."""
        if not self._waiting or now_s - self._told_s < _SAY_EVERY_S:
            return None
        times = "" if self._waiting == 1 else f" ({self._waiting} connections since the last such line)"
        self._waiting = 0
        self._told_s = now_s
        return f"not let in{times}: {self._latest}"


def _finish(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the keys are in memory: there is nothing to wait for")
