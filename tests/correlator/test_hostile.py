"""What a sensor with a good connection and bad intentions can do: nothing to others, and each try is counted."""

from __future__ import annotations

import math
import sqlite3
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zmq
from corr_cli import Cli
from corr_flows import NS, batch, flow, header
from corr_link import Sensor, serving

from common.flowlog import MAX_FRAME_BYTES, encode_frame
from common.keys import make_key_pair, write_key_file
from common.link import ACK, FRAME, HELLO, PONG, REFUSED, VERSION, WELCOME, pack_frame, pack_hello, unpack_answer

RUN = 7


def framed(payload: bytes) -> bytes:
    """A frame whose length and checksum are right, whatever is inside."""
    return struct.pack(">II", len(payload), zlib.crc32(payload)) + payload


def as_frame(sequence: int, frame: bytes) -> list[bytes]:
    return pack_frame(RUN, sequence, frame)


def flows(sequence: int, *records: Any, **changes: Any) -> list[bytes]:
    """A frame of flow records as it should be sent."""
    return as_frame(sequence, encode_frame(batch(records, sequence, sensor="mallory")._replace(**changes)))


class Case(NamedTuple):
    """What is said after a good hello, what is answered, and what is counted for it."""

    name: str
    messages: list[list[bytes]]
    answers: list[tuple[bytes, int]]
    counted: str
    stored: int = 0


TODAY_NS = time.time_ns()
DAY_NS = 86_400 * NS
FAR = (1 << 63) - 1
CASES = [
    Case("no message of ours", [[b""], [b"DANCE", b"x"], [b"ACK", bytes(16), b""]], [], "3 unknown_message"),
    Case("a hello that is no frame", [pack_hello(b"x" * 99)], [], "1 frame_length"),
    Case("a hello in more words", [[HELLO, b"x", b"y", b"z"]], [], "1 hello"),
    Case("a hello of version 1", [[HELLO, encode_frame(header("mallory"))]], [(VERSION, 2)], "1 link_version"),
    Case("a hello that names a megabyte of fields", [pack_hello(bytes(1 << 20))], [], "1 hello_size"),
    Case("a frame without its numbers", [[FRAME, b"x"], [FRAME, bytes(15), b"x"]], [], "2 envelope"),
    Case("a frame in too many parts", [[*flows(1, flow(1)), b""]], [], "1 envelope"),
    Case("a frame of a run without a hello", [pack_frame(8, 1, b"x")], [], "1 frame_of_another_run"),
    Case("a wrong checksum", [as_frame(1, flows(1, flow(1))[2][:-1] + b"\xff")], [(REFUSED, 1)], "1 crc"),
    Case("a frame cut off", [as_frame(1, flows(1, flow(1))[2][:-1])], [(REFUSED, 1)], "1 frame_length"),
    Case("four thousand million items", [as_frame(1, framed(b"\xdd" + b"\xff" * 4))], [(REFUSED, 1)], "1 msgpack"),
    Case("as many keys", [as_frame(1, framed(b"\xdf" + b"\xff" * 4))], [(REFUSED, 1)], "1 msgpack"),
    Case("a hundred thousand levels", [as_frame(1, framed(b"\x91" * 100_000 + b"\x90"))], [(REFUSED, 1)], "1 msgpack"),
    Case("no batch", [as_frame(1, framed(b"\x93\x01\x02\x03"))], [(REFUSED, 1)], "1 batch_shape"),
    Case("texts for times", [flows(1, flow(1), first_ns="x")], [(REFUSED, 1)], "1 batch_shape"),
    Case("another sensor's frame", [as_frame(1, encode_frame(batch([flow(1)], 1)))], [(REFUSED, 1)], "1 numbers"),
    Case("a frame under another number", [as_frame(1 << 63, flows(1)[2])], [(REFUSED, 1 << 63)], "1 numbers"),
    Case("the last number there is", [flows(FAR, flow(1)), flows(1, flow(2))], [(REFUSED, FAR), (ACK, 1)],
         "1 sequence", 1),
    Case("numbers that go back, and frames again", [flows(n, flow(n)) for n in (1, 2, 1, 2)],
         [(ACK, 2)], "", 2),
    Case("texts for counters", [flows(1, flow(1, packets_out="9"))], [(ACK, 1)], "1 refused"),
    Case("not a number", [flows(1, flow(1, first_entropy=math.nan))], [(ACK, 1)], "1 refused"),
    Case("less than nothing", [flows(1, flow(1, packets_out=-1))], [(ACK, 1)], "1 refused"),
    Case("more than there is", [flows(1, flow(1, wire_bytes_in=1 << 62))], [(ACK, 1)], "1 refused"),
    Case("no record", [as_frame(1, encode_frame(batch([[]], 1, sensor="mallory")))], [(ACK, 1)], "1 refused"),
    Case("the day after tomorrow", [flows(1, flow(1, start_ns=TODAY_NS + 2 * DAY_NS))], [(ACK, 1)], "1 refused"),
    Case("1970, which may be a replay", [flows(1, flow(1, start_ns=1))], [(ACK, 1)], "", 1),
]  # fmt: skip


