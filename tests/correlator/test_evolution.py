"""The evolution of one figure along the run: a value per period, drawn or as numbers."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import NS, T0, batch, flow, flow_log, parts
from corr_link import command, environment

from common.timespan import iso_time, parse_time
from correlator.views.evolution import MAX_POINTS, buckets, points

HOUR_NS = 3600 * NS


def values(cli: Cli, *arguments: str) -> list[float]:
    return [item["value"] for item in cli.json("evolution", *arguments)]


def test_a_number_per_period_from_the_first_record_to_the_last_with_zeros_between(castro: Cli) -> None:
    found = castro.json("evolution", "--by", "connections")
    assert [item["period"] for item in found] == [
        iso_time(parse_time("2003-11-24T14:00:00Z") + index * HOUR_NS) for index in range(24)
    ]
    assert [item["value"] for item in found] == [4, *[0] * 22, 17]
    assert all(set(item) == {"period", "value"} for item in found)


@pytest.mark.parametrize(
    ("by", "field"),
    [
        ("connections", "connections"),
        ("outbound", "bytes_out"),
        ("inbound", "bytes_in"),
        ("channel-uptime", "channel_uptime_s"),
        ("tcp-uptime", "tcp_uptime_s"),
    ],
)
def test_the_values_add_up_to_the_summary(castro: Cli, by: str, field: str) -> None:
    client, server = ("--client", "10.1.1.9"), ("--server", "10.1.2.2:3128")
    for who in ((), client, server, (*client, *server)):
        whole = castro.json("summary", *who)[field]
        for per in ("period", "minute", "day"):
            assert sum(values(castro, "--by", by, "--per", per, *who)) == whole


def test_the_run_is_that_of_the_store_for_everyone(castro: Cli) -> None:
    assert values(castro, "--client", "10.1.1.3") == [*[0] * 23, 1]


def test_a_range_takes_its_periods_and_nothing_outside_of_the_run(castro: Cli) -> None:
    assert values(castro, "--since", "2003-11-25T12:00", "--until", "2003-11-25T13:28:33Z") == [0, 4]
    assert values(castro, "--since", "2000-01-01", "--until", "2003-11-24T16:00") == [4, 0]
    assert values(castro, "--since", "2003-11-25T13:00") == [17]
    assert values(castro, "--since", "2004-01-01") == []


def test_a_session_counts_in_every_bucket_that_it_touches(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "long.flowlog"
    # 2023-11-14T22:13:20Z and 1600 s in one flow, of which nothing else tells after its start.
    path.write_bytes(flow_log([batch([flow(1, length_s=1600)], 1)]))
    cli.imported(path)
    assert cli.json("evolution", "--by", "channel-uptime", "--per", "minute")[0]["value"] == 40
    assert sum(values(cli, "--by", "channel-uptime", "--per", "minute")) == 1600
    assert len(values(cli, "--by", "channel-uptime", "--per", "minute")) == 27
    assert values(cli, "--by", "tcp-uptime", "--per", "minute") == [1600]


def test_wire_counts_ip_bytes(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "one.flowlog"
    path.write_bytes(flow_log([batch([flow(1)], 1)]))
    cli.imported(path)
    assert values(cli, "--by", "outbound") == [500]
    assert values(cli, "--by", "outbound", "--wire") == [700]


def test_the_formats_are_those_of_the_other_views(castro: Cli) -> None:
    as_json = castro.json("evolution", "--by", "tcp-uptime")
    assert [
        json.loads(line) for line in castro("evolution", "--by", "tcp-uptime", "--ndjson").out.splitlines()
    ] == as_json
    rows = list(csv.DictReader(io.StringIO(castro("evolution", "--by", "tcp-uptime", "--csv").out)))
    assert [(row["period"], float(row["value"])) for row in rows] == [(i["period"], i["value"]) for i in as_json]
    table = castro("evolution", "--by", "tcp-uptime").out.splitlines()
    assert table[0].split() == ["period", "(UTC)", "tcp-uptime"]
    assert len(table) == 25


def test_a_plot_is_drawn_when_asked_for(castro: Cli) -> None:
    result = castro("evolution", "--by", "outbound", "--plot")
    lines = result.out.splitlines()
    assert lines[0] == "outbound per period (UTC), all"
    assert "\u28ff" in result.out
    assert lines[-1] == "largest 17.2 kB in the period of 2003-11-25 13:00:00 UTC; 24 periods"
    assert "\x1b" not in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--client", "10.1.1.9", "--server", "10.1.2.2:3128"), "10.1.1.9 -> 10.1.2.2:3128"),
        (("--port", "80"), "port 80"),
        (("--client", "10.0.0.0/8", "--server", "10.1.2.2", "--port", "1-99"), "10.0.0.0/8 -> 10.1.2.2 ports 1-99"),
        (("--host", "*.example.com"), "*.example.com"),
    ],
)  # fmt: skip
def test_a_plot_says_whose_it_is(castro: Cli, arguments: tuple[str, ...], words: str) -> None:
    assert castro("evolution", "--plot", *arguments).out.splitlines()[0] == f"connections per period (UTC), {words}"


def test_a_terminal_gets_a_plot_and_a_pipe_the_numbers(castro: Cli) -> None:
    words = command("--db", castro.db, "evolution")
    piped = subprocess.run(words, capture_output=True, env=environment(), timeout=30, check=True)
    assert piped.stdout.decode().startswith("period (UTC)")
    master, slave = pty.openpty()
    with subprocess.Popen(words, stdout=slave, env={**environment(), "COLUMNS": "70", "LINES": "24"}) as process:
        os.close(slave)
        shown = b""
        try:
            while chunk := os.read(master, 65536):
                shown += chunk
        except OSError:  # the other end is closed
            pass
    os.close(master)
    assert process.returncode == 0
    lines = shown.decode().splitlines()
    assert lines[0] == "connections per period (UTC), all"
    assert len(lines) < 24
    assert max(map(len, lines)) <= 70


def test_nothing_stored_is_no_error(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "udp.flowlog"
    path.write_bytes(flow_log([]))
    cli.imported(path)
    result = cli("evolution", "--plot")
    assert (result.code, result.out) == (0, "")
    assert "nothing is stored" in result.err
    assert cli.json("evolution") == []
    assert cli("evolution", "--csv").out == "period,value\n"


def test_a_wrong_year_in_one_record_makes_no_million_lines(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "old.flowlog"
    path.write_bytes(flow_log([batch([flow(1, start_ns=0), flow(2)], 1)]))
    cli.imported(path)
    result = cli("evolution", "--per", "minute")
    assert result.code == 1
    assert "28,333,334 minutes from 1970-01-01T00:00:00Z" in result.err
    assert "narrow it with --since and --until, or give a longer --per" in result.err
    assert values(cli, "--per", "minute", "--since", "2023-01-01") != []
    assert len(values(cli, "--per", "day")) == 19_676


def test_a_host_counts_by_flow_whichever_part_knew_its_name(cli: Cli, tmp_path: Path) -> None:
    first, second = parts(1, [10, 10])
    records = [
        first,
        second._replace(host="Tunnel.Example.com"),
        flow(2, host="www.example.com", start_s=60, length_s=10, server_ip="192.0.2.9"),
        flow(3, host="example.org", start_s=60),
    ]
    path = tmp_path / "hosts.flowlog"
    path.write_bytes(flow_log([batch(records, 1)]))
    cli.imported(path)
    assert values(cli, "--host", "tunnel.example.com") == [1]
    assert values(cli, "--host", "tunnel.example.com", "--by", "channel-uptime") == [20]
    assert values(cli, "--host", "*.example.com") == [2]
    assert values(cli, "--host", "*.example.com", "--by", "channel-uptime") == [30]
    assert values(cli, "--host", "example.com") == [0]


def test_points_are_seconds_for_uptimes_and_counts_else() -> None:
    along = buckets((T0, T0), None, None, HOUR_NS, {})
    start = T0 - T0 % HOUR_NS
    assert [tuple(point) for point in points({start: 1_500_000_000}, along, "tcp-uptime")] == [(start, 1.5)]
    assert [tuple(point) for point in points({start: 7}, along, "outbound")] == [(start, 7)]


def test_buckets_go_on_as_long_as_the_values_do() -> None:
    along = buckets((0, 10), None, None, 10, {30: 1})
    assert (along.first_ns, along.last_ns, along.number) == (0, 30, 4)
    assert not buckets((0, 10), 20, None, 10, {})
    assert buckets((0, 10), None, 10, 10, {}).number == 1
    assert MAX_POINTS >= 366 * 1440
