"""The sensor's metrics: every counter of its statistics, and a scrape while it runs."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

import pytest
from packets import CLIENT, SERVER, SYN, T0, pcap, tcp_frame
from programs import SENSOR, error_line, run, running
from rec_records import stats

from common.metrics import COUNTER
from common.records import SensorStats
from sensor.metrics import metrics


def test_every_number_of_the_statistics_is_a_metric() -> None:
    names = " ".join(metric.name for metric in metrics(stats()))
    fields = [name for name, value in SensorStats._field_defaults.items() if type(value) is int]
    left_out = {"heartbeat_s", "unclean_stops"}
    assert [name for name in fields if name.removesuffix("_s") not in names and name not in left_out] == []


def test_values_are_those_of_the_statistics() -> None:
    found = {metric.name: metric for metric in metrics(stats(packets=5, rejected={"not_ip": 2}, spool_bytes=7))}
    assert list(found["tunnelwatch_sensor_packets"].samples) == [((), 5)]
    assert found["tunnelwatch_sensor_packets"].kind == COUNTER
    assert list(found["tunnelwatch_sensor_packets_rejected"].samples) == [(("not_ip",), 2)]
    assert list(found["tunnelwatch_sensor_spool_bytes"].samples) == [((), 7)]
    assert list(found["tunnelwatch_sensor_info"].samples) == [(("0.1.0", "eth0"), 1)]


def test_a_running_sensor_is_scraped(tmp_path: Path) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not installed")
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    with running(SENSOR, "read", str(fifo), "-w", os.devnull, "--metrics", "127.0.0.1:0") as sensor:
        with fifo.open("wb", buffering=0) as pipe:
            pipe.write(pcap([(T0, tcp_frame(CLIENT, SERVER, SYN))]))
            url = sensor.wait_for("metrics on ").removeprefix("metrics on ")
            text = urllib.request.urlopen(url, timeout=10).read().decode()
        assert sensor.process.wait(20) == 0
    families = {family.name for family in parser.text_string_to_metric_families(text)}
    assert {
        "tunnelwatch_sensor_packets",
        "tunnelwatch_sensor_kernel_drops",
        "tunnelwatch_sensor_flows_open",
    } <= families


def test_an_address_that_cannot_be_costs_no_file(tmp_path: Path) -> None:
    capture, log = tmp_path / "a.pcap", tmp_path / "a.flowlog"
    capture.write_bytes(pcap([(T0, tcp_frame(CLIENT, SERVER, SYN))]))
    log.write_text("precious")
    code, _, errors = run(SENSOR, "read", str(capture), "-w", str(log), "--metrics", "here")
    assert (code, log.read_text()) == (1, "precious")
    assert error_line(errors).endswith("write 127.0.0.1:9464")
