"""Averages: what is divided by what, and where it shows."""

from __future__ import annotations

import csv
import io

import pytest
from corr_cli import Cli
from hypothesis import given
from hypothesis import strategies as st

from correlator.cli.averages import human_number
from correlator.views.averages import AVERAGED, average, average_fields, average_key
from correlator.views.ranking import MEASURES


def test_the_averaged_values_are_the_ranked_ones() -> None:
    assert sorted(AVERAGED) == sorted(MEASURES.values())


@given(st.integers(0, 10**15), st.integers(1, 10**6))
def test_an_average_is_whole_when_it_can_be(value: int, count: int) -> None:
    found = average(value, count)
    assert found == pytest.approx(value / count, abs=1e-9)
    assert isinstance(found, int) == (value % count == 0)


def test_names_say_what_was_divided_by() -> None:
    assert average_key("services") == "per_service"
    assert average_fields("clients")[0] == "connections_per_client"
    assert (human_number(3), human_number(1234.56)) == ("3", "1,234.6")


def test_clients_are_averaged_over_their_services(castro: Cli) -> None:
    (client,) = castro.json("clients", "10.1.1.9", "--averages")
    assert client["per_service"] == {
        "connections": 2.333333333,
        "bytes_out": 3571.666666667,
        "bytes_in": 1346,
        "channel_uptime_s": 53.666666667,
        "tcp_uptime_s": 21.333333333,
    }
    assert all("per_service" not in service for service in client["children"])
    assert "per_service" not in castro.json("clients", "10.1.1.9")[0]


def test_services_and_periods_and_minutes_are_averaged_over_their_clients(castro: Cli) -> None:
    (server,) = castro.json("servers", "10.1.2.2:3128", "--averages")
    assert (server["clients"], server["per_client"]["bytes_out"]) == (4, 4112)
    (period,) = castro.json("periods", "2003-11-25", "--averages")
    assert (period["clients"], period["per_client"]["connections"]) == (7, 2.428571429)
    assert all("per_client" in minute for minute in period["children"])


def test_csv_and_the_table_have_averages_as_columns(castro: Cli) -> None:
    (row,) = csv.DictReader(io.StringIO(castro("clients", "10.1.1.9", "--averages", "--csv").out))
    assert (row["services"], row["bytes_in_per_service"]) == ("3", "1346")
    title, line, *below = castro("clients", "10.1.1.9", "--averages").out.splitlines()
    assert title.split("  ")[0] == "client"
    assert "conns/service" in title
    assert "3.6 kB" in line
    assert len(below) == 3
    assert castro("clients", "--averages", "--since", "2030-01-01").out == ""


@pytest.mark.parametrize("turn", ["", "-"])
def test_views_are_sorted_by_averages(castro: Cli, turn: str) -> None:
    found = castro.json("clients", "--averages", "--sort", f"{turn}bytes_in_per_service", "--depth", "2")
    values = [client["per_service"]["bytes_in"] for client in found]
    assert values == sorted(values, reverse=not turn)
    below = [[service["bytes_in"] for service in client["children"]] for client in found]
    assert below == [sorted(values, reverse=not turn) for values in below]


def test_the_summary_averages_over_all_clients(castro: Cli) -> None:
    assert castro.json("summary")["per_client"] == {
        "services": 1.571428571,
        "connections": 3,
        "bytes_out": 2790.714285714,
        "bytes_in": 1193.428571429,
        "channel_uptime_s": 29,
        "tcp_uptime_s": 15,
    }
    assert "1.6 services, 3 connections, 2.8 kB out" in castro("summary").out
    assert "per_client" not in castro.json("summary", "--since", "2030-01-01")


def test_periods_of_one_client_stand_below_its_services(castro: Cli) -> None:
    (client,) = castro.json("clients", "10.1.1.9", "--by-period")
    (service,) = [service for service in client["children"] if service["server"] == "10.1.2.57:80"]
    (period,) = service["children"]
    assert (period["period"], period["connections"], period["channel_uptime_s"]) == ("2003-11-25T13:00:00Z", 2, 90)
    for wrong in (("clients",), ("clients", "10.1.1.9", "--depth", "2")):
        assert castro(*wrong, "--by-period").code == 2
