"""Flows with host names, and what there is to be said of them by name, the long way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from corr_strategies import traffic
from hypothesis import strategies as st

from common.addresses import address_text
from common.records import FlowRecord
from correlator.rows import Selection
from correlator.views.figures import Figures

GAP_NS = 300 * 10**9
Span = tuple[int, int]


@st.composite
def named_traffic(draw: st.DrawFn) -> list[FlowRecord]:
    """Draw the records of several flows in any order, some twice; not every part of a flow knows its host."""
    records = draw(traffic())
    spelled = (str, str.upper, lambda _: None)
    some = [record._replace(host=record.host and draw(st.sampled_from(spelled))(record.host)) for record in records]
    return some + draw(st.lists(st.sampled_from(some), max_size=3))


class Known(NamedTuple):
    """A record with the host of its flow."""

    client: str
    host: str
    service: tuple[str, int, int]
    record: FlowRecord


def known(records: Iterable[FlowRecord]) -> list[Known]:
    """Return each record of flows of which some part has a host."""
    once = {(record.flow_id, record.part): record for record in records}.values()
    hosts = {record.flow_id: record.host.lower() for record in once if record.host is not None}
    return [
        Known(
            address_text(record.client_ip),
            hosts[record.flow_id],
            (address_text(record.server_ip), record.server_port, record.protocol),
            record,
        )
        for record in once
        if record.flow_id in hosts
    ]


def sessions(some: Iterable[Known]) -> list[Span]:
    """Join any two times of one channel that are near enough until none are."""
    joined = [(one.record.start_ns, one.record.end_ns) for one in some]
    near = True
    while near:
        near = False
        for one in joined:
            other = next((b for b in joined if b is not one and max(one[0], b[0]) - min(one[1], b[1]) <= GAP_NS), None)
            if other is not None:
                joined = [span for span in joined if span is not one and span is not other]
                joined.append((min(one[0], other[0]), max(one[1], other[1])))
                near = True
                break
    return sorted(joined)


def chosen_of(all_known: Iterable[Known], chosen: Selection) -> list[Known]:
    """Return those of a selection."""
    since = -1 if chosen.since_ns is None else chosen.since_ns
    until = 1 << 63 if chosen.until_ns is None else chosen.until_ns
    found = [one for one in _ever(all_known, chosen) if since <= one.record.start_ns < until]
    return [one for one in found if chosen.server in (None, one.service[0])]


def figures(all_known: Sequence[Known], some: Sequence[Known], chosen: Selection) -> Figures:
    """Return the figures of those of a selection; the uptime is that of all of their hosts' channels."""
    records = [one.record for one in some]
    volume = "wire_bytes" if chosen.wire else "payload_bytes"
    return Figures(
        sum(record.part == 0 for record in records),
        sum(record.packets_out for record in records),
        sum(record.packets_in for record in records),
        sum(getattr(record, f"{volume}_out") for record in records),
        sum(getattr(record, f"{volume}_in") for record in records),
        sum(record.end_ns - record.start_ns for record in records),
        uptime(all_known, chosen),
        min(record.start_ns for record in records),
        max(record.end_ns for record in records),
        max(record.flow_start_ns for record in records),
    )


def uptime(all_known: Iterable[Known], chosen: Selection) -> int:
    """Return how long the channels of a selection stood up in its time."""
    mine = _ever(all_known, chosen) if chosen.server is None else chosen_of(all_known, chosen)
    since = 0 if chosen.since_ns is None else chosen.since_ns
    until = 1 << 63 if chosen.until_ns is None else chosen.until_ns
    total = 0
    for channel in {(one.client, one.host, one.record.protocol) for one in mine}:
        spans = sessions(one for one in mine if (one.client, one.host, one.record.protocol) == channel)
        total += sum(max(0, min(end, until) - max(start, since)) for start, end in spans)
    return total


def _ever(all_known: Iterable[Known], chosen: Selection) -> list[Known]:
    networks = {None: "", "10.0.0.0/30": "", "10.0.0.2/31": "10.0.0.2 10.0.0.3"}
    clients = networks.get(chosen.client, chosen.client) or ""
    return [
        one
        for one in all_known
        if chosen.protocol in (None, one.record.protocol)
        and (not clients or one.client in clients.split())
        and (
            chosen.host is None
            or one.host == chosen.host
            or (chosen.host[0] == "*" and one.host.endswith(chosen.host[1:]))
        )
    ]
