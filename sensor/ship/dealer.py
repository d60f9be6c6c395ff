"""The DEALER socket to a correlator: its keys, its options, and what ZeroMQ tells about its connection."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import zmq

from common.errors import UserError
from common.keys import KeyPair, default_key_path, read_key_file, read_public_key
from common.sockets import encrypt, keep_alive
from sensor.config import ShipConfig, check_link

KEYGEN: Final = "tunnelwatch-sensor keygen"
KEY_FILE: Final = "sensor.key"
_RECONNECT_MS: Final = 500
_RECONNECT_MAX_MS: Final = 10_000
_CONNECT_TIMEOUT_MS: Final = 5_000
# An answer has some hundred bytes at most: whoever sends more is cut off, and fills nobody's memory.
_MAX_ANSWER_BYTES: Final = 64 << 10
_EVENTS: Final = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_EVENT = struct.Struct("=Hi")
_EVENTS_PER_TURN: Final = 100


class LinkKeys(NamedTuple):
    """What an encrypted link needs: this sensor's pair, and the correlator's public key."""

    own: KeyPair
    correlator: str


class Event(NamedTuple):
    """What ZeroMQ's monitor tells: zmq.EVENT_..., and a number that depends on it."""

    kind: int
    value: int


def link_keys(ship: ShipConfig) -> LinkKeys | None:
    """Return the keys that the settings name, None for plain text; UserError in one line."""
    check_link(ship)
    if ship.plaintext:
        return None
    correlator = read_public_key(ship.correlator_key, "tunnelwatch keygen")
    return LinkKeys(read_key_file(key_path(ship), KEYGEN), correlator)


def key_path(ship: ShipConfig) -> Path:
    """Return where this sensor's key file is."""
    return Path(ship.key) if ship.key else default_key_path(KEY_FILE)


class Dealer:
    """A connected DEALER socket and its monitor; ``queued`` is how many messages may wait in it."""

    def __init__(self, ship: ShipConfig, keys: LinkKeys | None, queued: int) -> None:
        self._endpoint = ship.endpoint
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        # Unsent messages are dropped on close: the spool has them.
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, queued)
        self.socket.setsockopt(zmq.MAXMSGSIZE, _MAX_ANSWER_BYTES)
        self.socket.setsockopt(zmq.IPV6, 1 if "[" in ship.endpoint else 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        self.socket.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_TIMEOUT_MS)
        keep_alive(self.socket)
        if keys is not None:
            encrypt(self.socket, keys.own)
            self.socket.setsockopt(zmq.CURVE_SERVERKEY, keys.correlator.encode())
        self._monitor = self.socket.get_monitor_socket(_EVENTS)
        self._monitor.setsockopt(zmq.LINGER, 0)
        try:
            self.socket.connect(ship.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise UserError(
                f"not an endpoint: {ship.endpoint!r} ({error.strerror}); write tcp://127.0.0.1:5690"
            ) from None

    def events(self) -> Iterator[Event]:
        """Yield what happened to the connection since the last time."""
        for _ in range(_EVENTS_PER_TURN):
            try:
                parts = self._monitor.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            if parts and len(parts[0]) == _EVENT.size:
                yield Event(*_EVENT.unpack(parts[0]))

    def connect_again(self) -> None:
        """Begin anew: after some refusals ZeroMQ goes on trying by itself, after others it never does."""
        with suppress(zmq.ZMQError):
            self.socket.disconnect(self._endpoint)
        self.socket.connect(self._endpoint)

    def close(self) -> None:
        """Close everything."""
        self.socket.disable_monitor()
        self._monitor.close()
        self.socket.close()
        self._context.term()
