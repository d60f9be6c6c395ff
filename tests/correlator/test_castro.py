"""The paper's 21 records give the paper's figures, through the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import corr_castro
import pytest
from corr_cli import Cli

# The paper's printouts of its client and server view, and of its time view with the hours in UTC and
# the minutes that the prototype filed under 24 where they belong.
PAPER = json.loads((Path(__file__).parent / "castro_views.json").read_text())
FIGURES = ("connections", "packets_in", "packets_out", "bytes_in", "bytes_out", "tcp_uptime_s")
# The prototype took the end of the record read last, here, and not the latest end.
WRONG_LAST = {("10.1.2.2:3128", 1069766927): 1069766973}


def epoch(iso: str) -> int:
    return int(datetime.fromisoformat(iso).timestamp())


def name_of(node: dict[str, Any], level: str) -> str:
    if "flow_id" in node:
        return f"{node['client']}:{node['client_port']}"
    return str(node[level])


def as_in_paper(node: dict[str, Any], *levels: str) -> dict[str, Any]:
    name = name_of(node, levels[0])
    plain: dict[str, Any] = {"name": name, "first": epoch(node["first"]), "last": epoch(node["last"])}
    plain |= {field: node[field] for field in FIGURES}
    if "children" in node:
        plain["children"] = [as_in_paper(child, *levels[1:], "") for child in node["children"]]
    return plain


def comparable(tree: list[dict[str, Any]]) -> list[str]:
    """Return nodes in one order, whatever order they were printed in."""
    fixed = []
    for node in tree:
        last = WRONG_LAST.get((node["name"], node["last"]), node["last"])
        below = {"children": comparable(node["children"])} if "children" in node else {}
        fixed.append(json.dumps({**node, "last": last, **below}, sort_keys=True))
    return sorted(fixed)


def test_the_inlined_records_are_those_of_the_fixture(shared_dir: Path) -> None:
    assert (shared_dir / "requirements" / "castro_fixture.csv").read_text() == corr_castro.RECORDS


def test_summary_has_the_papers_counts_and_times(castro: Cli) -> None:
    summary = castro.json("summary")
    assert (summary["clients"], summary["services"], summary["periods"]) == (7, 6, 2)
    assert summary["connections"] == 21
    assert (summary["first"], summary["last"]) == ("2003-11-24T14:30:17Z", "2003-11-25T13:28:57Z")
    assert summary["last_end"] == "2003-11-25T13:29:33Z"


def test_client_10_1_1_9_has_the_papers_figures(castro: Cli) -> None:
    (client,) = castro.json("clients", "10.1.1.9")
    assert client["services"] == 3
    assert [client[field] for field in FIGURES] == [7, 283, 1061, 4038, 10715, 64]


def test_server_10_1_2_2_3128_has_the_papers_figures(castro: Cli) -> None:
    (server,) = castro.json("servers", "10.1.2.2:3128")
    assert server["clients"] == 4
    assert [server[field] for field in FIGURES] == [6, 538, 2056, 4304, 16448, 87]


def test_two_short_posts_make_a_channel_of_90_seconds(castro: Cli) -> None:
    (client,) = castro.json("clients", "10.1.1.9", "--server", "10.1.2.57:80")
    assert (client["tcp_uptime_s"], client["channel_uptime_s"]) == (0, 90)


@pytest.mark.parametrize(("view", "levels"), [("clients", ("client", "server")), ("servers", ("server", "client"))])
def test_view_lists_the_papers_children_at_every_level(castro: Cli, view: str, levels: tuple[str, ...]) -> None:
    found = [as_in_paper(node, *levels) for node in castro.json(view, "--depth", "3")]
    assert comparable(found) == comparable(PAPER[view])


def test_time_view_has_the_right_month_and_minutes(castro: Cli) -> None:
    found = [
        {
            "name": period["period"],
            "children": [
                {
                    "name": minute["minute"],
                    "flows": [
                        [f"{flow['client']}:{flow['client_port']} -> {flow['server']}", epoch(flow["first"])]
                        for flow in minute["children"]
                    ],
                }
                for minute in period["children"]
            ],
        }
        for period in castro.json("periods", "--depth", "3")
    ]
    assert [period["name"] for period in found] == ["2003-11-25T13:00:00Z", "2003-11-24T14:00:00Z"]
    for mine, paper in zip(found, PAPER["periods"], strict=True):
        assert {minute["name"]: sorted(minute["flows"]) for minute in mine["children"]} == {
            minute["name"]: sorted(minute["flows"]) for minute in paper["children"]
        }


def test_minutes_are_not_merged(castro: Cli) -> None:
    (period,) = castro.json("periods", "2003-11-25")
    assert [minute["minute"][14:16] for minute in period["children"]] == ["28", "25", "24"]


def test_the_same_tuple_twice_stays_two_flows(castro: Cli) -> None:
    flows = castro.json("flows", "--client", "10.1.1.5")
    assert [(flow["client_port"], flow["start_ns"] // 10**9) for flow in flows] == [
        (3437, 1069766937),
        (3437, 1069766935),
    ]


def test_top_servers_by_outbound(castro: Cli) -> None:
    top = castro.json("top", "servers", "--by", "outbound", "-n", "2")
    assert [(line["rank"], line["server"], line["value"]) for line in top] == [
        (1, "10.1.2.2:3128", 16448),
        (2, "10.1.2.2:8080", 2305),
    ]


def test_tables_name_november(castro: Cli) -> None:
    assert "2003-11-25 13:00" in castro("periods").out


def test_times_come_out_in_utc(castro: Cli) -> None:
    first = datetime.fromtimestamp(1069684217, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert castro.json("summary")["first"] == first
