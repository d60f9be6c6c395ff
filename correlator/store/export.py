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
from correlator.store.flows import selected

AT_ONCE: Final = 32_768


def exported(*, details: bool) -> tuple[str, ...]:
    """Return the names of the columns, as ``flows`` gives them."""
    return tuple(name for name in FLOW_COLUMNS if details or name in PLAIN or name not in DETAILS)


def columns(
    store: Store, chosen: Selection, *, details: bool, at_once: int = AT_ONCE
) -> Iterator[Mapping[str, Sequence[Any]]]:
    """Yield the records of a selection, so many at once, as {name: values}; in the order in which they lie."""
    came = selected(store, chosen)
    query = f"SELECT t.record_id, n.sensor, {', '.join(RECORD_EXPRESSIONS)} {came.sql}"
    read = Details(store.conn)
    cursor = store.conn.execute(query, came.values)
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
