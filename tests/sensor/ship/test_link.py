from __future__ import annotations

import errno
import time
from functools import partial

import pytest
from rec_records import RUN, frame, header
from rec_router import Router, until

from common.errors import UserError
from common.flowlog import decode_frame
from common.link import FRAME, HELLO, PING, REFUSED, VERSION, pack_answer
from sensor.batching import NumberedFrame
from sensor.config import ShipConfig
from sensor.ship.link import Shipper
from sensor.ship.spool import Policy, Spool

S = 1_000_000_000
OLD = RUN - 1


def sequences(router: Router) -> list[int]:
    return [decode_frame(raw).sequence for raw in router.frames]


class Setup:
    """A shipper under a clock of its own, and the correlators it meets."""

    def __init__(self, directory, endpoint: str) -> None:
        self.directory = directory
        self.endpoint = endpoint
        self.now_ns = S
        self.routers: list[Router] = []
        self.shippers: list[Shipper] = []

    def shipper(self, run: int = RUN, **config) -> Shipper:
        settings = ShipConfig(endpoint=self.endpoint, plaintext=True, **config)
        policy = Policy(int(settings.spool_max_age_s * S))
        spool = Spool(self.directory, run, header(run=run), settings.spool_max_bytes, settings.segment_bytes, policy)
        self.shippers.append(Shipper(settings, spool))
        return self.shippers[-1]

    def router(self, marks: dict[int, int] | None = None) -> Router:
        self.routers.append(Router(self.endpoint, marks))
        return self.routers[-1]

    def take(self, shipper: Shipper, first: int, last: int, run: int = RUN) -> None:
        shipper.take([NumberedFrame(sequence, frame(sequence, run=run)) for sequence in range(first, last + 1)])

    def both(self, shipper: Shipper, router: Router, **how):
        def step() -> None:
            # Faster than the clock on the wall: what needs resending is sent again within a second.
            self.now_ns += S // 20
            shipper.turn(self.now_ns, 1)
            router.turn(**how)

        return step


@pytest.fixture
def setup(tmp_path):
    made = Setup(tmp_path / "spool", f"ipc://{tmp_path}/link")
    yield made
    for shipper in made.shippers:
        shipper.close()
    for router in made.routers:
        router.close()


def test_a_run_says_hello_and_its_frames_come_in_order_until_the_spool_is_empty(setup):
    shipper, router = setup.shipper(window_frames=4), setup.router()
    setup.take(shipper, 1, 20)
    assert shipper.waiting == 20
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert router.kinds[:2] == [HELLO, FRAME]
    assert router.headers[0] == decode_frame(header())
    assert router.frames == [frame(sequence) for sequence in range(1, 21)]
    setup.shippers.remove(shipper)
    shipper.close()
    assert list(setup.directory.glob("*.flowlog")) == []


def test_what_an_earlier_run_left_goes_first_under_its_own_header(setup):
    before = setup.shipper(OLD)
    setup.take(before, 1, 3, OLD)
    setup.shippers.remove(before)
    before.close()
    shipper, router = setup.shipper(), setup.router()
    setup.take(shipper, 1, 2)
    assert shipper.waiting == 5
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert [(batch.run, batch.sequence) for batch in map(decode_frame, router.frames)] == [
        (OLD, 1), (OLD, 2), (OLD, 3), (RUN, 1), (RUN, 2),
    ]  # fmt: skip
    assert [batch.run for batch in router.headers] == [OLD, RUN]


def test_a_correlator_that_restarts_is_greeted_and_gets_what_it_did_not_store(setup):
    shipper, router = setup.shipper(window_frames=4), setup.router()
    setup.take(shipper, 1, 3)
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    setup.take(shipper, 4, 12)
    until(lambda: len(router.frames) > 3, setup.both(shipper, router, acknowledge=False))
    setup.routers.remove(router)
    router.close()
    again = setup.router(marks=router.marks)
    until(lambda: not shipper.waiting, setup.both(shipper, again))
    assert again.headers[0].run == RUN
    assert sequences(again) == list(range(4, 13))
    assert again.gaps == []


def test_a_correlator_that_lost_its_memory_says_so_and_one_that_has_more_too(setup):
    shipper, router = setup.shipper(), setup.router(marks={RUN: 7})
    setup.take(shipper, 1, 9)
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert sequences(router) == [8, 9]


