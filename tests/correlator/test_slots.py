"""The view of the day: periods modulo the day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, flow_log

from correlator.views.slots import kind_of_day, slot_name


def ns(iso: str) -> int:
    return int(datetime.fromisoformat(iso).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture
def week(cli: Cli, tmp_path: Path) -> Cli:
    """One flow at 14:30 on every day from a Monday on, one more at midnight of the Wednesday."""
    starts = [f"2026-11-{day}T14:30:00" for day in range(16, 23)] + ["2026-11-18T00:00:00"]
    records = [
        flow(number, start_ns=ns(start), length_s=60, payload_bytes_out=100 * number)
        for number, start in enumerate(starts, 1)
    ]
    log = tmp_path / "week.flowlog"
    log.write_bytes(flow_log([batch(records, 1)]))
    cli.imported(log)
    return cli


def test_a_slot_is_named_by_its_time_of_day() -> None:
    assert slot_name(ns("2026-11-16T14:00:00")) == "14:00"
    assert slot_name(ns("2026-11-16T00:15:00")) == "00:15"
    assert [kind_of_day(ns(f"2026-11-{day}T23:00:00")) for day in (20, 21, 22, 23)] == [
        "weekday", "weekend", "weekend", "weekday",
    ]  # fmt: skip


def test_every_day_begins_at_the_first_slot_again(week: Cli) -> None:
    found = week.json("slots")
    assert [(slot["slot"], slot["periods"], slot["connections"]) for slot in found] == [
        ("00:00", 1, 1),
        ("14:00", 7, 7),
    ]
    assert "children" not in found[0]


def test_weekdays_and_weekend_and_the_periods_stand_below(week: Cli) -> None:
    (_, afternoon) = week.json("slots", "--depth", "3", "--averages")
    assert [(days["days"], days["periods"], days["bytes_out"]) for days in afternoon["children"]] == [
        ("weekday", 5, 1500),
        ("weekend", 2, 1300),
    ]
    assert afternoon["per_period"]["bytes_out"] == 400
    assert [days["per_period"]["bytes_out"] for days in afternoon["children"]] == [300, 650]
    assert {period["period"][:13] for period in afternoon["children"][1]["children"]} == {
        "2026-11-21T14", "2026-11-22T14",
    }  # fmt: skip


def test_slots_are_of_any_selection_and_sorted_by_any_field(week: Cli) -> None:
    assert [slot["slot"] for slot in week.json("slots", "--until", "2026-11-17")] == ["14:00"]
    assert [slot["slot"] for slot in week.json("slots", "--sort", "bytes_out")] == ["14:00", "00:00"]
    assert [slot["slot"] for slot in week.json("slots", "--sort", "bytes_out_per_period")] == ["00:00", "14:00"]
    assert week.json("slots", "--client", "10.9.9.9") == []


def test_the_table_and_csv(week: Cli) -> None:
    lines = week("slots", "--depth", "2").out.splitlines()
    assert [line.split()[0] for line in lines] == ["slot", "00:00", "weekday", "14:00", "weekday", "weekend"]
    assert week("slots", "--averages").out.splitlines()[0].split()[:3] == ["slot", "(UTC)", "periods"]
    assert week("slots", "--csv").out.startswith("slot,periods,connections,")


@pytest.mark.usefixtures("week")
def test_shorter_periods_make_more_slots(tmp_path: Path) -> None:
    config = tmp_path / "quarter.toml"
    config.write_text("[store]\nperiod_s = 900\n")
    other = Cli(tmp_path / "quarter.db")
    assert other("import", tmp_path / "week.flowlog", "--config", config).code == 0
    assert [slot["slot"] for slot in other.json("slots")] == ["00:00", "14:30"]
