"""A correlator's side of the link for tests: a real ROUTER that stores frames in memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import zmq

from common.flowlog import Batch, decode_frame
from common.link import ACK, FRAME, HELLO, PING, PONG, WELCOME, pack_answer, unpack_frame, unpack_hello

DEADLINE_S = 20


def until(condition: Callable[[], object], step: Callable[[], object], what: str = "") -> None:
    """Repeat ``step`` until ``condition`` holds; fail when it does not within the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what or "the condition never held"
        step()


class Router:
    """Binds, remembers what it was told, and answers what a correlator would."""

    def __init__(self, endpoint: str, marks: dict[int, int] | None = None) -> None:
        self.marks = {} if marks is None else marks
        self.kinds: list[bytes] = []
        self.frames: list[bytes] = []
        self.headers: list[Batch] = []
        self.gaps: list[tuple[int, int, int]] = []
        self._greeted: dict[bytes, int] = {}
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IPV6, 1 if "[" in endpoint else 0)
        self._socket.bind(endpoint)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def turn(self, *, acknowledge: bool = True, limit: int = 1000) -> None:
        """Take what is there and answer it."""
        self._socket.poll(5)
        for _ in range(limit):
            try:
                peer, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.kinds.append(parts[0])
            if parts[0] == PING:
                self.send(peer, [PONG])
            elif parts[0] == HELLO:
                header = decode_frame(unpack_hello(parts)[1])
                self.headers.append(header)
                self._greeted[peer] = header.run
                self.send(peer, pack_answer(WELCOME, header.run, self.marks.get(header.run, 0)))
            elif parts[0] == FRAME and peer in self._greeted:
                self._frame(peer, parts, acknowledge=acknowledge)

    def send(self, peer: bytes, parts: list[bytes]) -> None:
        """Send to one sensor."""
        self._socket.send_multipart([peer, *parts])

    def send_all(self, parts: list[bytes]) -> None:
        """Send to every sensor that said hello."""
        for peer in self._greeted:
            self.send(peer, parts)

    def close(self) -> None:
        """Close at once; the endpoint is free when this returns."""
        self._socket.close()
        self._context.term()

    def _frame(self, peer: bytes, parts: list[bytes], *, acknowledge: bool) -> None:
        run, sequence, raw = unpack_frame(parts)
        batch = decode_frame(raw)
        assert (batch.run, batch.sequence) == (run, sequence)
        assert batch.run == self._greeted[peer], "a frame of another run than the hello"
        mark = self.marks.get(batch.run, 0)
        if batch.sequence > mark:
            if batch.sequence != mark + 1:
                self.gaps.append((batch.run, mark, batch.sequence))
            self.frames.append(raw)
            if acknowledge:
                self.marks[batch.run] = batch.sequence
        if acknowledge:
            self.send(peer, pack_answer(ACK, batch.run, self.marks[batch.run]))
