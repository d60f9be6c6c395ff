"""The link's conversation with sensors, without the socket: messages in, frames and answers out."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from common.errors import WireError
from common.flowlog import Batch, decode_frame
from common.link import ACK, FRAME, HELLO, PING, PONG, REFUSED, WELCOME, pack_answer
from correlator.ingest.receiver import Refused, Verdict


class Message(NamedTuple):
    """A message and the connection it came from or goes to."""

    peer: bytes
    parts: list[bytes]


class Delivery(NamedTuple):
    """A frame and the connection it came from."""

    peer: bytes
    batch: Batch


@dataclass(slots=True)
class _Peer:
    sensor: str
    run: int
    last_sequence: int


class Peers:
    """The sensors that said hello; the one silent for longest is forgotten at the bound.

    A frame on a connection that has not said hello is not answered: the sensor says hello again when
    no acknowledgement comes, and then sends everything that is not stored. Answering would lose frames
    that the old connection held.
    """

    def __init__(self, max_peers: int, open_run: Callable[[Batch], None], mark: Callable[[str, int], int]) -> None:
        self._max_peers = max_peers
        self._open_run = open_run
        self._mark = mark
        self._peers: OrderedDict[bytes, _Peer] = OrderedDict()
        self._refusals: list[Message] = []
        self.counts: Counter[str] = Counter()

    def handle(self, messages: Iterable[Message]) -> tuple[list[Delivery], list[Message]]:
        """Return the frames to store, fairly mixed, and what can be answered before that."""
        deliveries: list[Delivery] = []
        answers: list[Message] = []
        for message in messages:
            try:
                self._one(message, deliveries, answers)
            except WireError as error:
                self.counts[error.reason] += 1
                self._refuse(message.peer, str(error))
        return list(interleaved(deliveries)), answers

    def answers(self, deliveries: Sequence[Delivery], verdicts: Sequence[Verdict]) -> Iterator[Message]:
        """Yield what sensors are told once the frames are committed: one acknowledgement per run.

        Refusals come last, because one covers every frame before it too.
        """
        marks: dict[tuple[bytes, int], int] = {}
        refusals: list[Message] = []
        for (peer, batch), verdict in zip(deliveries, verdicts, strict=True):
            if isinstance(verdict, Refused):
                refusals.append(Message(peer, pack_answer(REFUSED, batch.run, batch.sequence, verdict.detail)))
            else:
                key = (peer, batch.run)
                marks[key] = max(marks.get(key, 0), batch.sequence)
        for (peer, run), sequence in marks.items():
            yield Message(peer, pack_answer(ACK, run, sequence))
        yield from refusals
        yield from self._refusals
        self._refusals.clear()

    def _one(self, message: Message, deliveries: list[Delivery], answers: list[Message]) -> None:
        kind = message.parts[0] if message.parts else b""
        if kind == PING:
            answers.append(Message(message.peer, [PONG]))
        elif kind == HELLO and len(message.parts) > 1:
            answers.append(self._hello(message.peer, decode_frame(message.parts[1])))
        elif kind == FRAME and len(message.parts) > 1:
            delivery = self._frame(message.peer, message.parts[1])
            if delivery is not None:
                deliveries.append(delivery)
        else:
            self.counts["unknown_message"] += 1

    def _hello(self, peer: bytes, header: Batch) -> Message:
        self._open_run(header)
        mark = self._mark(header.sensor, header.run)
        self._peers[peer] = _Peer(header.sensor, header.run, mark)
        self._peers.move_to_end(peer)
        while len(self._peers) > self._max_peers:
            self._peers.popitem(last=False)
            self.counts["forgotten_peer"] += 1
        return Message(peer, pack_answer(WELCOME, header.run, mark))

    def _frame(self, peer: bytes, frame: bytes) -> Delivery | None:
        known = self._peers.get(peer)
        if known is None:
            self.counts["frame_before_hello"] += 1
            return None
        self._peers.move_to_end(peer)
        batch = decode_frame(frame)
        if (batch.sensor, batch.run) != (known.sensor, known.run):
            raise WireError("sensor", "the frame is of another sensor or run than the hello")
        known.last_sequence = batch.sequence
        return Delivery(peer, batch)

    def _refuse(self, peer: bytes, reason: str) -> None:
        """Refuse the frame after the last one that could be read, for that is what this one was."""
        known = self._peers.get(peer)
        if known is not None:
            known.last_sequence += 1
            self._refusals.append(Message(peer, pack_answer(REFUSED, known.run, known.last_sequence, reason)))


def interleaved(deliveries: Iterable[Delivery]) -> Iterator[Delivery]:
    """Yield deliveries with the peers in turn, each peer's in its order."""
    queues: dict[bytes, deque[Delivery]] = {}
    for delivery in deliveries:
        queues.setdefault(delivery.peer, deque()).append(delivery)
    while queues:
        for peer in list(queues):
            yield queues[peer].popleft()
            if not queues[peer]:
                del queues[peer]
