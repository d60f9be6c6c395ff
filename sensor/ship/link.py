"""The link: sends what the Sender wants sent, takes the correlator's answers, tells what is wrong; never waits."""

from __future__ import annotations

import zmq

from common.errors import WireError
from common.flowlog import decode_frame
from common.link import PING, REFUSED, Answer, pack_frame, pack_hello, unpack_answer
from sensor.batching import NumberedFrame
from sensor.config import ShipConfig
from sensor.ship.dealer import Dealer, link_keys
from sensor.ship.linkstate import LinkState
from sensor.ship.sender import Hello, Limits, Message, Ping, Send, Sender
from sensor.ship.spool import Spool, SpoolTroubleError

_NS = 1_000_000_000
_PING_NS = 10 * _NS
_ANSWERS_PER_TURN = 1000
# Frames that are in memory on their way out, at most; the others of the window are on the wire, or in the spool still.
_QUEUED_MESSAGES = 16


class Shipper:
    """Spools frames and moves them to the correlator, a little at every ``turn``."""

    def __init__(self, config: ShipConfig, spool: Spool) -> None:
        keys = link_keys(config)
        self._spool = spool
        self.bad_answers = 0
        self.news: list[str] = []  # lines for the user, who has not seen them yet
        self._sender = Sender(
            Limits(
                config.window_frames,
                config.window_bytes,
                int(config.resend_s * _NS),
                int(config.resend_max_s * _NS),
                _PING_NS,
            )
        )
        self._dealer = Dealer(config, keys, _QUEUED_MESSAGES)
        self._socket = self._dealer.socket
        name = decode_frame(spool.header(spool.run) or b"").sensor
        self._state = LinkState(config.endpoint, name, keys.own.public if keys else "")
        for run, sequence in spool.recover():
            self._sender.add(run, sequence)
        self.news += spool.damage

    @property
    def waiting(self) -> int:
        """Frames that the correlator has not acknowledged."""
        return self._sender.waiting

    @property
    def refused(self) -> int:
        """Frames that the correlator will never store."""
        return self._sender.refused

    @property
    def refusal(self) -> str:
        """Why the first of them was refused."""
        return self._sender.refusal

    @property
    def resends(self) -> int:
        """Frames that went out once more, because no answer came."""
        return self._sender.resends

    @property
    def spool(self) -> Spool:
        """The spool, for its counters."""
        return self._spool

    def take(self, frames: list[NumberedFrame]) -> None:
        """Spool frames and queue them to be sent; those that cannot be written are dropped and counted."""
        for frame in frames:
            try:
                dropped = self._spool.append(frame.sequence, frame.data)
            except SpoolTroubleError:
                continue
            self._sender.add(self._spool.run, frame.sequence)
            self._forget(dropped)

    def turn(self, now_ns: int, wait_ms: int = 0) -> bool:
        """Take answers and send what is due; return whether the correlator took frames."""
        self._forget(self._spool.tend(now_ns))
        waiting = self.waiting
        if wait_ms:
            self._socket.poll(wait_ms)
        for _ in range(_ANSWERS_PER_TURN):
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            try:
                answer = unpack_answer(parts)
            except WireError:
                self.bad_answers += 1
                continue
            self._answered(answer, now_ns)
        progress = self.waiting < waiting
        self._send(now_ns)
        self.news += self._spool.news()
        self._watch(now_ns)
        return progress

    def _answered(self, answer: Answer, now_ns: int) -> None:
        self._state.answered(answer, now_ns)
        if answer.kind == REFUSED and answer.sequence == 0:
            return  # the hello was: no frame is lost by that
        refused_before = self.refused
        covers = self._sender.answered(answer, now_ns)
        if not covers:
            return
        if self.refused and not refused_before:
            self.news.append(f"the correlator refused a frame: {self.refusal}; what it refuses is not stored")
        if answer.kind == REFUSED:
            self._spool.drop(answer.run, answer.sequence)
        else:
            self._spool.acknowledge(answer.run, answer.sequence)

    def close(self) -> None:
        """Close the socket and the spool."""
        self._dealer.close()
        self._spool.close()

    def _forget(self, dropped: list[tuple[int, int]]) -> None:
        for run, sequence in dropped:
            self._sender.forget(run, sequence)

    def _watch(self, now_ns: int) -> None:
        """Tell what became of the connection, and make it anew where ZeroMQ does not."""
        for kind, value in self._dealer.events():
            self._state.happened(kind, value, now_ns)
        if self._state.is_due(now_ns):
            self._dealer.connect_again()
        if line := self._state.news(now_ns, waiting=self.waiting > 0):
            self.news.append(line)

    def _send(self, now_ns: int) -> None:
        messages = self._sender.messages(now_ns)
        for index, message in enumerate(messages):
            if not self._send_one(message):
                # Later frames must not overtake these: an acknowledgement of those would cover these.
                self._sender.put_back(messages[index:])
                return

    def _send_one(self, message: Message) -> bool:
        """Send a message; False when there is no room for it, in the window or in the socket."""
        size_bytes = 0
        match message:
            case Hello(run):
                parts = pack_hello(self._spool.header(run) or b"")
            case Send(run, sequence):
                if not self._sender.has_room:
                    return False
                try:
                    frame = self._spool.read(run, sequence)
                except SpoolTroubleError:  # perhaps it can be read later
                    return False
                if frame is None:
                    self._sender.drop(run, sequence)
                    return True
                parts, size_bytes = pack_frame(run, sequence, frame), len(frame)
            case Ping():
                parts = [PING]
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:  # nobody is there, or nobody takes anything
            return False
        if isinstance(message, Send):
            self._sender.sent(message.run, message.sequence, size_bytes)
        return True