def rows(db: Path) -> dict[str, int]:
    conn = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
    try:
        query = "SELECT sensor, count(*) FROM flow_records JOIN sensors USING (sensor_id) GROUP BY sensor"
        return dict(conn.execute(query))
    finally:
        conn.close()


class Served(NamedTuple):
    endpoint: str
    honest: Sensor
    stop: Any


@contextmanager
def beside_an_honest_sensor(db: Path) -> Iterator[Served]:
    """A correlator that an honest sensor uses before and after."""
    with serving(db) as correlator, Sensor(correlator.endpoint) as honest:
        honest.hello(header())
        honest.send(batch([flow(1)], 1))
        honest.answered_up_to(1)

        def stop() -> str:
            honest.send(batch([flow(2)], 2))
            honest.answered_up_to(2)
            assert correlator.stop() == 0
            assert correlator.process.stderr is not None
            return correlator.process.stderr.read()

        yield Served(correlator.endpoint, honest, stop)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_refused_and_counted_and_the_connection_and_the_others_go_on(db: Path, case: Case) -> None:
    with beside_an_honest_sensor(db) as served, Sensor(served.endpoint) as mallory:
        assert mallory.hello(header("mallory")).kind == WELCOME
        for message in case.messages:
            mallory.say(message)
        found: list[tuple[bytes, int]] = []
        while not set(case.answers) <= set(found):
            answer = mallory.answer()
            found.append((answer.kind, answer.sequence))
        mallory.ping()
        said = served.stop()
    assert case.counted in said
    assert "Traceback" not in said
    assert rows(db) == {"tap": 2, **({"mallory": case.stored} if case.stored else {})}


def test_a_good_key_opens_no_other_way(db: Path, tmp_path: Path) -> None:
    """The same under CURVE, one after another, so that numbers that were used before come again too."""
    cli, own, mine = Cli(db), make_key_pair(), make_key_pair()
    public = write_key_file(tmp_path / "c.key").public
    cli("sensors", "add", "mallory", mine.public)
    cli("sensors", "add", "tap", own.public)
    with serving(db, key=tmp_path / "c.key") as correlator, Sensor(correlator.endpoint, own, public) as honest:
        honest.hello(header())
        for number, case in enumerate(CASES, start=1):
            with Sensor(correlator.endpoint, mine, public) as mallory:
                assert mallory.hello(header("mallory")).kind == WELCOME
                for message in case.messages:
                    mallory.say(message)
                while mallory.ping().kind != PONG:
                    pass
            honest.send(batch([flow(number)], number))
            assert honest.answered_up_to(number)[-1] == (ACK, 7, number, "")
        assert correlator.stop() == 0
        assert correlator.process.stderr is not None
        said = correlator.process.stderr.read()
    assert "Traceback" not in said
    # Frame 1 was refused, and so done with, before a good one came under that number.
    assert rows(db) == {"tap": len(CASES), "mallory": 1}


def test_a_frame_before_a_hello_is_not_answered(db: Path) -> None:
    with beside_an_honest_sensor(db) as served, Sensor(served.endpoint) as mallory:
        mallory.say(flows(1, flow(1)))
        mallory.ping()
        assert "1 frame_before_hello" in served.stop()


def test_a_message_beyond_the_largest_frame_cuts_its_connection(db: Path) -> None:
    with beside_an_honest_sensor(db) as served, Sensor(served.endpoint) as mallory:
        mallory.hello(header("mallory"))
        mallory.say(as_frame(1, bytes(MAX_FRAME_BYTES + 4096)))
        # Over the next connection, which has not said hello: the one before is gone.
        mallory.say(flows(2, flow(1)))
        mallory.ping()
        assert "1 frame_before_hello" in served.stop()


