"""One run of the sensor: statistics, the final account, and what a stop does."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest
from packets import CLIENT, SERVER, SYN, T0, S, pcap, tcp_frame
from programs import SENSOR, run, running

from common.errors import UserError
from common.flowlog import Frame, check_file_header, decode_payload, scan_frames
from common.records import RecordReader, SensorStats
from sensor.config import FlowConfig, SensorConfig
from sensor.service import make_table

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
