"""The correlator's socket: what it takes at once is bounded, in messages and in bytes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import zmq

from correlator.ingest.peers import Message
from correlator.ingest.zmqlink import Link

DEADLINE_S = 20


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.term()


@pytest.mark.parametrize(("size", "limit", "most"), [(4 << 20, 100, 4), (1000, 3, 3)])
def test_messages_are_taken_up_to_their_number_and_16_mebibytes(
    context: zmq.Context[zmq.Socket[bytes]], size: int, limit: int, most: int
) -> None:
    link = Link(context, "tcp://127.0.0.1:*")
    sender = context.socket(zmq.DEALER)
    sender.setsockopt(zmq.LINGER, 0)
    sender.connect(link.bind())
    for number in range(9):
        sender.send_multipart([b"FRAME", bytes([number]) * size])
    turns: list[list[Message]] = []
    end = time.monotonic() + DEADLINE_S
    while sum(len(turn) for turn in turns) < 9 and time.monotonic() < end:
        turns.append(link.receive(100, limit))
    sender.close()
    link.close()
    assert [message.parts[1][0] for turn in turns for message in turn] == list(range(9))
    assert max(len(turn) for turn in turns) <= most


def test_messages_that_follow_each_other_closely_are_taken_together(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    link = Link(context, "tcp://127.0.0.1:*")
    sender = context.socket(zmq.DEALER)
    sender.setsockopt(zmq.LINGER, 0)
    sender.connect(link.bind())

    def trickle() -> None:
        for number in range(30):
            sender.send_multipart([b"FRAME", bytes([number])])
            time.sleep(0.001)

    end = time.monotonic() + DEADLINE_S
    most = 0
    while most < 30 and time.monotonic() < end:  # somebody else may have had the processor for longer
        thread = threading.Thread(target=trickle)
        thread.start()
        taken = 0
        while taken < 30:
            turn = link.receive(1000, 64)
            taken += len(turn)
            most = max(most, len(turn))
        thread.join()
    sender.close()
    link.close()
    assert most == 30


@pytest.mark.slow
def test_a_handshake_that_is_never_finished_is_ended(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    """A connection that says nothing, and one that begins as ZeroMQ does and then says nothing."""
    link = Link(context, "tcp://127.0.0.1:*")
    port = int(link.bind().rpartition(":")[2])
    began = time.monotonic()
    connections = [socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) for _ in range(2)]
    connections[1].sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\3")
    for connection in connections:
        with connection:
            while connection.recv(100):
                pass
    assert 9 < time.monotonic() - began < 15
    link.close()
