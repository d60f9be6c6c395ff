#!/usr/bin/env python3
"""Write flow logs as a sensor would of a month in a large network, the same bytes for the same arguments.

    python bench/large_flows.py /tmp/month --flows 10000000

A file a day, each a run of its own, records in the order in which they end.  2,000 clients have their favourites
among 40,000 services and come back to them within the hour; days have their rush hours, weeks their weekends;
volumes and durations are heavy-tailed; some channels are tunnels that stand for hours, some are beacons.  What lasts
longer than five minutes is in parts of that, so there are a few records more than flows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import msgpack
from large_network import DAY, DAYS, START_NS, TEN_MILLION, Network, Service, Task
from large_shapes import HABITS, MS, PART, Shape, bulk, front, pool

from common.flowlog import FILE_HEADER, Block, encode_block, encode_frame, header_batch
from common.records import FlowRecord

SENSOR: Final = "tap-1"
_FRAME_RECORDS = 500  # as the sensor's default
_HEAD = struct.Struct(">BHBQ")
_PORT = struct.Struct(">BH")
_TIMES = struct.Struct(">BQBQBQ")
_U64, _U16, _ARRAY = 0xCF, 0xCD, 0xDC
_NIL = b"\xc0"
_POOL = 3_000
_FAILING = 0.03
# These always get through.
_STEADY = ("beacon", "tunnel", "tunnel's end")
_BULK = 0.004
_CLOSED = struct.Struct(">BIBQ")
_U32 = 0xCE
_WIDTH = len(FlowRecord._fields)


class Part(NamedTuple):
    """A record to be written, but for its flow's number."""

    flow_start_ns: int
    task: int
    start_ns: int
    end_ns: int
    before: bytes
    """From ``part`` to ``oriented_by``."""
    after: bytes
    """From ``packets_out`` to the end."""


class Pools:
    """The shapes that flows are drawn from."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(f"shapes {seed}")
        self.shapes = {kind: pool(dice, kind, _POOL, failing=0 if kind in _STEADY else _FAILING) for kind in HABITS}

    def one(self, dice: random.Random, kind: str) -> Shape:
        """Return a shape of a kind; a large transfer is drawn for itself."""
        if kind in ("tls", "http") and dice.random() < _BULK:
            return bulk(dice, kind)
        return self.shapes[kind][int(dice.random() * _POOL)]


def parts(dice: random.Random, pools: Pools, number: int, task: Task, who: bytes, midnight_ns: int) -> Iterator[Part]:
    """Yield the records of a flow; all of it lies within its day."""
    service = task.service
    port = _PORT.pack(_U16, 32_768 + int(dice.random() * 28_000))
    ends = b"".join((who, port, service.packed))
    rtt_ns = int(service.rtt_ms * (0.9 + dice.random() / 4) * MS)
    last_ns = task.lasts_ns
    if not last_ns:
        shape = pools.one(dice, service.kind)
        last_ns = int(shape.duration_ns * (0.85 + dice.random() * 0.3)) + 2 * rtt_ns
    flow_ns = task.start_ns % DAY
    if flow_ns + last_ns >= DAY:
        flow_ns = DAY - 1 - last_ns - int(dice.random() * MS)
    flow_ns += midnight_ns
    end_ns = flow_ns + last_ns
    if not task.lasts_ns:
        yield Part(flow_ns, number, flow_ns, end_ns, shape.front + ends, _after(shape, rtt_ns, end_ns, service))
        return
    for part, start_ns in enumerate(range(flow_ns, end_ns, PART)):
        stop_ns = min(start_ns + PART, end_ns)
        shape = pools.one(dice, "tunnel" if stop_ns < end_ns else "tunnel's end")
        after = _after(shape, rtt_ns, stop_ns, service)
        yield Part(flow_ns, number, start_ns, stop_ns, front(shape, part) + ends, after)


def _after(shape: Shape, rtt_ns: int, end_ns: int, service: Service) -> bytes:
    if shape.closes:
        times = _CLOSED.pack(_U32, rtt_ns, _U64, end_ns)
    else:
        times = msgpack.packb(rtt_ns) + _NIL if shape.handshake else _NIL + _NIL
    return b"".join((shape.volume, times, shape.inside, service.host if shape.handshake else _NIL * 3))


def write_day(network: Network, pools: Pools, day: int, path: Path) -> None:
    """Write a day's flow log."""
    run = START_NS + day * DAY
    dice = random.Random(f"flows of day {day} of {network.seed}")
    made: list[Part] = []
    for number, task in enumerate(network.day(day)):
        made += parts(dice, pools, number, task, network.clients[task.client], run)
    made.sort()
    rows: list[tuple[int, int, bytes]] = []
    flow_id, before = run, -1
    for part in made:
        if part.task != before:
            flow_id, before = flow_id + 1, part.task
        flow_ns, _, start_ns, end_ns, front_piece, after = part
        head = _HEAD.pack(_ARRAY, _WIDTH, _U64, flow_id)
        times = _TIMES.pack(_U64, flow_ns, _U64, start_ns, _U64, end_ns)
        rows.append((end_ns, start_ns, b"".join((head, front_piece, times, after))))
    del made
    rows.sort()
    partial = path.with_suffix(".partial")
    with partial.open("wb") as out:
        out.write(FILE_HEADER + encode_frame(header_batch(SENSOR, run, run)))
        for sequence, first in enumerate(range(0, len(rows), _FRAME_RECORDS), 1):
            some = rows[first : first + _FRAME_RECORDS]
            pieces = b"".join([row for _, _, row in some])
            block = Block(len(some), pieces, min(start_ns for _, start_ns, _ in some), some[-1][0])
            out.write(encode_block("flow", SENSOR, run, sequence, block))
    partial.rename(path)


def write_month(directory: Path, flows: int, seed: int = 1) -> list[Path]:
    """Write the flow logs of all days, one a core at a time; those that are there already are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    missing = [day for day in range(DAYS) if not _path(directory, day).exists()]
    if missing:
        network, pools = Network(seed, flows), Pools(seed)
        cores = len(os.sched_getaffinity(0))
        fork = multiprocessing.get_context("fork")  # so that nothing needs to be handed over
        workers = [
            fork.Process(target=_write_days, args=(network, pools, missing[first::cores], directory))
            for first in range(cores)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            if worker.exitcode:
                raise SystemExit("the flow logs were not written")
    return [_path(directory, day) for day in range(DAYS)]


def _write_days(network: Network, pools: Pools, days: Sequence[int], directory: Path) -> None:
    for day in days:
        write_day(network, pools, day, _path(directory, day))


def _path(directory: Path, day: int) -> Path:
    return directory / f"day-{day + 1:02}.flowlog"


def main() -> None:
    """Parse the arguments and write the flow logs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--flows", type=int, default=TEN_MILLION)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write_month(arguments.directory, arguments.flows, arguments.seed)


if __name__ == "__main__":
    main()
