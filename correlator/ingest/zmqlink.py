"""The socket that sensors connect to; what is said on it is ``peers``' business."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import zmq

from common.errors import UserError
from common.flowlog import FRAME_OVERHEAD, MAX_FRAME_BYTES
from common.sockets import keep_alive
from correlator.ingest.gate import Gate
from correlator.ingest.peers import Message

_MAX_MESSAGE_BYTES: Final = MAX_FRAME_BYTES + FRAME_OVERHEAD + 1024
# What waits for one connection is at most this many messages, 64 MiB of the largest; sensors that keep to their window
# of 8 MiB hold less.
_QUEUED_MESSAGES: Final = 16
# What is taken at once is decoded before any of it is stored: ten and more times as much memory.
_TURN_BYTES: Final = 16 << 20


# A message that comes within this time after another is taken with it: larger transactions take less time each.
_FOLLOWS_MS: Final = 5


class Link:
    """A bound ROUTER socket; without a gate it speaks plain text with everybody."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, gate: Gate | None = None) -> None:
        self._endpoint = endpoint
        self._gate = gate
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 1000)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.RCVHWM, _QUEUED_MESSAGES)
        self._socket.setsockopt(zmq.IPV6, 1 if "[" in endpoint else 0)
        keep_alive(self._socket)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        if gate is not None:
            gate.guard(self._socket)
            self._poller.register(gate.socket, zmq.POLLIN)

    def bind(self) -> str:
        """Bind, and return the endpoint with the port that was taken; UserError in one line."""
        try:
            self._socket.bind(self._endpoint)
        except zmq.ZMQError as error:
            raise UserError(_bind_error(self._endpoint, error)) from None
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def receive(self, timeout_ms: int, limit: int) -> list[Message]:
        """Return the messages that are there, up to a limit and 16 MiB; wait for the first one.

        Those of a key that was revoked are dropped, and nobody answers them.
        """
        messages: list[Message] = []
        self._poller.poll(timeout_ms)
        if self._gate is not None:
            self._gate.turn()
        taken_bytes = 0
        for _ in range(limit):
            frames = self._next() if taken_bytes < _TURN_BYTES else None
            if frames is None:
                break
            taken_bytes += sum(map(len, frames))
            sensor = None
            if self._gate is not None:
                sensor = self._gate.speaker(frames[-1])
                if sensor is None:
                    continue
            peer, *parts = (frame.bytes for frame in frames)
            messages.append(Message(peer, parts, sensor))
        return messages

    def _next(self) -> list[zmq.Frame] | None:
        """Return the next message; those of a busy sensor follow each other at once, for few of them wait up here."""
        try:
            return self._socket.recv_multipart(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            pass
        if not self._socket.poll(_FOLLOWS_MS):
            return None
        try:
            return self._socket.recv_multipart(zmq.DONTWAIT, copy=False)
        except zmq.Again:  # its sensor went away
            return None

    def send(self, messages: Iterable[Message]) -> None:
        """Send; what cannot go out at once is lost, and the sensor asks again."""
        for peer, parts, _ in messages:
            try:
                self._socket.send_multipart([peer, *parts], zmq.DONTWAIT)
            except zmq.Again:
                continue

    def close(self) -> None:
        """Close the socket; what is on its way out still goes, for a second."""
        self._socket.close()


def _bind_error(endpoint: str, error: zmq.ZMQError) -> str:
    if error.errno == zmq.EADDRINUSE:
        return f"{endpoint} is in use by another program: end it, or name another with --bind"
    if error.errno in (zmq.EINVAL, zmq.EPROTONOSUPPORT, zmq.ENOCOMPATPROTO):
        return f"not an endpoint: {endpoint!r}; write tcp://127.0.0.1:5690 or ipc:///run/tunnelwatch.sock"
    return f"cannot listen on {endpoint}: {error.strerror}; name another with --bind"
