"""The paper's views and printouts: F01 to F11.

Expected values are computed from the raw records by ``corr_truth``, or are the lines that the paper prints.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import corr_castro
import fake_log
import pytest
from corr_cli import Cli
from corr_truth import MINUTE, NS, Case, Record, Truth, groups, of_sensor
from programs import CORRELATOR, SENSOR, run

ADDITIVE = ("connections", "packets_out", "packets_in", "bytes_out", "bytes_in", "tcp_uptime_s")
# The records are printed as the paper prints them: rx is what came in to the client, and the span is in seconds.
PAPER = (Path(__file__).parents[1] / "data" / "castro_printout.txt").read_text().splitlines()
LEVELS = {"o": 0, "$": 1, "#": 2}
FIELDS = re.compile(
    r"(?P<sign>[o$#]) (?P<name>\S+) \((?P<first>\d+)-(?P<last>\d+)\) ?: (?:TcpCon (?P<connections>\d+), )?"
    r"packets rx=(?P<packets_in>\d+) tx=(?P<packets_out>\d+), bytes rx=(?P<bytes_in>\d+) tx=(?P<bytes_out>\d+), "
    r"Uptime (?P<tcp_uptime_s>\d+)"
)
# The prototype took the end of the record that it read last, here, and not the latest end.
WRONG_LAST = {("10.1.2.2:3128", 1069766927): 1069766973}


def ns(iso: str) -> int:
    whole, _, fraction = iso.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * NS + int(fraction.ljust(9, "0") or 0)


def flow_name(node: dict[str, Any]) -> str:
    return f"{node['client']}:{node['client_port']}->{node['server']}"


def name_of(node: dict[str, Any]) -> str:
    if "flow_id" in node:
        return flow_name(node)
    return str(next(node[key] for key in ("client", "server", "period", "minute") if key in node))


def tree_of(nodes: list[dict[str, Any]]) -> list[Any]:
    """Return nodes with their figures and what is below them, in one order."""
    return sorted(
        [
            name_of(node),
            [round(node[field] * NS) for field in ADDITIVE],
            [ns(node["first"]), ns(node["last"])],
            tree_of(node.get("children", [])),
        ]
        for node in nodes
    )


def expected_tree(truth: Truth, records: list[Record], *keys: Callable[[Record], Any]) -> list[Any]:
    """Return the tree that records make, a level for each key; the last one gives (name, flow)."""
    found = []
    for key, some in groups(records, keys[0]).items():
        figures = truth.figures(some)
        found.append(
            [
                key[0] if isinstance(key, tuple) else key,
                [round(figures[field] * NS) for field in ADDITIVE],
                [figures["first"], figures["last"]],
                expected_tree(truth, some, *keys[1:]) if keys[1:] else [],
            ]
        )
    return sorted(found)


def flow_of(record: Record) -> tuple[str, str]:
    return f"{record.client}:{record.client_port}->{record.server}", record.flow


def iso(time: int) -> str:
    return datetime.fromtimestamp(time // NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_f01_client_view_of_three_levels(case: Case) -> None:
    levels = (lambda record: record.client, lambda record: record.server, flow_of)
    assert tree_of(case.cli.json("clients", "--depth", "3")) == expected_tree(case.truth, case.truth.all, *levels)


def test_f02_server_view_of_three_levels(case: Case) -> None:
    levels = (lambda record: record.server, lambda record: record.client, flow_of)
    assert tree_of(case.cli.json("servers", "--depth", "3")) == expected_tree(case.truth, case.truth.all, *levels)


def test_f03_time_view_of_three_levels(case: Case) -> None:
    levels = (lambda record: iso(record.hour), lambda record: iso(record.minute), flow_of)
    assert tree_of(case.cli.json("periods", "--depth", "3")) == expected_tree(case.truth, case.truth.all, *levels)


@pytest.mark.parametrize("view", ["clients", "servers", "periods", "slots"])
def test_f04_every_level_shows_every_figure(case: Case, view: str) -> None:
    def check(nodes: list[dict[str, Any]]) -> None:
        for node in nodes:
            assert {*ADDITIVE, "channel_uptime_s", "first", "last"} <= set(node)
            check(node.get("children", []))

    check(case.cli.json(view, "--depth", "3"))
    title, *lines = case.cli(view, "--depth", "3").out.splitlines()
    assert re.split("  +", title)[-9:] == [
        "conns", "pkts out", "pkts in", "out", "in", "tcp up", "channel up", "first (UTC)", "last (UTC)",
    ]  # fmt: skip
    assert all(len(re.split("  +", line.strip())) >= 10 for line in lines)


def printed(view: str) -> list[dict[str, Any]]:
    """Return the lines of a view in the paper's printout, each with its level, in the paper's order."""
    above: tuple[str, ...] = ()
    begin = PAPER.index(f"Basic statistics (per {view} view) :") + 1
    found = []
    for line in PAPER[begin:]:
        match = FIELDS.fullmatch(line.strip())
        if match is None:
            break
        values = match.groupdict()
        level, name = LEVELS[values.pop("sign")], values.pop("name")
        above = above[:level]
        found.append(
            {"level": level, "name": name, "above": list(above)}
            | {key: int(value or 1) for key, value in values.items()}
        )
        above = (*above, name)
    return found


def as_printed(nodes: list[dict[str, Any]], level: int = 0, above: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return the nodes of a view as lines of the paper's printout."""
    lines = []
    for node in nodes:
        name = f"{node['client']}:{node['client_port']}" if "flow_id" in node else name_of(node)
        first, last = ns(node["first"]) // NS, ns(node["last"]) // NS
        lines.append(
            {"level": level, "name": name, "above": list(above), "first": first, "last": last}
            | {key: node[key] for key in ADDITIVE}
        )
        lines += as_printed(node.get("children", []), level + 1, (*above, name))
    return lines


