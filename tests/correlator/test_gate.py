"""Who is let in, on real sockets under CURVE."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import zmq
from corr_flows import header
from corr_link import Sensor

from common.keys import make_key_pair
from correlator.ingest.gate import Gate, Strangers
from correlator.ingest.peers import Message
from correlator.ingest.zmqlink import Link

OWN = make_key_pair()
TAP = make_key_pair()
OTHER = make_key_pair()
DEADLINE_S = 20


class Ring:
    """A key ring in memory."""

    def __init__(self) -> None:
        self.sensors = {TAP.public: "tap"}
        self.revoked: set[str] = set()

    def refresh(self) -> None:
        pass

    def sensor(self, public_key: str) -> str | None:
        return self.sensors.get(public_key)

    def was_revoked(self, public_key: str) -> bool:
        return public_key in self.revoked


class Guarded:
    """A link with a gate, and the ring behind it."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.ring = Ring()
        self.gate = Gate(self.context, OWN, self.ring)
        self.link = Link(self.context, "tcp://127.0.0.1:*", self.gate)
        self.endpoint = self.link.bind()
        self.received: list[Message] = []

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.gate.strangers.counts)

    def until(self, fact: str, **counted: int) -> None:
        """Serve until a count is reached, or, without one, a message came."""
        deadline = time.monotonic() + DEADLINE_S
        before = len(self.received)
        while True:
            self.received += self.link.receive(20, 10)
            reached = all(self.counts.get(name, 0) >= least for name, least in counted.items())
            if reached if counted else len(self.received) > before:
                return
            assert time.monotonic() < deadline, f"never: {fact}; {self.counts}"

    def close(self) -> None:
        self.link.close()
        self.gate.close()
        self.context.term()


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    made = Guarded()
    yield made
    made.close()


def test_a_message_of_a_known_key_says_whose_it_is(guarded: Guarded) -> None:
    with Sensor(guarded.endpoint, TAP, OWN.public) as sensor:
        sensor.say_hello(header())
        guarded.until("a message")
        assert [message.sensor for message in guarded.received] == ["tap"]
        guarded.link.send([Message(guarded.received[0].peer, [b"PONG"])])
        assert not sensor.hears_nothing()
    assert guarded.counts == {}


def test_an_unknown_key_gets_nothing_and_is_counted(guarded: Guarded) -> None:
    with Sensor(guarded.endpoint, OTHER, OWN.public) as sensor:
        sensor.say_hello(header())
        guarded.until("a refusal", unknown_key=1)
        assert sensor.hears_nothing(200)
    assert guarded.received == []
    assert OTHER.public in (guarded.gate.strangers.news(0) or "")


def test_a_revoked_key_gets_nothing_and_is_counted_as_such(guarded: Guarded) -> None:
    guarded.ring.sensors.clear()
    guarded.ring.revoked.add(TAP.public)
    with Sensor(guarded.endpoint, TAP, OWN.public) as sensor:
        sensor.say_hello(header())
        guarded.until("a refusal", revoked_key=1)
    assert guarded.received == []
    assert "was revoked" in (guarded.gate.strangers.news(0) or "")


def test_a_key_revoked_while_it_is_connected_is_heard_no_more(guarded: Guarded) -> None:
    with Sensor(guarded.endpoint, TAP, OWN.public) as sensor:
        sensor.say_hello(header())
        guarded.until("a message")
        guarded.ring.sensors.clear()
        sensor.say_hello(header())
        guarded.until("a dropped message", message_of_revoked_key=1)
    assert len(guarded.received) == 1


def test_a_key_that_is_another_sensors_now_speaks_for_that_one(guarded: Guarded) -> None:
    with Sensor(guarded.endpoint, TAP, OWN.public) as sensor:
        sensor.say_hello(header())
        guarded.until("a message")
        guarded.ring.sensors[TAP.public] = "roof"
        sensor.say_hello(header())
        guarded.until("a message")
    assert [message.sensor for message in guarded.received] == ["tap", "roof"]


def test_whoever_speaks_plain_text_or_takes_another_for_the_correlator_gets_nothing(guarded: Guarded) -> None:
    with (
        Sensor(guarded.endpoint) as plain,
        Sensor(guarded.endpoint, TAP, OTHER.public) as mistaken,
        Sensor(guarded.endpoint, TAP, OWN.public) as good,
    ):
        plain.say_hello(header())
        mistaken.say_hello(header())
        good.say_hello(header())
        guarded.until("a message")
        assert plain.hears_nothing(500)
        assert mistaken.hears_nothing(500)
        good.say_hello(header())
        guarded.until("a message")
    assert {message.sensor for message in guarded.received} == {"tap"}


def test_without_its_handler_a_guarded_socket_lets_in_nobody() -> None:
    guarded = Guarded()
    guarded.gate.close()
    with guarded.context.socket(zmq.ROUTER) as router:
        guarded.gate.guard(router)
        port = router.bind_to_random_port("tcp://127.0.0.1")
        with Sensor(f"tcp://127.0.0.1:{port}", TAP, OWN.public) as sensor:
            sensor.say_hello(header())
            assert not router.poll(1000)
    guarded.link.close()
    guarded.context.term()


class TestStrangers:
    def test_the_first_is_told_at_once_and_the_others_once_a_minute(self) -> None:
        strangers = Strangers()
        assert strangers.news(0) is None
        strangers.refused("unknown_key", "k" * 40, "192.0.2.7")
        assert strangers.news(0) == (
            f"not let in: the key {'k' * 40} from 192.0.2.7 is no sensor's; "
            f"to let it in: tunnelwatch sensors add NAME {'k' * 40}"
        )
        for _ in range(1000):
            strangers.refused("unknown_key", "k" * 40, "192.0.2.7")
            assert strangers.news(59.9) is None
        assert "(1000 connections since the last such line)" in (strangers.news(60) or "")
        assert strangers.news(1000) is None
        assert strangers.counts == {"unknown_key": 1001}

    def test_a_key_is_shown_as_the_shell_takes_it(self) -> None:
        strangers = Strangers()
        strangers.refused("unknown_key", "a$b" + "k" * 37, "\x1b[2J")
        line = strangers.news(0) or ""
        assert line.endswith(f"'a$b{'k' * 37}'")
        assert line.isprintable()
