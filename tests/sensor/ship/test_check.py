"""check-link says in words what is wrong with each step of the way; real sockets, real CURVE."""

from __future__ import annotations

import errno
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_link import serving
from rec_router import Router

from common import flowlog
from common.errors import UserError
from common.keys import make_key_pair, write_key_file
from common.link import LINK_VERSION, VERSION, WELCOME
from sensor.config import SensorConfig, ShipConfig
from sensor.ship.check import _why, check_way


class Site:
    """The keys of a sensor and a correlator, and the correlator's command line."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.db = tmp_path / "a.db"
        self.cli = Cli(self.db)
        self.key = tmp_path / "correlator.key"
        self.correlator = write_key_file(self.key).public
        self.sensor = write_key_file(tmp_path / "sensor.key").public

    def config(self, endpoint: str, correlator_key: str = "", *, plaintext: bool = False) -> SensorConfig:
        key = correlator_key or self.correlator
        ship = ShipConfig(
            endpoint=endpoint, key=str(self.tmp_path / "sensor.key"), correlator_key=key, plaintext=plaintext
        )
        return SensorConfig(name="tap", ship=ship)

    def wrong(self, endpoint: str, correlator_key: str = "", *, plaintext: bool = False, timeout_s: float = 10) -> str:
        with pytest.raises(UserError) as caught:
            check_way(self.config(endpoint, correlator_key, plaintext=plaintext), timeout_s)
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@contextmanager
def listener(says: bytes | None) -> Iterator[str]:
    """A port where something says this to everybody, or, with None, nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(says or b"")
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        if says is not None:
            thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        if says is not None:
            thread.join(10)


def test_a_good_link_gives_its_round_trip_and_mark_and_leaves_no_row(site):
    site.cli("sensors", "add", "tap", site.sensor)
    with serving(site.db, key=site.key) as correlator:
        checked = check_way(site.config(correlator.endpoint), 10)
        assert checked.round_trip_ms > 0
        assert checked.mark == 0
        assert correlator.stop() == 0
    conn = sqlite3.connect(site.db)
    assert conn.execute("SELECT (SELECT count(*) FROM sensors), (SELECT count(*) FROM sensor_runs)").fetchone() == (
        0,
        0,
    )
    conn.close()


def test_a_good_link_on_plain_text_is_good(site):
    with serving(site.db, bind=f"ipc://{site.tmp_path}/s") as correlator:
        assert check_way(site.config(correlator.endpoint, plaintext=True), 10).mark == 0


def test_a_name_that_is_not_resolved(site):
    assert "the name in tcp://no-such-host.invalid:1 is not resolved" in site.wrong("tcp://no-such-host.invalid:1")


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1", "tcp://127.0.0.1:x", "tcp://:5690", "tcp://a:99999", "bogus"])
def test_what_is_no_endpoint(site, endpoint):
    assert "not an endpoint" in site.wrong(endpoint)


def test_a_closed_port(site):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert f"nothing listens at tcp://127.0.0.1:{port}" in site.wrong(f"tcp://127.0.0.1:{port}")


def test_a_socket_file_that_is_not_there_or_that_nobody_serves(site):
    path = site.tmp_path / "s"
    assert f"no socket at ipc://{path}" in site.wrong(f"ipc://{path}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    assert f"nothing listens at ipc://{path}" in site.wrong(f"ipc://{path}")
    assert "cannot connect to ipc:///" in site.wrong("ipc:///" + "x" * 200)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no route to tcp://h:1 (Network is unreachable)"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to tcp://h:1"),
        (TimeoutError("timed out"), "no answer from tcp://h:1 within 5 s"),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "this host may not connect to tcp://h:1 (Permission denied)",
        ),
        (OSError(errno.EINVAL, "Invalid argument"), "no route to tcp://h:1 (Invalid argument)"),
        (OSError(errno.EMFILE, "Too many open files"), "cannot connect to tcp://h:1: Too many open files"),
    ],
)
def test_what_the_network_says(error, words):
    assert words in _why("tcp://h:1", error, 5)


def test_something_else_that_listens_there(site):
    with listener(b"SSH-2.0-OpenSSH_9.2\r\n") as endpoint:
        assert "is no correlator: it says b'SSH-2.0-OpenSSH_9.2" in site.wrong(endpoint)
    with listener(b"") as endpoint:
        assert "hangs up at once" in site.wrong(endpoint)
    with listener(None) as endpoint:
        assert "says nothing" in site.wrong(endpoint, timeout_s=0.5)


def test_an_own_key_that_is_unknown_or_revoked(site):
    with serving(site.db, key=site.key) as correlator:
        said = site.wrong(correlator.endpoint)
        assert "does not know this sensor's key, or revoked it; there: tunnelwatch sensors add tap " in said
        assert site.sensor in said
        site.cli("sensors", "add", "tap", site.sensor)
        assert check_way(site.config(correlator.endpoint), 10)
        site.cli("sensors", "revoke", "tap")
        assert "or revoked it" in site.wrong(correlator.endpoint)


def test_a_correlators_key_that_is_wrong(site):
    site.cli("sensors", "add", "tap", site.sensor)
    with serving(site.db, key=site.key) as correlator:
        assert "correlator_key is not its key" in site.wrong(correlator.endpoint, make_key_pair().public)


def test_one_end_on_plain_text(site):
    with serving(site.db) as correlator:
        assert "speaks plain text" in site.wrong(correlator.endpoint)
    with serving(site.db, key=site.key) as correlator:
        assert "speaks plain text" in site.wrong(correlator.endpoint, plaintext=True)


def test_a_key_that_is_another_sensors(site):
    site.cli("sensors", "add", "roof", site.sensor)
    with serving(site.db, key=site.key) as correlator:
        assert "its key is that of 'roof', not of 'tap'" in site.wrong(correlator.endpoint)


def test_versions_that_differ(site, monkeypatch):
    site.cli("sensors", "add", "tap", site.sensor)
    monkeypatch.setattr(flowlog, "VERSION", 99)
    with serving(site.db, key=site.key) as correlator:
        said = site.wrong(correlator.endpoint)
    assert "versions differ (batch version 99, this program reads 1): upgrade the older side" in said


class OtherVersion(Router):
    """A correlator of a link to come."""

    def send(self, peer, parts):
        assert parts[0] == WELCOME
        super().send(peer, [VERSION, (LINK_VERSION + 1).to_bytes(2, "big")])


def test_a_correlator_of_another_link(site):
    router, ending = OtherVersion(f"ipc://{site.tmp_path}/s"), threading.Event()

    def serve():
        while not ending.is_set():
            router.turn()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        said = site.wrong(router.endpoint, plaintext=True)
    finally:
        ending.set()
        thread.join(10)
        router.close()
    assert f"speaks version {LINK_VERSION + 1} of the link, this sensor {LINK_VERSION}: upgrade the older one" in said


def test_a_correlator_that_does_not_answer(site):
    router = Router(f"ipc://{site.tmp_path}/s")
    try:
        said = site.wrong(router.endpoint, plaintext=True, timeout_s=1)
    finally:
        router.close()
    assert "connected, but no answer within 1 s" in said
