"""``alarms show``: why in plain words, what is usual, the flows, and commands that can be typed as they stand."""

from __future__ import annotations

import shlex
from math import log10
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import T0, batch, flow, flow_log
from hypothesis import given
from hypothesis import strategies as st
from notices import alarm

from correlator.detect.alarm import Evidence
from correlator.render.story import bars, baseline_line, head_lines, reason_lines
from correlator.store.alarms import fresh
from correlator.views.story import (
    MAX_BUCKETS,
    Baseline,
    baseline_of,
    buckets_of,
    channel_of,
    next_commands,
    reasons,
    window_of,
)

HOUR_NS = 3600 * 10**9
HOUR = T0 // HOUR_NS * HOUR_NS


def test_reasons_are_in_the_order_of_their_worth_and_the_prior_is_last() -> None:
    evidence = (
        Evidence("prior", "prior", -4.0, 1e-4, 1e-4, "how probable a tunnel is before any look"),
        Evidence("popular-server", "novelty", log10(0.05), 0.7, 0.5, "70 % of the clients use it"),
        Evidence("foreign-protocol", "protocol", 5.0, 1, 0, "ssh was read on port 443"),
        Evidence("keystrokes", "interaction", 0.0, 3, 2, "does not count beside a stronger symptom"),
        Evidence("long-flow", "duration", log10(8), 50_000, 43_200, "open for 50000 s"),
    )
    found = reasons(fresh(alarm(evidence=evidence)))
    assert [reason.symptom for reason in found] == [
        "foreign-protocol", "long-flow", "keystrokes", "popular-server", "prior",
    ]  # fmt: skip
    assert [line.split(":")[0] for line in reason_lines(found)] == [
        "  odds x 1e+05  foreign-protocol",
        "  odds x 8      long-flow",
        "  not counted   keystrokes",
        "  odds / 20     popular-server",
        "  1 in 10,000   prior",
    ]


@pytest.mark.parametrize(
    ("symptom", "value", "threshold", "line"),
    [
        ("flow-bytes", 1300, 1000, "  +30 %         flow-bytes: why; measured 1.3 kB, limit 1.0 kB"),
        ("flow-duration", 7200, 60, "  120 times     flow-duration: why; measured 2h00m, limit 1m00s"),
        ("flow-packets", 20_000, 4000, "  +400 %        flow-packets: why; measured 20,000, limit 4,000"),
        ("black-contact", 1, 0, "  without limit black-contact: why"),
    ],
)
def test_a_plain_limit_says_measured_value_limit_and_how_far(
    symptom: str, value: int, threshold: int, line: str
) -> None:
    row = fresh(alarm(evidence=(Evidence(symptom, "volume", None, value, threshold, "why"),)))
    assert list(reason_lines(reasons(row))) == [line]


def test_an_entry_that_is_proposed_for_what_was_positively_identified_hides_it() -> None:
    decisive = Evidence("foreign-protocol", "protocol", 5.0, 1, 0, "ssh was read on port 443")
    for evidence, ending in (((decisive,), " --all"), (alarm().evidence, "192.0.2.1:443")):
        row = fresh(alarm(evidence=evidence))
        assert next_commands(row, window_of(row, HOUR_NS, 0))[-1][0].endswith(ending)


def test_what_strangers_chose_commands_no_terminal_and_no_shell() -> None:
    row = fresh(alarm(host="$(reboot);`x`'", message="\x1b[2Jgone", sensor="a\nb"))
    window = window_of(row, HOUR_NS, 0)
    assert all(line.isprintable() for line in head_lines(row, None))
    for command, purpose in next_commands(row, window):
        assert purpose.isprintable()
        words = shlex.split(command)
        assert words[0] == "tunnelwatch"
        assert all(word == "$(reboot);`x`'" or not set("$`;") & set(word) for word in words)


@given(st.integers(0, 10**18), st.integers(0, 10**17), st.sampled_from([60 * 10**9, HOUR_NS, 24 * HOUR_NS]))
def test_a_window_holds_the_alarm_in_so_many_buckets(first_ns: int, lasted_ns: int, period_ns: int) -> None:
    row = fresh(alarm(time_ns=first_ns + lasted_ns))._replace(first_time_ns=first_ns)
    window = window_of(row, period_ns, 0)
    assert window.since_ns <= row.first_time_ns <= row.time_ns < window.until_ns
    assert window.bucket_ns % period_ns == 0 or period_ns % window.bucket_ns == 0
    buckets = buckets_of(row, window, {})
    assert 1 <= len(buckets) <= MAX_BUCKETS + 1
    assert [bucket.start_ns for bucket in buckets if bucket.is_alarm][-1] <= row.time_ns


def test_nothing_is_shown_of_the_time_before_the_first_record() -> None:
    row = fresh(alarm(time_ns=HOUR + 3 * HOUR_NS))
    window = window_of(row, HOUR_NS, HOUR + 5)
    assert (window.since_ns, window.bucket_ns) == (HOUR, 5 * 60 * 10**9)  # of three hours, and not of two days
    assert len(buckets_of(row, window, {})) == 37