def test_more_runs_than_are_remembered_harm_nobody(db: Path) -> None:
    with beside_an_honest_sensor(db) as served, Sensor(served.endpoint) as mallory:
        for run in range(1, 5001):
            assert mallory.hello(header("mallory")._replace(run=run)).kind == WELCOME
        # The honest run's header was forgotten by now: its frame is not refused, and comes again after a hello.
        served.honest.send(batch([flow(2)], 2))
        assert served.honest.ping().kind == PONG
        assert served.honest.hello(header()) == (WELCOME, 7, 1, "")
        assert "1 frame_before_hello" in served.stop()
    assert rows(db) == {"tap": 2}


class Flood(threading.Thread):
    """A sensor that sends as fast as its socket takes, and counts the commits that acknowledge it."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(daemon=True)
        self.commits = 0
        self.ending = threading.Event()
        self._endpoint = endpoint

    def run(self) -> None:
        frames = [flows(n, *(flow(n * 100 + k) for k in range(100))) for n in range(1, 200)]
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(self._endpoint)
            socket.send_multipart(pack_hello(encode_frame(header("mallory"))))
            at = 0
            while not self.ending.is_set():
                events = socket.poll(100, zmq.POLLIN | zmq.POLLOUT)
                if events & zmq.POLLOUT:
                    socket.send_multipart(frames[at % len(frames)])
                    at += 1
                if events & zmq.POLLIN and unpack_answer(socket.recv_multipart()).kind == ACK:
                    self.commits += 1


def resident_bytes(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) << 10


def test_what_waits_for_a_locked_database_is_bounded_in_the_correlators_memory(db: Path) -> None:
    """Four sensors that keep to no window offer 800 MiB; each gets rid of some of it, and the rest is not taken."""
    frame, offered, connections = bytes(1 << 20), 200, 4
    with (
        serving(db) as correlator,
        Sensor(correlator.endpoint) as honest,
        zmq.Context() as context,
        ExitStack() as stack,
    ):
        honest.hello(header())
        honest.send(batch([flow(1)], 1))
        honest.answered_up_to(1)
        lock = stack.enter_context(closing(sqlite3.connect(db, isolation_level=None)))
        lock.execute("BEGIN IMMEDIATE")
        honest.send(batch([flow(2)], 2))
        before = resident_bytes(correlator.process.pid)
        for number in range(connections):
            socket = stack.enter_context(context.socket(zmq.DEALER))
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.SNDHWM, 1)
            socket.connect(correlator.endpoint)
            socket.send_multipart(pack_hello(encode_frame(header(f"mallory-{number}"))))
            taken = 0
            while taken < offered and socket.poll(1000, zmq.POLLOUT):
                socket.send_multipart(as_frame(taken + 1, frame), copy=False)
                taken += 1
            assert taken < 64
        assert resident_bytes(correlator.process.pid) - before < connections * (16 << 20) + (32 << 20)
        lock.execute("ROLLBACK")
        assert honest.answered_up_to(2)[-1] == (ACK, 7, 2, "")
        assert correlator.stop() == 0
    assert rows(db) == {"tap": 2}


def test_a_flood_of_one_sensor_leaves_39_others_their_turn_in_a_few_commits(db: Path) -> None:
    with serving(db) as correlator, ExitStack() as stack:
        flood = Flood(correlator.endpoint)
        flood.start()
        stack.callback(flood.join)
        stack.callback(flood.ending.set)
        others = {f"s{number}": stack.enter_context(Sensor(correlator.endpoint)) for number in range(39)}
        for name, sensor in others.items():
            sensor.hello(header(name))
        deadline = time.monotonic() + 20
        while not flood.commits:
            assert time.monotonic() < deadline, "the flood never began"
            flood.join(0.01)
        before = flood.commits
        for name, sensor in others.items():
            for sequence in (1, 2, 3):
                sensor.send(batch([flow(sequence)], sequence, sensor=name))
        for sensor in others.values():
            sensor.answered_up_to(3)
        # 3 frames of 39 and as many turns of the flood are 120, of which a commit takes 16.
        # What is on the wire takes some more.
        assert flood.commits - before <= 60
    assert {name: count for name, count in rows(db).items() if name != "mallory"} == dict.fromkeys(others, 3)
