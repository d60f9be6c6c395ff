"""``calibrate``: old and new ratios, and the section for the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from corr_cli import Cli
from corr_days import days
from corr_flows import batch, flow_log

from correlator.detect.catalogue import CATALOGUE
from correlator.detect.tunnels import CHANNELS, TUNNELS


@pytest.fixture
def office(cli: Cli, tmp_path: Path) -> Cli:
    log = tmp_path / "office.flowlog"
    log.write_bytes(flow_log([batch(days(12, clients=4), 1)]))
    cli.imported(log)
    return cli


def test_every_symptom_is_listed_with_its_counts(office: Cli) -> None:
    rows = {row["symptom"]: row for row in office.json("calibrate")}
    assert set(rows) == set(CATALOGUE.symptoms)
    assert rows["long-connection"]["log10_lr"] == CATALOGUE.symptoms["long-connection"].log10_lr
    # Of twelve days eleven have ended.
    assert 100 <= rows["long-connection"]["ordinary_tested"] <= 12 * 11
    assert rows["long-connection"]["ordinary_found"] == 0
    for name, (hits, number) in TUNNELS.items():
        assert (rows[name]["tunnels_found"], rows[name]["tunnels_tested"]) == (
            hits,
            number if number > hits else CHANNELS,
        )


def test_what_is_written_is_read_as_configuration(office: Cli, tmp_path: Path) -> None:
    path = tmp_path / "ratios.toml"
    assert office("calibrate", "--write", path).code == 0
    again = {row["symptom"]: row for row in office.json("calibrate", "--config", path)}
    for name, row in again.items():
        if row["new_log10_lr"] is not None:
            assert row["log10_lr"] == pytest.approx(row["new_log10_lr"], abs=0.006), name
    refused = office("calibrate", "--write", path)
    assert refused.code == 1
    assert "replace it with --force" in refused.err
    assert office("calibrate", "--write", path, "--force").code == 0


def test_a_short_history_changes_nothing_and_says_so(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "day.flowlog"
    log.write_bytes(flow_log([batch(days(1, clients=1), 1)]))
    cli.imported(log)
    result = cli("calibrate", "--json")
    assert "the ratios stay as they are until then" in result.err
    assert all(row["new_log10_lr"] is None for row in result.json())
