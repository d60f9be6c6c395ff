"""``summary``: what the whole store amounts to."""

from __future__ import annotations

import sys
from typing import Any

import click

from correlator.cli.averages import human_number
from correlator.cli.options import Place, display, format_options, open_store, selection_options, with_place
from correlator.render import machine
from correlator.render.machine import plain
from correlator.render.table import human_bytes, human_count, human_duration, human_time, print_fields
from correlator.rows import Selection
from correlator.store import groups, queries
from correlator.store.alarms import count_by_severity
from correlator.store.flows import open_flows
from correlator.store.sensors import sensors as all_sensors
from correlator.views.summary import overall_of
from correlator.views.summary import summary as summarised


@click.command(short_help="What everything amounts to")
@with_place
@selection_options
@format_options
def summary(place: Place, chosen: Selection, form: str) -> None:
    r"""Show what everything amounts to; first and last are the first and last start of a connection.

    \b
    Example:
      tunnelwatch summary
      tunnelwatch summary --since 2026-11-21 --json
    """
    if display().names:
        raise click.UsageError("--names, but a summary has no addresses: leave it out")
    with open_store(place) as store:
        record = summarised(
            groups.overall(store, chosen) or overall_of(queries.channels(store, chosen)),
            periods=len(queries.periods(store, chosen)),
            open_flows=open_flows(store, chosen),
            alarms=count_by_severity(store.conn, chosen),
            sensors=[row.sensor for row in all_sensors(store.conn)],
        )
    if form == "json":
        machine.write_json_object(record, sys.stdout)
    elif form == "ndjson":
        machine.write_ndjson([record], sys.stdout)
    elif form == "csv":
        machine.write_csv([record], sys.stdout)
    else:
        print_fields(plain(record) if display().raw else _for_people(record))


def _for_people(record: dict[str, Any]) -> dict[str, str]:
    lines = {"connections": f"{human_count(record['connections'])} ({human_count(record['open_flows'])} still open)"}
    lines |= {name: human_count(record[name]) for name in ("clients", "services", "channels", "periods")}
    if record["connections"] or "first" in record:
        lines |= {
            "packets": f"{human_count(record['packets_out'])} out, {human_count(record['packets_in'])} in",
            "bytes": f"{human_bytes(record['bytes_out'])} out, {human_bytes(record['bytes_in'])} in",
            "TCP uptime": human_duration(record["tcp_uptime_s"]),
            "channel uptime": human_duration(record["channel_uptime_s"]),
            "per client": _per_client(record["per_client"]),
            "first connection": human_time(record["first"]) + " UTC",
            "last connection": human_time(record["last"]) + " UTC",
            "last end": human_time(record["last_end"]) + " UTC",
        }
    lines["alarms"] = ", ".join(f"{count} {name}" for name, count in record["alarms"].items() if count) or "none"
    lines["sensors"] = ", ".join(record["sensors"]) or "none"
    return lines


def _per_client(means: dict[str, float]) -> str:
    return (
        f"{human_number(means['services'])} services, {human_number(means['connections'])} connections, "
        f"{human_bytes(means['bytes_out'])} out, {human_bytes(means['bytes_in'])} in, "
        f"channel up {human_duration(means['channel_uptime_s'])}, TCP up {human_duration(means['tcp_uptime_s'])}"
    )
