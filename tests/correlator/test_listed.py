"""Black and red entries make alarms by themselves: of what comes, and of what is stored already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import T0, batch, flow, flow_log, parts

from common.records import FlowRecord
from correlator.detect.alarm import Severity, alarm_id
from correlator.detect.listed import Contact, Figures, contact_alarm, limit_alarms, raising_entry
from correlator.detect.lists import Entry, Limits, ListKind, Lists

NS = 10**9
HOUR_NS = 3600 * NS
DAY_NS = 24 * HOUR_NS
CONTACT = Contact("10.0.0.1", "192.0.2.1", 443, 6, None, T0, T0, ("7",), "tap")
BLACK = Entry(ListKind.BLACK, server="192.0.2.1", comment="known C2")


def imported(cli: Cli, tmp_path: Path, *records: FlowRecord, name: str = "a") -> None:
    log = tmp_path / f"{name}.flowlog"
    log.write_bytes(flow_log([batch(records, 1, run=ord(name))], run=ord(name)))
    cli.imported(log)


def rows(cli: Cli, *options: str) -> list[tuple[Any, ...]]:
    found = cli.json("alarms", *options)
    return sorted(((row["kind"], row["client"], row["server"], row["host"], row["severity"]) for row in found), key=str)


def test_a_contact_says_who_whom_and_why() -> None:
    alarm = contact_alarm(BLACK, CONTACT._replace(host="c2.example"))
    assert alarm.message == ("10.0.0.1 -> c2.example (192.0.2.1:443): on the black list (server=192.0.2.1: known C2)")
    assert (alarm.kind, alarm.severity, alarm.flows, alarm.sensor) == ("black-list", Severity.HIGH, ("7",), "tap")


def test_contacts_of_one_day_are_one_alarm_and_another_day_is_another() -> None:
    one = contact_alarm(BLACK, CONTACT)
    later = contact_alarm(BLACK._replace(comment="other"), CONTACT._replace(last_ns=T0 + NS))
    assert alarm_id(one) == alarm_id(later)
    assert alarm_id(one) != alarm_id(contact_alarm(BLACK, CONTACT._replace(last_ns=T0 + DAY_NS)))


@pytest.mark.parametrize(
    ("limits", "rules"),
    [
        (Limits(bytes=999), ["bytes"]),
        (Limits(bytes=1000), []),
        (Limits(bytes=0, packets=9), ["bytes", "packets"]),
        (Limits(tcp_uptime_s=59), ["tcp-uptime"]),
        (Limits(tcp_uptime_s=60), []),
    ],
)
def test_an_entry_with_limits_is_about_what_is_over_them(limits: Limits, rules: list[str]) -> None:
    figures = Figures(T0, 1000, 10, 60 * NS, T0 + 5)
    entry = BLACK._replace(limits=limits, severity=Severity.CRITICAL)
    found = list(limit_alarms(entry, CONTACT, figures, HOUR_NS))
    assert [alarm.rule for alarm in found] == rules
    assert all((alarm.severity, alarm.time_ns) == (Severity.CRITICAL, T0 + 5) for alarm in found)
    for alarm in found:
        (evidence,) = alarm.evidence
        assert evidence.value > evidence.threshold


def test_the_most_specific_entry_that_can_raise_does_and_white_ones_do_not_stop_it() -> None:
    white = Entry(ListKind.WHITE, client="10.0.0.1", server="192.0.2.1")
    red = Entry(ListKind.RED, server="192.0.2.0/24", over_percent=5)
    assert raising_entry(Lists([white, red, BLACK]), CONTACT, 0) == BLACK
    assert raising_entry(Lists([white, red]), CONTACT, 0) is None
    assert raising_entry(Lists([BLACK._replace(expires_ns=5)]), CONTACT, 5) is None


class TestStored:
    def test_contact_is_an_alarm_as_it_comes(self, cli: Cli, tmp_path: Path) -> None:
        cli("lists", "add", "black", "--server", "192.0.2.0/24", "--port", "443")
        cli("lists", "add", "black", "--host", "*.evil.example", "--severity", "critical")
        imported(
            cli,
            tmp_path,
            flow(1),
            flow(2, server_port=80),
            flow(3, server_ip="198.51.100.1", host="A.Evil.Example"),
            flow(4, server_ip="198.51.100.1", host="evil.example"),
            flow(5, client_ip="10.0.0.2", host="x.example"),
        )
        assert rows(cli) == [
            ("black-list", "10.0.0.1", "192.0.2.1:443", None, "high"),
            ("black-list", "10.0.0.1", "198.51.100.1:443", "a.evil.example", "critical"),
            ("black-list", "10.0.0.2", "192.0.2.1:443", None, "high"),
        ]

    def test_what_is_stored_gives_the_same_alarms_when_the_entry_comes_later(self, cli: Cli, tmp_path: Path) -> None:
        records = [flow(1), flow(2, host="a.example"), flow(3, client_ip="10.0.0.2", host="b.evil.example")]
        imported(cli, tmp_path, *records)
        assert rows(cli) == []
        result = cli("lists", "import", "--kind", "black", "-", stdin="192.0.2.1\n*.evil.example\n")
        assert "3 new alarms about what is stored" in result.err
        stored = rows(cli)
        assert stored == [
            ("black-list", "10.0.0.1", "192.0.2.1:443", None, "high"),
            ("black-list", "10.0.0.2", "192.0.2.1:443", "b.evil.example", "high"),
            ("black-list", "10.0.0.2", "192.0.2.1:443", None, "high"),
        ]

    def test_a_red_entry_has_lower_limits_of_its_own(self, cli: Cli, tmp_path: Path) -> None:
        cli("lists", "add", "red", "--client", "10.0.0.1", "--bytes", "2000")
        hour = T0 // HOUR_NS * HOUR_NS
        in_hour = [flow(n, start_ns=hour + n * NS) for n in (1, 2)]  # 2480 bytes
        imported(cli, tmp_path, *in_hour, flow(3, start_ns=hour + HOUR_NS), flow(4, client_ip="10.0.0.2"))
        (alarm,) = cli.json("alarms")
        assert (alarm["kind"], alarm["severity"], alarm["client"]) == ("red-list", "medium", "10.0.0.1")
        assert "2480 bytes in the 3600 s from 2023-11-14T22:00:00Z, limit 2000 of the red list" in alarm["message"]
        assert [(item["value"], item["threshold"]) for item in alarm["evidence"]] == [(2480, 2000)]

    @pytest.mark.parametrize("first", ["lists", "flows"])
    def test_limits_by_name_are_of_the_host_whatever_the_service(self, cli: Cli, tmp_path: Path, first: str) -> None:
        flows = [flow(n, host="big.example", server_port=443 + n % 2) for n in range(4)]

        def add() -> None:
            cli("lists", "add", "black", "--host", "big.example", "--bytes", "4900")

        if first == "lists":
            add()
        imported(cli, tmp_path, *flows, flow(9))
        if first == "flows":
            add()
        found = cli.json("alarms")
        assert {alarm["host"] for alarm in found} == {"big.example"}
        assert {item["value"] for alarm in found for item in alarm["evidence"]} == {4960}

    def test_an_open_flow_is_seen_before_it_ends(self, cli: Cli, tmp_path: Path) -> None:
        cli("lists", "add", "black", "--server", "192.0.2.1")
        for name, part in zip("abc", parts(1, [60, 60, 60], closed=False), strict=True):
            imported(cli, tmp_path, part, name=name)
        (alarm,) = cli.json("alarms")
        assert (alarm["seen_count"], alarm["flows"]) == (3, ["1"])

    def test_the_same_file_again_is_no_new_contact(self, cli: Cli, tmp_path: Path) -> None:
        cli("lists", "add", "black", "--server", "192.0.2.1")
        for _ in range(2):
            imported(cli, tmp_path, flow(1))
        (alarm,) = cli.json("alarms")
        assert alarm["seen_count"] == 1

    def test_a_more_specific_white_entry_hides_the_alarm_and_gives_it_back(self, cli: Cli, tmp_path: Path) -> None:
        cli("lists", "add", "black", "--server", "192.0.2.0/24")
        cli("lists", "add", "white", "--server", "192.0.2.1", "--client", "10.0.0.1")
        imported(cli, tmp_path, flow(1), flow(2, client_ip="10.0.0.2"))
        assert [row[1] for row in rows(cli)] == ["10.0.0.2"]
        cli("lists", "remove", "2")
        assert [row[1] for row in rows(cli)] == ["10.0.0.1", "10.0.0.2"]
