"""What whoever stands between sensor and correlator can do: a relay that records, changes and sends again.

What is recorded is looked at with CurveZMQ's own words (ZeroMQ RFC 26): C and S are the long-term keys of sensor and
correlator, C' and S' those of one connection, small letters their secrets.
"""

from __future__ import annotations

import ctypes
import re
import socket
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, header
from corr_link import Sensor, serving
from zmq.utils import z85

from common.flowlog import encode_frame
from common.keys import KeyPair, make_key_pair, write_key_file
from common.link import ACK, WELCOME

NAME = "tap-in-the-cellar"
SENSOR = make_key_pair()


class Relay:
    """Takes connections for a correlator and passes bytes on, after ``change`` had a look at those of the sensor."""

    def __init__(self, endpoint: str) -> None:
        self.seen = bytearray()
        self.heard = bytearray()
        self.peers: list[tuple[str, int]] = []
        self.change: Callable[[bytes], bytes] = bytes
        self._port = int(endpoint.rpartition(":")[2])
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        for one in (self._server, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(10)
        for one in (self._server, *self._open):
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sensor, address = self._server.accept()
                self.peers.append(address)
                correlator = socket.create_connection(("127.0.0.1", self._port))
                self._open += [sensor, correlator]
                for arguments in ((sensor, correlator, True), (correlator, sensor, False)):
                    self._threads.append(threading.Thread(target=self._pass_on, args=arguments, daemon=True))
                    self._threads[-1].start()

    def _pass_on(self, source: socket.socket, target: socket.socket, outbound: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if outbound:
                    self.seen += data
                    data = self.change(data)
                else:
                    self.heard += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


class Site:
    def __init__(self, db: Path, relay: Relay, correlator: KeyPair, direct: str) -> None:
        self.db, self.relay, self.correlator, self.direct = db, relay, correlator, direct

    def sensor(self) -> Sensor:
        return Sensor(self.relay.endpoint, SENSOR, self.correlator.public)

    def stored(self) -> int:
        conn = sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)
        try:
            return int(conn.execute("SELECT count(*) FROM flow_records").fetchone()[0])
        finally:
            conn.close()


@contextmanager
def between(tmp_path: Path) -> Iterator[Site]:
    db = tmp_path / "a.db"
    correlator = write_key_file(tmp_path / "c.key")
    Cli(db)("sensors", "add", NAME, SENSOR.public)
    with serving(db, key=tmp_path / "c.key") as running:
        relay = Relay(running.endpoint)
        try:
            yield Site(db, relay, correlator, running.endpoint)
        finally:
            relay.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with between(tmp_path) as made:
        yield made


def test_whoever_listens_reads_no_record_and_no_name(site: Site) -> None:
    with site.sensor() as sensor:
        assert sensor.hello(header(NAME)).kind == WELCOME
        sensor.send(batch([flow(1)], 1, sensor=NAME))
        assert sensor.answer().kind == ACK
    assert site.stored() == 1
    assert len(site.relay.seen) > 500
    plain = encode_frame(header(NAME))
    for secret in (NAME.encode(), b"client_ip"):
        assert secret in plain
        assert secret not in site.relay.seen
    for key in SENSOR:
        assert z85.decode(key) not in site.relay.seen


def test_whoever_changes_a_byte_ends_the_connection_and_stores_nothing(site: Site) -> None:
    with site.sensor() as sensor:
        assert sensor.hello(header(NAME)).kind == WELCOME
        site.relay.change = lambda data: data[:-1] + bytes([data[-1] ^ 1])
        sensor.send(batch([flow(1)], 1, sensor=NAME))
        assert sensor.hears_nothing()
    assert site.stored() == 0


def test_whoever_sends_again_what_was_recorded_gets_nothing(site: Site) -> None:
    with site.sensor() as sensor:
        sensor.hello(header(NAME))
        sensor.send(batch([flow(1)], 1, sensor=NAME))
        assert sensor.answer().kind == ACK
    recorded = bytes(site.relay.seen)
    with socket.create_connection(("127.0.0.1", int(site.direct.rpartition(":")[2]))) as again:
        again.settimeout(20)
        with suppress(OSError):
            again.sendall(recorded)
            heard = b""
            while data := again.recv(65536):
                heard += data
            assert len(heard) < 1000
    assert site.stored() == 1


def test_whoever_listens_sees_who_sends_and_when_and_how_much(site: Site) -> None:
    sizes: list[int] = []
    with site.sensor() as sensor:
        sensor.hello(header(NAME))
        for sequence, records in enumerate((1, 50, 2000), start=1):
            before = len(site.relay.seen)
            sent = batch([flow(sequence * 10_000 + number) for number in range(records)], sequence, sensor=NAME)
            sensor.send(sent)
            assert sensor.answer().kind == ACK
            # It is encrypted and not padded: 25 bytes a message part of ZeroMQ's and CURVE's own, and the like.
            more = len(site.relay.seen) - before - len(encode_frame(sent))
            assert 0 < more < 300
            sizes.append(len(site.relay.seen) - before)
    assert sizes[0] < sizes[1] < sizes[2]
    ((host, _),) = site.relay.peers
    assert host == "127.0.0.1"


class Sodium:
    """The library that ZeroMQ encrypts with, as it is loaded in this process."""

    def __init__(self) -> None:
        found = re.search(r"/\S*libsodium\S*", Path("/proc/self/maps").read_text())
        if found is None:
            pytest.skip("needs a ZeroMQ that is linked with libsodium")
        self._library = ctypes.CDLL(found[0])

    def opened(self, box: bytes, nonce: bytes, public: bytes, secret: bytes) -> bytes | None:
        """What is in a box, None with wrong keys."""
        assert (len(nonce), len(public), len(secret)) == (24, 32, 32)
        plain = ctypes.create_string_buffer(len(box))
        size = ctypes.c_ulonglong(len(box))
        failed = self._library.crypto_box_open_easy(plain, box, size, nonce, public, secret)
        return None if failed else plain.raw[: len(box) - 16]


def commands(recorded: bytes) -> list[bytes]:
    """What is in the frames of one direction of a connection, after the greeting of 64 bytes."""
    at, found = 64, []
    while at < len(recorded):
        long = recorded[at] & 2
        (size,) = struct.unpack_from(">Q" if long else ">B", recorded, at + 1)
        at += 9 if long else 2
        found.append(bytes(recorded[at : at + size]))
        at += size
    return found


def test_what_was_recorded_opens_with_no_long_term_key(site: Site) -> None:
    """Whoever steals both secret keys afterwards reads nothing: each connection had keys of its own."""
    sodium = Sodium()
    with site.sensor() as sensor:
        sensor.hello(header(NAME))
        sensor.send(batch([flow(1)], 1, sensor=NAME))
        assert sensor.answer().kind == ACK
    hello, initiate, *messages = commands(bytes(site.relay.seen))
    welcome, ready, *answers = commands(bytes(site.relay.heard))
    long_term = {name: z85.decode(key) for name, key in zip("CcSs", (*SENSOR, *site.correlator), strict=True)}

    # With s the beginning opens, which shows that keys and boxes are taken rightly here: it gives S' and no secret.
    assert hello.startswith(b"\x05HELLO")
    client = hello[80:112]
    nonce = b"CurveZMQHELLO---" + hello[112:120]
    assert sodium.opened(hello[120:], nonce, client, long_term["s"]) == bytes(64)
    assert sodium.opened(hello[120:], nonce, client, long_term["c"]) is None
    assert welcome.startswith(b"\x07WELCOME")
    inside = sodium.opened(welcome[24:], b"WELCOME-" + welcome[8:24], client, long_term["s"])
    assert inside is not None
    server = inside[:32]

    boxes = [(b"CurveZMQINITIATE", initiate[105:], initiate[113:]), (b"CurveZMQREADY---", ready[6:], ready[14:])]
    boxes += [(b"CurveZMQMESSAGEC", message[8:], message[16:]) for message in messages]
    boxes += [(b"CurveZMQMESSAGES", message[8:], message[16:]) for message in answers]
    assert initiate.startswith(b"\x08INITIATE")
    assert ready.startswith(b"\x05READY")
    assert all(message.startswith(b"\x07MESSAGE") for message in (*messages, *answers))
    assert len(messages) >= 6
    assert len(answers) >= 6
    publics = (long_term["C"], long_term["S"], client, server)
    for name, nonce, box in boxes:
        for public in publics:
            for secret in (long_term["c"], long_term["s"]):
                assert sodium.opened(box, name + nonce[:8], public, secret) is None
