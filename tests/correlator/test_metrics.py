"""The correlator's metrics: its tally, the store's counters, and a scrape while it serves."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest
from corr_flows import batch, flow, header
from corr_link import Correlator, Sensor, command, environment
from programs import Running

from correlator.metrics import Tally, metrics

MS = 1_000_000


def test_commits_are_counted_by_how_long_they_took() -> None:
    tally = Tally()
    for took_ms in (1, 2, 40, 20_000):
        tally.committed(took_ms * MS)
    commits = tally.commits()
    assert dict(commits.at_most)[0.001] == 1
    assert dict(commits.at_most)[0.0025] == 2
    assert dict(commits.at_most)[10.0] == 3
    assert (commits.total, commits.sum) == (4, 20.043)


def test_without_a_readable_store_its_own_counters_are_left() -> None:
    found = {metric.name: metric for metric in metrics(Tally(), None, 0)}
    assert list(found["tunnelwatch_correlator_database_readable"].samples) == [((), 0)]
    assert "tunnelwatch_correlator_records_stored" not in found


def test_a_serving_correlator_is_scraped(db: Path) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not installed")
    arguments = ("serve", "--plaintext", "--bind", "tcp://127.0.0.1:*", "--metrics", "127.0.0.1:0")
    before_s = time.time_ns() / 1e9
    serving = Running(command("--db", db, *arguments), environment())
    try:
        url = serving.wait_for("metrics on ").removeprefix("metrics on ")
        endpoint = serving.wait_for("listening on ").removeprefix("listening on ")
        with Sensor(Correlator(serving.process, endpoint).endpoint) as sensor:
            sensor.hello(header())
            sensor.send(batch([flow(1), flow(2)], 1))
            sensor.answered_up_to(1)
        text = urllib.request.urlopen(url, timeout=10).read().decode()
        assert serving.stop() == 0
    finally:
        serving.process.kill()
        serving.process.wait(10)
        assert serving.process.stderr is not None
        serving.process.stderr.close()
    samples = {
        (sample.name, sample.labels.get("sensor", sample.labels.get("le"))): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["tunnelwatch_correlator_records_stored_total", "tap"] == 2
    assert samples["tunnelwatch_correlator_commit_seconds_bucket", "+Inf"] == 1
    assert samples["tunnelwatch_correlator_database_bytes", None] > 4096
    assert samples["tunnelwatch_correlator_sensor_last_contact_timestamp_seconds", "tap"] >= before_s - 1
