"""Alarms listed by kind and by channel, and what becomes of a repeat in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import T0, batch, flow, flow_log
from notices import alarm

from correlator.detect.alarm import Severity
from correlator.detect.lists import Entry, ListKind, Lists
from correlator.rows import Selection
from correlator.store.alarms import fresh, select_alarms, store_alarms
from correlator.store.database import Store, immediate
from correlator.views.alarms import alarm_record, evidence_of, flows_of, grouped, hidden_by


def test_a_repeat_updates_the_row_and_the_worse_sight_stands(store: Store) -> None:
    worse = alarm(evidence=(alarm().evidence[0]._replace(value=9000),), flows=("8",), time_ns=T0 + 60, message="worse")
    with immediate(store.conn):
        for one in (alarm(), worse, alarm(flows=("9",))):
            store_alarms(store.conn, [one])
    (row,) = select_alarms(store.conn, Selection())
    assert (row.seen_count, row.message, flows_of(row)) == (3, "worse", ["7", "8", "9"])
    assert (row.first_time_ns, row.time_ns) == (T0 + 1, T0 + 60)
    assert evidence_of(row)[0].value == 9000


def test_a_record_says_which_entry_hides_it() -> None:
    row = fresh(alarm())
    entry = Entry(ListKind.WHITE, server="192.0.2.0/24")
    assert alarm_record(row)["hidden_by"] is None
    assert hidden_by(row, Lists([entry]), 0) == entry
    assert alarm_record(row, entry)["hidden_by"] == "white server=192.0.2.0/24"
    assert hidden_by(fresh(alarm(client=None, server=None, sensor="tap")), Lists([entry]), 0) is None
    assert hidden_by(row, Lists(), 0) is None


def test_alarms_of_one_channel_are_one_group_the_worst_first() -> None:
    rows = [
        fresh(alarm(1)),
        fresh(alarm(1, kind="tunnel", severity=Severity.HIGH, time_ns=T0)),
        fresh(alarm(1, host="a.example")),
        fresh(alarm(2, severity=Severity.CRITICAL)),
        fresh(alarm(3, client=None, server=None, sensor="tap", kind="sensor", severity=Severity.LOW)),
    ]
    found = grouped(rows)
    assert [(row["client"], row["server"], row["host"], row["severity"], row["alarms"]) for row in found] == [
        ("10.0.0.1", "192.0.2.2:443", None, "critical", 1),
        ("10.0.0.1", "192.0.2.1:443", None, "high", 2),
        ("10.0.0.1", "192.0.2.1:443", "a.example", "medium", 1),
        (None, None, None, "low", 1),
    ]
    assert found[1]["kinds"] == ["channel-threshold", "tunnel"]
    assert found[1]["ids"] == [row.alarm_id for row in rows[:2]]
    assert found[3]["sensor"] == "tap"
    assert sum(row["seen_count"] for row in found) == len(rows)


@pytest.fixture
def three(cli: Cli, tmp_path: Path) -> Cli:
    """Alarms about three flows, one of which is over two limits."""
    (tmp_path / "c.toml").write_text(
        "[detect]\nenabled = false\n[thresholds.flow]\nbytes = 1000\nduration_s = 60\n"
        "[thresholds.channel_period]\nbytes = 1000\nseverity = 'high'\n"
    )
    records = [flow(1), flow(2, client_ip="10.0.0.2", length_s=100)]
    (tmp_path / "a.flowlog").write_bytes(flow_log([batch(records, 1)]))
    cli.imported("--config", tmp_path / "c.toml", tmp_path / "a.flowlog")
    return cli


def test_a_list_of_one_kind(three: Cli) -> None:
    def kinds(*options: str) -> set[Any]:
        return {row["kind"] for row in three.json("alarms", *options)}

    assert kinds() == {"flow-threshold", "channel-threshold"}
    assert kinds("--kind", "flow-threshold") == {"flow-threshold"}
    assert kinds("--kind", "nothing-such") == set()


def test_groups_in_a_table_and_as_json(three: Cli) -> None:
    rows = three.json("alarms", "list", "--group")
    assert {row["client"]: (row["severity"], row["alarms"]) for row in rows} == {
        "10.0.0.1": ("high", 2),
        "10.0.0.2": ("high", 3),
    }
    assert len(three.json("alarms", "--group", "-n", "1")) == 1
    table = three("alarms", "--group").out
    assert "channel-threshold, flow-threshold" in table or "flow-threshold, channel-threshold" in table
    assert len(table.splitlines()) == 3
