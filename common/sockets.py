"""The socket options that both ends of the link set: signs of life, hurried handshakes, and the keys."""

from __future__ import annotations

from typing import Any, Final

import zmq

from common.keys import KeyPair

HANDSHAKE_MS: Final = 10_000
_HEARTBEAT_MS: Final = 10_000
# A correlator that waits for its database takes nothing in meanwhile, heartbeats included.
_DEAD_MS: Final = 60_000


def keep_alive(socket: zmq.Socket[Any]) -> None:
    """Notice a dead peer within a minute, and one that never finishes its handshake within ten seconds."""
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _DEAD_MS)
    socket.setsockopt(zmq.HEARTBEAT_TTL, _DEAD_MS)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 60)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 20)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)


def encrypt(socket: zmq.Socket[Any], own: KeyPair) -> None:
    """Give a socket its own pair: it speaks CURVE and nothing else from here on."""
    socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())
