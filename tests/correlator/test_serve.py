"""The service on real sockets: acknowledged after the commit, nothing twice, clean ends."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, header, parts
from corr_link import Sensor, command, environment, serving
from rec_router import until

from common.flowlog import encode_frame
from common.link import ACK, PONG, REFUSED, WELCOME
from common.records import SensorAlarm, SensorStats


def count(db: Path) -> int:
    conn = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
    try:
        return int(conn.execute("SELECT count(*) FROM flow_records").fetchone()[0])
    finally:
        conn.close()


def test_a_frame_is_on_disk_when_it_is_acknowledged(db: Path) -> None:
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        assert sensor.hello(header()) == (WELCOME, 7, 0, "")
        sensor.send(batch([flow(1), flow(2)], 1))
        assert sensor.answer() == (ACK, 7, 1, "")
        assert count(db) == 2
        assert correlator.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_zero(db: Path, number: signal.Signals) -> None:
    with serving(db) as correlator:
        assert correlator.stop(number) == 0


def test_kill_and_resume_stores_nothing_twice(db: Path) -> None:
    frames = [batch([flow(number * 10 + k) for k in range(5)], number) for number in range(1, 9)]
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.hello(header())
        for frame in frames[:4]:
            sensor.send(frame)
        sensor.answered_up_to(4)
        for frame in frames[4:6]:
            sensor.send(frame)
        correlator.kill()
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        stored = sensor.hello(header()).sequence
        assert 4 <= stored <= 6
        # A sensor that saw no answer sends what it still has, stored or not.
        for frame in frames[4:]:
            sensor.send(frame)
        sensor.answered_up_to(8)
        assert correlator.stop() == 0
    assert count(db) == 40
    assert Cli(db).json("summary")["connections"] == 40


def test_a_kill_while_a_commit_waits_leaves_neither_its_rows_nor_its_mark(db: Path) -> None:
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.hello(header())
        sensor.send(batch([flow(1)], 1))
        assert sensor.answer() == (ACK, 7, 1, "")
        with closing(sqlite3.connect(db, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            sensor.send(batch([flow(2)], 2))
            assert sensor.hears_nothing()
            correlator.kill()
    assert count(db) == 1
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        assert sensor.hello(header()) == (WELCOME, 7, 1, "")
        sensor.send(batch([flow(2)], 2))
        sensor.send(batch([flow(2)], 2))
        assert sensor.answered_up_to(2)[-1] == (ACK, 7, 2, "")
        sensor.ping()
        assert correlator.stop() == 0
    assert count(db) == 2
    (row,) = Cli(db).json("sensors")
    assert (row["frames_missing"], row["records_stored"]) == (0, 2)


def test_a_ping_is_answered_before_and_after_hello(db: Path) -> None:
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        assert sensor.ping().kind == PONG
        sensor.hello(header())
        assert sensor.ping().kind == PONG


def test_a_frame_before_hello_gets_no_answer(db: Path) -> None:
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.send(batch([flow(1)], 1))
        assert sensor.ping().kind == PONG
        assert sensor.hello(header()).sequence == 0


def test_an_unreadable_frame_is_refused_and_the_next_is_stored(db: Path) -> None:
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.hello(header())
        sensor.send(batch([flow(1)], 1))
        sensor.send_raw(2, encode_frame(batch([flow(2)], 2))[:-1] + b"\xff")
        sensor.send(batch([flow(3)], 3))
        answers = sensor.answered_up_to(3)
        while not any(answer.kind == REFUSED for answer in answers):
            answers.append(sensor.answer())
        assert next(answer.sequence for answer in answers if answer.kind == REFUSED) == 2
    assert count(db) == 2


def test_a_frame_of_another_run_than_the_hello_is_refused(db: Path) -> None:
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.hello(header())
        sensor.send(batch([flow(1)], 1, sensor="other"))
        assert sensor.answer().kind == REFUSED
    assert count(db) == 0


def test_two_sensors_share_a_database(db: Path) -> None:
    with serving(db) as correlator, Sensor(correlator.endpoint) as one, Sensor(correlator.endpoint) as two:
        one.hello(header("one"))
        two.hello(header("two"))
        one.send(batch([flow(1)], 1, sensor="one"))
        two.send(batch([flow(1)], 1, sensor="two"))
        assert (one.answer().kind, two.answer().kind) == (ACK, ACK)
        assert correlator.stop() == 0
    assert [row["sensor"] for row in Cli(db).json("sensors")] == ["one", "two"]
    assert len(Cli(db).json("flows")) == 2


def test_an_ipc_endpoint_works(db: Path, tmp_path: Path) -> None:
    with serving(db, bind=f"ipc://{tmp_path}/s") as correlator, Sensor(correlator.endpoint) as sensor:
        assert sensor.hello(header()).kind == WELCOME


def test_statistics_alarms_and_gaps_are_kept(db: Path) -> None:
    stats = SensorStats(
        5, "1.0", "eth0", packets=100, kernel_drops=3, rejected={"truncated": 2}, frames_lost={"size": 4}
    )
    alarm = SensorAlarm(
        10**18,
        "duration",
        11 * 10**9,
        10 * 10**9,
        1,
        6,
        flow().client_ip,
        1044,
        flow().server_ip,
        3128,
        45,
        27,
        900,
        800,
        11 * 10**9,
    )
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.hello(header())
        sensor.send(batch([stats], 1, kind="stats"))
        sensor.send(batch([alarm], 2, kind="alarm"))
        sensor.send(batch([[1, 2]], 3, kind="weather"))
        sensor.send(batch([flow(1)], 6))
        sensor.answered_up_to(6)
        assert correlator.stop() == 0
    (row,) = Cli(db).json("sensors")
    assert (row["source"], row["stats"]["kernel_drops"], row["stats"]["rejected"]) == ("eth0", 3, {"truncated": 2})
    assert row["stats"]["frames_lost"] == {"size": 4}
    assert (row["frames_missing"], row["records_refused"]) == (2, 1)
    found = {(item["kind"], item["message"][:26]): item for item in Cli(db).json("alarms")}
    (raised,) = [item for (kind, _), item in found.items() if kind == "sensor-threshold"]
    assert raised["message"].startswith("10.0.0.1:1044 -> 192.0.2.1:3128: sensor tap saw 11 s, limit 10 s")


@pytest.mark.parametrize(
    ("before", "after", "words", "state"),
    [
        ({"packets": 1000}, {"packets": 1100, "kernel_drops": 11}, "lost 11 of 111 packets", "losing packets"),
        ({}, {"frames_dropped": 3}, "its spool was full and dropped 3 frames", "spool filling"),
        ({}, {"spool_bytes": 300 << 20}, f"{300 << 20} bytes wait in its spool", "spool filling"),
        ({"packets": 9}, {"packets": 9, "time_ns": 1001 * 10**9}, "has seen no packet for 1000 s", "no traffic"),
    ],
    ids=["loses packets", "loses frames", "fills its spool", "sees no traffic"],
)
def test_what_a_sensor_tells_of_itself_raises_alarms_and_is_its_state(
    db: Path, before: dict[str, Any], after: dict[str, Any], words: str, state: str
) -> None:
    with serving(db) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.hello(header())
        for sequence, changes in enumerate((before, after), start=1):
            told = SensorStats(10**9, "1.0", "eth0")._replace(**changes)
            sensor.send(batch([told], sequence, kind="stats"))
        sensor.answered_up_to(2)
        # It is known for a sensor on a link, and not a file's, once its contact is noted: every five seconds.
        until(lambda: Cli(db).json("sensors")[0]["state"] == state, partial(sensor.hears_nothing, 100))
        assert correlator.stop() == 0
    (alarm,) = [alarm for alarm in Cli(db).json("alarms") if alarm["kind"] == "sensor"]
    assert (alarm["sensor"], alarm["severity"]) == ("tap", "high")
    assert words in alarm["message"]
    assert Cli(db).json("sensors")[0]["version"] == "1.0"


def test_a_sensor_that_falls_silent_raises_an_alarm_about_itself(db: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[sensors]\nsilent_after_s = 1\n")
    with serving(db, "--config", str(config)) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.hello(header())
        sensor.ping()
        assert correlator.process.stderr is not None
        assert correlator.process.stderr.readline().startswith("alarm: sensor tap: silent for ")
        (alarm,) = Cli(db).json("alarms")
        assert (alarm["kind"], alarm["sensor"], alarm["client"], alarm["server"]) == ("sensor", "tap", None, None)
        assert Cli(db).json("alarms", "show", alarm["id"])["evidence"][0]["symptom"] == "sensor-silent"
        assert correlator.stop() == 0


def test_the_service_manager_is_told_of_start_and_end(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        with serving(db) as correlator:
            told = [manager.recv(200) for _ in range(3)]
            assert told == [b"READY=1", f"STATUS=listening on {correlator.endpoint}".encode(), b"WATCHDOG=1"]
            assert correlator.stop() == 0
            assert manager.recv(200) == b"STOPPING=1"


def test_an_open_flow_raises_its_alarm_while_it_is_open(db: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[thresholds.flow]\nduration_s = 100\n")
    opening = parts(1, [60, 60, 60], closed=False)
    with serving(db, "--config", str(config)) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.hello(header())
        for sequence, part in enumerate(opening, 1):
            sensor.send(batch([part], sequence))
        sensor.answered_up_to(3)
        (alarm,) = Cli(db).json("alarms")
    assert alarm["message"].endswith("flow has lasted 180 s, limit 100 s (still open)")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=30, check=False
    )


def test_a_port_in_use_is_one_line(db: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("--db", db, "serve", "--plaintext", "--bind", f"tcp://127.0.0.1:{taken.getsockname()[1]}")
    assert result.returncode == 1
    assert "is in use by another program" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("--key", "/no/such.key"), "no key file /no/such.key: make one with 'tunnelwatch keygen /no/such.key'"),
        (("--plaintext", "--bind", "tcp://0.0.0.0:5690"), "for this host only"),
        (("--plaintext", "--bind", "tcp://127.0.0.1:banana"), "not an endpoint"),
        (("--plaintext", "--bind", "ipc:///no/such/dir/s"), "cannot listen"),
    ],
)
def test_an_endpoint_that_cannot_be_is_one_line(db: Path, arguments: tuple[str, ...], fact: str) -> None:
    result = run("--db", db, "serve", *arguments)
    assert result.returncode == 1
    assert fact in result.stderr
    assert len(result.stderr.splitlines()) == 1
