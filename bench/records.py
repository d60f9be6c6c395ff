"""Writing and reading the flow log, and bringing it into a database."""

from __future__ import annotations

import time
from collections.abc import Sequence

from measure import Plan, capture, cost, median, verdict

from common.flowlog import Batch, Frame, check_file_header, decode_payload, encode_frame, scan_frames
from common.records import FlowRecord, RecordReader

LEAST_RECORDS_PER_S = 150_000


def flow_log(plan: Plan) -> list[str]:
    """Return the table."""
    log = plan.scratch / "a.flowlog"
    cost(["tunnelwatch-sensor", "read", str(capture("mixed", plan.packets)), "-w", str(log)])
    data = log.read_bytes()
    writes, reads, imports = [], [], []
    for number in range(plan.rounds):
        start = time.perf_counter()
        batches = _read(memoryview(data))
        records = sum(len(batch.records) for batch in batches)
        reads.append(records / (time.perf_counter() - start))
        start = time.perf_counter()
        for batch in batches:
            encode_frame(batch)
        writes.append(records / (time.perf_counter() - start))
        taken = cost(["tunnelwatch", "import", str(log), "--db", str(plan.scratch / f"{number}.db")])
        imports.append(records / taken.wall_s)
    return [
        f"Flow log of {records:,} records, {len(data) / records:.0f} bytes a record:", "",
        "| what | records/s | budget | |", "|---|--:|--:|---|",
        f"| write (encode, checksum) | {_judged(writes)} |",
        f"| read (checksum, decode, check every field) | {_judged(reads)} |",
        f"| `tunnelwatch import`, whole process, committed with its roll-ups | {median(imports):,.0f} | | |",
    ]  # fmt: skip


def _judged(rates: Sequence[float]) -> str:
    met = verdict(median(rates) >= LEAST_RECORDS_PER_S)
    return f"{median(rates):,.0f} | {LEAST_RECORDS_PER_S:,} | {met}"


def _read(data: memoryview) -> list[Batch]:
    reader = RecordReader(FlowRecord, FlowRecord._fields)
    batches: list[Batch] = []
    for frame in scan_frames(data, check_file_header(data)):
        assert isinstance(frame, Frame)
        batch = decode_payload(frame.payload)
        if batch.kind == "flow":
            batches.append(batch._replace(records=[reader.read(row) for row in batch.records]))
    return batches
