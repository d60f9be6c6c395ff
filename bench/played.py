"""Simulated flow logs through the correlator as ``serve`` has them, an hour at a time, and what it says when."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from measure import say
from sim_world import DAY, HOUR, START_NS

from common.flowlog import Batch, check_file_header, decode_head, decode_payload, scan_frames
from correlator.config import Settings
from correlator.detect.alarm import Severity
from correlator.detection import Detection
from correlator.ingest.pipeline import Pipeline
from correlator.rows import AlarmRow, Selection
from correlator.store.alarms import select_alarms
from correlator.store.database import Built, writing
from correlator.store.writer import Writer

MEDIUM: Final = Severity.MEDIUM.rank
_FRAMES_AT_ONCE: Final = 32

# (client, host or server's address, port)
Channel = tuple[str, str, int]


class Label(NamedTuple):
    """What a channel really is."""

    kind: str
    benign: bool
    instance: str
    first_ns: int
    last_ns: int


class Raised(NamedTuple):
    """An alarm as it was in the end, and since when it was at least medium."""

    row: AlarmRow
    medium_ns: int | None


class Stated(NamedTuple):
    """How probable a tunnel in a channel was said to be at the end of a day."""

    day: int
    channel: Channel
    log10_odds: float


class Played(NamedTuple):
    """What a simulation came to."""

    alarms: list[Raised]
    stated: list[Stated]
    records: int
    ingest_s: float
    detect_s: float


def labels_of(*directories: Path) -> dict[Channel, Label]:
    """Return what every channel of simulations is; a channel of several days has one label."""
    found: dict[Channel, Label] = {}
    for directory in directories:
        for line in (directory / "labels.ndjson").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            channel = row["client"], row["peer"].lower(), row["port"]
            new = Label(row["kind"], row["benign"], row["instance"], row["first_ns"], row["last_ns"])
            old = found.get(channel)
            if old is not None:
                new = new._replace(
                    kind=old.kind if old.kind == new.kind else min(old.kind, new.kind),
                    benign=old.benign and new.benign,
                    first_ns=min(old.first_ns, new.first_ns),
                    last_ns=max(old.last_ns, new.last_ns),
                )
            found[channel] = new
    return found


def channel_of(row: AlarmRow) -> Channel | None:
    """Return the channel that an alarm is about; None where it is about none."""
    if row.client is None or row.server is None:
        return None
    server, _, port = row.server.rpartition(":")
    return row.client, (row.host or server.strip("[]")).lower(), int(port)


def play(directories: Sequence[Path], days: range, store: Path, settings: Settings | None = None) -> Played:
    """Store the logs of all days, an hour at a time, and look for tunnels after each."""
    settings = settings or Settings()
    for old in (store, Path(f"{store}-wal"), Path(f"{store}-shm")):
        old.unlink(missing_ok=True)
    raised: dict[str, Raised] = {}
    stated: list[Stated] = []
    records, ingest_s, detect_s = 0, 0.0, 0.0
    with writing(store, Built(settings.store.period_s, settings.store.channel_gap_s)) as opened:
        pipeline = Pipeline(Writer(opened), settings.thresholds)
        detection = Detection(opened, settings.detect)
        for day in days:
            for hour_ns, frames in _hours(directories, day, pipeline):
                began = time.perf_counter()
                while some := list(islice(frames, _FRAMES_AT_ONCE)):
                    done = pipeline.store_frames(some, time.time_ns())
                    if done.refused or done.duplicates:
                        raise SystemExit(f"the correlator did not take all of day {day + 1}: {done.refused}")
                    records += done.records
                stored = time.perf_counter()
                detection.run(say)
                ingest_s, detect_s = ingest_s + stored - began, detect_s + time.perf_counter() - stored
                _note(raised, opened.conn, hour_ns)
            stated += _stated(store, day)
            took = f"{ingest_s:.0f} s to store them, {detect_s:.0f} s to look at them"
            say(f"day {day + 1}: {records:,} records, {len(raised)} alarms; {took}")
    return Played(list(raised.values()), stated, records, ingest_s, detect_s)


def _hours(directories: Sequence[Path], day: int, pipeline: Pipeline) -> Iterator[tuple[int, Iterator[Batch]]]:
    """Yield the frames of each hour in which some end; they are taken apart when they are asked for."""
    hours: dict[int, list[memoryview]] = {}
    for log in logs_of(directories, day):
        data = memoryview(log.read_bytes())
        for frame in scan_frames(data, check_file_header(data)):
            head = decode_head(frame.payload)  # type: ignore[union-attr]
            if head.kind == "header":
                pipeline.receiver.open_run(decode_payload(frame.payload))  # type: ignore[union-attr]
            else:
                hours.setdefault(head.last_ns // HOUR, []).append(frame.payload)  # type: ignore[union-attr]
    for hour in sorted(hours):
        yield hour * HOUR, map(decode_payload, hours[hour])


def logs_of(directories: Sequence[Path], day: int) -> list[Path]:
    """Return the flow logs of a day."""
    return [log for directory in directories for log in sorted(directory.glob(f"day-{day + 1:02}*.flowlog"))]


def _note(raised: dict[str, Raised], conn: Any, hour_ns: int) -> None:
    """Note what alarms there are now: those of the hour, or of a frame that reached over into it."""
    for row in select_alarms(conn, Selection(since_ns=hour_ns - HOUR)):
        old = raised.get(row.alarm_id)
        medium_ns = None if old is None else old.medium_ns
        if medium_ns is None and Severity(row.severity).rank >= MEDIUM:
            # One that was low in an earlier hour has risen by its last sight; a new one may always have been so.
            medium_ns = row.first_time_ns if old is None else row.time_ns
        raised[row.alarm_id] = Raised(row, medium_ns)


def _stated(store: Path, day: int) -> Iterator[Stated]:
    """Yield what is said of each channel that was seen on the day."""
    query = "SELECT client, peer, port, log10_odds FROM detect_channels WHERE last_ns >= ?"
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as conn:
        for client, peer, port, log10_odds in conn.execute(query, (START_NS + day * DAY,)):
            yield Stated(day, (client, peer, port), log10_odds)
