"""Live capture on real interfaces: what comes over a wire is what is counted."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from netns import Wire, wire
from packets import ACK, SYN, T0, pcap, tcp_frame
from programs import SENSOR, run, running

from common.flowlog import Frame, check_file_header, decode_payload, scan_frames
from common.records import RecordReader, SensorStats

IDENTITY = ("protocol", "client_ip", "client_port", "server_ip", "server_port", "oriented_by")
VOLUMES = ("packets_out", "packets_in", "wire_bytes_out", "payload_bytes_out", "payload_bytes_in", "conn_state")


def flows(path: Path) -> list[tuple[object, ...]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(tuple(str(row[name]) for name in IDENTITY + VOLUMES) for row in rows)


def statistics(path: Path) -> list[SensorStats]:
    """The statistics records of a flow log."""
    data = memoryview(path.read_bytes())
    reader = RecordReader(SensorStats, SensorStats._fields)
    frames = [item for item in scan_frames(data, check_file_header(data)) if isinstance(item, Frame)]
    found = [decode_payload(frame.payload) for frame in frames]
    return [reader.read(row) for batch in found if batch.kind == "stats" for row in batch.records]


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
def test_a_record_says_what_was_on_the_wire_and_not_who_sent_it(tmp_path: Path) -> None:
    """One host sends with its own address, with a stranger's, and as if a server had answered."""
    own, stranger, server = ("198.51.100.1", 40000), ("203.0.113.7", 50000), ("198.51.100.2", 443)
    flags = ((own, server, SYN), (stranger, server, SYN), (server, stranger, SYN | ACK), (stranger, server, ACK))
    capture, target = tmp_path / "a.pcap", tmp_path / "a.ndjson"
    capture.write_bytes(pcap((T0, tcp_frame(source, to, flag)) for source, to, flag in flags))
    with wire() as pair:
        pair.address()
        with running(*pair.on_tap(SENSOR, "capture", "-i", pair.tap, "-w", str(target), "tcp port 443")) as sensor:
            sensor.wait_for("listening on")
            pair.send(capture)
            assert sensor.stop() == 0
    found = {row["client_ip"]: row for row in map(json.loads, target.read_text().splitlines())}
    assert set(found) == {own[0], stranger[0]}
    for row in found.values():
        # How client and server were told apart is in the record, and it is no proof either.
        assert (row["server_ip"], row["oriented_by"]) == (server[0], "syn")
    assert (found[stranger[0]]["packets_out"], found[stranger[0]]["packets_in"]) == (2, 1)


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


# No flow ends for want of packets: a replay is faster than the capture was.
PATIENT = "[flow]\nactive_timeout_s = 0\n" + "".join(
    f"{name}_timeout_s = 31536000\n" for name in ("tcp", "tcp_unestablished", "udp", "icmp")
)
# Differ with the pace of the packets.
TIMED = re.compile(r"flow_id|.*_ns|gaps_.*|exchange.*|keystroke.*|echoes|splt")


