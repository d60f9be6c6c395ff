"""Stores made of records, and what is in them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from common.records import FlowRecord
from correlator.config import SensorLimits, Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.store.database import Built, Store, writing
from correlator.store.rollup import HOST_TABLES, TABLES
from correlator.store.writer import Writer

HOURS = Built(3600, 300)


@contextmanager
def stored(records: Sequence[FlowRecord], size: int = 3, built: Built = HOURS) -> Iterator[Store]:
    """Give a store that got the records in batches of a size."""
    with tempfile.TemporaryDirectory() as folder, writing(Path(folder) / "p.db", built) as store:
        store.conn.execute("PRAGMA synchronous = OFF")
        add(store, records, size)
        yield store


def add(store: Store, records: Sequence[FlowRecord], size: int = 3, *, link: bool = False) -> None:
    """Store records in batches of a size; ``link``: as if no frame had been stored before."""
    pipeline = Pipeline(Writer(store), Thresholds(), SensorLimits() if link else None)
    rest = iter(records)
    while batch := list(islice(rest, size)):
        pipeline.store_records([("tap", record) for record in batch], 0)


def rollups_of(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every roll-up, by what the numbers in them stand for."""
    names = {
        "client_id": "(SELECT client FROM clients AS c WHERE c.client_id = t.client_id)",
        "host_id": "(SELECT host || protocol FROM hosts AS h WHERE h.host_id = t.host_id)",
        "service_id": "(SELECT server || server_port || protocol FROM services AS s WHERE s.service_id = t.service_id)",
    }
    found = {"reached": _reached(store)}
    for table in (*TABLES, *(name for name in HOST_TABLES if name != "host_period_services")):
        columns = [name for _, name, *_ in store.conn.execute(f"PRAGMA table_info({table})")]
        if table == "host_channel_periods":  # which of the services it names is the first that came
            columns.remove("service_id")
        expressions = ", ".join(names.get(name, f"t.{name}") for name in columns)
        found[table] = sorted(store.conn.execute(f"SELECT {expressions} FROM {table} AS t"), key=str)
    return found


def _reached(store: Store) -> list[tuple[Any, ...]]:
    """Return on which services hosts were reached in each period."""
    query = """SELECT t.period_start_s, c.client, h.host, h.protocol, s.server, s.server_port FROM (
                   SELECT period_start_s, client_id, host_id, service_id FROM host_channel_periods
                   WHERE service_id IS NOT NULL
                   UNION SELECT period_start_s, client_id, host_id, service_id FROM host_period_services) AS t
               JOIN clients AS c USING (client_id) JOIN hosts AS h USING (host_id) JOIN services AS s USING (service_id)
               ORDER BY 1, 2, 3, 4, 5, 6"""
    return store.conn.execute(query).fetchall()
