"""The time view: what stands below a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import T0, batch, flow_log, parts
from corr_store import stored

from correlator.rows import Selection
from correlator.store.flows import minute_flows

ADDITIVE = ("connections", "packets_out", "packets_in", "bytes_out", "bytes_in", "tcp_uptime_s")


@pytest.fixture
def long_flow(cli: Cli, tmp_path: Path) -> Cli:
    """Two flows of three records each, a minute apart; the second is still open."""
    log = tmp_path / "a.flowlog"
    log.write_bytes(flow_log([batch([*parts(1, [60, 60, 5]), *parts(2, [60, 60, 70], closed=False, start_s=7)], 1)]))
    cli.imported(log)
    return cli


@pytest.mark.parametrize("unit", [(), ("--wire",)])
def test_a_long_flow_stands_below_every_minute_and_adds_up(long_flow: Cli, unit: tuple[str, ...]) -> None:
    minutes: list[dict[str, Any]] = [
        minute for period in long_flow.json("periods", "--depth", "3", *unit) for minute in period["children"]
    ]
    assert len(minutes) == 3
    for minute in minutes:
        for name in ADDITIVE:
            assert minute[name] == pytest.approx(sum(flow[name] for flow in minute["children"])), name
    assert [[flow["connections"] for flow in minute["children"]] for minute in minutes] == [[0, 0], [0, 0], [1, 1]]
    assert {flow["open"] for flow in minutes[0]["children"]} == {True, False}


def test_records_of_one_minute_are_one_flow() -> None:
    with stored(parts(1, [1, 2], start_s=-(T0 // 10**9 % 60))) as store:
        (found,) = minute_flows(store, Selection())
    assert (found.figures.connections, found.figures.bytes_out, found.figures.tcp_uptime_ns) == (1, 1000, 3 * 10**9)
    assert found.open is False
