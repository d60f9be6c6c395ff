"""What whoever stands between sensor and correlator can do: a relay that records, changes and sends again."""

from __future__ import annotations

import socket
import sqlite3
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
                sensor, _ = self._server.accept()
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
