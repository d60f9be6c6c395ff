from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from common.link import ACK, PONG, REFUSED, WELCOME, Answer
from sensor.ship.sender import Hello, Limits, Message, Ping, Send, Sender

RESEND, RESEND_MAX, PING = 5, 20, 10
BYTES = 1 << 20
A, B = 1, 2


def sender_with(window: int = 3, **frames: int) -> Sender:
    """A sender with so many frames of the runs a, b, ..."""
    sender = Sender(Limits(window, BYTES, RESEND, RESEND_MAX, PING))
    for name, count in frames.items():
        for sequence in range(1, count + 1):
            sender.add({"a": A, "b": B}[name], sequence)
    return sender


def sends(run: int, *sequences: int) -> list[Message]:
    return [Send(run, sequence) for sequence in sequences]


def ack(run: int, sequence: int, kind: bytes = ACK) -> Answer:
    return Answer(kind, run, sequence, "")


def test_a_run_is_introduced_before_its_first_frame_and_once():
    sender = sender_with(a=1)
    assert sender.messages(0) == [Hello(A), Send(A, 1)]
    sender.add(A, 2)
    assert sender.messages(1) == [Send(A, 2)]


def test_the_window_bounds_what_is_unanswered():
    sender = sender_with(window=3, a=5)
    assert sender.messages(0) == [Hello(A), *sends(A, 1, 2, 3)]
    assert sender.messages(1) == []
    assert sender.answered(ack(A, 2), 1)
    assert sender.messages(1) == sends(A, 4, 5)
    assert sender.waiting == 3


def test_what_an_earlier_run_left_goes_first_and_runs_do_not_mix():
    sender = sender_with(window=3, a=2, b=3)
    assert sender.messages(0) == [Hello(A), *sends(A, 1, 2), Hello(B), *sends(B, 1)]
    sender.answered(ack(A, 2), 1)
    assert sender.messages(1) == sends(B, 2, 3)


def test_a_run_is_not_introduced_while_the_window_is_full():
    sender = sender_with(window=2, a=2, b=1)
    assert sender.messages(0) == [Hello(A), *sends(A, 1, 2)]
    sender.answered(ack(A, 1), 1)
    assert sender.messages(1) == [Hello(B), Send(B, 1)]


def test_without_an_answer_everything_is_sent_again_in_order_after_a_greeting():
    sender = sender_with(window=4, a=2, b=2)
    first = sender.messages(0)
    assert sender.messages(RESEND - 1) == []
    assert sender.messages(RESEND) == first
    assert sender.resends == 4


def test_an_answer_puts_the_resending_off():
    sender = sender_with(window=2, a=2)
    sender.messages(0)
    sender.answered(ack(A, 1), RESEND - 1)
    assert sender.messages(RESEND) == []
    assert sender.messages(2 * RESEND - 1) == [Hello(A), Send(A, 2)]


def test_time_without_frames_does_not_count_as_waiting():
    sender = sender_with()
    sender.messages(0)
    sender.add(A, 1)
    assert sender.messages(1000) == [Hello(A), Send(A, 1)]
    assert sender.messages(1000 + RESEND - 1) == []


def test_a_welcome_covers_what_is_stored_already():
    sender = sender_with(a=3)
    sender.messages(0)
    assert sender.answered(ack(A, 2, WELCOME), 1)
    assert sender.waiting == 1


def test_a_refused_frame_is_counted_and_never_sent_again():
    sender = sender_with(a=2)
    sender.messages(0)
    assert sender.answered(ack(A, 1, REFUSED), 1)
    assert sender.refused == 1
    assert sender.messages(1 + RESEND) == [Hello(A), Send(A, 2)]


def test_a_refusal_covers_its_own_frame_and_none_before_it():
    sender = sender_with(window=3, a=5)
    sender.messages(0)
    sender.answered(ack(A, 3, REFUSED), 1)
    sender.answered(ack(A, 3, REFUSED), 1)
    sender.answered(ack(A, 5, REFUSED), 1)
    sender.answered(ack(9, 1, REFUSED), 1)
    assert (sender.waiting, sender.refused) == (3, 2)
    assert sender.messages(1) == [Send(A, 4)]
    assert sender.messages(2 + RESEND) == [Hello(A), *sends(A, 1, 2, 4)]


def resend_times(sender: Sender, first: int, until: int) -> list[int]:
    return [now for now in range(first, until) if any(isinstance(found, Send) for found in sender.messages(now))]


def test_the_wait_before_a_resend_doubles_up_to_its_bound():
    assert resend_times(sender_with(a=1), 0, 80) == [0, 5, 15, 35, 55, 75]


