"""Writing and reading the flow log, and bringing it into a database."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from measure import Plan, capture, cost, median, verdict

from common.flowlog import Batch, Frame, check_file_header, decode_payload, encode_frame, scan_frames
from common.records import FlowRecord, RecordReader
from correlator.store.writer import uncollected

LEAST_RECORDS_PER_S = 150_000


def flow_log(plan: Plan) -> list[str]:
    """Return the table."""
    log = plan.scratch / "a.flowlog"
    cost(["tunnelwatch-sensor", "read", str(capture("mixed", plan.packets)), "-w", str(log)])
    data = log.read_bytes()
    writes, reads, imports = [], [], []
    for number in range(plan.rounds):
        start = time.perf_counter()
        with uncollected():  # as `import` reads
            records = sum(len(batch.records) for batch in _read(memoryview(data)))
        reads.append(records / (time.perf_counter() - start))
        writes.append(records / sum(map(_writing_s, _read(memoryview(data)))))
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


def _writing_s(batch: Batch) -> float:
    start = time.perf_counter()
    encode_frame(batch)
    return time.perf_counter() - start


def _read(data: memoryview) -> Iterator[Batch]:
    """Yield the flows of a log frame by frame: no program that reads one holds all of it."""
    reader = RecordReader(FlowRecord, FlowRecord._fields)
    for frame in scan_frames(data, check_file_header(data)):
        assert isinstance(frame, Frame)
        batch = decode_payload(frame.payload)
        if batch.kind == "flow":
            yield batch._replace(records=[reader.read(row) for row in batch.records])
