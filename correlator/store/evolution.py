"""One figure along the run: its value in every bucket of time, for the evolution."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from correlator.rows import Selection
from correlator.store.database import Store
from correlator.store.queries import plan, rows_of, spans
from correlator.store.where import Ids, Segment, Table, ids_of, its_protocol, source
from correlator.views.uptime import Interval, bridge, clip, spread

_ROLLED: Final[Mapping[str, str]] = {
    "connections": "sum(t.connections)",
    "outbound": "sum(t.{bytes}_out)",
    "inbound": "sum(t.{bytes}_in)",
    "tcp-uptime": "sum(t.tcp_uptime_ns)",
    "channel-uptime": "sum(t.channel_uptime_ns)",
}
_RECORDS: Final[Mapping[str, str]] = {
    **_ROLLED,
    "connections": "sum(t.part = 0)",
    "tcp-uptime": "sum(t.end_ns - t.start_ns)",
}


class Run(NamedTuple):
    """When the first and the last record of a store began."""

    first_ns: int
    last_ns: int


def run(store: Store) -> Run | None:
    """Return the time that the store knows of, None when it is empty."""
    first, last = store.conn.execute("SELECT min(first_ns), max(last_start_ns) FROM client_totals").fetchone()
    latest = store.conn.execute("SELECT max(start_ns) FROM flow_records").fetchone()[0]
    return None if first is None else Run(first, max(last, latest or last))


def evolution(store: Store, chosen: Selection, measure: str, bucket_ns: int) -> dict[int, int]:
    """Return {start of a bucket: a measure's value in it} of all that the selection takes; uptimes are nanoseconds.

    Buckets without a record are left out. The values of buckets add up to the measure of the whole selection.
    """
    ids = ids_of(store.conn, chosen)
    whole = Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)
    rolled = chosen.host is None and bucket_ns % store.built.period_ns == 0
    found: dict[int, int] = {}
    for part in plan(store, chosen) if rolled else [whole]:
        if part.table is not Table.RECORDS:
            values = _rolled_values(store, chosen, ids, part, measure, bucket_ns)
        elif measure == "channel-uptime":
            values = _uptimes(_times(store, chosen, ids, part), bucket_ns)
        else:
            values = _record_values(store, chosen, ids, part, measure, bucket_ns)
        for start, value in values:
            found[start] = found.get(start, 0) + value
    return found


def _rolled_values(
    store: Store, chosen: Selection, ids: Ids, part: Segment, measure: str, bucket_ns: int
) -> Iterator[tuple[int, int]]:
    """Yield the values of whole periods, from the roll-up with the least rows."""
    table = Table.PERIODS
    if ids.services is None:
        table = Table.ALL_PERIODS if ids.clients is None else Table.CLIENT_PERIODS
    elif ids.clients is None:
        table = Table.SERVICE_PERIODS
    came = source(ids, chosen, part._replace(table=table), store.built.period_s)
    value = _ROLLED[measure].format(bytes="wire_bytes" if chosen.wire else "payload_bytes")
    query = f"""SELECT t.period_start_s * 1000000000 / :bucket AS bucket, {value}
                {came.sql} AND {its_protocol(table)} GROUP BY bucket"""
    for number, value in rows_of(store.conn, query, {**came.values, "protocol": chosen.protocol, "bucket": bucket_ns}):
        yield number * bucket_ns, value


def _record_values(
    store: Store, chosen: Selection, ids: Ids, part: Segment, measure: str, bucket_ns: int
) -> Iterator[tuple[int, int]]:
    came = source(ids, chosen, part, store.built.period_s)
    value = _RECORDS[measure].format(bytes="wire_bytes" if chosen.wire else "payload_bytes")
    query = f"""SELECT t.start_ns / :bucket AS bucket, {value}
                {came.sql} AND {its_protocol(part.table)} GROUP BY bucket"""
    for number, value in rows_of(store.conn, query, {**came.values, "protocol": chosen.protocol, "bucket": bucket_ns}):
        yield number * bucket_ns, value


def _times(store: Store, chosen: Selection, ids: Ids, part: Segment) -> Iterable[Interval]:
    if chosen.host is None:
        return (span for _, span in spans(store, chosen, ids, part))
    # A channel by name is a client and a host, whatever the proxy between them.
    came = source(ids, chosen, Segment(Table.RECORDS, None, None), store.built.period_s)
    query = f"""SELECT t.client_id, t.host_id, t.start_ns, t.end_ns {came.sql} AND {its_protocol(Table.RECORDS)}"""
    by_channel: dict[tuple[int, int], list[Interval]] = {}
    for client_id, host_id, start, end in store.conn.execute(query, {**came.values, "protocol": chosen.protocol}):
        by_channel.setdefault((client_id, host_id), []).append((start, end))
    stood_up = (time for times in by_channel.values() for time in bridge(times, store.built.channel_gap_ns))
    clipped = (clip(time, chosen.since_ns, chosen.until_ns) for time in stood_up)
    return [time for time in clipped if time is not None]


def _uptimes(times: Iterable[Interval], bucket_ns: int) -> Iterator[tuple[int, int]]:
    for time in times:
        yield from spread(time, bucket_ns)