def test_nobody_listening_never_blocks_and_nothing_is_lost(setup):
    shipper = setup.shipper(window_frames=8)
    started = time.monotonic()
    for first in range(1, 400, 4):
        setup.take(shipper, first, first + 3)
        setup.now_ns += S
        assert not shipper.turn(setup.now_ns)
    assert time.monotonic() - started < 10
    assert shipper.waiting == 400
    router = setup.router()
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert sequences(router) == list(range(1, 401))
    assert router.gaps == []


def test_correlators_that_come_and_go_leave_no_gap(setup):
    """What a full socket refuses must not be overtaken: the mark would cover it."""
    shipper = setup.shipper(window_frames=4)
    setup.take(shipper, 1, 60)
    marks: dict[int, int] = {}
    seen: list[int] = []
    for patience in range(1, 9):
        for _ in range(30):  # nobody there: the queue fills up with repetitions
            setup.now_ns += S
            shipper.turn(setup.now_ns)
        router = setup.router(marks)
        until(partial(getattr, router, "kinds"), setup.both(shipper, router, limit=patience))
        for _ in range(patience):
            setup.both(shipper, router, limit=3)()
        setup.routers.remove(router)
        router.close()
        assert router.gaps == []
        seen += sequences(router)
    router = setup.router(marks)
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert router.gaps == []
    assert seen + sequences(router) == list(range(1, 61))


def test_frames_dropped_at_the_bound_are_not_waited_for(setup):
    shipper = setup.shipper(spool_max_bytes=1 << 20, segment_bytes=1 << 16)
    shipper.spool._max_bytes = 4000
    shipper.spool._segment_bytes = 1000
    setup.take(shipper, 1, 40)
    assert shipper.waiting == 40 - shipper.spool.frames_dropped
    router = setup.router()
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert sequences(router) == list(range(shipper.spool.frames_dropped + 1, 41))


def test_frames_whose_file_is_gone_are_counted_and_not_waited_for(setup):
    shipper, router = setup.shipper(segment_bytes=1 << 16), setup.router()
    shipper.spool._segment_bytes = 1
    setup.take(shipper, 1, 3)
    (setup.directory / f"{RUN:020d}-000003.flowlog").unlink()
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert sequences(router) == [1, 2]
    assert shipper.spool.frames_dropped == 1


def test_a_full_disk_costs_the_frames_that_found_no_room_and_is_said_once(setup, monkeypatch):
    shipper, router = setup.shipper(window_frames=4), setup.router()
    setup.take(shipper, 1, 3)
    write, full = shipper.spool._write, True

    def write_or_not(data, segment) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(data, segment)

    monkeypatch.setattr(shipper.spool, "_write", write_or_not)
    setup.take(shipper, 4, 6)
    shipper.turn(setup.now_ns)
    setup.take(shipper, 7, 8)
    shipper.turn(setup.now_ns)
    full = False
    setup.take(shipper, 9, 12)
    setup.now_ns += 20 * S
    shipper.turn(setup.now_ns)
    assert shipper.spool.losses.by_reason == {"disk_full": 5}
    full_line, again_line = (line for line in shipper.news if "the spool" in line)
    assert full_line.endswith(
        ": No space left on device; make room or give another --spool; until then frames are dropped and counted"
    )
    assert again_line == f"the spool {setup.directory} can be written again; 5 frames were dropped meanwhile"
    assert shipper.waiting == 7
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert sequences(router) == [1, 2, 3, 9, 10, 11, 12]
    # The correlator learns of what is missing by the numbers.
    assert router.gaps == [(RUN, 3, 9)]


def test_a_spool_that_vanishes_and_comes_back_costs_what_came_meanwhile(setup):
    shipper, router = setup.shipper(window_frames=4), setup.router()
    setup.take(shipper, 1, 9)
    away = setup.directory.with_name("away")
    setup.directory.rename(away)
    setup.take(shipper, 10, 12)
    for _ in range(20):
        setup.both(shipper, router)()
    assert (sequences(router), shipper.waiting) == ([], 9)
    away.rename(setup.directory)
    setup.now_ns += 2 * S
    shipper.turn(setup.now_ns)
    setup.take(shipper, 13, 14)
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert sequences(router) == [*range(1, 10), 13, 14]
    assert router.gaps == [(RUN, 9, 13)]
    assert shipper.spool.losses.by_reason == {"unwritable": 3}


