"""One run of the sensor: statistics, the final account, and what a stop does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import cast

import pytest
from packets import CLIENT, SERVER, SYN, T0, S, pcap, tcp_frame
from programs import AS_ROOT, SENSOR, error_line, run, running
from rec_router import Router, until

from common.errors import UserError
from common.flowlog import Frame, check_file_header, decode_frame, decode_payload, scan_frames
from common.link import REFUSED, pack_answer, unpack_frame
from common.records import RecordReader, SensorStats
from sensor.batching import Batcher
from sensor.capture.device import CaptureError
from sensor.capture.live import Drops, LiveSource
from sensor.config import FlowConfig, SensorConfig, ShipConfig, StatisticsConfig
from sensor.flow._table import FlowTable
from sensor.output.fanout import Outputs, TextFile
from sensor.output.text import ndjson_format
from sensor.service import SensorService, make_table
from sensor.ship.link import Shipper
from sensor.ship.spool import Spool
from sensor.stats import drops_line

DATA = pcap((T0 + n * S, tcp_frame((CLIENT[0], 2000 + n), SERVER, SYN)) for n in range(20))


def statistics(path: Path) -> list[SensorStats]:
    """The statistics records of a flow log."""
    data = memoryview(path.read_bytes())
    reader = RecordReader(SensorStats, SensorStats._fields)
    found = []
    for frame in scan_frames(data, check_file_header(data)):
        assert isinstance(frame, Frame)
        batch = decode_payload(frame.payload)
        if batch.kind == "stats":
            found += [reader.read(row) for row in batch.records]
    return found


def test_the_last_statistics_record_accounts_for_every_packet(tmp_path: Path) -> None:
    capture, log = tmp_path / "a.pcap", tmp_path / "a.flowlog"
    capture.write_bytes(DATA + pcap([(T0, b"\xff" * 12 + b"\x08\x06" + bytes(40))])[24:])
    run(SENSOR, "read", str(capture), "-w", str(log), "tcp src port 2003 or arp")
    stats = statistics(log)[-1]
    assert (stats.packets, stats.accepted, stats.filtered, stats.rejected) == (21, 1, 19, {"not_ip": 1})
    assert (stats.flows_open, stats.flows_started, stats.records) == (0, 1, 1)


def test_statistics_come_every_t_seconds_while_a_stream_goes_on(tmp_path: Path) -> None:
    fifo, log = tmp_path / "pipe", tmp_path / "a.flowlog"
    os.mkfifo(fifo)
    packet = (len(DATA) - 24) // 20
    with running(SENSOR, "read", str(fifo), "-w", str(log), "-t", "0.01") as sensor:
        with fifo.open("wb", buffering=0) as pipe:
            pipe.write(DATA[:24])
            for number in range(20):
                pipe.write(DATA[24 + number * packet : 24 + (number + 1) * packet])
                if number in (5, 10):
                    sensor.wait_for(f"packets {number + 1},")
        assert sensor.process.wait(20) == 0
    seen = [entry.packets for entry in statistics(log)]
    assert {6, 11} <= set(seen)
    assert seen[-1] == 20
    assert seen == sorted(seen)


def test_open_flows_are_written_when_a_capture_is_stopped(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to capture")
    target = tmp_path / "a.ndjson"
    with running(SENSOR, "capture", "-i", "lo", "-w", str(target), "udp port 9") as sensor:
        sensor.wait_for("listening on lo")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"12345", ("127.0.0.1", 9))
        assert sensor.stop(signal.SIGINT) == 0
    (row,) = [json.loads(line) for line in target.read_text().splitlines()]
    assert (row["server_port"], row["payload_bytes_out"], row["end_reason"]) == (9, 5, "forced")


class RefusingRouter(Router):
    """A correlator that takes no frame."""

    def _frame(self, peer: bytes, parts: list[bytes], *, acknowledge: bool) -> None:
        del acknowledge
        run, sequence, _ = unpack_frame(parts)
        self.send(peer, pack_answer(REFUSED, run, sequence, "field 3 is no number"))


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "a.pcap"
    path.write_bytes(DATA)
    return path


def shipping(tmp_path: Path, *words: str) -> list[str]:
    return [*words, "--ship", f"ipc://{tmp_path}/link", "--plaintext", "--spool", str(tmp_path / "spool"), *AS_ROOT]


def serve(router: Router, process: subprocess.Popen[str]) -> tuple[int, str]:
    """Be the correlator until the sensor ends; return its exit code and what it said."""
    until(lambda: process.poll() is not None, router.turn)
    assert process.stderr is not None
    with process.stderr as stderr:
        return process.returncode, stderr.read()


def test_a_full_disk_for_text_does_not_starve_the_correlator(tmp_path: Path, capture: Path) -> None:
    router = Router(f"ipc://{tmp_path}/link")
    command = shipping(tmp_path, SENSOR, "read", str(capture), "-w", "/dev/full", "--format", "ndjson")
    code, err = serve(router, subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    router.close()
    assert code == 1
    assert "cannot write /dev/full: No space left" in error_line(err)
    assert sum(len(batch.records) for batch in map(decode_frame, router.frames) if batch.kind == "flow") == 20
    assert "packets 20" in err


def test_a_reader_that_went_away_does_not_starve_the_correlator(tmp_path: Path, capture: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    router = Router(f"ipc://{tmp_path}/link")
    command = shipping(tmp_path, SENSOR, "read", str(capture), "--format", "csv")
    process = subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    code, err = serve(router, process)
    router.close()
    assert (code, "error" in err) == (0, False)
    assert sum(len(batch.records) for batch in map(decode_frame, router.frames) if batch.kind == "flow") == 20


def test_refused_frames_are_said_and_reading_fails(tmp_path: Path, capture: Path) -> None:
    router = RefusingRouter(f"ipc://{tmp_path}/link")
    command = shipping(tmp_path, SENSOR, "read", str(capture))
    code, err = serve(router, subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    router.close()
    assert code == 1
    assert error_line(err) == (
        "error: 2 frames were refused by the correlator and are not stored; the first because: field 3 is no number"
    )


def test_damage_in_the_spool_is_said_at_the_start(tmp_path: Path, capture: Path) -> None:
    (tmp_path / "spool").mkdir()
    path = tmp_path / "spool" / f"{1:020d}-000001.flowlog"
    path.write_bytes(b"nonsense")
    router = Router(f"ipc://{tmp_path}/link")
    command = shipping(tmp_path, SENSOR, "read", str(capture))
    code, err = serve(router, subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    router.close()
    assert code == 0
    assert err.splitlines()[len(AS_ROOT) // 2].startswith(f"the spool's {path} holds no frame that can be sent")
    assert "spool damage 1" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_wait_for_the_correlator_at_once(tmp_path: Path, capture: Path, number: int) -> None:
    with running(*shipping(tmp_path, SENSOR, "read", str(capture))) as sensor:
        sensor.wait_for("packets 20")
        assert sensor.stop(number, timeout=10) == 1
    assert "they stay in" in error_line("\n".join(sensor.lines))
    assert any((tmp_path / "spool").glob("*.flowlog"))


def test_the_signal_that_stops_a_capture_does_not_end_the_wait(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to capture")
    with running(*shipping(tmp_path, SENSOR, "capture", "-i", "lo", "udp port 9")) as sensor:
        sensor.wait_for("listening on lo")
        sensor.process.send_signal(signal.SIGTERM)
        sensor.wait_for("packets 0")
        router = Router(f"ipc://{tmp_path}/link")
        until(lambda: sensor.process.poll() is not None, router.turn)
        router.close()
    assert sensor.process.returncode == 0
    assert "they stay in" not in "".join(sensor.lines)
    assert [decode_frame(raw).kind for raw in router.frames] == ["stats"]


@pytest.mark.parametrize("ignored", [True, False])
def test_a_terminal_that_hangs_up_ends_the_reading_unless_nohup_says_not_to(tmp_path: Path, *, ignored: bool) -> None:
    fifo, target = tmp_path / "pipe", tmp_path / "a.ndjson"
    os.mkfifo(fifo)
    command = [*(["nohup"] if ignored else []), SENSOR, "read", str(fifo), "-w", str(target), "-t", "0.01"]
    with running(*command) as sensor, fifo.open("wb", buffering=0) as pipe:
        pipe.write(DATA[: len(DATA) // 2])
        sensor.wait_for("packets 9")
        sensor.process.send_signal(signal.SIGHUP)
        if ignored:
            pipe.write(DATA[len(DATA) // 2 :])
            sensor.wait_for("packets 20")
        else:
            assert sensor.process.wait(20) == 1
            sensor.wait_for("stopped by a signal")
    assert ignored or len(target.read_text().splitlines()) == 9


def test_an_error_of_the_source_still_ends_every_flow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class NotAllowedAgain:
        interface, lost = "eth0", "eth0"

        def __init__(self) -> None:
            self.news: list[str] = []

        def turn(self, table: FlowTable, _wait_ms: int) -> int:
            table.feed_frame(1, T0, tcp_frame(CLIENT, SERVER, SYN))
            self.news.append("eth0 is gone")
            return 1

        def look_after(self, _now_ns: int) -> None:
            raise CaptureError("eth0 is back, but: no permission")

        def drops(self) -> Drops:
            return Drops(1, 0)

    target = tmp_path / "a.ndjson"
    outputs = Outputs(Batcher("s", 1, S), None, TextFile("a", target.open("wb"), ndjson_format("s")), None)
    service = SensorService(SensorConfig(), make_table(SensorConfig(), 1, trace=False), outputs, 1)
    assert service.capture(cast("LiveSource", NotAllowedAgain())) == 1
    outputs.close()
    assert json.loads(target.read_text())["end_reason"] == "forced"
    assert capsys.readouterr().err.splitlines() == [
        "listening on eth0", "eth0 is gone", "error: eth0 is back, but: no permission",
        drops_line(Drops(1, 0), 1, 16777216),
        "packets 1, drops 1 (50%), flows 1 (0 open), records 1, without eth0",
    ]  # fmt: skip


class Dropping:
    interface, lost = "eth0", ""
    news: tuple[str, ...] = ()
    dropped = 0

    def drops(self) -> Drops:
        self.dropped += 1
        return Drops(self.dropped, 0)


def test_drops_that_go_on_are_said_no_more_often_than_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    service = SensorService(SensorConfig(), make_table(SensorConfig(), 1, trace=False), Outputs(
        Batcher("s", 1, S), None, None, None
    ), 1)  # fmt: skip
    service._live = cast("LiveSource", Dropping())
    start_ns = time.monotonic_ns()
    for tenths in range(300):
        service._account(start_ns + tenths * S // 10)
    assert capsys.readouterr().err.splitlines() == [drops_line(Drops(1, 0), 0, 16777216)] * 3


def test_a_clock_that_steps_back_does_not_silence_the_statistics(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = SensorConfig(statistics=StatisticsConfig(interval_s=3600))
    outputs = Outputs(Batcher("s", 1, S), None, None, None)
    service = SensorService(config, make_table(config, 1, trace=False), outputs, 1)
    monkeypatch.setattr("sensor.service.time.time_ns", lambda: 5)
    after_ns = time.monotonic_ns() + 3601 * S
    monkeypatch.setattr("sensor.service.time.monotonic_ns", lambda: after_ns)
    service._collect()
    assert capsys.readouterr().err.startswith("packets 0")


def test_statistics_go_to_the_correlator_whatever_the_terminal_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = SensorConfig(statistics=StatisticsConfig(interval_s=0))
    batcher = Batcher("s", 1, S)
    spool = Spool(tmp_path / "spool", 1, batcher.header(1), 1 << 20, 1 << 16)
    shipper = Shipper(ShipConfig(endpoint=f"ipc://{tmp_path}/link", plaintext=True), spool)
    service = SensorService(config, make_table(config, 1, trace=False), Outputs(batcher, None, None, shipper), 1)
    start_ns = time.monotonic_ns()
    assert service._take_stats().heartbeat_s == 0
    service._live = cast("LiveSource", Dropping())
    assert service._take_stats().heartbeat_s == 60
    service._account(start_ns + 50 * S)
    assert shipper.waiting == 0
    service._account(start_ns + 61 * S)
    service._account(start_ns + 62 * S)
    shipper.close()
    assert shipper.waiting == 1
    assert "packets" not in "".join(line for line in capsys.readouterr().err.splitlines() if "dropped" not in line)


def test_home_networks_are_masked_to_their_prefix() -> None:
    config = SensorConfig(flow=FlowConfig(home=("10.1.2.3/8", "2001:db8::1/32")))
    table = make_table(config, 1, trace=False)
    table.feed_frame(1, T0, tcp_frame(("192.0.2.1", 9000), ("10.200.0.1", 9001), 0))
    while table.flush():
        pass
    assert table.drain()[0][5] == b"\x0a\xc8\0\1"


@pytest.mark.parametrize("network", ["10.0.0.0/33", "ten", "::1/200"])
def test_a_bad_home_network_is_one_line(network: str) -> None:
    with pytest.raises(UserError, match="bad home network"):
        make_table(SensorConfig(flow=FlowConfig(home=(network,))), 1, trace=False)
