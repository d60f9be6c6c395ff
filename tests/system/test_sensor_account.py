"""What whoever has a sensor's secret key, or an account beside a correlator on plain text, can do and cannot."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, header
from corr_link import ROOT, Correlator, Sensor, serving

from common.flowlog import encode_frame, header_batch
from common.keys import KeyPair, make_key_pair, write_key_file
from common.link import ACK, FRAME, HELLO, PING, PONG, REFUSED, VERSION, WELCOME, pack_frame, pack_hello, unpack_answer

TAP, ROOF = make_key_pair(), make_key_pair()
NOBODY = 65534
SECRETS = ("roof", "198.51.100.77", "hidden.example")


class Site:
    """A correlator that holds a record of the sensor on the roof, and a key for the one on the tap."""

    def __init__(self, tmp_path: Path) -> None:
        self.cli = Cli(tmp_path / "a.db")
        self.key = tmp_path / "c.key"
        self.public = write_key_file(self.key).public
        self.cli("sensors", "add", "tap", TAP.public)
        self.cli("sensors", "add", "roof", ROOF.public)

    def sensor(self, correlator: Correlator, own: KeyPair) -> Sensor:
        return Sensor(correlator.endpoint, own, self.public)

    def flows(self) -> list[tuple[str, str]]:
        """Sensor and client of every flow that is stored."""
        rows = [json.loads(line) for line in self.cli("flows", "--ndjson").out.splitlines()]
        return sorted((row["sensor"], row["client_ip"]) for row in rows)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_whoever_stole_a_key_sends_false_records_under_that_name(site: Site) -> None:
    with serving(site.cli.db, key=site.key) as correlator, site.sensor(correlator, TAP) as thief:
        assert thief.hello(header("tap", run=99)).kind == WELCOME
        thief.send(batch([flow(1, client_ip="192.0.2.66")], 1, sensor="tap", run=99))
        assert thief.answer().kind == ACK
    assert site.flows() == [("tap", "192.0.2.66")]


def test_whoever_stole_a_key_and_knows_the_run_silences_the_sensor(site: Site) -> None:
    """Its own frames come under numbers that are stored already: acknowledged as duplicates, and gone."""
    with serving(site.cli.db, key=site.key) as correlator:
        with site.sensor(correlator, TAP) as thief:
            thief.hello(header("tap"))
            thief.send(batch([], 1000, sensor="tap"))
            assert thief.answer() == (ACK, 7, 1000, "")
        with site.sensor(correlator, TAP) as owner:
            assert owner.hello(header("tap")).sequence == 1000
            owner.send(batch([flow(1)], 1, sensor="tap"))
            assert owner.answer().kind == ACK
        assert correlator.stop() == 0
    assert site.flows() == []
    # It leaves traces: numbers that never came.
    (row,) = site.cli.json("sensors")
    assert row["frames_missing"] == 999
    assert [alarm["sensor"] for alarm in site.cli.json("alarms")] == ["tap"]


def requests() -> Iterator[list[bytes]]:
    """Everything that a sensor may say, some that it may not, and much that nobody would."""
    good = encode_frame(header("tap"))
    yield pack_hello(good)
    for name in ("roof", "tap", "nobody"):
        for run in (7, 8, 0):
            yield pack_hello(encode_frame(header_batch(name, run, 1)))
    yield pack_hello(good)
    yield from (pack_hello(good, version) for version in (0, 1, 3, 65535))
    yield from ([HELLO], [HELLO, b""], [HELLO, good], [HELLO, b"\0\2", b""], [HELLO, b"\0\2", good[:-1]])
    for sensor in ("tap", "roof"):
        yield pack_frame(7, 1, encode_frame(batch([flow(1)], 1, sensor=sensor)))
        yield pack_frame(7, 1, encode_frame(batch([flow(1)], 1, sensor=sensor, run=8)))
        yield pack_frame(8, 1, encode_frame(batch([flow(1)], 1, sensor=sensor, run=8)))
    for kind in ("flow", "stats", "alarm", "header", "keys", "query"):
        yield pack_frame(7, 2, encode_frame(batch([flow(2)], 2, sensor="tap")._replace(kind=kind)))
    yield pack_frame(7, 3, b"SELECT * FROM sensors")
    yield pack_frame(7, 1 << 62, good)
    yield from ([kind] for kind in (PING, PONG, ACK, WELCOME, REFUSED, VERSION, FRAME, b"", b"GET", b"SUBSCRIBE"))
    yield from ([kind, bytes(16), b"roof"] for kind in (PING, PONG, ACK, WELCOME, REFUSED, VERSION, b"QUERY"))
    yield [b"GET / HTTP/1.1\r\n\r\n"]
    yield [b"SELECT host FROM flow_records", b"roof"]
    dice = random.Random(1)
    for _ in range(300):
        words = [dice.choice((HELLO, FRAME, PING, ACK, dice.randbytes(4)))]
        words += [dice.choice((bytes(16), good, dice.randbytes(dice.randrange(40)))) for _ in range(dice.randrange(4))]
        yield words


def test_a_sensor_hears_marks_and_refusals_and_nothing_of_what_is_stored(site: Site) -> None:
    with serving(site.cli.db, key=site.key) as correlator:
        with site.sensor(correlator, ROOF) as roof:
            roof.hello(header("roof", run=77_777))
            roof.send(batch([flow(1, client_ip=SECRETS[1], host=SECRETS[2])], 1, sensor="roof", run=77_777))
            assert roof.answer().kind == ACK
        with site.sensor(correlator, TAP) as sensor:
            heard: list[list[bytes]] = []
            for asked, request in enumerate(requests(), start=1):
                sensor.say(request)
                if asked % 16 == 0:  # not more than the correlator takes from one connection
                    heard += until_pong(sensor)
            heard += until_pong(sensor)
            # The numbers of a run that is its own, so that nothing is on its way any more.
            sensor.say(pack_hello(encode_frame(header("tap", run=9))))
            sensor.send(batch([flow(9)], 1, sensor="tap", run=9))
            while not heard or heard[-1][:2] != [ACK, (9).to_bytes(8, "big") + (1).to_bytes(8, "big")]:
                heard.append(sensor.raw_answer())
        assert correlator.stop() == 0
    answers = [unpack_answer(parts) for parts in heard]  # nothing that is no answer
    assert {answer.kind for answer in answers} == {WELCOME, ACK, REFUSED, VERSION, PONG}
    # Numbers are its own: none is of the run on the roof.
    assert 77_777 not in {answer.run for answer in answers}
    for parts in heard:
        if parts[0] != REFUSED:
            assert sum(map(len, parts)) <= 32
    reasons = {answer.reason for answer in answers if answer.kind == REFUSED}
    # A refusal repeats what the sensor said itself, and the name of its own key.
    assert "its key is that of 'tap', not of 'roof': give it that name or a key" in reasons
    assert not any(secret in reason for reason in reasons for secret in SECRETS[1:])
    assert [secret in str(site.cli.json("flows")) for secret in SECRETS] == [True] * 3


def until_pong(sensor: Sensor) -> list[list[bytes]]:
    """Everything that comes before the answer to a PING."""
    sensor.say([PING, b"last"])
    heard = [sensor.raw_answer()]
    while heard[-1] != [PONG]:
        heard.append(sensor.raw_answer())
    return heard


SEND_AS_SOMEBODY_ELSE = """
import os, sys
from corr_flows import batch, flow, header
from corr_link import Sensor
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
with Sensor(sys.argv[1]) as sensor:
    print(sensor.hello(header("tap")).kind.decode())
    sensor.send(batch([flow(1, client_ip="192.0.2.66")], 1, sensor="tap"))
    print(sensor.answer().kind.decode())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_another_user_sends_what_they_like_to_a_plain_text_endpoint_on_loopback(site: Site) -> None:
    with serving(site.cli.db) as correlator:
        path = os.pathsep.join((str(ROOT), str(ROOT / "tests/support")))
        done = subprocess.run(
            [sys.executable, "-c", SEND_AS_SOMEBODY_ELSE, correlator.endpoint, str(NOBODY)],
            capture_output=True, text=True, timeout=30, check=False, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "WELCOME\nACK\n"), done.stderr
    assert site.flows() == [("tap", "192.0.2.66")]
