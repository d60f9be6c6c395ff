"""From the socket to the committed row: one fast sensor, forty slow ones, and SQLite alone with the same rows."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from measure import Plan, capture, median, ratio, verdict

from common.flowlog import Batch, encode_frame, header_batch, rows_of
from correlator.columns import AT, columns_of
from correlator.store.columns import COLUMNS, rows
from correlator.store.database import Built, writing
from sensor.batching import NumberedFrame
from sensor.capture.pcapfile import read_capture
from sensor.config import ShipConfig
from sensor.flow._table import FlowTable
from sensor.ship.link import Shipper
from sensor.ship.spool import Spool

LEAST_PER_S = 40_000
SENSORS, SENSOR_FLOWS_PER_S, SENSORS_S = 40, 500, 60
MOST_LAG_S = 5.0
FRAME_RECORDS = 500
COMMIT_RECORDS = 8_000
_CLIENTS, _SERVICES = 2_000, 3_000
_PORTS = (443, 443, 443, 443, 80, 80, 53, 22, 25, 8080)
_INSERT = f"INSERT INTO flow_records ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


class Lags(NamedTuple):
    """How long frames of many sensors waited for their acknowledgement, and what still waited at the end."""

    seconds: list[float]
    waiting: int
    flows: int


def ingest(plan: Plan) -> list[str]:
    """Return the table."""
    rows = _like_a_network(plan)
    rates, bare = [], []
    for number in range(plan.rounds):
        rates.append(_one_fast_sensor(plan.scratch / f"fast-{number}", rows))
        bare.append(_bare_sqlite(plan.scratch / f"bare-{number}.db", rows))
    lags = _many_sensors(plan.scratch / "many", rows)
    median_s, worst_s = median(lags.seconds), max(lags.seconds)
    network = f"{len(rows):,} flows of {_CLIENTS:,} clients and {_SERVICES:,} services, heavy-tailed"
    alone = "SQLite alone: `executemany` of the same rows into the same table with its indexes; no roll-ups, no details"
    forty = f"{SENSORS} sensors with {SENSOR_FLOWS_PER_S} flows/s each for {SENSORS_S} s: {lags.flows:,} flows, frames "
    forty += (
        f"acknowledged {median_s:.2f} s (median) and at most {worst_s:.2f} s after they were spooled, {lags.waiting} "
    )
    forty += f"unacknowledged at the end; at most {MOST_LAG_S:g} s allowed, "
    fast = f"{median(rates):,.0f} | {LEAST_PER_S:,} | {verdict(median(rates) >= LEAST_PER_S)}"
    return [
        "From the socket to the committed row: `serve` on one core, roll-ups and alarms on, `synchronous=FULL`;",
        f"{network}.", "",
        "| what | flows/s | budget | |", "|---|--:|--:|---|",
        f"| one sensor, as fast as it goes | {fast} |",
        f"| {alone} | {median(bare):,.0f} | | {ratio(rates, bare):.0%} of it reached |", "",
        forty + verdict(worst_s <= MOST_LAG_S and not lags.waiting) + ".",
    ]  # fmt: skip


def _like_a_network(plan: Plan) -> list[tuple[Any, ...]]:
    """Return the flows of the standard capture, as if of a network whose clients and services repeat."""
    dice = random.Random(1)  # the same every time
    services = [(bytes((93, *dice.randbytes(3))), dice.choice(_PORTS)) for _ in range(_SERVICES)]
    weights = list(accumulate(1 / rank for rank in range(1, _SERVICES + 1)))
    table = FlowTable(seed=os.urandom(32))
    rows: list[tuple[Any, ...]] = []

    def collect() -> bool:
        for block in table.drain_blocks():
            for row in rows_of(block):
                values = list(row)
                client = min(int(dice.paretovariate(1)), _CLIENTS) - 1
                values[AT["client_ip"]] = bytes((10, 1, client >> 8, client & 255))
                (service,) = dice.choices(services, cum_weights=weights)
                values[AT["server_ip"]], values[AT["server_port"]] = service
                rows.append(tuple(values))
        return True

    read_capture(str(capture("mixed", plan.packets)), table, "", collect)
    while table.flush():
        collect()
    collect()
    return rows


@contextmanager
def _serving(directory: Path) -> Iterator[str]:
    """Run ``serve`` on one core, this process on the others; yield the endpoint."""
    directory.mkdir()
    endpoint = f"ipc://{directory}/link.sock"
    database = str(directory / "a.db")
    command = ["tunnelwatch", "--db", database, "serve", "--plaintext", "--bind", endpoint]
    cores = sorted(os.sched_getaffinity(0))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as served:
        try:
            os.sched_setaffinity(served.pid, cores[:1])
            os.sched_setaffinity(0, cores[1:] or cores)
            assert served.stderr is not None
            if "listening on" not in served.stderr.readline():
                raise RuntimeError(f"serve did not start: {served.stderr.read()}")
            for thread in Path(f"/proc/{served.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cores[:1])
            yield endpoint
        finally:
            served.send_signal(signal.SIGTERM)
            served.communicate(timeout=60)
            os.sched_setaffinity(0, cores)


def _shipper(endpoint: str, directory: Path, name: str, run: int) -> Shipper:
    header = encode_frame(header_batch(name, run, run))
    return Shipper(ShipConfig(endpoint=endpoint, plaintext=True), Spool(directory, run, header, 1 << 30, 8 << 20))


def _frame(name: str, run: int, sequence: int, rows: Sequence[tuple[Any, ...]]) -> NumberedFrame:
    times = [row[AT["end_ns"]] for row in rows]
    return NumberedFrame(sequence, encode_frame(Batch("flow", name, run, sequence, min(times), max(times), rows)))


def _one_fast_sensor(directory: Path, rows: Sequence[tuple[Any, ...]]) -> float:
    """Return the rate at which a full spool is emptied."""
    run = time.time_ns()
    frames = [
        _frame("fast", run, sequence, rows[start : start + FRAME_RECORDS])
        for sequence, start in enumerate(range(0, len(rows), FRAME_RECORDS), 1)
    ]
    with _serving(directory) as endpoint, closing(_shipper(endpoint, directory / "spool", "fast", run)) as shipper:
        shipper.take(frames)
        start = time.perf_counter()
        while shipper.waiting:
            shipper.turn(time.monotonic_ns(), 20)
        taken_s = time.perf_counter() - start
        assert not shipper.refused, shipper.refusal
    return len(rows) / taken_s


def _many_sensors(directory: Path, rows: Sequence[tuple[Any, ...]]) -> Lags:
    """Let many sensors ship a frame a second each, and note how long each frame waits."""
    names = [f"tap-{number}" for number in range(SENSORS)]
    seconds: list[float] = []
    flows = 0
    with _serving(directory) as endpoint:
        run = time.time_ns()
        shippers = [_shipper(endpoint, directory / name, name, run) for name in names]
        spooled: list[deque[float]] = [deque() for _ in names]
        began = time.perf_counter()
        for turn in range(SENSORS_S * SENSORS):
            number, sequence = turn % SENSORS, turn // SENSORS + 1
            while time.perf_counter() - began < turn / SENSORS:  # the sensors take turns within each second
                _ship(shippers, spooled, seconds)
            at = flows % (len(rows) - SENSOR_FLOWS_PER_S)
            fresh = [(flows + place, *row[1:]) for place, row in enumerate(rows[at : at + SENSOR_FLOWS_PER_S], 1)]
            shippers[number].take([_frame(names[number], run, sequence, fresh)])
            spooled[number].append(time.perf_counter())
            flows += len(fresh)
        deadline = time.perf_counter() + MOST_LAG_S
        while any(spooled) and time.perf_counter() < deadline:
            _ship(shippers, spooled, seconds)
        for shipper in shippers:
            assert not shipper.refused, shipper.refusal
            shipper.close()
    return Lags(seconds, sum(map(len, spooled)), flows)


def _ship(shippers: Sequence[Shipper], spooled: Sequence[deque[float]], seconds: list[float]) -> None:
    for shipper, since in zip(shippers, spooled, strict=True):
        shipper.turn(time.monotonic_ns())
        while len(since) > shipper.waiting:
            seconds.append(time.perf_counter() - since.popleft())
    time.sleep(0.002)


def _bare_sqlite(path: Path, records: Sequence[tuple[Any, ...]]) -> float:
    columns = columns_of(records)
    clients = {address: number for number, address in enumerate(set(columns[AT["client_ip"]]), 1)}
    services = {address: number for number, address in enumerate(set(columns[AT["server_ip"]]), 1)}
    client_ids = [clients[address] for address in columns[AT["client_ip"]]]
    service_ids = [services[address] for address in columns[AT["server_ip"]]]
    ready = list(rows(1, 1, (client_ids, service_ids, [None] * len(records)), 3600, columns))
    with writing(path, Built(3600, 300)) as store:
        start = time.perf_counter()
        for first in range(0, len(ready), COMMIT_RECORDS):
            store.conn.execute("BEGIN IMMEDIATE")
            store.conn.executemany(_INSERT, ready[first : first + COMMIT_RECORDS])
            store.conn.execute("COMMIT")
        return len(ready) / (time.perf_counter() - start)
