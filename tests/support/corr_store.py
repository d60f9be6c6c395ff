"""Stores with records in them, without the command line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from common.records import FlowRecord
from correlator.config import Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.store.database import Built, Store, writing
from correlator.store.writer import Writer


@contextmanager
def stored(records: Sequence[FlowRecord], size: int = 3) -> Iterator[Store]:
    """Give a store that got the records in batches of a size."""
    with tempfile.TemporaryDirectory() as folder, writing(Path(folder) / "p.db", Built(3600, 300)) as store:
        store.conn.execute("PRAGMA synchronous = OFF")
        pipeline = Pipeline(Writer(store), Thresholds())
        rest = iter(records)
        while batch := list(islice(rest, size)):
            pipeline.store_records([("tap", record) for record in batch], 0)
        yield store
