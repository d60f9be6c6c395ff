"""Sensors whose spool meets what disks and kills do, seen from the correlator."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from disks import disk
from programs import AS_ROOT, CORRELATOR, SENSOR, Running, run, running

_HEADER_BYTES = 24
_PATIENCE_S = 20


class Replay:
    """A sensor that reads a capture from a pipe, packet by packet as the test gives them."""

    def __init__(self, capture: Path, pipe: Path) -> None:
        data = capture.read_bytes()
        at, self._packets = _HEADER_BYTES, [data[:_HEADER_BYTES]]
        while at < len(data):
            end = at + 16 + int.from_bytes(data[at + 8 : at + 12], "little")
            self._packets.append(data[at:end])
            at = end
        os.mkfifo(pipe)
        self.path = str(pipe)

    def open(self) -> None:
        """Open the pipe, which the sensor reads."""
        self._pipe = os.open(self.path, os.O_WRONLY)

    def give(self, share: float) -> None:
        """Give so much of what is left."""
        count = int(len(self._packets) * share)
        for packet in self._packets[:count]:
            os.write(self._pipe, packet)
        del self._packets[:count]

    def end(self) -> None:
        """Close the pipe."""
        os.close(self._pipe)


@pytest.fixture
def replay(data_dir: Path, tmp_path: Path) -> Replay:
    return Replay(data_dir / "demo.pcap", tmp_path / "pipe")


def shipping(tmp_path: Path, source: str, spool: Path, settings: str = "") -> tuple[str, ...]:
    config = tmp_path / "sensor.toml"
    config.write_text(f"[ship]\ngive_up_s = 5\nresend_s = 0.5\n{settings}\n[log]\nbatch_records = 2\nflush_s = 0.01\n")
    link = ("--ship", f"ipc://{tmp_path}/link", "--plaintext", "--spool", str(spool), "--config", str(config))
    return (SENSOR, "read", source, "-t", "0.05", *link, *AS_ROOT)


def serving(tmp_path: Path) -> tuple[str, ...]:
    return CORRELATOR, "serve", "--plaintext", "--bind", f"ipc://{tmp_path}/link", "--db", str(tmp_path / "a.db")


def ask(tmp_path: Path, *command: str) -> Any:
    code, out, err = run(CORRELATOR, *command, "--db", str(tmp_path / "a.db"), "--json")
    assert code == 0, err
    return json.loads(out)


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_sensor_leaves_what_it_wrote_and_the_next_one_says_and_sends_it(
    data_dir: Path, tmp_path: Path, replay: Replay
) -> None:
    spool, empty = tmp_path / "spool", tmp_path / "empty.pcap"
    with running(*shipping(tmp_path, replay.path, spool)) as sensor:
        replay.open()
        replay.give(0.5)
        # Statistics are frames too: once these are written, so is all that came before.
        wait_until(lambda: len([line for line in sensor.lines if line.startswith("packets ")]) > 3)
        sensor.stop(signal.SIGKILL)
        replay.end()
    empty.write_bytes((data_dir / "demo.pcap").read_bytes()[:_HEADER_BYTES])
    left = sum(path.stat().st_size for path in spool.glob("*.flowlog"))
    assert left
    with running(*serving(tmp_path)) as correlator:
        correlator.wait_for("listening on")
        code, _, err = run(*shipping(tmp_path, str(empty), spool))
        assert code == 0, err
        correlator.stop()
    (line,) = [line for line in err.splitlines() if "ended without a stop" in line]
    assert "open flows (at its last statistics, after " in line
    assert "unclean stops 1" in err
    (row,) = ask(tmp_path, "sensors")
    assert row["frames_missing"] == 0
    assert row["records_stored"] > 0
    assert (row["stats"]["unclean_stops"], row["stats"]["frames_lost"]) == (1, {})
    assert sorted(path.name for path in spool.iterdir()) == ["lock", "run"]


@pytest.mark.slow
def test_a_full_disk_costs_frames_that_the_correlator_counts_and_the_sensor_goes_on(
    tmp_path: Path, replay: Replay
) -> None:
    with disk() as small, running(*shipping(tmp_path, replay.path, small.path / "spool")) as sensor:
        replay.open()
        replay.give(0.2)
        sensor.wait_for("packets ")
        fill(small.path / "ballast")
        replay.give(0.3)
        sensor.wait_for("until then frames are dropped and counted")
        sensor.wait_for("(disk_full ")
        (small.path / "ballast").unlink()
        ship_the_rest(tmp_path, replay, sensor)
        lines = [line for line in sensor.lines if "the spool" in line]
        assert ["again" in line for line in lines] == [False, True]
        assert not any("error" in line or "Traceback" in line for line in sensor.lines)
        assert sorted(path.name for path in (small.path / "spool").iterdir()) == ["lock", "run"]
    (row,) = ask(tmp_path, "sensors")
    assert row["stats"]["packets"] == 7443
    assert row["frames_missing"] == row["stats"]["frames_dropped"] == row["stats"]["frames_lost"]["disk_full"] > 0
    messages = [alarm["message"] for alarm in ask(tmp_path, "alarms") if alarm["kind"] == "sensor"]
    assert any("spool" in message for message in messages), messages


def ship_the_rest(tmp_path: Path, replay: Replay, sensor: Running) -> None:
    """Let a correlator take what a spool that recovers holds, until the sensor has ended."""
    with running(*serving(tmp_path)) as correlator:
        correlator.wait_for("listening on")
        replay.give(1)
        wait_for_recovery(sensor)
        replay.end()
        assert sensor.process.wait(_PATIENCE_S) == 0
        correlator.stop()


def wait_for_recovery(sensor: Running) -> None:
    sensor.wait_for("can be written again")


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


@pytest.mark.slow
def test_a_spool_that_is_taken_away_does_not_end_the_sensor(tmp_path: Path, replay: Replay) -> None:
    spool, away = tmp_path / "spool", tmp_path / "away"
    with running(*shipping(tmp_path, replay.path, spool)) as sensor:
        replay.open()
        replay.give(0.3)
        sensor.wait_for("packets ")
        spool.rename(away)
        replay.give(0.3)
        sensor.wait_for("No such file or directory; put it right")
        away.rename(spool)
        ship_the_rest(tmp_path, replay, sensor)
    (row,) = ask(tmp_path, "sensors")
    assert row["frames_missing"] == row["stats"]["frames_dropped"] == row["stats"]["frames_lost"]["unwritable"] > 0