def mended(line: dict[str, Any]) -> dict[str, Any]:
    return {**line, "last": WRONG_LAST.get((line["name"], line["last"]), line["last"])}


@pytest.mark.parametrize(("view", "count"), [("client", 7 + 11 + 21), ("server", 6 + 11 + 21)])
def test_f04_f06_depth_3_sorted_by_creation_is_the_papers_printout(paper: Cli, view: str, count: int) -> None:
    """Every line, field by field, in the paper's order; connections of one second are in any order there."""
    lines, mine = printed(view), as_printed(paper.json(f"{view}s", "--depth", "3", "--sort", "first"))
    assert len(lines) == len(mine) == count
    assert in_one_order(mine) == in_one_order(lines)
    assert newest_first(mine)
    assert newest_first(lines)


def in_one_order(lines: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(mended(line), sort_keys=True) for line in lines)


def newest_first(lines: list[dict[str, Any]]) -> bool:
    """Whether no line began later than the one before it of its level, below the same line."""
    above: dict[int, int] = {}
    for line in lines:
        above = {level: first for level, first in above.items() if level <= line["level"]}
        if line["first"] > above.get(line["level"], line["first"]):
            return False
        above[line["level"]] = line["first"]
    return True


def test_f04_a_line_of_the_table_has_the_figures_of_the_papers_line(paper: Cli) -> None:
    lines = paper("clients", "10.1.1.9", "--depth", "3", "--sort", "first").out.splitlines()
    cells = [re.split("  +", line.strip()) for line in lines]
    assert cells[1] == [
        "10.1.1.9", "3", "7", "1,061", "283", "10.7 kB", "4.0 kB", "1m04s", "2m41s",
        "2003-11-24 14:30:17", "2003-11-25 13:29:33",
    ]  # fmt: skip
    assert cells[2][:1] + cells[2][2:9] == [
        "10.1.2.2:3128", "1", "1,024", "256", "8.2 kB", "2.0 kB", "1m00s", "1m00s",
    ]  # fmt: skip
    assert cells[3][0] == "10.1.1.9:1025 -> 10.1.2.2:3128"


@pytest.mark.parametrize("field", [*ADDITIVE, "channel_uptime_s", "first", "last", "services", "client"])
@pytest.mark.parametrize("turn", ["", "-"])
def test_f05_sorted_by_any_field(case: Case, field: str, turn: str) -> None:
    found = [node[field] for node in case.cli.json("clients", "--depth", "2", "--sort", f"{turn}{field}")]
    key = ns if field in ("first", "last") else None
    assert found == sorted(found, key=key, reverse=(field != "client") != bool(turn))


@pytest.mark.parametrize("turn", ["", "-"])
def test_f05_sorted_by_ports(case: Case, turn: str) -> None:
    """The paper's record of a view has the ports as fields of their own."""
    servers = [node["server"] for node in case.cli.json("servers", "--sort", f"{turn}port")]
    ports = [int(server.rpartition(":")[2]) for server in servers]
    assert ports == sorted(ports, reverse=bool(turn))
    for node in case.cli.json("servers", "--depth", "3", "--sort", f"{turn}client_port"):
        for client in node["children"]:
            ports = [flow["client_port"] for flow in client["children"]]
            assert ports == sorted(ports, reverse=bool(turn))


@pytest.mark.parametrize("view", ["clients", "servers", "periods"])
def test_f06_full_statistics_newest_first(case: Case, view: str) -> None:
    def check(nodes: list[dict[str, Any]]) -> None:
        starts = [ns(node["first"]) for node in nodes]
        assert starts == sorted(starts, reverse=True)
        for node in nodes:
            check(node.get("children", []))

    nodes = case.cli.json(view, "--depth", "3", "--sort", "first")
    check(nodes)
    assert sum(node["connections"] for node in nodes) == case.truth.five(case.truth.all)["connections"]