def untimed(path: Path) -> list[str]:
    """Every record without what depends on the pace, sorted."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(json.dumps({name: value for name, value in row.items() if not TIMED.fullmatch(name)}) for row in rows)


def lossless_rate(pair: Wire, capture: Path, scratch: Path) -> int:
    """The highest of some rates, in packets a second, at which tcpdump at the tap loses nothing; 0 is top speed."""
    for rate in (0, 200_000, 100_000, 50_000, 20_000, 10_000):
        with running(*pair.on_tap(
            "tcpdump", "-i", pair.tap, "-B", "16384", "-n", "-w", str(scratch), "--immediate-mode", "-Z", "root",
        )) as tcpdump:  # fmt: skip
            tcpdump.wait_for("listening on")
            sent = pair.replay(capture, rate)
            assert tcpdump.stop(signal.SIGINT) == 0
        seen = dict(re.findall(r"(\d+) packets (captured|dropped by kernel)", "\n".join(tcpdump.lines)))
        if seen == {str(sent): "captured", "0": "dropped by kernel"}:
            return rate
    pytest.skip("tcpdump loses packets at every rate here")


@pytest.mark.live
@pytest.mark.parametrize("name", ["demo.pcap", pytest.param("lab/mixed.pcap", marks=pytest.mark.shared)])
def test_at_tcpdumps_best_rate_the_records_are_those_of_the_file_and_nothing_is_dropped(
    request: pytest.FixtureRequest, tmp_path: Path, name: str
) -> None:
    if "/" in name:
        capture = request.getfixturevalue("shared_dir") / "data" / name
    else:
        capture = request.getfixturevalue("data_dir") / name
    for tool in ("tcpreplay", "tcpdump"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    live, offline, config = tmp_path / "live.ndjson", tmp_path / "offline.ndjson", tmp_path / "patient.toml"
    config.write_text(PATIENT)
    with wire() as pair:
        rate = lossless_rate(pair, capture, tmp_path / "tcpdump.pcap")
        with running(*pair.on_tap(
            SENSOR, "capture", "-i", pair.tap, "--config", str(config), "-w", str(live), "--sensor", "one",
        )) as sensor:  # fmt: skip
            sensor.wait_for("listening on")
            sent = pair.replay(capture, rate)
            assert sensor.stop() == 0
    assert f"packets {sent}, drops 0 (0%)" in sensor.lines[-1]
    code, _, err = run(SENSOR, "read", str(capture), "--config", str(config), "-w", str(offline), "--sensor", "one")
    assert code == 0, err
    assert untimed(live) == untimed(offline)
    assert len(untimed(live)) > 50


@pytest.mark.live
@pytest.mark.parametrize("snap_length", ["262144", "96"])
def test_every_packet_sent_is_counted_or_counted_as_dropped(data_dir: Path, tmp_path: Path, snap_length: str) -> None:
    if shutil.which("tcpreplay") is None:
        pytest.skip("needs tcpreplay")
    log = tmp_path / "a.flowlog"
    with wire() as pair, running(*pair.on_tap(
        SENSOR, "capture", "-i", pair.tap, "-w", str(log), "--buffer-bytes", "65536", "--snap-length", snap_length,
    )) as sensor:  # fmt: skip
        sensor.wait_for("listening on")
        sensor.process.send_signal(signal.SIGSTOP)
        sent = pair.replay(data_dir / "demo.pcap", 0)
        sensor.process.send_signal(signal.SIGCONT)
        assert sensor.stop() == 0
    found = re.fullmatch(r"packets (\d+), drops (\d+) .*", sensor.lines[-1])
    assert found is not None
    packets, drops = int(found[1]), int(found[2])
    assert packets > 0
    assert drops > 0
    assert packets + drops == sent
    (line,) = [line for line in sensor.lines if line.startswith("the kernel dropped")]
    assert f"dropped {drops} of {sent} packets" in line
    assert "raise --buffer-bytes (now 65536)" in line
    last = statistics(log)[-1]
    assert (last.packets, last.kernel_drops, last.interface_drops) == (packets, drops, 0)


@pytest.mark.live
def test_usr1_gives_the_statistics_at_once(data_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "a.flowlog"
    with wire() as pair, running(*pair.on_tap(SENSOR, "capture", "-i", pair.tap, "-w", str(log), "-v")) as sensor:
        sensor.wait_for("listening on")
        pair.send(data_dir / "demo.pcap")
        sensor.wait_for("flow RX")
        sensor.process.send_signal(signal.SIGUSR1)
        sensor.wait_for("packets 7443, drops 0 (0%)")
        assert sensor.stop() == 0
    assert len(statistics(log)) == 2


@pytest.mark.live
def test_several_interfaces_are_one_run(data_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.ndjson"
    with wire() as pair, running(*pair.on_tap(
        SENSOR, "capture", "-i", pair.tap, "-i", "lo", "-w", str(target), "tcp or udp port 9",
    )) as sensor:  # fmt: skip
        sensor.wait_for(f"listening on {pair.tap}, lo")
        subprocess.run(pair.on_tap("bash", "-c", "echo -n hello > /dev/udp/127.0.0.1/9"), check=True, timeout=10)
        pair.send(data_dir / "demo.pcap")
        assert sensor.stop() == 0
    assert "packets 7424, drops 0 (0%)" in sensor.lines[-1]
    assert sum(json.loads(line)["server_port"] == 9 for line in target.read_text().splitlines()) == 1


@pytest.mark.live
@pytest.mark.parametrize("user", [(), ("-u", "root")])
def test_an_interface_that_vanishes_and_comes_back_is_survived(
    data_dir: Path, tmp_path: Path, user: tuple[str, ...]
) -> None:
    target = tmp_path / "a.ndjson"
    hello = ("bash", "-c", "echo -n hello > /dev/udp/127.0.0.1/9")
    with wire() as pair, running(*pair.on_tap(
        SENSOR, "capture", "-i", "lo", "-i", pair.tap, *user, "-w", str(target), "tcp or udp port 9",
    )) as sensor:  # fmt: skip
        sensor.wait_for("listening on")
        pair.send(data_dir / "demo.pcap")
        pair.set("link", "del", pair.tap)
        sensor.wait_for(f"capture on {pair.tap} stopped: The interface disappeared; trying again")
        subprocess.run(pair.on_tap(*hello), check=True, timeout=10)
        pair.join()
        sensor.wait_for(f"{pair.tap} is back, after ")
        subprocess.run(pair.on_tap(*hello), check=True, timeout=10)
        pair.send(data_dir / "demo.pcap")
        assert sensor.stop() == 0
    assert sum(pair.tap in line for line in sensor.lines) == 3
    # Nothing of what was on the wires is lost, neither before nor after.
    assert "packets 14848, drops 0 (0%)" in sensor.lines[-1]
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert sum(row["packets_out"] + row["packets_in"] for row in rows) == 14848


@pytest.mark.live
def test_an_interface_that_goes_down_and_up_is_said_and_goes_on(data_dir: Path) -> None:
    with wire() as pair, running(*pair.on_tap(SENSOR, "capture", "-i", pair.tap, "tcp")) as sensor:
        sensor.wait_for("listening on")
        pair.send(data_dir / "demo.pcap")
        pair.set("link", "set", pair.tap, "down")
        sensor.wait_for(f"{pair.tap} is down")
        pair.set("link", "set", pair.tap, "up")
        sensor.wait_for(f"{pair.tap} is up again")
        pair.send(data_dir / "demo.pcap")
        assert sensor.stop() == 0
    assert "packets 14846, drops 0 (0%)" in sensor.lines[-1]


@pytest.mark.live
@pytest.mark.parametrize("user", [(), ("-u", "nobody")])
def test_root_captures_as_nobody_with_one_capability(data_dir: Path, user: tuple[str, ...]) -> None:
    with wire() as pair, running(*pair.on_tap(SENSOR, "capture", "-i", pair.tap, "-v", *user)) as sensor:
        sensor.wait_for("listening on")
        threads = [path.read_text() for path in Path(f"/proc/{sensor.process.pid}/task").glob("*/status")]
        for status in threads:
            assert "Uid:\t65534\t65534\t65534\t65534" in status
            assert "NoNewPrivs:\t1" in status
            assert "CapBnd:\t0000000000000000" in status
        assert "CapPrm:\t0000000000002000\nCapEff:\t0000000000002000" in threads[0]
        pair.send(data_dir / "demo.pcap")
        assert sensor.stop() == 0
        assert any("flow TX" in line for line in sensor.lines)


@pytest.mark.live
def test_root_captures_as_root_when_told_and_says_so(data_dir: Path) -> None:
    with wire() as pair, running(*pair.on_tap(SENSOR, "capture", "-i", pair.tap, "-u", "root")) as sensor:
        sensor.wait_for("listening on")
        assert "Uid:\t0\t0\t0\t0" in Path(f"/proc/{sensor.process.pid}/status").read_text()
        pair.send(data_dir / "demo.pcap")
        assert sensor.stop() == 0
        assert sensor.lines[0].startswith("running as root, as -u says")
        assert "packets 7443" in sensor.lines[-1]


@pytest.mark.live
def test_somebody_with_the_one_capability_needs_no_root(data_dir: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    only_raw = (
        "setpriv",
        "--reuid=65534",
        "--clear-groups",
        "--inh-caps=-all,+net_raw",
        "--ambient-caps=-all,+net_raw",
    )
    if subprocess.run([*only_raw, sys.executable, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip("needs an interpreter that starts with a capability: the loader then ignores LD_LIBRARY_PATH")
    with wire() as pair, running(*pair.on_tap(*only_raw, SENSOR, "capture", "-i", pair.tap, "tcp")) as sensor:
        sensor.wait_for("listening on")
        pair.send(data_dir / "demo.pcap")
        assert sensor.stop() == 0
        assert "packets 7423" in sensor.lines[-1]


@pytest.mark.live
def test_a_service_manager_hears_of_start_life_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, wire() as pair:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        with running(*pair.on_tap(SENSOR, "capture", "-i", pair.tap)) as sensor:
            heard = [manager.recv(1000).decode() for _ in range(4)]
            assert heard == ["READY=1", f"STATUS=listening on {pair.tap}", "WATCHDOG=1", "WATCHDOG=1"]
            sensor.process.send_signal(signal.SIGTERM)
            while manager.recv(1000) != b"STOPPING=1":
                pass
            assert manager.recv(1000).startswith(b"STATUS=packets 0, drops 0")
            assert sensor.process.wait(20) == 0