def test_what_is_usual_is_the_median_of_the_other_hours_with_traffic() -> None:
    row = fresh(alarm(time_ns=HOUR))._replace(first_time_ns=HOUR)
    moved = {HOUR - 3 * HOUR_NS: 10, HOUR - 2 * HOUR_NS: 30, HOUR - HOUR_NS: 20, HOUR: 5000}
    usual = baseline_of(buckets_of(row, window_of(row, HOUR_NS, 0), moved))
    assert usual == Baseline(5000, 3, 20, 30)
    assert baseline_line(usual, HOUR_NS) == (
        "in 3 other stretches of 1h00m it moved 20 B (median) and 30 B at most; in those of the alarm up to 5.0 kB"
    )
    assert "moved nothing" in baseline_line(Baseline(5, 0, 0, 0), HOUR_NS)


@pytest.mark.parametrize(
    ("values", "line"), [([], ""), ([0, 0], "  "), ([1, 0, 8], "▂ █"), ([1e-9, 8], "▁█"), ([5, 5], "██")]
)
def test_bars_are_as_high_as_their_values(values: list[float], line: str) -> None:
    assert bars(values) == line
    assert bars(values, ascii_only=True).isascii()
    assert len(bars(values, ascii_only=True)) == len(values)


def test_a_channel_is_by_name_where_one_is_known_and_alarms_of_sensors_have_none() -> None:
    by_name = channel_of(fresh(alarm(host="A.example")))
    assert by_name is not None
    assert (by_name.host, by_name.server) == ("a.example", None)
    by_service = channel_of(fresh(alarm()))
    assert by_service is not None
    assert (by_service.server, by_service.server_port) == ("192.0.2.1", 443)
    assert channel_of(fresh(alarm(client=None, server=None, sensor="tap"))) is None


class TestShow:
    @pytest.fixture
    def shown(self, cli: Cli, tmp_path: Path) -> Cli:
        """One alarm about the last of five hours."""
        (tmp_path / "c.toml").write_text("[detect]\nenabled = false\n[thresholds.flow]\nbytes = 100000\n")
        records = [flow(hour, start_ns=HOUR + hour * HOUR_NS) for hour in range(4)]
        records.append(flow(9, start_ns=HOUR + 4 * HOUR_NS, payload_bytes_out=1_000_000, host="www.example.com"))
        (tmp_path / "a.flowlog").write_bytes(flow_log([batch(records, 1)]))
        cli.imported("--config", tmp_path / "c.toml", tmp_path / "a.flowlog")
        return cli

    def test_a_person_reads_why_what_is_usual_and_what_to_do(self, shown: Cli) -> None:
        (row,) = shown.json("alarms")
        text = shown("alarms", "show", row["id"][:6]).out
        assert "flow-bytes" in text
        assert "measured 1.0 MB, limit 100.0 kB" in text
        assert "Flows behind it, the latest first" in text
        assert "10.0.0.1:40000" in text
        assert f"tunnelwatch alarms ack {row['id']}" in text
        assert "hidden by" not in text

    def test_every_command_that_it_proposes_runs(self, shown: Cli) -> None:
        (row,) = shown.json("alarms")
        record = shown("alarms", "show", row["id"], "--json").json()
        assert len(record["next"]) == 5
        for command in record["next"]:
            result = shown(*shlex.split(command)[1:])
            assert result.code == 0, (command, result)
        assert shown.json("alarms") == []  # the last one says that it is fine
        assert "hidden by the lists: white client=10.0.0.1" in shown("alarms", "show", row["id"]).out

    def test_json_has_the_alarm_its_flows_and_its_timeline(self, shown: Cli) -> None:
        (row,) = shown.json("alarms")
        record = shown("alarms", "show", row["id"], "--json").json()
        assert {name: record[name] for name in row} == row
        assert [flow["flow_id"] for flow in record["flow_records"]] == ["9"]
        moved = {point["period"]: point["bytes"] for point in record["timeline"]}
        assert next(iter(moved)) == "2023-11-14T22:00:00Z"
        # By name: what www.example.com got.
        assert {at: count for at, count in moved.items() if count} == {"2023-11-15T02:00:00Z": 1_000_740}
        assert record["reasons"][0]["over_percent"] == 900.74

    def test_csv_and_ndjson_are_the_alarm_as_in_a_list(self, shown: Cli) -> None:
        (row,) = shown.json("alarms")
        for form in ("--csv", "--ndjson"):
            assert shown("alarms", "show", row["id"], form).out == shown("alarms", form).out

    def test_flows_that_are_gone_are_told(self, shown: Cli, tmp_path: Path) -> None:
        (tmp_path / "old.toml").write_text("[retention]\nflows_days = 1\n")
        later = flow(99, start_ns=HOUR + 24 * 40 * HOUR_NS, server_port=80)
        (tmp_path / "b.flowlog").write_bytes(flow_log([batch([later], 1, run=8)], run=8))
        shown.imported(tmp_path / "b.flowlog")
        assert shown("--config", tmp_path / "old.toml", "db", "prune").code == 0
        (row,) = shown.json("alarms", "--kind", "flow-threshold")
        assert "none of the 1 flows behind it is stored any more" in shown("alarms", "show", row["id"]).out
