"""One interface through pypcap, and the one line that says why it cannot be."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import SENSOR, error_line, run

from sensor.capture.device import CaptureError, Device, NotThereError, interface_names
from sensor.config import CaptureConfig
from sensor.flow._table import FlowTable

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to open an interface")


def test_a_missing_interface_names_those_that_are_there() -> None:
    with pytest.raises(NotThereError, match=r"no interface 'none0'; there are .*lo"):
        Device("none0", "", CaptureConfig())


def test_a_file_of_the_interfaces_name_is_not_read_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lo").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaptureError, match="a file named 'lo'"):
        Device("lo", "", CaptureConfig())


def test_a_file_that_pypcap_opened_all_the_same_is_noticed(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lo").write_bytes((data_dir / "demo.pcap").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sensor.capture.device.os.path.lexists", lambda _name: False)
    with pytest.raises(CaptureError, match="a file named 'lo'"):
        Device("lo", "", CaptureConfig())


@pytest.mark.live
@AS_ROOT
def test_a_bad_filter_is_libpcaps_words_in_one_line() -> None:
    code, _, stderr = run(SENSOR, "capture", "-i", "lo", "tcp", "prt", "80")
    assert code == 1
    assert "bad filter 'tcp prt 80': can't parse filter expression" in error_line(stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody without the privilege")
def test_without_the_privilege_the_remedy_is_named() -> None:
    script = (
        "import os, pcap\nfrom sensor.capture.device import Device, NotAllowedError\n"
        "from sensor.config import CaptureConfig\nos.setgid(65534)\nos.setuid(65534)\n"
        "try:\n    Device('lo', '', CaptureConfig())\nexcept NotAllowedError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "no permission to capture on lo; run as root, or give the process CAP_NET_RAW\n"


@pytest.mark.live
@AS_ROOT
@pytest.mark.parametrize("name", ["lo", "any"])
@pytest.mark.parametrize("config", [CaptureConfig(), CaptureConfig(promiscuous=False, snap_length_bytes=96)])
def test_packets_come_with_their_time_and_length_and_by_the_filter(name: str, config: CaptureConfig) -> None:
    table, before_ns = FlowTable(), time.time_ns()
    device = Device(name, "udp port 9", config)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(40):
            sender.sendto(bytes(100), ("127.0.0.1", 9 if number % 2 else 10))
    waiting = select.poll()
    waiting.register(device.fd, select.POLLIN)
    assert waiting.poll(10_000)
    assert device.dispatch(table, 1000) == table.accepted == 20
    assert table.wire_bytes == 20 * 128
    assert before_ns < device.last_ns < time.time_ns()
    assert device.counters() == (0, 0)
    device.close()
    with pytest.raises(AttributeError):  # and not a crash
        device.counters()


def test_the_interfaces_are_listed() -> None:
    assert "lo" in interface_names()
