"""Records by columns for other programs: many at a time, straight from the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from common.records import END_REASONS, ORIENTATIONS
from common.textrecords import FLOW_COLUMNS, protocol_name
from correlator.rows import Selection
from correlator.store.columns import DETAILS, PLAIN, RECORD_EXPRESSIONS
from correlator.store.database import Store
from correlator.store.details import Details
from correlator.store.where import Segment, Table, ids_of, source

AT_ONCE: Final = 32_768
_JOIN: Final = """
JOIN clients AS c ON c.client_id = t.client_id
JOIN services AS s ON s.service_id = t.service_id AND (:protocol IS NULL OR s.protocol = :protocol)
JOIN sensors AS n ON n.sensor_id = t.sensor_id
"""


def exported(*, details: bool) -> tuple[str, ...]:
    """Return the names of the columns, as ``flows`` gives them."""
    return tuple(name for name in FLOW_COLUMNS if details or name in PLAIN or name not in DETAILS)


def columns(
    store: Store, chosen: Selection, *, details: bool, at_once: int = AT_ONCE
) -> Iterator[Mapping[str, Sequence[Any]]]:
    """Yield the records of a selection, so many at once, as {name: values}; in the order in which they lie."""
    whole = Segment(Table.RECORDS, chosen.since_ns, chosen.until_ns)
    came = source(ids_of(store.conn, chosen), chosen, whole, store.built.period_s)
    start, _, tests = came.sql.rpartition(" WHERE ")
    query = f"""SELECT t.record_id, n.sensor, {", ".join(RECORD_EXPRESSIONS)}
                {start} {_JOIN} WHERE {tests}"""
    read = Details(store.conn)
    cursor = store.conn.execute(query, {**came.values, "protocol": chosen.protocol})
    while rows := cursor.fetchmany(at_once):
        record_ids, sensors, *plain = zip(*rows, strict=True)
        found: dict[str, Sequence[Any]] = {"sensor": sensors, **dict(zip(PLAIN, plain, strict=True))}
        if details:
            *of_details, spelled = zip(*map(read.of, record_ids), strict=True)
            found |= zip(DETAILS[:-1], of_details, strict=True)
            found["host"] = [own or host for own, host in zip(spelled, found["host"], strict=True)]
            found["oriented_by"] = [ORIENTATIONS[code] for code in found["oriented_by"]]
        found["end_reason"] = [None if code is None else END_REASONS[code] for code in found["end_reason"]]
        known = {code: protocol_name(code) for code in set(found["protocol"])}
        found["protocol"] = [known[code] for code in found["protocol"]]
        yield {name: found[name] for name in exported(details=details)}