def test_a_file_lost_in_the_middle_is_a_gap_and_later_answers_count_for_what_they_say(setup):
    shipper, router = setup.shipper(window_frames=3), setup.router()
    shipper.spool._segment_bytes = 1
    setup.take(shipper, 1, 9)
    for number in (4, 5):
        (setup.directory / f"{RUN:020d}-{number:06d}.flowlog").unlink()
    until(lambda: len(router.frames) >= 5, setup.both(shipper, router))
    assert router.gaps == [(RUN, 3, 6)]
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert sequences(router) == [1, 2, 3, 6, 7, 8, 9]
    assert shipper.spool.losses.by_reason == {"lost": 2}
    assert list(setup.directory.glob("*-00000[1-8].flowlog")) == []


def test_a_refusal_after_a_gap_covers_the_frame_that_it_names_and_no_other(setup):
    shipper, router = setup.shipper(), setup.router()
    shipper.spool._segment_bytes = 1
    setup.take(shipper, 1, 5)
    (setup.directory / f"{RUN:020d}-000002.flowlog").unlink()
    until(lambda: 5 in sequences(router), setup.both(shipper, router, acknowledge=False))
    router.send_all(pack_answer(REFUSED, RUN, 3, "field 3"))
    until(lambda: shipper.refused, setup.both(shipper, router, acknowledge=False))
    assert shipper.waiting == 3
    assert [shipper.spool.read(RUN, n) for n in (1, 3, 4, 5)] == [frame(1), None, frame(4), frame(5)]


def test_frames_too_old_are_not_waited_for(setup):
    shipper = setup.shipper(spool_max_age_s=60)
    shipper.turn(setup.now_ns)
    setup.take(shipper, 1, 3)
    setup.now_ns += 61 * S
    shipper.turn(setup.now_ns)
    setup.take(shipper, 4, 4)
    assert (shipper.waiting, shipper.spool.losses.by_reason) == (1, {"age": 3})
    router = setup.router()
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert sequences(router) == [4]


def test_the_first_refusal_is_said_and_all_are_counted(setup):
    shipper, router = setup.shipper(), setup.router()
    setup.take(shipper, 1, 2)
    until(lambda: len(router.frames) > 1, setup.both(shipper, router, acknowledge=False))
    for sequence, reason in ((1, "field 3"), (2, "field 4")):
        router.send_all(pack_answer(REFUSED, RUN, sequence, reason))
    until(lambda: not shipper.waiting, setup.both(shipper, router, acknowledge=False))
    assert (shipper.refused, shipper.refusal) == (2, "field 3")
    assert shipper.news == ["the correlator refused a frame: field 3; what it refuses is not stored"]


def test_a_refused_frame_leaves_those_before_it_in_the_spool(setup):
    shipper, router = setup.shipper(), setup.router()
    setup.take(shipper, 1, 3)
    until(lambda: len(router.frames) > 2, setup.both(shipper, router, acknowledge=False))
    router.send_all(pack_answer(REFUSED, RUN, 2, "why"))
    until(lambda: shipper.refused, setup.both(shipper, router, acknowledge=False))
    assert shipper.waiting == 2
    assert [shipper.spool.read(RUN, sequence) for sequence in (1, 2, 3)] == [frame(1), None, frame(3)]


def test_a_correlator_that_is_not_there_is_said_once_and_so_is_its_return(setup):
    shipper = setup.shipper()
    setup.take(shipper, 1, 2)
    for _ in range(90):
        setup.now_ns += S
        shipper.turn(setup.now_ns)
    (line,) = shipper.news
    assert "nobody takes connections" in line
    router = setup.router()
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    until(lambda: len(shipper.news) > 1, setup.both(shipper, router))
    assert shipper.news[1:] == [f"the correlator at {router.endpoint} answers"]


def test_a_correlator_of_another_version_is_said_once_and_the_frames_stay(setup):
    shipper, router = setup.shipper(), setup.router()
    setup.take(shipper, 1, 1)
    until(lambda: router.frames, setup.both(shipper, router, acknowledge=False))
    shipper.news.clear()
    for _ in range(2):
        router.send_all([VERSION, b"\0\x07"])
        until(lambda: shipper.news, setup.both(shipper, router, acknowledge=False))
    (line,) = shipper.news
    assert line.endswith(
        "speaks version 7 of the link, this sensor 2: upgrade the older one; the spool keeps the frames"
    )
    assert shipper.waiting == 1


