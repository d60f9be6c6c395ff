"""``flows``: every flow, in the form that ``import`` reads again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import click

from common.addresses import endpoint_text
from common.textrecords import FLOW_COLUMNS, flow_row
from common.timespan import iso_time, seconds
from correlator.cli.options import (
    Place,
    format_options,
    open_store,
    selection_options,
    sort_field,
    sort_options,
    with_place,
)
from correlator.cli.output import print_records
from correlator.render.table import Column, human_bytes, human_count, human_duration, human_time
from correlator.rows import Selection
from correlator.store.database import Store
from correlator.store.flows import FLOW_SORTS, Order, flow_parts, records
from correlator.views.merge import merge_parts

_NAMES: Final = ("client_ip", "server_ip", "host", "sensor")
COLUMNS: Final = (
    Column("start", "start (UTC)", human_time),
    Column("client", "client"),
    Column("server", "server"),
    Column("protocol", "proto", spare=True),
    Column("packets_out", "pkts out", human_count, right=True, spare=True),
    Column("packets_in", "pkts in", human_count, right=True, spare=True),
    Column("payload_bytes_out", "out", human_bytes, right=True),
    Column("payload_bytes_in", "in", human_bytes, right=True),
    Column("duration", "lasted", human_duration, right=True),
    Column("conn_state", "state", spare=True),
    Column("end_reason", "end"),
    Column("host", "host"),
)


@click.command(short_help="Every flow, newest first")
@with_place
@selection_options
@click.option("--parts", is_flag=True, help="Every record as the sensor sent it: several for a long flow")
@sort_options("start_ns")
@format_options
def flows(place: Place, chosen: Selection, *, parts: bool, form: str, **order: Any) -> None:
    r"""Show every flow, newest first; ndjson and csv can be imported again.

    A long flow's records are shown as one; --parts shows each, which keeps periods exact in an export.

    \b
    Example:
      tunnelwatch flows --client 10.1.1.9 -n 20
      tunnelwatch flows --protocol all --parts --ndjson > export.ndjson
    """
    field, turned = sort_field(order["sort"], tuple(FLOW_SORTS))
    by = Order(field, order["ascending"] or ((field in _NAMES) != turned), order["limit"])
    with open_store(place) as store:
        rows = _rows(store, chosen, by, parts=parts)
        if form == "table":
            rows = map(for_people, rows)
        print_records(rows, form, COLUMNS, FLOW_COLUMNS)
        sys.stdout.flush()


def _rows(store: Store, chosen: Selection, order: Order, *, parts: bool) -> Iterator[dict[str, Any]]:
    if parts:
        return (flow_row(record, sensor) for sensor, record in records(store, chosen, order))
    return (flow_row(merge_parts(found), sensor) for sensor, found in flow_parts(store, chosen, order))


def for_people(row: dict[str, Any]) -> dict[str, Any]:
    """Return a flow's row with what the table shows of it."""
    return {
        **row,
        "start": iso_time(row["start_ns"]),
        "client": endpoint_text(row["client_ip"], row["client_port"]),
        "server": endpoint_text(row["server_ip"], row["server_port"]),
        "duration": seconds(row["end_ns"] - row["start_ns"]),
        "end_reason": row["end_reason"] or "(open)",
    }
