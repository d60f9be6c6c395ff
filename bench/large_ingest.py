"""Flow logs into a new store: the rate of each million of records, and the bytes a flow then takes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from measure import say, verdict

from correlator.config import Settings
from correlator.ingest.importer import Importer
from correlator.ingest.inputs import opened
from correlator.ingest.pipeline import Pipeline
from correlator.store.database import Built, writing
from correlator.store.writer import Writer

LEAST_SHARE = 0.7
MOST_BYTES = 350
STEPS = 10


class Ingested(NamedTuple):
    """What an import came to."""

    records: int
    rates: list[float]
    """Records a second, of each step in turn."""
    seconds: float
    """Of all, opening and closing the store included."""


def ingest(store: Path, logs: Sequence[Path], flows: int) -> Ingested:
    """Import the logs as ``tunnelwatch import`` does, in this process; note when each step was stored."""
    step = flows // STEPS
    for old in (store, *_beside(store)):
        old.unlink(missing_ok=True)
    settings = Settings()
    began = time.perf_counter()
    marks = [(0, began)]
    built = Built(settings.store.period_s, settings.store.channel_gap_s)
    with writing(store, built) as opened_store:
        importer = Importer(Pipeline(Writer(opened_store), settings.thresholds), "import", time.time_ns(), say)

        def advance(_position: int | None) -> None:
            if importer.tally.stored >= len(marks) * step:
                marks.append((importer.tally.stored, time.perf_counter()))

        for log in logs:
            with opened(str(log)) as source:
                importer.run(source, advance)
    tally = importer.tally
    if tally.bad or tally.torn or tally.duplicates:
        raise SystemExit(f"the import is not clean: {tally}")
    rates = [(stored - before) / (now - then) for (before, then), (stored, now) in pairwise(marks)]
    return Ingested(tally.stored, rates, time.perf_counter() - began)


def ingest_table(done: Ingested, flows: int) -> list[str]:
    """Return the table of the rates."""
    share = done.rates[-1] / done.rates[0]
    rates = " | ".join(f"{rate:,.0f}" for rate in done.rates)
    what = (
        f"Import of {flows:,} flows ({done.records:,} records) with all roll-ups, {done.seconds:,.0f} s in all; "
        f"records/s of each {flows // STEPS:,}:"
    )
    return [
        what, "",
        f"| {' | '.join(str(number) for number in range(1, len(done.rates) + 1))} | last of first | budget | |",
        f"|{'--:|' * len(done.rates)}--:|--:|---|",
        f"| {rates} | {share:.0%} | {LEAST_SHARE:.0%} | {verdict(share >= LEAST_SHARE)} |",
    ]  # fmt: skip


def size_table(store: Path, flows: int) -> list[str]:
    """Return the table of what takes the room, the largest first."""
    total = sum(path.stat().st_size for path in (store, *_beside(store)) if path.exists())
    all_of_it = f"{total / 1e6:,.0f} | {total / flows:.0f} | {MOST_BYTES} | {verdict(total / flows <= MOST_BYTES)}"
    lines = [
        "The store on disk:", "", "| table or index | MB | bytes a flow | budget | |",
        "|---|--:|--:|--:|---|",
        f"| all of the file | {all_of_it} |",
    ]  # fmt: skip
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as conn:
        try:
            sizes = conn.execute(
                "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE ORDER BY pgsize DESC"
            ).fetchall()
        except sqlite3.OperationalError:
            return [*lines, "", "By table: this SQLite has no dbstat."]
    lines += [
        f"| {name} | {size / 1e6:,.1f} | {size / flows:.1f} | | |" for name, size in sizes if size >= total / 1000
    ]
    return lines


def _beside(store: Path) -> list[Path]:
    return [Path(f"{store}-{ending}") for ending in ("wal", "shm")]
