"""The link's conversation with sensors, without the socket: messages in, frames and answers out."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from common.errors import WireError
from common.flowlog import Batch, decode_frame
from common.link import (
    ACK,
    FRAME,
    HELLO,
    LINK_VERSION,
    PING,
    PONG,
    REFUSED,
    WELCOME,
    pack_answer,
    pack_version,
    unpack_frame,
    unpack_hello,
)
from correlator.ingest.receiver import Refused, Verdict

# Field names of every kind take two kilobytes; a run's are remembered.
_MAX_HELLO_BYTES: Final = 64 << 10
_MAX_NEWS: Final = 10


class Message(NamedTuple):
    """A message and the connection it came from or goes to."""

    peer: bytes
    parts: list[bytes]
    sensor: str | None = None
    """The only sensor that the connection's key speaks for; None on a link without keys."""


class Delivery(NamedTuple):
    """A frame and the connection it came from; one that could not be read is refused already."""

    peer: bytes
    batch: Batch | Refused


@dataclass(slots=True)
class _Peer:
    sensor: str
    run: int


class Peers:
    """The sensors that said hello; the one silent for longest is forgotten at the bound.

    A frame on a connection that has not said hello to its run is not answered: the sensor says hello again
    when no acknowledgement comes, and then sends everything that is not stored. Answering would lose frames
    that the old connection held.
    """

    def __init__(
        self,
        max_peers: int,
        open_run: Callable[[Batch], None],
        mark: Callable[[str, int], int],
        knows: Callable[[str, int], bool] = lambda _sensor, _run: True,
    ) -> None:
        self._max_peers = max_peers
        self._open_run = open_run
        self._mark = mark
        self._knows = knows
        self._peers: OrderedDict[bytes, _Peer] = OrderedDict()
        self.counts: Counter[str] = Counter()
        self.news: list[str] = []  # lines for people, who have not seen them yet
        self.heard: set[str] = set()
        """Sensors that spoke since the caller cleared it."""

    def handle(self, messages: Iterable[Message]) -> tuple[list[Delivery], list[Message]]:
        """Return the frames to store, fairly mixed, and what can be answered before that."""
        deliveries: list[Delivery] = []
        answers: list[Message] = []
        for message in messages:
            try:
                self._one(message, deliveries, answers)
            except WireError as error:
                self.counts[error.reason] += 1
            known = self._peers.get(message.peer)
            if known is not None:
                self.heard.add(known.sensor)
        return list(interleaved(deliveries)), answers

    def answers(self, deliveries: Sequence[Delivery], verdicts: Sequence[Verdict]) -> Iterator[Message]:
        """Yield what sensors are told once the frames are committed: one acknowledgement per run.

        Refusals come first: a sensor counts only those of frames that it still holds.
        """
        marks: dict[tuple[bytes, int], int] = {}
        for (peer, batch), verdict in zip(deliveries, verdicts, strict=True):
            if isinstance(verdict, Refused):
                yield Message(peer, pack_answer(REFUSED, batch.run, batch.sequence, verdict.detail))
            else:
                key = (peer, batch.run)
                marks[key] = max(marks.get(key, 0), batch.sequence)
        for (peer, run), sequence in marks.items():
            yield Message(peer, pack_answer(ACK, run, sequence))

    def _one(self, message: Message, deliveries: list[Delivery], answers: list[Message]) -> None:
        kind = message.parts[0] if message.parts else b""
        if kind == PING:
            answers.append(Message(message.peer, [PONG]))
        elif kind == HELLO and len(message.parts) > 1:
            answers.append(self._hello(message))
        elif kind == FRAME and len(message.parts) > 1:
            delivery = self._frame(message)
            if delivery is not None:
                deliveries.append(delivery)
        else:
            self.counts["unknown_message"] += 1

    def _hello(self, message: Message) -> Message:
        """Return the answer to a hello. No frame has the number 0: with it, the hello itself is refused."""
        peer = message.peer
        version, frame = unpack_hello(message.parts)
        if version != LINK_VERSION:
            self._other_version(version)
            return Message(peer, pack_version())
        if len(frame) > _MAX_HELLO_BYTES:
            raise WireError("hello_size", f"a header has at most {_MAX_HELLO_BYTES} bytes, not {len(frame)}")
        try:
            header = decode_frame(frame)
        except WireError as error:
            if error.reason != "version":
                raise
            self.counts[error.reason] += 1
            return Message(peer, pack_answer(REFUSED, 0, 0, f"versions differ ({error}): upgrade the older side"))
        if message.sensor not in (None, header.sensor):
            self.counts["foreign_sensor"] += 1
            reason = (
                f"its key is that of {message.sensor!r:.80}, not of {header.sensor!r:.80}: give it that name or a key"
            )
            return Message(peer, pack_answer(REFUSED, header.run, 0, reason))
        self._open_run(header)
        mark = self._mark(header.sensor, header.run)
        self._peers[peer] = _Peer(header.sensor, header.run)
        self._peers.move_to_end(peer)
        while len(self._peers) > self._max_peers:
            self._peers.popitem(last=False)
            self.counts["forgotten_peer"] += 1
        return Message(peer, pack_answer(WELCOME, header.run, mark))

    def _other_version(self, version: int) -> None:
        self.counts["link_version"] += 1
        if len(self.news) < _MAX_NEWS:
            self.news.append(
                f"a sensor speaks version {version} of the link, this correlator {LINK_VERSION}: "
                "upgrade the older one; the sensor's spool keeps its frames"
            )

    def _frame(self, message: Message) -> Delivery | None:
        peer = message.peer
        known = self._peers.get(peer)
        if known is not None and message.sensor not in (None, known.sensor):
            # The key was given to another sensor since the hello.
            self.counts["foreign_sensor"] += 1
            return None
        if known is None or not self._knows(known.sensor, known.run):
            self.counts["frame_before_hello"] += 1
            return None
        self._peers.move_to_end(peer)
        run, sequence, frame = unpack_frame(message.parts)
        if run != known.run:
            self.counts["frame_of_another_run"] += 1
            return None
        try:
            batch = _decoded(frame, (known.sensor, run, sequence))
        except WireError as error:
            self.counts[error.reason] += 1
            return Delivery(peer, Refused(known.sensor, run, sequence, error.reason, str(error)))
        return Delivery(peer, batch)


def _decoded(frame: bytes, sent_as: tuple[str, int, int]) -> Batch:
    batch = decode_frame(frame)
    if (batch.sensor, batch.run, batch.sequence) != sent_as:
        raise WireError("numbers", "the frame is of another sensor, run or sequence than it was sent as")
    return batch


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
