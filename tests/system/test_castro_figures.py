"""The values that Castro's paper monitors (2.3): D01 to D19, for each client, over the whole run.

Expected values are computed from the raw records by ``corr_truth``, which shares nothing with the correlator.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from corr_truth import FIVE, Case, Record, groups

# Every requirement of the paper that is about what is monitored, kept and shown.
REQUIREMENTS = [
    *(f"d{number:02d}" for number in range(1, 26)),
    *(f"e{number:02d}" for number in range(1, 8)),
    *(f"f{number:02d}" for number in range(1, 12)),
]
# D02 to D06 and D08 to D12 and D14 to D18, in the paper's order.
VALUES = list(FIVE.values())


def by_client(case: Case, *options: str) -> dict[str, dict[str, Any]]:
    return {node["client"]: node for node in case.cli.json("clients", *options)}


def ranked(case: Case, records: list[Record], value: str, *, bottom: bool) -> list[tuple[str, float]]:
    """Return (service, value) with the most first, or the least; equal ones by name."""
    values = {service: case.truth.five(found)[value] for service, found in groups(records, lambda r: r.server).items()}
    return sorted(values.items(), key=lambda item: (item[1] if bottom else -item[1], f"{item[0]}"))


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_requirement_has_its_test(requirement: str) -> None:
    texts = [path.read_text() for path in Path(__file__).parent.glob("test_castro_figures*.py")]
    assert any(re.search(rf"def test_(?:[def]\d\d_)*{requirement}_", text) for text in texts)


def test_the_list_of_requirements_is_the_papers(shared_dir: Path) -> None:
    table = (shared_dir / "requirements" / "castro.md").read_text()
    assert [found.lower() for found in re.findall(r"^\| ([DEF]\d\d) \|", table, re.MULTILINE)] == REQUIREMENTS


def test_d01_number_of_destination_servers_of_each_client(case: Case) -> None:
    found = {name: node["services"] for name, node in by_client(case).items()}
    assert found == {client: len(case.truth.services(client)) for client in case.truth.clients()}


@pytest.mark.parametrize("value", VALUES)
def test_d02_d03_d04_d05_d06_five_values_of_each_client_and_of_each_of_its_servers(case: Case, value: str) -> None:
    found = by_client(case, "--depth", "2")
    assert sorted(found) == case.truth.clients()
    for client, node in found.items():
        records = case.truth.chosen(client=client)
        assert node[value] == pytest.approx(case.truth.five(records)[value])
        per_server = {service["server"]: service[value] for service in node["children"]}
        assert per_server == pytest.approx(
            {
                server: case.truth.five(below)[value]
                for server, below in groups(records, lambda record: record.server).items()
            }
        )


def test_d05_d06_channel_uptime_is_not_tcp_uptime(case: Case) -> None:
    differing = [
        node for node in by_client(case).values() if node["channel_uptime_s"] != pytest.approx(node["tcp_uptime_s"])
    ]
    assert differing or case.name == "camera", "gaps between short connections are part of the channel"


def test_d07_average_number_of_destination_servers(case: Case) -> None:
    clients = case.truth.clients()
    expected = sum(len(case.truth.services(client)) for client in clients) / len(clients)
    assert case.cli.json("summary")["per_client"]["services"] == pytest.approx(expected)


@pytest.mark.parametrize("value", VALUES)
def test_d08_d09_d10_d11_d12_five_values_of_each_client_over_its_number_of_servers(case: Case, value: str) -> None:
    for client, node in by_client(case, "--averages").items():
        expected = case.truth.five(case.truth.chosen(client=client))[value] / len(case.truth.services(client))
        assert node["per_service"][value] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("by", FIVE)
@pytest.mark.parametrize("end", ["top", "bottom"])
def test_d13_d14_d15_d16_d17_d18_top20_and_bottom20_servers_of_each_client(case: Case, end: str, by: str) -> None:
    found = case.cli.json(end, "servers", "--per", "client", "--by", by)
    lists: dict[str, list[dict[str, Any]]] = {}
    for line in found:
        lists.setdefault(line["client"], []).append(line)
    assert sorted(lists) == case.truth.clients()
    for client, lines in lists.items():
        expected = ranked(case, case.truth.chosen(client=client), FIVE[by], bottom=end == "bottom")[:20]
        assert [line["rank"] for line in lines] == list(range(1, len(expected) + 1))
        assert [line["value"] for line in lines] == pytest.approx([value for _, value in expected])
        assert {line["server"] for line in lines} == {server for server, _ in expected}
        assert all(line["value"] == line[FIVE[by]] for line in lines)


@pytest.mark.parametrize("by", FIVE)
def test_d19_the_top_has_the_most_accessed_and_the_bottom_the_least(case: Case, by: str) -> None:
    """Over all clients too, and with any number in place of twenty."""
    for end, bottom in (("top", False), ("bottom", True)):
        expected = ranked(case, case.truth.all, FIVE[by], bottom=bottom)
        for count in (1, 3, 20):
            lines = case.cli.json(end, "servers", "--by", by, "-n", str(count))
            assert [line["value"] for line in lines] == pytest.approx([value for _, value in expected[:count]])
            assert all(dict(expected)[line["server"]] == pytest.approx(line["value"]) for line in lines)


@pytest.mark.parametrize("by", FIVE)
def test_d13_to_d19_for_each_service_too(case: Case, by: str) -> None:
    found = case.cli.json("top", "clients", "--per", "server", "--by", by, "-n", "1")
    services = groups(case.truth.all, lambda record: record.server)
    assert {line["server"] for line in found} == set(services)
    for line in found:
        most = max(case.truth.five(some)[FIVE[by]] for some in groups(services[line["server"]], _client).values())
        assert line["value"] == pytest.approx(most)


def _client(record: Record) -> str:
    return record.client
