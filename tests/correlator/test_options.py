"""The options that commands share: what they choose, and their one-line refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import NS, batch, flow, flow_log


@pytest.fixture
def in_2003(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be a quarter of an hour after the paper's last record."""
    monkeypatch.setattr("correlator.cli.options.time.time_ns", lambda: 1_069_767_837_000_000_000)


@pytest.mark.usefixtures("in_2003")
def test_every_range_in_words_counts_from_now(castro: Cli) -> None:
    assert castro.json("summary", "--since", "today")["connections"] == 17
    assert castro.json("summary", "--since", "yesterday", "--until", "today")["connections"] == 4
    assert castro.json("summary", "--since", "monday")["connections"] == 21
    assert castro.json("summary", "--since", "15m", "--until", "now")["connections"] == 1
    assert castro.json("flows", "--since", "15 minutes ago")[0]["client_ip"] == "10.1.1.5"


@pytest.mark.usefixtures("in_2003")
def test_period_is_the_hour_that_holds_a_time_or_a_day(castro: Cli) -> None:
    assert castro.json("summary", "--period", "13:00")["connections"] == 17
    assert castro.json("summary", "--period", "14:30")["connections"] == 4
    assert castro.json("summary", "--period", "monday")["connections"] == 4
    assert castro.json("clients", "--period", "2003-11-24T14:00")[0]["connections"] == 4


def test_the_period_is_as_long_as_the_databases(cli: Cli, tmp_path: Path) -> None:
    config, log = tmp_path / "c.toml", tmp_path / "two.flowlog"
    config.write_text("[store]\nperiod_s = 900\n")
    log.write_bytes(flow_log([batch([flow(1, start_ns=900 * NS), flow(2, start_ns=1900 * NS)], 1)]))
    assert cli("--config", config, "import", log).code == 0
    assert cli.json("summary", "--period", "1970-01-01T00:20")["connections"] == 1


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("--since", "7"), "'7' has no unit"),
        (("--until", "10/11/2026"), "not a time: '10/11/2026'"),
        (("--period", "soon"), "not a time: 'soon'"),
        (("--period", "today", "--since", "2h"), "--period stands alone"),
        (("--since", "1h", "--until", "2h"), "before it begins"),
    ],
)
@pytest.mark.parametrize("command", ["clients", "alarms", "flows"])
def test_a_wrong_range_is_a_usage_error_in_one_line(
    cli: Cli, command: str, arguments: tuple[str, ...], fact: str
) -> None:
    result = cli(command, *arguments)
    assert result.code == 2
    assert fact in result.err.splitlines()[-1]


def test_alarms_and_views_say_that_times_are_utc(cli: Cli) -> None:
    for command in ("clients", "periods", "flows", "top", "summary", "alarms"):
        assert "UTC unless it has an offset" in " ".join(cli(command, "-h").out.split())
