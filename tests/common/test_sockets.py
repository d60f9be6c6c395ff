"""Both ends of the link set the same options."""

from __future__ import annotations

import zmq

from common.keys import make_key_pair
from common.sockets import HANDSHAKE_MS, encrypt, keep_alive


def test_a_dead_peer_is_noticed_and_an_unfinished_handshake_ended() -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        keep_alive(socket)
        assert socket.getsockopt(zmq.HANDSHAKE_IVL) == HANDSHAKE_MS
        assert socket.getsockopt(zmq.HEARTBEAT_IVL) == 10_000
        assert socket.getsockopt(zmq.HEARTBEAT_TIMEOUT) == 60_000
        assert socket.getsockopt(zmq.TCP_KEEPALIVE) == 1


def test_a_socket_with_keys_speaks_curve() -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        encrypt(socket, make_key_pair())
        socket.setsockopt(zmq.CURVE_SERVERKEY, make_key_pair().public.encode())
        assert socket.getsockopt(zmq.MECHANISM) == zmq.CURVE
