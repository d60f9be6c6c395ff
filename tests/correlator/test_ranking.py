"""Top and bottom lists for each client, server or host, and the averages over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, flow_log


def by_name(lines: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(line[name] for name in names) for line in lines]


@pytest.fixture
def named(cli: Cli, tmp_path: Path) -> Cli:
    records = [
        flow(1, host="a.example", start_s=0, length_s=1),
        flow(2, host="a.example", start_s=60, length_s=1, server_ip="192.0.2.9"),
        flow(3, host="b.example", start_s=0, length_s=5, payload_bytes_out=9000),
        flow(4, host="a.example", start_s=0, length_s=7, client_ip="10.0.0.2"),
        flow(5, start_s=0, length_s=5, client_ip="10.0.0.3"),
    ]
    log = tmp_path / "a.flowlog"
    log.write_bytes(flow_log([batch(records, 1)]))
    cli.imported(log)
    return cli


def test_each_client_has_a_list_of_its_own(castro: Cli) -> None:
    found = castro.json("top", "servers", "--per", "client", "--by", "outbound", "-n", "2")
    assert by_name(found, "client", "rank", "server", "value")[-3:] == [
        ("10.1.1.9", 2, "10.1.2.2:8080", 2305),
        ("10.1.1.99", 1, "10.1.2.2:3128", 48),
        ("10.1.1.99", 2, "10.1.2.1:3128", 32),
    ]
    assert len(found) == 10
    assert castro.json("top", "channels", "--per", "client", "--by", "outbound", "-n", "2") == found


def test_a_clients_list_is_what_one_client_alone_gives(castro: Cli) -> None:
    together = castro.json("bottom", "servers", "--per", "client", "--by", "connections")
    for client in {line["client"] for line in together}:
        alone = castro.json("bottom", "servers", "--client", client, "--by", "connections")
        mine = [line for line in together if line["client"] == client]
        assert by_name(mine, "rank", "server", "value") == by_name(alone, "rank", "server", "value")


def test_each_service_has_a_list_of_its_clients(castro: Cli) -> None:
    found = castro.json("top", "clients", "--per", "server", "--by", "tcp-uptime", "-n", "1")
    assert by_name(found, "server", "rank", "client", "value") == [
        ("10.1.2.1:3128", 1, "10.1.1.99", 3),
        ("10.1.2.2:3128", 1, "10.1.1.9", 60),
        ("10.1.2.2:443", 1, "10.1.1.100", 7),
        ("10.1.2.2:8080", 1, "10.1.1.9", 4),
        ("10.1.2.48:80", 1, "10.1.1.5", 4),
        ("10.1.2.57:80", 1, "10.1.1.10", 0),
    ]


def test_lists_by_host_name(named: Cli) -> None:
    found = named.json("top", "hosts", "--per", "client", "--by", "channel-uptime")
    assert by_name(found, "client", "rank", "host", "value", "services") == [
        ("10.0.0.1", 1, "a.example", 61, 2),
        ("10.0.0.1", 2, "b.example", 5, 1),
        ("10.0.0.2", 1, "a.example", 7, 1),
    ]
    found = named.json("bottom", "clients", "--per", "host", "--by", "connections")
    assert by_name(found, "host", "rank", "client", "value") == [
        ("a.example", 1, "10.0.0.2", 1),
        ("a.example", 2, "10.0.0.1", 2),
        ("b.example", 1, "10.0.0.1", 1),
    ]
    assert "10.0.0.1 -> a.example" in named("top", "hosts", "--per", "client").out


def test_averages_are_over_the_values_in_the_lists(castro: Cli) -> None:
    whole = castro.json("top", "servers", "--average")
    assert by_name(whole, "by", "lists", "entries", "average") == [
        ("connections", 1, 6, 3.5),
        ("outbound", 1, 6, 3255.833333333),
        ("inbound", 1, 6, 1392.333333333),
        ("channel-uptime", 1, 6, 33.833333333),
        ("tcp-uptime", 1, 6, 17.5),
    ]
    (least,) = castro.json("bottom", "servers", "--per", "client", "--by", "outbound", "-n", "1", "--average")
    assert (least["lists"], least["entries"]) == (7, 7)
    # The least of each client: 218, 327, 109, 8192, 16, 32, 32
    assert least["average"] == pytest.approx((218 + 327 + 109 + 8192 + 16 + 32 + 32) / 7)


def test_averages_as_a_table(castro: Cli) -> None:
    lines = castro("top", "servers", "--average").out.splitlines()
    assert lines[0].split() == ["by", "lists", "entries", "average"]
    assert [line.split()[-2:] for line in lines[2:]] == [["3.3", "kB"], ["1.4", "kB"], ["33.8", "s"], ["17.5", "s"]]


def test_nothing_stored_has_no_average(castro: Cli) -> None:
    assert castro.json("top", "servers", "--average", "--since", "2030-01-01") == []
    assert castro.json("top", "hosts", "--per", "client") == []


@pytest.mark.parametrize(("subject", "per"), [("servers", "server"), ("clients", "client"), ("hosts", "host")])
def test_a_list_per_itself_is_a_usage_error(castro: Cli, subject: str, per: str) -> None:
    result = castro("top", subject, "--per", per)
    assert result.code == 2
    assert f"{subject} are listed per " in result.err
