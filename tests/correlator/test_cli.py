"""The command line's contract: options, formats, sorting, exit codes."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from pathlib import Path

import click
import pytest
from corr_cli import Cli
from corr_flows import batch, flow, flow_log, parts
from corr_link import command, environment

from common.textrecords import FLOW_COLUMNS
from correlator.cli import main

VIEWS = ["clients", "servers", "periods", "slots", "flows", "top", "bottom", "alarms", "sensors", "summary"]
FIGURES = {
    "connections",
    "packets_out",
    "packets_in",
    "bytes_out",
    "bytes_in",
    "tcp_uptime_s",
    "channel_uptime_s",
    "first",
    "last",
}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        item = group.get_command(context, name)
        found.append((*path, name))
        if isinstance(item, click.Group):
            found.extend(commands(item, (*path, name)))
    return found


@pytest.mark.parametrize("path", commands(main))
def test_every_command_has_help_with_an_example(cli: Cli, path: tuple[str, ...]) -> None:
    result = cli(*path, "-h")
    assert result.code == 0
    assert re.search(r"^  Example:\n    tunnelwatch", result.out, re.MULTILINE), "each example is a line of its own"
    assert max(map(len, result.out.splitlines())) <= 110


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_has_every_format(castro: Cli, view: str) -> None:
    as_json = castro(view, "--json").json()
    lines = [json.loads(line) for line in castro(view, "--ndjson").out.splitlines()]
    assert lines == (as_json if isinstance(as_json, list) else [as_json])
    rows = list(csv.reader(io.StringIO(castro(view, "--csv").out)))
    assert len(rows) == (len(lines) + 1 if lines else len(rows))
    assert all(len(row) == len(rows[0]) for row in rows)
    table = castro(view)
    assert table.code == 0
    assert "\x1b" not in table.out


def test_two_formats_at_a_time_are_a_usage_error(castro: Cli) -> None:
    assert castro("clients", "--json", "--csv").code == 2


def test_names_are_those_of_the_contract(castro: Cli) -> None:
    (client, *_) = castro.json("clients")
    assert set(client) == FIGURES | {"client", "services"}
    (server, *_) = castro.json("servers")
    assert set(server) == FIGURES | {"server", "protocol", "clients"}
    (period, *_) = castro.json("periods")
    assert set(period) == FIGURES | {"period", "clients", "services"}
    (line, *_) = castro.json("top", "channels")
    assert set(line) == FIGURES | {"rank", "value", "client", "server", "protocol"}
    (row, *_) = castro.json("flows")
    assert tuple(row) == FLOW_COLUMNS


def test_depth_is_one_and_two_with_an_argument(castro: Cli) -> None:
    assert "children" not in castro.json("clients")[0]
    assert "children" in castro.json("clients", "10.1.1.9")[0]
    assert "children" not in castro.json("clients", "10.1.1.9", "--depth", "1")[0]
    assert "flow_id" in castro.json("servers", "10.1.2.2:443", "--depth", "3")[0]["children"][0]["children"][0]


def test_a_server_without_a_port_is_all_its_services(castro: Cli) -> None:
    assert {node["server"] for node in castro.json("servers", "10.1.2.2")} == {
        "10.1.2.2:443",
        "10.1.2.2:3128",
        "10.1.2.2:8080",
    }


def test_views_come_newest_first(castro: Cli) -> None:
    last = [node["last"] for node in castro.json("clients")]
    assert last == sorted(last, reverse=True)
    starts = [row["start_ns"] for row in castro.json("flows")]
    assert starts == sorted(starts, reverse=True)


@pytest.mark.parametrize("field", ["connections", "bytes_out", "tcp_uptime", "channel-uptime", "first", "services"])
def test_any_field_sorts_both_ways(castro: Cli, field: str) -> None:
    key = {"tcp_uptime": "tcp_uptime_s", "channel-uptime": "channel_uptime_s"}.get(field, field)
    down = [node[key] for node in castro.json("clients", "--sort", field)]
    assert down == sorted(down, reverse=True)
    for turned in (("--sort", f"-{field}"), ("--sort", field, "--ascending")):
        assert [node[key] for node in castro.json("clients", *turned)] == sorted(down)


def test_names_sort_from_the_first(castro: Cli) -> None:
    names = [node["client"] for node in castro.json("clients", "--sort", "client")]
    assert names == sorted(names)
    assert [node["client"] for node in castro.json("clients", "--sort", "-client")] == names[::-1]


def test_equal_values_are_in_the_order_of_names(castro: Cli) -> None:
    ones = [node["client"] for node in castro.json("clients", "--sort", "connections") if node["connections"] == 1]
    assert ones == sorted(ones)


@pytest.mark.parametrize("view", ["clients", "servers", "periods", "flows"])
def test_an_unknown_field_lists_the_fields(castro: Cli, view: str) -> None:
    result = castro(view, "--sort", "beauty")
    assert result.code == 2
    assert "no field 'beauty' to sort by; the fields are" in result.err


def test_n_limits_rows(castro: Cli) -> None:
    assert len(castro.json("clients", "-n", "2")) == 2
    assert len(castro.json("flows", "-n", "5")) == 5
    assert len(castro.json("bottom", "channels", "-n", "3")) == 3


def test_a_time_range_takes_records_by_their_start(castro: Cli) -> None:
    assert castro.json("summary", "--until", "2003-11-25")["connections"] == 4
    assert castro.json("summary", "--since", "2003-11-25T13:28:33Z", "--until", "1069766914")["connections"] == 3
    assert castro.json("clients", "--since", "2004-01-01") == []
    assert len(castro.json("periods", "2003-11-24")) == 1


def test_a_range_clips_the_channel_uptime(castro: Cli) -> None:
    (client,) = castro.json("clients", "10.1.1.9", "--server", "10.1.2.57:80", "--until", "2003-11-25T13:24:30Z")
    assert (client["connections"], client["channel_uptime_s"]) == (1, 22)


def test_bottom_is_top_turned_round(castro: Cli) -> None:
    top = castro.json("top", "servers", "--by", "inbound")
    bottom = castro.json("bottom", "servers", "--by", "inbound")
    assert [line["server"] for line in bottom] == [line["server"] for line in reversed(top)]
    assert [line["rank"] for line in bottom] == [1, 2, 3, 4, 5, 6]


def test_hosts_are_ranked_by_name(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "a.flowlog"
    records = [
        flow(1, host="a.example", start_s=0, length_s=1),
        flow(2, host="a.example", start_s=60, length_s=1, server_ip="192.0.2.9"),
        flow(3, host="b.example", start_s=0, length_s=5),
        flow(4, start_s=0, length_s=5),
    ]
    log.write_bytes(flow_log([batch(records, 1)]))
    cli.imported(log)
    found = cli.json("top", "hosts", "--by", "channel-uptime")
    assert [(line["host"], line["value"], line["services"]) for line in found] == [
        ("a.example", 61, 2),
        ("b.example", 5, 1),
    ]


def test_wire_counts_ip_bytes_and_protocol_all_counts_all(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "a.flowlog"
    log.write_bytes(flow_log([batch([flow(1), flow(2, protocol=17)], 1)]))
    cli.imported(log)
    assert cli.json("summary")["bytes_out"] == 500
    assert cli.json("summary", "--wire")["bytes_out"] == 700
    assert cli.json("summary", "--protocol", "all")["connections"] == 2
    assert [node["protocol"] for node in cli.json("servers", "--protocol", "udp")] == ["udp"]
    assert {node["protocol"] for node in cli.json("servers", "--protocol", "all")} == {"tcp", "udp"}


def test_open_flows_show_before_they_end(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "a.flowlog"
    log.write_bytes(flow_log([batch(parts(1, [60, 60], closed=False), 1)]))
    cli.imported(log)
    assert cli.json("summary")["open_flows"] == 1
    assert cli.json("flows")[0]["end_reason"] is None
    assert cli.json("clients", "--depth", "3")[0]["children"][0]["children"][0]["open"] is True
    assert "(open)" in cli("clients", "--depth", "3").out


def test_csv_of_a_deeper_view_repeats_the_names_above(castro: Cli) -> None:
    rows = list(csv.DictReader(io.StringIO(castro("clients", "--depth", "2", "--csv").out)))
    assert len(rows) == 11
    assert {"client", "server", "connections"} <= set(rows[0])


def test_a_bar_in_tables_is_not_wrapped(castro: Cli) -> None:
    lines = castro("clients", "--depth", "3").out.splitlines()
    assert len(lines) == 1 + 7 + 11 + 21
    assert all(re.match(r"(client| *10\.)", line) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("clients", "banana"), "not an IP address"),
        (("servers", "10.0.0.1:99999"), "not a port number"),
        (("clients", "10.0.0.1:80"), "an address without a port"),
        (("periods", "yesterday"), "not a day"),
        (("clients", "--since", "soon"), "not a time"),
        (("clients", "--protocol", "banana"), "not a protocol"),
        (("clients", "--depth", "4"), "--depth"),
        (("top", "servers", "--by", "beauty"), "--by"),
        (("top", "moons"), "moons"),
        (("flows", "-n", "0"), "-n"),
        (("evolution", "--plot", "--json"), "leave one of them out"),
        (("summary", "--names"), "leave it out"),
        (("alarms", "--json", "list"), "write the options after 'list'"),
        (("nonsense",), "nonsense"),
    ],
)
def test_a_usage_error_is_two(castro: Cli, arguments: tuple[str, ...], fact: str) -> None:
    result = castro(*arguments)
    assert result.code == 2
    assert fact in result.err


def run(*arguments: str | Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        env={**environment(), **extra},
        timeout=30,
        check=False,
    )


@pytest.mark.usefixtures("castro")
def test_the_database_is_named_before_or_after_the_command_or_by_the_environment(db: Path, tmp_path: Path) -> None:
    expected = Cli(db)("clients", "--json").out
    assert run("--db", db, "clients", "--json").stdout == expected
    assert run("clients", "--db", db, "--json").stdout == expected
    assert run("clients", "--json", TUNNELWATCH_DB=str(db)).stdout == expected
    assert run("--db", tmp_path / "no", "clients", "--db", db, "--json", TUNNELWATCH_DB="no").stdout == expected


@pytest.mark.usefixtures("castro")
def test_standard_input_is_imported_and_a_closed_pipe_is_no_error(db: Path) -> None:
    exported = run("--db", db, "flows", "--ndjson").stdout
    other = db.with_name("other.db")
    process = subprocess.run(
        command("--db", other, "import", "-"),
        input=exported,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "21 records stored, 0 duplicates, 0 bad\n")
    head = subprocess.run(
        f"{' '.join(command('--db', db, 'flows', '--ndjson'))} | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
        check=False,
    )
    assert head.stderr == ""
    assert len(head.stdout.splitlines()) == 1


def test_nothing_stored_is_said_on_standard_error(castro: Cli) -> None:
    result = castro("clients", "--since", "2030-01-01")
    assert (result.code, result.out) == (0, "")
    assert "nothing is stored" in result.err
    assert castro("alarms").err == "no alarms\n"