def test_f07_entries_of_each_list_and_first_and_last_event(case: Case) -> None:
    summary = case.cli.json("summary")
    starts = [record.start for record in case.truth.all if record.part == 0]
    assert (ns(summary["first"]), ns(summary["last"])) == (min(starts), max(starts))
    assert ns(summary["last_end"]) == max(record.end for record in case.truth.all)
    assert {name: summary[name] for name in ("clients", "services", "channels", "periods")} == {
        "clients": len(case.truth.clients()),
        "services": len({record.server for record in case.truth.all}),
        "channels": len({record.channel for record in case.truth.all}),
        "periods": len(case.truth.hours()),
    }


def test_f07_the_papers_main_stats(paper: Cli) -> None:
    summary = paper.json("summary")
    assert (summary["clients"], summary["services"], summary["periods"]) == (7, 6, 2)
    # The paper's clock was an hour ahead of UTC: 24/11/2003 15:30:17 and 25/11/2003 14:28:57.
    assert (summary["first"], summary["last"]) == ("2003-11-24T14:30:17Z", "2003-11-25T13:28:57Z")


def test_f08_batch_run_over_a_log(data_dir: Path, tmp_path: Path) -> None:
    """The programs as a user runs them: read a capture into a log, take the log in, and say what it came to."""
    log, db = str(tmp_path / "test.flowlog"), ("--db", str(tmp_path / "test.db"))
    assert run(SENSOR, "read", str(data_dir / "demo.pcap"), "-w", log)[0] == 0
    code, out, err = run(CORRELATOR, "import", "-v", log, *db)
    *records, end = err.splitlines()
    said = "76 records stored, 436 HTTP exchanges, 0 duplicates, 0 bad, 2 new alarms"
    assert (code, out, len(records), end) == (0, b"", 76, said)
    code, echoed, _ = run(CORRELATOR, "flows", "--parts", "--ndjson", "--protocol", "all", *db)
    assert len(echoed.splitlines()) == 76
    code, summary, _ = run(CORRELATOR, "summary", "--json", *db)
    truth = Truth(of_sensor(echoed.decode()))
    assert json.loads(summary)["bytes_out"] == sum(record.bytes_out for record in truth.all)


def test_f08_every_record_of_the_paper_is_echoed(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "paper.ndjson"
    log.write_text(corr_castro.ndjson())
    said = cli("import", "-v", log).err.splitlines()
    assert said[0] == (
        "2003-11-24T14:30:17Z import tcp 10.1.1.9:1118 -> 10.1.2.2:8080: packets 4 out, 3 in, bytes 35 out, 116 in, 0 s"
    )
    assert said[21:] == ["21 records stored, 0 duplicates, 0 bad"]
    assert len(cli("import", log).err.splitlines()) == 1


@pytest.mark.parametrize("view", ["clients", "servers", "periods"])
def test_f09_unsorted_level_by_level_dump(case: Case, view: str) -> None:
    unsorted = case.cli.json(view, "--depth", "3", "--sort", "none")
    assert tree_of(unsorted) == tree_of(case.cli.json(view, "--depth", "3"))


def test_f10_a_fake_log_and_its_views(cli: Cli, tmp_path: Path, repo_root: Path) -> None:
    command = [sys.executable, str(repo_root / "tests/support/fake_log.py"), "--flows", "500", "--seed", "7"]
    text, again = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert text == again
    log = tmp_path / "fake.ndjson"
    log.write_text(text)
    cli.imported(log)
    truth = Truth(of_sensor(text))
    assert cli.json("summary")["connections"] == truth.five(truth.all)["connections"] == 500
    (most,) = cli.json("top", "channels", "--by", "outbound", "-n", "1")
    client, server, port = fake_log.TUNNEL
    assert (most["client"], most["server"]) == (client, f"{server}:{port}")
    assert most["value"] == sum(record.bytes_out for record in truth.chosen(client=client, server=f"{server}:{port}"))


def test_f11_november_is_november_and_minutes_are_their_own(case: Case) -> None:
    found = case.cli.json("periods", "--depth", "2")
    assert {ns(minute["minute"]) for period in found for minute in period["children"]} == {
        record.minute for record in case.truth.all
    }
    for period in found:
        assert ns(period["period"]) in case.truth.hours()
        for minute in period["children"]:
            first = ns(minute["first"])
            assert first // MINUTE * MINUTE == ns(minute["minute"])


def test_f11_the_papers_month_and_minutes(paper: Cli) -> None:
    periods = paper.json("periods", "--depth", "2")
    assert [period["period"] for period in periods] == ["2003-11-25T13:00:00Z", "2003-11-24T14:00:00Z"]
    assert [minute["minute"][11:16] for minute in periods[0]["children"]] == ["13:28", "13:25", "13:24"]
    assert "25/10" not in paper("periods").out


@pytest.fixture
def paper(cli: Cli, tmp_path: Path) -> Cli:
    """The command line on a database that holds the paper's 21 records."""
    log = tmp_path / "paper.ndjson"
    log.write_text(corr_castro.ndjson())
    cli.imported(log)
    return cli
