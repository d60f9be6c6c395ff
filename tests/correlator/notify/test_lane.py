"""The queue before an output: who fills it never waits, and what is lost is counted."""

from __future__ import annotations

import time
from threading import Event

from fake_output import Fake
from notices import notice
from rec_router import until

from correlator.notify.lane import Lane
from correlator.notify.output import OutputError


def lane(output: Fake, **options) -> Lane:
    made = Lane(output, **{"room": 10, "attempts": 3, "pause_s": 0.001, **options})
    made.start()
    return made


def test_notices_are_delivered_in_their_order() -> None:
    output = Fake()
    queue = lane(output)
    told = [notice(number) for number in range(5)]
    for one in told:
        queue.offer(one)
    queue.close(20)
    assert output.taken == told
    assert (queue.delivered, queue.failed, queue.dropped, output.closed) == (5, 0, 0, True)


def test_a_full_queue_drops_and_counts_and_nobody_waits() -> None:
    gate = Event()
    output = Fake(gate=gate)
    queue = lane(output, room=3)
    queue.offer(notice())
    until(lambda: output.taken, lambda: time.sleep(0.001))
    for number in range(8):
        queue.offer(notice(number))
    assert (queue.waiting, queue.dropped, queue.is_full) == (3, 5, True)
    gate.set()
    queue.close(20)
    assert (queue.delivered, queue.dropped) == (4, 5)


def test_what_fails_is_tried_again_and_given_up_after_so_many_times() -> None:
    output = Fake(OutputError("one"), OutputError("two"), None, OutputError("always"))
    queue = lane(output)
    queue.offer(notice(1))
    queue.offer(notice(2))
    queue.close(20)
    assert [one.alarm["server"] for one in output.taken] == ["192.0.2.1:443"] * 3 + ["192.0.2.2:443"] * 3
    assert (queue.delivered, queue.failed, queue.problem) == (1, 1, "always")


def test_what_would_fail_the_same_way_is_not_tried_again() -> None:
    output = Fake(OutputError("no such place", lasting=True), None)
    queue = lane(output)
    queue.offer(notice(1))
    queue.offer(notice(2))
    queue.close(20)
    assert (len(output.taken), queue.delivered, queue.failed, queue.problem) == (2, 1, 1, "no such place")


def test_the_pauses_between_tries_double() -> None:
    output = Fake(OutputError("down"))
    queue = lane(output, attempts=5, pause_s=0.02)
    began = time.monotonic()
    queue.offer(notice())
    queue.close(20)
    assert time.monotonic() - began >= 0.02 + 0.04 + 0.08 + 0.16


def test_the_end_does_not_wait_longer_than_its_limit_and_what_is_left_is_counted() -> None:
    output = Fake(gate=Event())
    queue = lane(output)
    for number in range(4):
        queue.offer(notice(number))
    until(lambda: output.taken, lambda: time.sleep(0.001))
    began = time.monotonic()
    queue.close(0.05)
    assert time.monotonic() - began < 10
    assert output.aborted.is_set()
    assert (queue.delivered, queue.dropped, output.closed) == (1, 3, True)
    queue.offer(notice())
    assert queue.dropped == 4


def test_a_pause_ends_with_the_lane() -> None:
    output = Fake(OutputError("down"))
    queue = lane(output, pause_s=600)
    queue.offer(notice())
    until(lambda: output.taken, lambda: time.sleep(0.001))
    began = time.monotonic()
    queue.close(0)
    assert time.monotonic() - began < 10
    assert queue.failed == 1


def test_several_threads_deliver_side_by_side() -> None:
    gate = Event()
    output = Fake(gate=gate)
    queue = lane(output, workers=3)
    for number in range(5):
        queue.offer(notice(number))
    until(lambda: len(output.taken) == 3, lambda: time.sleep(0.001))
    assert queue.waiting == 2
    gate.set()
    queue.close(20)
    assert queue.delivered == 5