def test_the_window_in_bytes_holds_back_what_is_more(setup):
    shipper, router = setup.shipper(window_bytes=1 << 16), setup.router()
    size = len(frame(1))
    count = (1 << 16) // size + 50
    setup.take(shipper, 1, count)
    shipper._sender._limits = shipper._sender._limits._replace(window_frames=10_000, window_bytes=3 * size)
    until(lambda: router.frames, setup.both(shipper, router, acknowledge=False))
    assert shipper._sender._bytes_in_flight <= 4 * size
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    assert set(sequences(router)) == set(range(1, count + 1))
    assert shipper._sender._bytes_in_flight == 0


def test_damage_in_the_spool_is_news(setup):
    before = setup.shipper(OLD)
    setup.take(before, 1, 1, OLD)
    setup.shippers.remove(before)
    before.close()
    (path,) = setup.directory.glob("*.flowlog")
    path.write_bytes(b"not a flow log")
    shipper = setup.shipper()
    assert shipper.news == shipper.spool.damage != []


def test_a_turn_says_whether_frames_were_taken(setup):
    """A correlator that only greets must not be waited for for ever."""
    shipper, router = setup.shipper(), setup.router()
    setup.take(shipper, 1, 2)
    said = []

    def greet() -> None:
        setup.now_ns += S // 5
        said.append(shipper.turn(setup.now_ns, 1))
        router.turn(acknowledge=False)

    until(lambda: router.kinds.count(HELLO) > 1, greet)
    assert not any(said)

    def accept() -> None:
        setup.now_ns += S // 5
        router.turn()
        said.append(shipper.turn(setup.now_ns, 1))

    until(lambda: shipper.waiting == 0, accept)
    assert any(said)


def test_answers_that_are_none_are_counted(setup):
    shipper, router = setup.shipper(), setup.router()
    setup.take(shipper, 1, 1)
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    for parts in ([b"ACK"], [b""], [b"ACK", bytes(16), b"", b""], [b"NO", bytes(16), b""]):
        router.send_all(parts)
    until(lambda: shipper.bad_answers == 4, setup.both(shipper, router))


def test_a_sign_of_life_goes_out_when_there_is_nothing_to_send(setup):
    shipper, router = setup.shipper(), setup.router()
    until(lambda: PING in router.kinds, setup.both(shipper, router))
    assert router.kinds == [PING] * len(router.kinds)


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "tcp://[::1]:*"])
def test_loopback_addresses_of_both_families_work(tmp_path, endpoint):
    try:
        router = Router(endpoint)
    except OSError as error:
        pytest.skip(f"needs {endpoint}: {error}")
    setup = Setup(tmp_path / "spool", router.endpoint)
    shipper = setup.shipper()
    setup.take(shipper, 1, 3)
    until(lambda: not shipper.waiting, setup.both(shipper, router))
    shipper.close()
    router.close()


class TestRefusals:
    def spool(self, tmp_path):
        return Spool(tmp_path / "spool", RUN, header(), 1 << 20, 1 << 16)

    @pytest.mark.parametrize("endpoint", ["tcp://10.1.1.1:1", "tcp://*:1", "tcp://example.com:1", "", "127.0.0.1:1"])
    def test_plain_text_that_would_leave_the_host_is_refused(self, tmp_path, endpoint):
        spool = self.spool(tmp_path)
        with pytest.raises(UserError, match=r"plaintext link .* would leave this host; use tcp://127\.0\.0\.1:PORT"):
            Shipper(ShipConfig(endpoint=endpoint, plaintext=True), spool)
        spool.close()

    def test_a_link_without_plaintext_needs_the_correlators_key(self, tmp_path):
        spool = self.spool(tmp_path)
        with pytest.raises(UserError, match=r"no public key of the correlator at tcp://127\.0\.0\.1:5690; .*keygen"):
            Shipper(ShipConfig(endpoint="tcp://127.0.0.1:5690"), spool)
        spool.close()

    @pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1", "tcp://127.0.0.1:x", "ipc://", "ipc://" + "x" * 300])
    def test_what_is_no_endpoint_is_one_line(self, tmp_path, endpoint):
        spool = self.spool(tmp_path)
        with pytest.raises(UserError, match=r"(not an endpoint|would leave this host)") as caught:
            Shipper(ShipConfig(endpoint=endpoint, plaintext=True), spool)
        assert "\n" not in str(caught.value)
        spool.close()
