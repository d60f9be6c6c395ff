"""The paper's values over time (2.3, Annexe 1): D20 to D25 and E01 to E07.

Expected values are computed from the raw records by ``corr_truth``, which shares nothing with the correlator.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import Any

import fake_log
import pytest
from corr_cli import Cli
from corr_flows import batch, flow_log, parts
from corr_truth import DAY, FIVE, HOUR, MINUTE, NS, Case, Truth, groups, of_sensor, range_options

from common.textrecords import flow_row

VALUES = list(FIVE.values())


def ns(iso: str) -> int:
    whole, _, fraction = iso.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * NS + int(fraction.ljust(9, "0") or 0)


def five_of(node: dict[str, Any]) -> dict[str, float]:
    return {value: node[value] for value in VALUES}


def test_d20_global_and_average_values_of_any_time_range(case: Case) -> None:
    for since, until in case.truth.ranges():
        found = case.cli.json("clients", "--depth", "2", "--averages", *range_options(since, until))
        expected = groups(case.truth.chosen(since, until), lambda record: record.client)
        assert {node["client"] for node in found} == set(expected)
        for node in found:
            records = expected[node["client"]]
            services = groups(records, lambda record: record.server)
            assert node["services"] == len(services)
            values = case.truth.five(records, since, until)
            assert five_of(node) == pytest.approx(values)
            means = {name: value / len(services) for name, value in values.items()}
            assert node["per_service"] == pytest.approx(means, abs=1e-8)
            for service in node["children"]:
                assert five_of(service) == pytest.approx(case.truth.five(services[service["server"]], since, until))


@pytest.mark.parametrize("by", FIVE)
def test_d20_top_and_bottom_lists_of_any_time_range(case: Case, by: str) -> None:
    for since, until in case.truth.ranges():
        for end in ("top", "bottom"):
            found = case.cli.json(end, "servers", "--per", "client", "--by", by, *range_options(since, until))
            by_client = groups(case.truth.chosen(since, until), lambda record: record.client)
            for client, records in by_client.items():
                values = sorted(
                    (
                        case.truth.five(some, since, until)[FIVE[by]]
                        for some in groups(records, lambda record: record.server).values()
                    ),
                    reverse=end == "top",
                )
                mine = [line["value"] for line in found if line["client"] == client]
                assert mine == pytest.approx(values[:20])


@pytest.mark.parametrize(("per", "length"), [("period", HOUR), ("day", DAY)])
@pytest.mark.parametrize("by", FIVE)
def test_d21_evolution_of_one_value_over_the_whole_run(case: Case, by: str, per: str, length: int) -> None:
    hours = case.truth.hours()
    # One of the captures was put together from some of many years.
    until = hours[0] + 2 * DAY if hours[-1] - hours[0] > 400 * DAY else None
    client, server = case.truth.all[0].channel
    choices: list[dict[str, Any]] = [{}, {"client": client}, {"client": client, "server": server}]
    for names in choices:
        options = [text for name, value in names.items() for text in (f"--{name}", value)]
        options += range_options(None, until)
        found = case.cli.json("evolution", "--by", by, "--per", per, *options)
        records = case.truth.chosen(None, until, **names)
        values = {ns(point["period"]): point["value"] for point in found}
        assert sorted(values) == list(range(min(values), max(values) + length, length))
        assert {record.start // length * length for record in records} <= set(values)
        for begin, value in values.items():
            # A channel may stand up in an hour in which no record of it began.
            began = [record for record in records if begin <= record.start < begin + length]
            inside = records if by == "channel-uptime" else began
            assert value == pytest.approx(case.truth.five(inside, begin, begin + length)[FIVE[by]])


@pytest.mark.parametrize("value", VALUES)
def test_d22_d23_averages_over_all_clients_of_the_run_and_of_any_time_range(case: Case, value: str) -> None:
    for since, until in case.truth.ranges():
        summary = case.cli.json("summary", *range_options(since, until))
        by_client = groups(case.truth.chosen(since, until), lambda record: record.client)
        expected = mean(case.truth.five(records, since, until)[value] for records in by_client.values())
        assert summary["clients"] == len(by_client)
        assert summary["per_client"][value] == pytest.approx(expected, abs=1e-8)
        assert summary["per_client"]["services"] == pytest.approx(
            mean(len({record.server for record in records}) for records in by_client.values()), abs=1e-8
        )


@pytest.mark.parametrize("value", VALUES)
def test_d23_averages_over_all_clients_hour_by_hour(case: Case, value: str) -> None:
    found = case.cli.json("periods", "--averages")
    assert sorted(ns(period["period"]) for period in found) == case.truth.hours()
    for period in found:
        # A channel that goes on while no record of it begins belongs to the hour as well.
        hour = ns(period["period"])
        clients = {record.client for record in case.truth.chosen(hour, hour + HOUR)}
        inside = case.truth.all if value == "channel_uptime_s" else case.truth.chosen(hour, hour + HOUR)
        expected = case.truth.five(inside, hour, hour + HOUR)[value] / len(clients)
        assert period["clients"] == len(clients)
        assert period["per_client"][value] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("end", ["top", "bottom"])
def test_d24_averages_over_all_values_of_the_lists(case: Case, end: str) -> None:
    per_service = {
        by: {
            client: sorted(
                (case.truth.five(some)[value] for some in groups(records, lambda record: record.server).values()),
                reverse=end == "top",
            )
            for client, records in groups(case.truth.all, lambda record: record.client).items()
        }
        for by, value in FIVE.items()
    }
    for count in (1, 20):
        found = case.cli.json(end, "servers", "--per", "client", "--average", "-n", str(count))
        assert [line["by"] for line in found] == list(FIVE)
        for line in found:
            entries = [value for values in per_service[line["by"]].values() for value in values[:count]]
            assert (line["lists"], line["entries"]) == (len(case.truth.clients()), len(entries))
            assert line["average"] == pytest.approx(mean(entries), abs=1e-8)


def test_d25_the_same_values_over_a_learning_period_are_a_reference_profile(case: Case) -> None:
    """The first half of the run is learnt: the same commands with --since and --until give its profile."""
    starts = sorted(record.start for record in case.truth.all)
    since, until = starts[0] // HOUR * HOUR, starts[len(starts) // 2] // HOUR * HOUR + HOUR
    learnt = case.truth.chosen(since, until)
    options = range_options(since, until)
    (profile,) = case.cli.json("clients", learnt[0].client, "--averages", "--depth", "1", *options)
    mine = [record for record in learnt if record.client == learnt[0].client]
    assert five_of(profile) == pytest.approx(case.truth.five(mine, since, until))
    for slot in case.cli.json("slots", "--averages", *options):
        inside = [record for record in learnt if record.hour % DAY == slot_ns(slot["slot"])]
        hours = {record.hour for record in inside}
        assert slot["periods"] == len(hours)
        expected = case.truth.five(inside)["bytes_out"] / len(hours)
        assert slot["per_period"]["bytes_out"] == pytest.approx(expected, abs=1e-8)


def slot_ns(name: str) -> int:
    hours, minutes = name.split(":")
    return int(hours) * HOUR + int(minutes) * MINUTE


def test_e01_e03_periods_of_each_service_of_a_client(case: Case) -> None:
    for client in case.truth.clients():
        (node,) = case.cli.json("clients", client, "--by-period")
        found = {
            (service["server"], period["period"]) for service in node["children"] for period in service["children"]
        }
        channels = groups(case.truth.chosen(client=client), lambda record: record.server)
        assert len(found) == sum(len({record.hour for record in records}) for records in channels.values())
        for service in node["children"]:
            for period in service["children"]:
                hour = ns(period["period"])
                records = case.truth.chosen(hour, hour + HOUR, client=client, server=service["server"])
                assert five_of(period) == pytest.approx(case.truth.five(records, hour, hour + HOUR))
                assert ns(period["first"]) == min(record.start for record in records)


def test_e02_periods_modulo_the_day(case: Case) -> None:
    found = case.cli.json("slots", "--depth", "3")
    expected = groups(case.truth.all, lambda record: record.hour % DAY)
    assert [slot_ns(slot["slot"]) for slot in found] == sorted(expected)
    for slot in found:
        records = expected[slot_ns(slot["slot"])]
        assert slot["bytes_out"] == sum(record.bytes_out for record in records)
        for days in slot["children"]:
            weekend = [record.hour for record in records if (record.hour // DAY + 3) % 7 >= 5]
            weekdays = [record.hour for record in records if (record.hour // DAY + 3) % 7 < 5]
            hours = {ns(period["period"]) for period in days["children"]}
            assert hours == set(weekend if days["days"] == "weekend" else weekdays)


def test_e04_clients_by_address_and_servers_by_address_and_port(case: Case) -> None:
    summary = case.cli.json("summary")
    assert summary["clients"] == len(case.truth.clients())
    assert summary["services"] == len({record.server for record in case.truth.all})
    servers = {node["server"]: node["clients"] for node in case.cli.json("servers")}
    assert servers == {
        server: len({record.client for record in records})
        for server, records in groups(case.truth.all, lambda record: record.server).items()
    }


def test_e05_counters_of_an_open_flow_show_at_once_and_never_count_twice(cli: Cli, tmp_path: Path) -> None:
    records = parts(1, [60, 60, 60, 5])
    log = tmp_path / "part.flowlog"
    for count, sequence in ((1, 1), (2, 2), (2, 2), (3, 3), (4, 4), (1, 1), (4, 4)):
        log.write_bytes(flow_log([batch([records[count - 1]], sequence)]))
        cli.imported(log)
        seen = cli.json("flows", "--parts")
        truth = Truth(of_sensor("".join(json.dumps(row) + "\n" for row in seen)))
        (client,) = cli.json("clients")
        assert five_of(client) == pytest.approx(truth.five(truth.all))
    assert len(seen) == 4
    assert (client["connections"], client["bytes_out"], client["tcp_uptime_s"]) == (1, 2000, 185)
    assert cli.json("summary")["open_flows"] == 0


def test_e05_every_view_is_up_to_date_after_every_record(case: Case, tmp_path: Path) -> None:
    live = Cli(tmp_path / "live.db")
    exported = sorted(case.cli.json("flows", "--parts"), key=lambda row: row["end_ns"])
    step = max(1, len(exported) // 4)
    for begin in range(0, len(exported), step):
        log = tmp_path / "some.ndjson"
        log.write_text("".join(json.dumps(row) + "\n" for row in exported[begin : begin + step]))
        live.imported(log)
        truth = Truth(of_sensor("".join(json.dumps(row) + "\n" for row in exported[: begin + step])))
        for node in live.json("clients"):
            assert five_of(node) == pytest.approx(truth.five(truth.chosen(client=node["client"])))
        ended = {record.flow for record in truth.all if record.ended}
        assert live.json("summary")["open_flows"] == len({record.flow for record in truth.all} - ended)
    assert live.json("servers") == case.cli.json("servers")


def test_e06_elements_are_added_updated_and_found_sorted_or_not(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "fake.ndjson"
    log.write_text("".join(json.dumps(row) + "\n" for row in fake_log.rows(flows=2000, clients=200, seed=6)))
    cli.imported(log)
    sorted_names = [node["client"] for node in cli.json("clients", "--sort", "bytes_out")]
    assert len(sorted_names) == 200
    assert {node["client"] for node in cli.json("clients", "--sort", "none")} == set(sorted_names)
    (before,) = cli.json("clients", sorted_names[0])
    more = parts(1, [10], client_ip=sorted_names[0]) + parts(2, [10], client_ip="192.0.2.77")
    log.write_text("".join(json.dumps(flow_row(record, "new")) + "\n" for record in more))
    cli.imported(log)
    (updated,) = cli.json("clients", sorted_names[0])
    assert (updated["connections"], updated["bytes_out"]) == (before["connections"] + 1, before["bytes_out"] + 500)
    assert len(cli.json("clients", "192.0.2.77")) == 1
    assert len(cli.json("clients")) == 201


def test_e07_bytes_and_rows_of_every_level_and_list(case: Case) -> None:
    """As SQLite says them, and with the numbers of elements that the records have."""
    found = case.cli.json("db", "stats", "--pages")
    tables = {table["table"]: table for table in found["tables"]}
    with closing(sqlite3.connect(case.cli.db)) as conn:
        own = dict(conn.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
    assert {name: table["bytes"] for name, table in tables.items()} == {name: own[name] for name in tables}
    together = sum(table["bytes"] + table["index_bytes"] for table in tables.values())
    assert sum(found["levels"].values()) == together <= sum(own.values())
    rows = case.cli.json("flows", "--parts", "--protocol", "all")
    channels = {(row["client_ip"], row["server_ip"], row["server_port"], row["protocol"]) for row in rows}
    assert {name: tables[name]["rows"] for name in ("flow_records", "clients", "services", "channel_totals")} == {
        "flow_records": len(rows),
        "clients": len({client for client, *_ in channels}),
        "services": len({channel[1:] for channel in channels}),
        "channel_totals": len(channels),
    }