@pytest.mark.parametrize("answer", [ack(A, 1), ack(0, 0, PONG)])
def test_progress_or_a_sign_of_life_ends_the_longer_waits(answer):
    sender = sender_with(window=2, a=2)
    assert resend_times(sender, 0, 17) == [0, 5, 15]
    sender.answered(answer, 17)
    assert resend_times(sender, 17, 35)[0] <= 22


def test_a_welcome_that_covers_nothing_does_not_end_the_longer_waits():
    sender = sender_with(a=1)
    assert resend_times(sender, 0, 16) == [0, 5, 15]
    sender.answered(ack(A, 0, WELCOME), 16)
    assert resend_times(sender, 16, 40) == [36]


def test_the_window_is_bounded_in_bytes_too_and_always_lets_one_frame_through():
    sender = sender_with(window=4, a=4)
    for sequence in (1, 2):
        assert sender.has_room
        sender.messages(0)
        sender.sent(A, sequence, BYTES // 2)
    assert not sender.has_room
    sender.add(A, 5)
    assert sender.messages(1) == []
    sender.answered(ack(A, 1), 1)
    assert sender.messages(1) == sends(A, 5)
    sender.sent(A, 5, 9 * BYTES)
    sender.answered(ack(A, 5), 2)
    assert sender.has_room


def test_a_pong_covers_nothing():
    sender = sender_with(a=1)
    sender.messages(0)
    assert not sender.answered(ack(A, 1, PONG), 1)
    assert sender.waiting == 1


@pytest.mark.parametrize("answer", [ack(9, 5), ack(A, 0), ack(9, 1 << 64)])
def test_an_answer_about_nothing_known_changes_nothing(answer):
    sender = sender_with(a=2)
    sender.messages(0)
    sender.answered(answer, 1)
    assert sender.waiting == 2


def test_an_answer_covers_frames_that_were_not_sent_yet():
    sender = sender_with(window=1, a=3)
    sender.messages(0)
    sender.answered(ack(A, 3), 1)
    assert sender.waiting == 0


def test_a_sign_of_life_goes_out_only_when_nothing_else_did():
    sender = sender_with(a=1)
    sender.messages(100)
    sender.answered(ack(A, 1), 100)
    assert sender.messages(100 + PING - 1) == []
    assert sender.messages(100 + PING) == [Ping()]
    assert sender.messages(100 + PING + 1) == []


def test_frames_lost_at_the_spools_bound_leave_the_window():
    sender = sender_with(window=2, a=2, b=2)
    sender.messages(0)
    sender.forget(A, 2)
    assert sender.waiting == 2
    assert sender.messages(1) == [Hello(B), *sends(B, 1, 2)]


def test_forgetting_a_run_that_is_not_the_last_leaves_the_others():
    sender = sender_with(window=9, a=2, b=2)
    sender.messages(0)
    sender.forget(A, 1)
    assert sender.messages(RESEND) == [Hello(A), Send(A, 2), Hello(B), *sends(B, 1, 2)]
    sender.forget(A, 2)
    sender.forget(A, 2)
    assert sender.messages(3 * RESEND) == [Hello(B), *sends(B, 1, 2)]


def test_what_the_socket_had_no_room_for_goes_out_before_anything_later():
    sender = sender_with(window=4, a=2, b=3)
    messages = sender.messages(0)
    assert messages == [Hello(A), *sends(A, 1, 2), Hello(B), *sends(B, 1, 2)]
    sender.put_back(messages[2:])
    sender.answered(ack(A, 1), 1)
    assert sender.messages(1) == [Send(A, 2), Hello(B), *sends(B, 1, 2, 3)]


def test_a_greeting_without_room_is_repeated():
    sender = sender_with(a=1)
    sender.put_back(sender.messages(0))
    assert sender.messages(1) == [Hello(A), Send(A, 1)]


def test_a_sign_of_life_without_room_is_let_be():
    sender = sender_with()
    messages = sender.messages(100)
    sender.put_back(messages)
    assert messages == [Ping()]
    assert sender.waiting == 0


def test_a_frame_whose_bytes_are_gone_leaves_the_window_alone():
    sender = sender_with(window=3, a=4)
    sender.messages(0)
    assert sender.drop(A, 2)
    assert not sender.drop(A, 2)
    assert not sender.drop(A, 5)
    assert not sender.drop(9, 1)
    assert sender.waiting == 3
    assert sender.messages(1) == [Send(A, 4)]
    assert sender.messages(RESEND + 1) == [Hello(A), *sends(A, 1, 3, 4)]


class LinkModel(RuleBasedStateMachine):
    """A sender, a socket that may be full, a connection that may break, and a correlator.

    The correlator acknowledges up to the highest frame it stored, as the real one does: a frame that
    another overtook would be lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sender = Sender(Limits(4, BYTES, RESEND, RESEND_MAX, PING))
        self.now = 0
        self.run = 1
        self.added: dict[int, int] = {1: 0}
        self.dropped: set[tuple[int, int]] = set()
        self.wire: deque[Message] = deque()
        self.answers: deque[Answer] = deque()
        self.greeted: int | None = None
        self.stored: list[tuple[int, int]] = []
        self.refused: list[tuple[int, int]] = []
        self.marks: dict[int, int] = {}

    @rule(count=st.integers(1, 6))
    def add(self, count):
        for _ in range(count):
            self.added[self.run] += 1
            self.sender.add(self.run, self.added[self.run])

    @precondition(lambda self: self.run < 3)
    @rule()
    def begin_the_next_run(self):
        self.run += 1
        self.added[self.run] = 0

    @rule(room=st.integers(0, 9))
    def turn(self, room):
        messages = self.sender.messages(self.now)
        self.wire.extend(messages[:room])
        self.sender.put_back(messages[room:])

    @rule(ticks=st.sampled_from([1, RESEND, PING]))
    def wait(self, ticks):
        self.now += ticks

    @rule(count=st.integers(1, 9), refusing=st.booleans())
    def correlator_takes(self, count, *, refusing):
        for _ in range(min(count, len(self.wire))):
            match self.wire.popleft():
                case Hello(run):
                    self.greeted = run
                    self.answers.append(ack(run, self.marks.get(run, 0), WELCOME))
                case Send(run, sequence) if self.greeted is not None:
                    self.take(run, sequence, refusing=refusing)
                case _:
                    self.answers.append(ack(0, 0, PONG))

    def take(self, run, sequence, *, refusing):
        assert run == self.greeted, "a frame of another run than the last greeting"
        mark = self.marks.get(run, 0)
        if sequence > mark:
            skipped = {(run, between) for between in range(mark + 1, sequence)}
            assert skipped <= self.dropped, "a frame overtook others"
            (self.refused if refusing else self.stored).append((run, sequence))
            self.marks[run] = sequence
            self.answers.append(ack(run, sequence, REFUSED if refusing else ACK))
        else:
            self.answers.append(ack(run, self.marks[run]))

    @rule(count=st.integers(1, 9))
    def answers_arrive(self, count):
        for _ in range(min(count, len(self.answers))):
            self.sender.answered(self.answers.popleft(), self.now)

    @rule(sent=st.integers(0, 9), answered=st.integers(0, 9))
    def connection_breaks(self, sent, answered):
        """What was under way is lost, the rest of the queue goes over the next connection."""
        for _ in range(min(sent, len(self.wire))):
            self.wire.popleft()
        for _ in range(min(answered, len(self.answers))):
            self.answers.pop()
        self.greeted = None

    @precondition(lambda self: self.sender.waiting)
    @rule(ahead=st.integers(0, 3))
    def spool_reaches_its_bound(self, ahead):
        run = next(run for run in self.added if self.first_waiting(run) <= self.added[run])
        last = min(self.first_waiting(run) + ahead, self.added[run])
        self.dropped |= {(run, sequence) for sequence in range(self.first_waiting(run), last + 1)}
        self.sender.forget(run, last)

    def first_waiting(self, run):
        state = self.sender._runs.get(run)
        if state is None or not (state.sent or state.unsent):
            return self.added[run] + 1
        return min([*state.sent, *state.unsent])

    @invariant()
    def nothing_is_forgotten_before_it_is_stored_or_dropped(self):
        for run, last in self.added.items():
            state = self.sender._runs.get(run)
            waiting = {*state.sent, *state.unsent} if state else set()
            for sequence in set(range(1, last + 1)) - waiting:
                assert sequence <= self.marks.get(run, 0) or (run, sequence) in self.dropped

    @invariant()
    def the_window_holds(self):
        in_flight = sum(len(run.sent) for run in self.sender._runs.values())
        assert in_flight == self.sender._in_flight <= 4

    def teardown(self):
        for _ in range(200):
            if not self.sender.waiting:
                break
            self.turn(room=99)
            self.correlator_takes(count=999, refusing=False)
            self.answers_arrive(count=999)
            self.now += RESEND_MAX
        assert self.sender.waiting == 0
        everything = {(run, sequence) for run, last in self.added.items() for sequence in range(1, last + 1)}
        assert set(self.stored) | set(self.refused) | self.dropped == everything
        assert len(self.stored) + len(self.refused) == len({*self.stored, *self.refused})


TestLinkModel = LinkModel.TestCase
TestLinkModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
