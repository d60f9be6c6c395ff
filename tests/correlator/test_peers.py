"""The conversation with sensors, without a socket."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from corr_flows import T0, batch, flow, header

from common.flowlog import Batch, encode_frame
from common.link import (
    ACK,
    FRAME,
    HELLO,
    LINK_VERSION,
    PING,
    PONG,
    REFUSED,
    VERSION,
    WELCOME,
    pack_frame,
    pack_hello,
    unpack_answer,
)
from common.records import SensorStats
from correlator.ingest.peers import Delivery, Message, Peers, interleaved
from correlator.ingest.pipeline import Pipeline
from correlator.ingest.receiver import Accepted, Duplicate, Receiver, Refused, Verdict

NOW = T0 + 3600 * 10**9


def peers(max_peers: int = 10, mark: int = 0) -> Peers:
    return Peers(max_peers, Receiver().open_run, lambda _sensor, _run: mark)


def hello(peer: bytes, sensor: str = "tap") -> Message:
    return Message(peer, pack_hello(encode_frame(header(sensor))))


def frame(peer: bytes, sequence: int, sensor: str = "tap") -> Message:
    return Message(peer, pack_frame(7, sequence, encode_frame(batch([flow(sequence)], sequence, sensor=sensor))))


def kinds(messages: Iterable[Message]) -> list[bytes]:
    return [message.parts[0] for message in messages]


def test_hello_is_welcomed_with_the_mark() -> None:
    _, (answer,) = peers(mark=41).handle([hello(b"a")])
    assert unpack_answer(answer.parts) == (WELCOME, 7, 41, "")


def test_who_said_hello_is_heard_whatever_it_says() -> None:
    known = peers()
    known.handle([Message(b"a", [PING])])
    assert known.heard == set()
    known.handle([hello(b"a")])
    assert known.heard == {"tap"}
    known.heard.clear()
    known.handle([Message(b"a", [PING])])
    assert known.heard == {"tap"}


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
    [[], [b""], [b"HELLO"], [FRAME], [b"DANCE", b"x"], [HELLO, b"x", b"y"], pack_hello(b"\xff" * 99)],
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


def said(known: Peers, deliveries: list[Delivery], verdicts: list[Verdict]) -> list[tuple[bytes, int]]:
    found = [unpack_answer(message.parts) for message in known.answers(deliveries, verdicts)]
    return [(answer.kind, answer.sequence) for answer in found]


def test_a_frame_that_cannot_be_read_is_refused_by_its_own_number_after_the_commit(pipeline: Pipeline) -> None:
    known = Peers(9, pipeline.receiver.open_run, pipeline.mark, pipeline.receiver.knows)
    bad = Message(b"a", pack_frame(7, 2, b"\x00" * 40))
    deliveries, answers = known.handle([hello(b"a"), frame(b"a", 1), bad, frame(b"a", 3)])
    assert kinds(answers) == [WELCOME]
    stored = pipeline.store_frames([delivery.batch for delivery in deliveries], NOW)
    assert said(known, deliveries, stored.verdicts) == [(REFUSED, 2), (ACK, 3)]
    assert (stored.records, stored.refused) == (2, {"frame_length": 1})
    assert pipeline.mark("tap", 7) == 3
    assert known.counts == {"frame_length": 1}


def test_the_mark_passes_a_refused_frame_so_that_the_next_is_no_gap_and_a_repetition_is_one(pipeline: Pipeline) -> None:
    known = Peers(9, pipeline.receiver.open_run, pipeline.mark, pipeline.receiver.knows)
    bad = Message(b"a", pack_frame(7, 1, b"junk"))
    deliveries, _ = known.handle([hello(b"a"), bad])
    pipeline.store_frames([delivery.batch for delivery in deliveries], NOW)
    assert pipeline.mark("tap", 7) == 1
    deliveries, _ = known.handle([bad, frame(b"a", 2)])
    again, next_one = pipeline.store_frames([delivery.batch for delivery in deliveries], NOW).verdicts
    assert isinstance(again, Duplicate)
    assert isinstance(next_one, Accepted)
    assert next_one.missing == 0


@pytest.mark.parametrize("sequence", [3, (1 << 63) - 1, (1 << 64) - 1])
def test_the_numbers_beside_a_frame_are_those_inside_it_or_it_is_refused(pipeline: Pipeline, sequence: int) -> None:
    known = Peers(9, pipeline.receiver.open_run, pipeline.mark, pipeline.receiver.knows)
    wrong = Message(b"a", pack_frame(7, sequence, encode_frame(batch([flow(1)], 2))))
    deliveries, _ = known.handle([hello(b"a"), wrong])
    stored = pipeline.store_frames([delivery.batch for delivery in deliveries], NOW)
    assert said(known, deliveries, stored.verdicts) == [(REFUSED, sequence)]
    assert stored.records == 0


def test_a_sequence_beyond_what_a_sensor_counts_to_is_refused_and_moves_no_mark(pipeline: Pipeline) -> None:
    pipeline.receiver.open_run(header())
    far = batch([flow(1)], (1 << 63) - 1)
    (verdict,) = pipeline.store_frames([far], NOW).verdicts
    assert isinstance(verdict, Refused)
    assert (verdict.reason, verdict.done, pipeline.mark("tap", 7)) == ("sequence", False, 0)
    assert pipeline.store_frames([batch([flow(1)], 1)], NOW).records == 1


def test_a_frame_of_a_run_that_was_not_greeted_is_left_to_be_sent_again() -> None:
    known = peers()
    other = Message(b"a", pack_frame(8, 1, encode_frame(batch([flow(1)], 1, run=8))))
    assert known.handle([hello(b"a"), other])[0] == []
    assert known.counts == {"frame_of_another_run": 1}


def test_a_run_whose_header_was_forgotten_is_left_to_say_hello_again() -> None:
    receiver = Receiver(max_runs=1)
    known = Peers(9, receiver.open_run, lambda _sensor, _run: 0, receiver.knows)
    deliveries, _ = known.handle([hello(b"a"), hello(b"b", "other"), frame(b"a", 1)])
    assert deliveries == []
    deliveries, _ = known.handle([hello(b"a"), frame(b"a", 1)])
    assert len(deliveries) == 1


@pytest.mark.parametrize("parts", [[HELLO, encode_frame(header())], pack_hello(encode_frame(header()), version=3)])
def test_another_version_of_the_link_is_told_ours_and_no_more(parts: list[bytes]) -> None:
    known = peers()
    deliveries, (answer,) = known.handle([Message(b"a", parts), frame(b"a", 1)])
    assert unpack_answer(answer.parts) == (VERSION, 0, LINK_VERSION, "")
    assert deliveries == []
    assert known.counts == {"link_version": 1, "frame_before_hello": 1}
    (line,) = known.news
    assert line.endswith("of the link, this correlator 2: upgrade the older one; the sensor's spool keeps its frames")


def test_a_header_of_more_than_64_kib_is_refused() -> None:
    known = peers()
    names = [["flow", [f"{number:0250}" for number in range(300)]]]
    known.handle([Message(b"a", pack_hello(encode_frame(header()._replace(records=names))))])
    assert known.counts == {"hello_size": 1}


def test_a_duplicate_is_acknowledged_and_a_refused_frame_is_not() -> None:
    known = peers()
    first: Batch = batch([], 5)
    deliveries = [Delivery(b"a", first), Delivery(b"a", first._replace(sequence=6))]
    verdicts: list[Verdict] = [Duplicate("tap", 7, 5), Refused("tap", 7, 6, "no_header", "why")]
    found = [unpack_answer(message.parts) for message in known.answers(deliveries, verdicts)]
    assert [(answer.kind, answer.sequence, answer.reason) for answer in found] == [(REFUSED, 6, "why"), (ACK, 5, "")]


def test_a_frame_counts_once_however_often_it_comes(pipeline: Pipeline) -> None:
    pipeline.receiver.open_run(header())
    frames = [batch([flow(1)], 1), batch([flow(1)], 1), batch([flow(2)], 2)]
    first = pipeline.store_frames(frames, NOW)
    assert [type(verdict) for verdict in first.verdicts] == [Accepted, Duplicate, Accepted]
    again = pipeline.store_frames(frames, NOW)
    assert {type(verdict) for verdict in again.verdicts} == {Duplicate}
    assert (first.records, again.records) == (2, 0)
    assert pipeline.mark("tap", 7) == 2


def test_a_new_run_of_a_sensor_counts_from_one_again(pipeline: Pipeline) -> None:
    for run in (1, 2):
        pipeline.receiver.open_run(header(run=run))
        assert pipeline.store_frames([batch([flow(run)], 1, run=run)], NOW).records == 1


def test_runs_are_bounded() -> None:
    receiver = Receiver(max_runs=2)
    for run in (1, 2, 3):
        receiver.open_run(header(run=run))
    assert [receiver.knows("tap", run) for run in (1, 2, 3)] == [False, True, True]


def test_records_from_more_than_a_day_after_now_are_refused_and_ancient_ones_are_not(pipeline: Pipeline) -> None:
    pipeline.receiver.open_run(header())
    day_ns = 86_400 * 10**9
    flows = [flow(1, start_ns=0, end_ns=1), flow(2, start_ns=NOW, end_ns=NOW + day_ns)]
    stored = pipeline.store_frames([batch([*flows, flow(3, start_ns=NOW, end_ns=NOW + day_ns + 1)], 1)], NOW)
    assert (stored.records, stored.refused) == (2, {"record_future": 1})
    stats = [SensorStats(NOW + day_ns + 1, "1.0", "eth0"), SensorStats(NOW, "1.0", "eth0")]
    stored = pipeline.store_frames([batch(stats, 2, kind="stats")], NOW)
    assert stored.refused == {"record_future": 1}
