"""Metrics over a real loopback socket, and what happens without the library."""

from __future__ import annotations

import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from common.errors import UserError
from common.metrics import COUNTER, GAUGE, HISTOGRAM, Buckets, Metric, MetricsServer, single

METRICS = [
    Metric(COUNTER, "tw_seen", "Seen", ("kind",), [(("a\nb",), 3), (("c",), 4.5)]),
    single(GAUGE, "tw_open", "Open", 7),
    single(HISTOGRAM, "tw_took_seconds", "Took", Buckets(((0.1, 1), (1.0, 3)), 4, 12.5)),
]


@contextmanager
def served(bind: str = "127.0.0.1:0") -> Iterator[str]:
    server = MetricsServer(bind)
    try:
        yield server.start(lambda: METRICS)
    finally:
        server.close()


def test_a_scrape_gives_what_is_collected() -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not installed")
    with served() as where:
        text = urllib.request.urlopen(f"http://{where}/metrics", timeout=10).read().decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples == {
        ("tw_seen_total", "a\nb"): 3,
        ("tw_seen_total", "c"): 4.5,
        ("tw_open",): 7,
        ("tw_took_seconds_bucket", "0.1"): 1,
        ("tw_took_seconds_bucket", "1"): 3,
        ("tw_took_seconds_bucket", "+Inf"): 4,
        ("tw_took_seconds_count",): 4,
        ("tw_took_seconds_sum",): 12.5,
    }


def test_only_the_given_address_is_bound_and_it_is_free_afterwards() -> None:
    pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
    with served() as where:
        port = int(where.rpartition(":")[2])
        with socket.create_server(("127.0.0.2", port)):
            pass
        with pytest.raises(UserError, match=rf"^cannot serve metrics on 127\.0\.0\.1:{port}: Address already in use; "):
            MetricsServer(f"127.0.0.1:{port}").start(list)
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_nothing_listens_unless_it_is_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    server = MetricsServer("")
    assert server.start(list) == ""
    server.close()


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UserError, match=r"install the extra tunnelwatch\[metrics\]"):
        MetricsServer("127.0.0.1:9464")


@pytest.mark.parametrize("bind", ["9464", "127.0.0.1", "localhost:9464", "127.0.0.1:99999", "/run/metrics"])
def test_an_address_that_cannot_be_is_one_line(bind: str) -> None:
    with pytest.raises(UserError, match=r"write 127\.0\.0\.1:9464$") as error:
        MetricsServer(bind)
    assert "\n" not in str(error.value)
