"""Detection over a day of a large network: all of it at once as a process of its own, and minute by minute."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from measure import TMP, Plan, cost, say, verdict
from played import logs_of
from sim_world import MINUTE
from simulate import LABELS, write
from simulate import Plan as Simulation

from common.flowlog import Batch, check_file_header, decode_head, decode_payload, scan_frames
from correlator.config import Settings
from correlator.detection import Detection
from correlator.ingest.pipeline import Pipeline
from correlator.store.database import Built, writing
from correlator.store.writer import Writer

DAY_S = 60.0
MINUTE_S = 2.0
_BUSY = 4  # times each user's browsing: with a thousand clients about two million flows
_FRAMES_AT_ONCE = 32
_MINUTES = 30


def detection(plan: Plan) -> list[str]:
    """Return the table; the flow logs are kept for the next time."""
    made = TMP / f"day-{plan.clients}"
    say(f"flow logs of a day of {plan.clients:,} clients: {made}")
    TMP.mkdir(exist_ok=True)
    write(made, Simulation(plan.clients, 1, 0, 1, busy=_BUSY))
    store = plan.scratch / "day.db"
    frames = sorted(_frames(made), key=lambda frame: frame[0])
    settings = Settings()
    built = Built(settings.store.period_s, settings.store.channel_gap_s)
    # The last minutes of the busiest time come one by one; what follows them is left out.
    middle = frames[int(len(frames) * 0.6)][0]
    last_ns = middle + _MINUTES * MINUTE
    with writing(store, built) as opened:
        pipeline = Pipeline(Writer(opened), settings.thresholds)
        _open_runs(made, pipeline)
        say("storing")
        records, stored_s = _store(pipeline, [payload for at_ns, payload in frames if at_ns <= middle])
        looking = Detection(opened, settings.detect)
        began = time.perf_counter()
        looking.run(say)
        first_s = time.perf_counter() - began
        say(f"{records:,} records stored in {stored_s:.0f} s, looked at in {first_s:.0f} s; now minute by minute")
        minutes = []
        for upto_ns in range(middle + MINUTE, last_ns + 1, MINUTE):
            mine = [payload for at_ns, payload in frames if upto_ns - MINUTE < at_ns <= upto_ns]
            count, _ = _store(pipeline, mine)
            began = time.perf_counter()
            looking.run(say)
            minutes.append((time.perf_counter() - began, count))
        rest, _ = _store(pipeline, [payload for at_ns, payload in frames if at_ns > last_ns])
    records += rest + sum(count for _, count in minutes)
    say("all of it again, as a process of its own")
    whole = cost([str(Path(sys.executable).with_name("tunnelwatch")), "--db", str(store), "detect", "--all"])
    slowest = max(taken for taken, _ in minutes)
    rows = (
        ("`tunnelwatch detect --all`, whole process", records, whole.wall_s, whole.peak_kib / 1024, DAY_S),
        (
            f"one minute more, median of {len(minutes)}", statistics.median(count for _, count in minutes),
            statistics.median(taken for taken, _ in minutes), None, None,
        ),
        ("one minute more, the slowest", max(count for _, count in minutes), slowest, None, MINUTE_S),
    )  # fmt: skip
    return [
        f"Detection over a simulated day of {plan.clients:,} clients: {_flows(made):,} flows, {records:,} records.",
        "",
        "| what | records | s | records/s | peak MiB | budget, s | |",
        "|---|--:|--:|--:|--:|--:|---|",
        *(_row(*row) for row in rows),
    ]


def _flows(made: Path) -> int:
    return sum(json.loads(line)["flows"] for line in (made / LABELS).read_text(encoding="utf-8").splitlines())


def _row(what: str, records: float, seconds: float, peak_mib: float | None, budget_s: float | None) -> str:
    budget = "| |" if budget_s is None else f"{budget_s:g} | {verdict(seconds <= budget_s)} |"
    peak = "" if peak_mib is None else f"{peak_mib:.0f}"
    return f"| {what} | {records:,.0f} | {seconds:.2f} | {records / seconds:,.0f} | {peak} | {budget}"


def _frames(made: Path) -> Iterator[tuple[int, memoryview]]:
    """Yield the frames with the time at which they end."""
    for log in logs_of([made], 0):
        data = memoryview(log.read_bytes())
        for frame in scan_frames(data, check_file_header(data)):
            head = decode_head(frame.payload)  # type: ignore[union-attr]
            if head.kind != "header":
                yield head.last_ns, frame.payload  # type: ignore[union-attr]


def _open_runs(made: Path, pipeline: Pipeline) -> None:
    for log in logs_of([made], 0):
        data = memoryview(log.read_bytes())
        first = next(scan_frames(data, check_file_header(data)))
        pipeline.receiver.open_run(decode_payload(first.payload))  # type: ignore[union-attr]


def _store(pipeline: Pipeline, payloads: Sequence[memoryview]) -> tuple[int, float]:
    """Store frames; return how many records, and the seconds it took."""
    began, count = time.perf_counter(), 0
    batches: Iterator[Batch] = map(decode_payload, payloads)
    while some := list(islice(batches, _FRAMES_AT_ONCE)):
        done = pipeline.store_frames(some, time.time_ns())
        if done.refused or done.duplicates:
            raise SystemExit(f"the correlator did not take all: {done.refused}, {done.duplicates} duplicates")
        count += done.records
    return count, time.perf_counter() - began
