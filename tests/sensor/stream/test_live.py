"""Streams of a real interface: what comes over a wire is what the capture file holds."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from netns import wire
from programs import AS_ROOT, SENSOR, run, running

from sensor.capture.device import CaptureError
from sensor.stream._streams import Streams
from sensor.stream.live import live_batches


def contents(directory: Path) -> Counter[str]:
    """The MD5 sums of the files of streams."""
    files = (path for path in directory.iterdir() if path.name != "report.xml")
    return Counter(hashlib.md5(path.read_bytes()).hexdigest() for path in files)


@pytest.mark.live
def test_streams_of_an_interface_are_those_of_the_file(data_dir: Path, tmp_path: Path) -> None:
    capture, live, offline = data_dir / "demo.pcap", tmp_path / "live", tmp_path / "offline"
    with wire() as pair, running(*pair.on_tap(
        SENSOR, "streams", "-i", pair.tap, "-o", str(live), *AS_ROOT, "tcp"
    )) as sensor:  # fmt: skip
        sensor.wait_for("listening on")
        pair.send(capture)
        assert sensor.stop() == 0
        assert not any("drops" in line for line in sensor.lines)
    assert run(SENSOR, "streams", str(capture), "-o", str(offline), *AS_ROOT, "tcp")[0] == 0
    assert contents(live) == contents(offline)
    assert contents(live).total() > 50


@pytest.mark.live
def test_grep_on_an_interface_finds_what_it_finds_in_the_file(data_dir: Path, tmp_path: Path) -> None:
    capture, words = data_dir / "demo.pcap", ("--json", "-a", "HTTP/1", "-a", "^SSH-", *AS_ROOT)
    with wire() as pair, (tmp_path / "out").open("wb") as out:
        command = pair.on_tap(SENSOR, "grep", "-d", pair.tap, *words)
        with subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True) as sensor:
            assert sensor.stderr is not None
            assert "listening on" in sensor.stderr.readline()
            pair.send(capture)
            sensor.terminate()
            assert sensor.wait(20) == 0
    code, expected, _ = run(SENSOR, "grep", "-r", str(capture), *words)
    found = (tmp_path / "out").read_bytes()
    # The times are those of the wire.
    assert Counter(line.split(b",", 1)[1] for line in found.splitlines()) == Counter(
        line.split(b",", 1)[1] for line in expected.splitlines()
    )
    assert code == 0
    assert found


class _Lost:
    """An interface that is gone for good after one turn."""

    interface = "eth9"

    def __init__(self) -> None:
        self.news = ["eth9 is down"]

    def turn(self, *_: object) -> int:
        return 0

    def look_after(self, _now_ns: int) -> None:
        raise CaptureError("eth9 is back, but not for us")

    def drops(self) -> tuple[int, int]:
        return 3, 0


def test_what_was_lost_is_told_and_the_end_is_an_error() -> None:
    told: list[str] = []
    events = live_batches(_Lost(), Streams(), lambda: False, told.append)  # type: ignore[arg-type]
    with pytest.raises(CaptureError, match="eth9 is back"):
        next(events)
    assert told == ["eth9 is down", "drops: 3 packets by the kernel, 0 by the interface; they are gaps in streams"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be asked for the interface")
def test_an_interface_that_is_not_there_is_one_line() -> None:
    for words in (("streams", "-i", "eth99"), ("grep", "-d", "eth99", "-a", "x")):
        code, _, shown = run(SENSOR, *words)
        assert (code != 0, shown.count("\n")) == (True, 1)
        assert "no interface 'eth99'" in shown
