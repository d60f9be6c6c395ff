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
    found = {}
    for table in (*TABLES, *HOST_TABLES):
        columns = [name for _, name, *_ in store.conn.execute(f"PRAGMA table_info({table})")]
        expressions = ", ".join(names.get(name, f"t.{name}") for name in columns)
        found[table] = sorted(store.conn.execute(f"SELECT {expressions} FROM {table} AS t"), key=str)
    return found
