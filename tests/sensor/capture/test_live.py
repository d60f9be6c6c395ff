"""Live capture on a real interface, and the one line that says why it cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from netns import wire
from programs import SENSOR, error_line, run, running

from sensor.capture.live import CaptureError, LiveSource, interface_names
from sensor.config import CaptureConfig

IDENTITY = ("protocol", "client_ip", "client_port", "server_ip", "server_port", "oriented_by")
VOLUMES = ("packets_out", "packets_in", "wire_bytes_out", "payload_bytes_out", "payload_bytes_in", "conn_state")


def flows(path: Path) -> list[tuple[object, ...]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(tuple(str(row[name]) for name in IDENTITY + VOLUMES) for row in rows)


@pytest.mark.live
def test_a_capture_sent_over_a_wire_gives_the_flows_that_the_file_gives(data_dir: Path, tmp_path: Path) -> None:
    capture, live, offline = data_dir / "demo.pcap", tmp_path / "live.ndjson", tmp_path / "offline.ndjson"
    with wire() as pair, running(*pair.on_tap(
        SENSOR, "capture", "-i", pair.tap, "-w", str(live), "--active-timeout", "0", "tcp",
    )) as sensor:  # fmt: skip
        sensor.wait_for("listening on")
        pair.send(capture)
        assert sensor.stop() == 0
        assert "drops 0 (0%)" in sensor.lines[-1]
    # The wire plays faster than the capture was taken: only idle timeouts could tell.
    run(SENSOR, "read", str(capture), "-w", str(offline), "--active-timeout", "0", "tcp")
    assert flows(live) == flows(offline)
    assert len(flows(live)) == 69


@pytest.mark.live
@pytest.mark.parametrize("snap_length", ["96", "262144"])
def test_a_short_snap_length_changes_no_counter(data_dir: Path, tmp_path: Path, snap_length: str) -> None:
    target = tmp_path / "a.ndjson"
    with wire() as pair, running(*pair.on_tap(
        SENSOR, "capture", "-i", pair.tap, "-w", str(target), "--active-timeout", "0", "--snap-length", snap_length,
        "tcp",
    )) as sensor:  # fmt: skip
        sensor.wait_for("listening on")
        pair.send(data_dir / "demo.pcap")
        assert sensor.stop() == 0
        assert "rejected" not in sensor.lines[-1]
    run(SENSOR, "read", str(data_dir / "demo.pcap"), "-w", f"{target}.offline", "--format", "ndjson", "tcp")
    live, offline = (
        [json.loads(line) for line in Path(name).read_text().splitlines()] for name in (target, f"{target}.offline")
    )
    for name in VOLUMES[:-1]:
        assert sum(row[name] for row in live) == sum(row[name] for row in offline), name


@pytest.mark.live
def test_an_interface_that_vanishes_ends_the_capture_with_its_flows_written(data_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.ndjson"
    command = (SENSOR, "capture", "-w", str(target), "-t", "0.1", "--active-timeout", "0", "-i")
    with wire() as pair, running(*pair.on_tap(*command, pair.tap, "tcp")) as sensor:
        sensor.wait_for("listening on")
        pair.send(data_dir / "demo.pcap")
        sensor.wait_for("packets 7423,")  # what the kernel still holds would vanish too
        subprocess.run(pair.on_tap("ip", "link", "del", pair.tap), check=True, timeout=10)
        assert sensor.process.wait(20) == 1
        assert f"capture on {pair.tap} stopped" in error_line("\n".join(sensor.lines))
    assert len(target.read_text().splitlines()) == 69


@pytest.mark.live
def test_capture_goes_on_as_an_unprivileged_user_once_the_interface_is_open(data_dir: Path) -> None:
    with wire() as pair, running(*pair.on_tap(SENSOR, "capture", "-i", pair.tap, "-u", "nobody", "-v")) as sensor:
        sensor.wait_for("listening on")
        status = Path(f"/proc/{sensor.process.pid}/status").read_text()
        assert "Uid:\t65534\t65534\t65534\t65534" in status
        assert "CapEff:\t0000000000000000" in status
        pair.send(data_dir / "demo.pcap")
        assert sensor.stop() == 0
        assert any("flow TX" in line for line in sensor.lines)


def test_a_missing_interface_names_those_that_are_there() -> None:
    with pytest.raises(CaptureError, match=r"no interface 'none0'; there are .*lo"):
        LiveSource("none0", "", CaptureConfig())


def test_a_file_of_the_interfaces_name_is_not_read_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lo").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaptureError, match="a file named 'lo'"):
        LiveSource("lo", "", CaptureConfig())


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to open an interface")
def test_a_bad_filter_is_libpcaps_words_in_one_line() -> None:
    code, _, stderr = run(SENSOR, "capture", "-i", "lo", "tcp", "prt", "80")
    assert code == 1
    assert "bad filter 'tcp prt 80': can't parse filter expression" in error_line(stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody without the privilege")
def test_without_the_privilege_the_remedy_is_named() -> None:
    script = (
        "import os, pcap\nfrom sensor.capture.live import LiveSource\nfrom sensor.config import CaptureConfig\n"
        "os.setgid(65534)\nos.setuid(65534)\n"
        "try:\n    LiveSource('lo', '', CaptureConfig())\nexcept Exception as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "no permission to capture on lo; run as root, or give the process CAP_NET_RAW\n"


def test_the_interfaces_are_listed() -> None:
    assert "lo" in interface_names()
