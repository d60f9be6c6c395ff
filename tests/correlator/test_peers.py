"""The conversation with sensors, without a socket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from corr_flows import batch, flow, header

from common.flowlog import Batch, encode_frame
from common.link import ACK, FRAME, HELLO, PING, PONG, REFUSED, WELCOME, unpack_answer
from correlator.ingest.peers import Delivery, Message, Peers, interleaved
from correlator.ingest.pipeline import Pipeline
from correlator.ingest.receiver import Accepted, Duplicate, Receiver, Refused, Verdict


def peers(max_peers: int = 10, mark: int = 0) -> Peers:
    return Peers(max_peers, Receiver().open_run, lambda _sensor, _run: mark)


def hello(peer: bytes, sensor: str = "tap") -> Message:
    return Message(peer, [HELLO, encode_frame(header(sensor))])


def frame(peer: bytes, sequence: int, sensor: str = "tap") -> Message:
    return Message(peer, [FRAME, encode_frame(batch([flow(sequence)], sequence, sensor=sensor))])


def kinds(messages: Iterable[Message]) -> list[bytes]:
    return [message.parts[0] for message in messages]


def test_hello_is_welcomed_with_the_mark() -> None:
    _, (answer,) = peers(mark=41).handle([hello(b"a")])
    assert unpack_answer(answer.parts) == (WELCOME, 7, 41, "")


def test_peers_take_turns() -> None:
    messages = [hello(b"a", "a"), hello(b"b", "b")]
    messages += [frame(b"a", n, "a") for n in (1, 2, 3)] + [frame(b"b", n, "b") for n in (1, 2)]
    deliveries, _ = peers().handle(messages)
    assert [(d.peer, d.batch.sequence) for d in deliveries] == [
        (b"a", 1),
        (b"b", 1),
        (b"a", 2),
        (b"b", 2),
        (b"a", 3),
    ]


def test_interleaving_nothing_is_nothing() -> None:
    assert list(interleaved([])) == []


def test_the_peer_silent_for_longest_is_forgotten() -> None:
    known = peers(max_peers=2)
    known.handle([hello(b"a"), hello(b"b"), frame(b"a", 1), hello(b"c")])
    deliveries, _ = known.handle([frame(b"a", 2), frame(b"b", 2), frame(b"c", 2)])
    assert {delivery.peer for delivery in deliveries} == {b"a", b"c"}
    assert known.counts["frame_before_hello"] == 1


@pytest.mark.parametrize(
    "parts",
    [[], [b""], [b"HELLO"], [FRAME], [b"DANCE", b"x"], [HELLO, b"x"], [HELLO, b"\xff" * 99]],
)
def test_a_stranger_that_speaks_nonsense_gets_no_answer(parts: list[bytes]) -> None:
    known = peers()
    deliveries, answers = known.handle([Message(b"s", parts)])
    assert (deliveries, answers) == ([], [])
    assert list(known.answers([], [])) == []
    assert known.counts.total() == 1


def test_a_ping_is_answered() -> None:
    _, answers = peers().handle([Message(b"s", [PING])])
    assert answers == [Message(b"s", [PONG])]


def test_a_refusal_comes_after_what_it_covers_is_committed() -> None:
    known = peers()
    bad = Message(b"a", [FRAME, b"\x00" * 40])
    deliveries, answers = known.handle([hello(b"a"), frame(b"a", 1), bad, frame(b"a", 3)])
    assert kinds(answers) == [WELCOME]
    verdicts = [Accepted("tap", 7, d.batch.sequence, 0, [], [], [], refused=Counter()) for d in deliveries]
    found = [unpack_answer(message.parts) for message in known.answers(deliveries, verdicts)]
    assert [(answer.kind, answer.sequence) for answer in found] == [(ACK, 3), (REFUSED, 2)]
    assert list(known.answers([], [])) == []


def test_a_duplicate_is_acknowledged_and_a_refused_frame_is_not() -> None:
    known = peers()
    first: Batch = batch([], 5)
    deliveries = [Delivery(b"a", first), Delivery(b"a", first._replace(sequence=6))]
    verdicts: list[Verdict] = [Duplicate("tap", 7, 5), Refused("tap", 7, 6, "no_header", "why")]
    found = [unpack_answer(message.parts) for message in known.answers(deliveries, verdicts)]
    assert [(answer.kind, answer.sequence, answer.reason) for answer in found] == [(ACK, 5, ""), (REFUSED, 6, "why")]


def test_a_frame_counts_once_however_often_it_comes(pipeline: Pipeline) -> None:
    pipeline.receiver.open_run(header())
    frames = [batch([flow(1)], 1), batch([flow(1)], 1), batch([flow(2)], 2)]
    first = pipeline.store_frames(frames, 0)
    assert [type(verdict) for verdict in first.verdicts] == [Accepted, Duplicate, Accepted]
    again = pipeline.store_frames(frames, 0)
    assert {type(verdict) for verdict in again.verdicts} == {Duplicate}
    assert (first.records, again.records) == (2, 0)
    assert pipeline.mark("tap", 7) == 2


def test_a_new_run_of_a_sensor_counts_from_one_again(pipeline: Pipeline) -> None:
    for run in (1, 2):
        pipeline.receiver.open_run(header(run=run))
        assert pipeline.store_frames([batch([flow(run)], 1, run=run)], 0).records == 1


def test_runs_are_bounded() -> None:
    receiver = Receiver(max_runs=2)
    for run in (1, 2, 3):
        receiver.open_run(header(run=run))
    assert [receiver.knows("tap", run) for run in (1, 2, 3)] == [False, True, True]
