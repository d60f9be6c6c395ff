"""`sensors`: what is shown of each, and that one can be retired."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, flow_log, header

from common.records import SensorStats
from correlator.config import SensorLimits, Thresholds
from correlator.detect.sensors import Account, state_of
from correlator.ingest.pipeline import Pipeline
from correlator.store.database import Built, writing
from correlator.store.writer import Writer

S = 1_000_000_000
NOW = 1_700_000_000 * S
GOOD = Account(1, NOW, NOW, 100, 0, 0, NOW, 0, 0, 0)


@pytest.fixture
def linked(db: Path) -> Cli:
    """A database that a sensor spoke to just now."""
    now_ns = time.time_ns()
    stats = SensorStats(
        now_ns,
        "1.0",
        "eth0",
        packets=999,
        kernel_drops=1,
        frames_unacknowledged=3,
        spool_bytes=4096,
        heartbeat_s=60,
        spool_lag_s=90,
    )
    with writing(db, Built(3600, 300)) as store:
        writer = Writer(store)
        pipeline = Pipeline(writer, Thresholds(), SensorLimits())
        pipeline.receiver.open_run(header())
        pipeline.store_frames([batch([stats], 1, kind="stats")], now_ns)
        writer.note_contacts({"tap": now_ns})
    return Cli(db)


def test_a_sensor_is_shown_with_its_state(linked: Cli) -> None:
    (row,) = linked.json("sensors")
    wanted = {"state": "ok", "drop_percent": 0.1, "frames_waiting": 3, "spool_bytes": 4096, "version": "1.0"}
    assert {name: row[name] for name in wanted} == wanted
    assert row["contact_age_s"] < 60
    heading, line = linked("sensors").out.splitlines()
    assert heading.split()[:4] == ["sensor", "state", "last", "contact"]
    assert "1m30s" in line
    assert "4.1 kB   0.1%" in line


def test_a_sensor_that_is_retired_is_shown_so(linked: Cli) -> None:
    assert linked("sensors", "retire", "tap").err == "retired tap\n"
    (row,) = linked.json("sensors")
    assert row["state"] == "retired"
    assert row["retired"] is not None


def test_an_unknown_sensor_cannot_be_retired(linked: Cli) -> None:
    result = linked("sensors", "retire", "tip")
    assert (result.code, result.err) == (1, "error: no sensor 'tip': 'tunnelwatch sensors' lists them\n")


def test_a_format_is_for_the_list(linked: Cli) -> None:
    result = linked("sensors", "--json", "retire", "tap")
    assert result.code == 2
    assert "--json is for the list" in result.err


def test_imported_files_have_no_silence(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "a.flowlog"
    log.write_bytes(flow_log([batch([flow(1)], 1)]))
    cli.imported(log)
    (row,) = cli.json("sensors")
    assert (row["state"], row["link_contact"]) == ("ok", None)


@pytest.mark.parametrize(
    ("account", "age_s", "state"),
    [
        (GOOD, 0, "ok"),
        (None, 0, "ok"),
        (GOOD, 301, "silent"),
        (None, 301, "silent"),
        (GOOD._replace(drops=1), 0, "losing packets"),
        (GOOD._replace(drops=1), 301, "silent"),
        (GOOD._replace(packets=0, drops=0), 0, "ok"),
        (GOOD._replace(spool_bytes=300_000_000), 0, "spool filling"),
        (GOOD._replace(frames_dropped=1), 0, "spool filling"),
        (GOOD._replace(traffic_ns=NOW - 901 * S), 0, "no traffic"),
        (GOOD._replace(clock_offset_ns=-61 * S), 0, "clock off"),
        (GOOD._replace(clock_offset_ns=None), 0, "ok"),
    ],
)
def test_a_state_is_a_word(account: Account | None, age_s: int, state: str) -> None:
    assert state_of(SensorLimits(), account, NOW, NOW + age_s * S, watched=True) == state
    off = SensorLimits(
        silent_after_s=0, drop_percent=0, spool_bytes=0, spool_frames=0, no_traffic_after_s=0, clock_off_s=0
    )
    if account is None or not account.frames_dropped:  # lost is lost
        assert state_of(off, account, NOW, NOW + age_s * S, watched=True) == "ok"


def test_who_is_not_waited_for_is_not_silent() -> None:
    assert state_of(SensorLimits(), GOOD, NOW, NOW + 301 * S, watched=False) == "ok"
