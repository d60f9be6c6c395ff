"""Writing and reading the flow log, keeping it in the spool, and bringing it into a database."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence

from measure import Plan, capture, cost, median, verdict

from common.flowlog import Batch, Frame, check_file_header, decode_head, decode_payload, encode_frame, scan_frames
from common.records import FlowRecord, RecordReader
from correlator.store.writer import uncollected
from sensor.ship.spool import BATCH, INTERVAL, NEVER, Policy, Spool

LEAST_RECORDS_PER_S = 150_000
# A block of the capture's ring makes some frames at once.
_FRAMES_A_TURN = 4


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
        *(f"| {_spool_text(how)} | {_spooling(plan, data, how):,.0f} | | |" for how in (NEVER, INTERVAL, BATCH)),
    ]  # fmt: skip


def _spool_text(policy: str) -> str:
    return f"spool: append, fsync = {policy}, a turn every {_FRAMES_A_TURN} frames"


def _spooling(plan: Plan, data: bytes, policy: str) -> float:
    """Return how many records a second the spool takes on the disk of the scratch directory, as fast as they come."""
    frames = [
        (decode_head(item.payload), bytes(item.raw), len(decode_payload(item.payload).records))
        for item in scan_frames(memoryview(data), check_file_header(data))
        if isinstance(item, Frame)
    ]
    header, *rest = frames
    rates = []
    for number in range(plan.rounds):
        directory = plan.scratch / f"spool-{policy}-{number}"
        spool = Spool(directory, header[0].run, header[1], 1 << 30, 8 << 20, Policy(fsync=policy))
        start = time.perf_counter()
        for count, (head, frame, _) in enumerate(rest, 1):
            spool.append(head.sequence, frame)
            if count % _FRAMES_A_TURN == 0:
                spool.tend(time.monotonic_ns())
        spool.close()
        rates.append(sum(records for _, _, records in rest) / (time.perf_counter() - start))
        shutil.rmtree(directory)
    return median(rates)


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
