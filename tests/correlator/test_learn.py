"""``learn`` and ``baseline``: what they do, print and refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from corr_cli import Cli
from corr_days import DAY_S, MONDAY, days, upload
from corr_flows import batch, flow_log

from common.timespan import NS_PER_S, iso_time
from correlator.cli.learn import length_s


@pytest.fixture
def office(cli: Cli, tmp_path: Path) -> Cli:
    """Sixteen days of two clients, the last one with an upload far beyond what is usual."""
    records = [*days(16, clients=2), upload(9, MONDAY + 15 * DAY_S + 14 * 3600 + 60, 80_000_000, client_ip="10.0.0.2")]
    settings = tmp_path / "generous.toml"
    settings.write_text("[detect.budget]\nalarms_per_day = 20\n")
    log = tmp_path / "office.flowlog"
    log.write_bytes(flow_log([batch(sorted(records, key=lambda record: record.end_ns), 1)]))
    cli.imported("--config", settings, log)
    return cli


def day(number: int) -> str:
    return iso_time((MONDAY + number * DAY_S) * NS_PER_S)


def test_learning_begins_by_itself_and_ends_after_two_weeks(office: Cli) -> None:
    status = office.json("learn", "status")
    assert (status["state"], status["judging"], status["clients"]) == ("running", True, 2)
    assert (status["since"][:10], status["until"][:10]) == ("2023-11-13", "2023-11-27")
    told = [alarm for alarm in office.json("alarms") if alarm["kind"] == "baseline"]
    assert {alarm["client"] for alarm in told if "now 8" in alarm["message"] and alarm["severity"] == "high"} == {
        "10.0.0.2",
        None,
    }


def test_learning_that_is_started_later_judges_later(office: Cli) -> None:
    said = office("learn", "start", "--since", day(4), "--for", "2w")
    assert said.code == 0
    assert f"learning from {day(4)} until {day(18)}" in said.err
    assert office.json("learn", "status")["judging"] is False
    assert office.json("learn", "status")["periods"] < 12 * 24


def test_learning_that_is_started_over_recorded_hours_judges_those_after_it(office: Cli) -> None:
    before = office.json("alarms")
    said = office("learn", "start", "--since", day(0), "--for", "10d")
    assert said.err.startswith(f"learning ended {day(10)}")
    assert {alarm["id"] for alarm in before} <= {alarm["id"] for alarm in office.json("alarms")}


def test_learning_can_be_ended_at_once(office: Cli) -> None:
    office("learn", "start", "--since", day(0), "--for", "30d")
    assert office.json("learn", "status")["state"] == "learning"
    assert "learning ended" in office("learn", "stop").err
    assert office.json("learn", "status")["state"] == "running"


def test_before_there_are_records_learning_waits_for_them(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "empty.flowlog"
    empty.write_bytes(flow_log([]))
    cli("import", empty)
    status = cli.json("learn", "status")
    assert (status["state"], status["since"], status["until"], status["periods"]) == ("learning", None, None, 0)
    assert (
        "learning begins with" in cli("learn", "start", "--since", day(0)).err or cli.json("learn", "status")["until"]
    )


def test_the_baseline_of_a_client_has_its_hours(office: Cli) -> None:
    rows = {row["slot"]: row for row in office.json("baseline", "show", "10.0.0.1")}
    work = rows["10:00 weekday"]
    assert work["hours"] == work["bytes_out_active"] == 12
    assert work["bytes_out_median"] <= work["bytes_out_most"]
    assert work["connections_median"] == 3
    assert work["bytes_out_spread_factor"] > 1
    assert rows["03:00 weekday"]["bytes_out_median"] == 0


def test_the_table_has_one_figure(office: Cli) -> None:
    shown = office("baseline", "show", "10.0.0.1", "--by", "connections")
    assert shown.out.splitlines()[0].split() == [
        "slot", "(UTC)", "hours", "active", "median", "connections", "spread", "most",
    ]  # fmt: skip
    assert any(line.startswith("10:00 weekday") and line.endswith("3") for line in shown.out.splitlines())


def test_services_and_pairs_have_baselines_too(office: Cli) -> None:
    service = office.json("baseline", "show", "--server", "192.0.2.1:443")
    pair = office.json("baseline", "show", "10.0.0.1", "--server", "192.0.2.1:443")
    at = {row["slot"]: row for row in service}["10:00 weekday"]
    assert at["connections_median"] == 2
    assert {row["slot"]: row for row in pair}["10:00 weekday"]["connections_median"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ((), 2, "whose? name a CLIENT"),
        (("10.0.0.9",), 1, "no client 10.0.0.9 is in the database"),
        (("10.0.0.1", "--server", "192.0.2.1"), 2, "write 192.0.2.1:443"),
        (("10.0.0.1", "--server", "192.0.2.1:9"), 1, "no service 192.0.2.1:9"),
        (("10.0.0.1", "--host", "a.example"), 1, "no host a.example"),
        (("--host", "a.example", "--server", "192.0.2.1:443"), 2, "--host goes with a CLIENT"),
    ],
)
def test_whoever_is_not_there_is_told(office: Cli, arguments: tuple[str, ...], code: int, text: str) -> None:
    result = office("baseline", "show", *arguments)
    assert result.code == code
    assert text in result.err


@pytest.mark.parametrize(
    ("text", "seconds"), [("14d", 14 * DAY_S), ("36h", 129_600), ("2w", 14 * DAY_S), ("90m", 5400)]
)
def test_lengths_of_time_are_read(text: str, seconds: int) -> None:
    assert length_s(text) == seconds


@pytest.mark.parametrize("text", ["14", "0d", "d", "-3d", "1.5d", "14 days"])
def test_other_lengths_are_refused(cli: Cli, text: str) -> None:
    result = cli("learn", "start", "--for", text)
    assert result.code == 2
    assert "is no length of time; write 14d, 36h or 2w" in result.err


def test_without_a_database_the_commands_say_so(cli: Cli) -> None:
    for command in (("learn", "start"), ("learn", "stop"), ("learn", "status"), ("baseline", "show", "10.0.0.1")):
        result = cli(*command)
        assert result.code == 1
        assert "no database at" in result.err
