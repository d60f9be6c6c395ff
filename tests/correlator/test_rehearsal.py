"""Detection tried out: the same alarms as in earnest, and a file that is not touched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, flow_log, parts

from correlator.detect.settings import DetectSettings
from correlator.detection import Detection
from correlator.store.database import reading
from correlator.store.rehearsal import changes, rehearsing

EAGER = "[detect]\nprior = 0.02\n"


@pytest.fixture
def seen(cli: Cli, tmp_path: Path) -> Cli:
    """A database with long connections in it, looked at with a prior that makes them alarms."""
    records = [*parts(1, [3600] * 14), flow(2, server_ip="192.0.2.2", length_s=5 * 3600), flow(3, client_ip="10.0.0.2")]
    log, settings = tmp_path / "a.flowlog", tmp_path / "eager.toml"
    log.write_bytes(flow_log([batch(records, 1)]))
    settings.write_text(EAGER)
    cli.imported("--config", settings, log)
    return cli


def content(path: Path) -> str:
    with reading(path) as store:
        return hashlib.sha256("\n".join(store.conn.iterdump()).encode()).hexdigest()


def test_with_the_settings_in_force_nothing_would_change(seen: Cli, tmp_path: Path) -> None:
    result = seen("detect", "--dry-run", "--config", tmp_path / "eager.toml")
    assert result.code == 0
    assert "no alarm would change" in result.err
    assert "16 records looked at, nothing written" in result.err


def test_other_settings_tell_what_would_be_gone_or_of_another_severity(seen: Cli) -> None:
    before, alarms = content(seen.db), seen.json("alarms")
    changed = {one["id"]: one for one in seen.json("detect", "--dry-run")}
    mine = {alarm["id"]: alarm for alarm in alarms if alarm["kind"] == "channel"}
    assert set(changed) == set(mine)
    for name, one in changed.items():
        assert one["before"] == mine[name]["severity"]
        assert one["after"] != one["before"]
        assert one["change"] == ("gone" if one["after"] is None else "other severity")
    assert (content(seen.db), seen.json("alarms")) == (before, alarms)


def test_what_would_be_new_is_what_detection_then_finds(cli: Cli, tmp_path: Path) -> None:
    log, settings = tmp_path / "a.flowlog", tmp_path / "eager.toml"
    log.write_bytes(flow_log([batch([flow(2, length_s=5 * 3600)], 1)]))
    cli.imported(log)
    settings.write_text("[detect]\nprior = 0.5\n")
    told = {one["id"]: one["after"] for one in cli.json("detect", "--compare", "--config", settings)}
    assert told
    assert cli("detect", "--all", "--config", settings).code == 0
    assert {alarm["id"]: alarm["severity"] for alarm in cli.json("alarms") if alarm["kind"] == "channel"} == told


def test_a_rehearsal_begins_with_nothing_detected(seen: Cli) -> None:
    with rehearsing(seen.db) as store:
        assert all(change.after is None for change in changes(store.conn))
        detection = Detection(store, DetectSettings(prior=0.02))
        detection.begin_anew()
        assert detection.run(print).records == 16
        assert changes(store.conn) == []


def test_a_format_needs_a_dry_run(seen: Cli) -> None:
    result = seen("detect", "--json")
    assert result.code == 2
    assert "--json goes with --dry-run" in result.err
