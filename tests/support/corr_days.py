"""Days of ordinary traffic for what is learned from it: clients at work, the same few services, heavy tails."""

from __future__ import annotations

import random
from collections.abc import Iterator

from corr_flows import NS, flow

from common.records import FlowRecord

MONDAY = 1_699_833_600
"""2023-11-13T00:00:00Z, in seconds."""
DAY_S = 86_400


def days(number: int, clients: int = 5, seed: int = 1, sigma: float = 0.8, first_s: int = MONDAY) -> list[FlowRecord]:
    """Return so many days of so many clients, in the order of their ends: lognormal sizes, work from 8 to 18 h UTC."""
    return sorted(_records(number, clients, seed, sigma, first_s), key=lambda record: record.end_ns)


def _records(number: int, clients: int, seed: int, sigma: float, first_s: int) -> Iterator[FlowRecord]:
    rng = random.Random(seed)
    flow_id = seed * 1_000_000
    for day in range(number):
        weekend = (day + first_s // DAY_S + 3) % 7 >= 5
        for hour in range(24):
            at_work = 8 <= hour < 18 and not weekend
            for client in range(clients):
                if not at_work and rng.random() > 0.2:
                    continue
                for service in range(3 if at_work else 1):
                    flow_id += 1
                    yield upload(
                        flow_id,
                        first_s + day * DAY_S + hour * 3600 + rng.randrange(3000),
                        int(rng.lognormvariate(11 + client % 3, sigma)),
                        client_ip=f"10.0.0.{client + 1}",
                        server_ip=f"192.0.2.{service + 1}",
                    )


def upload(flow_id: int, start_s: int, size: int, **changes: object) -> FlowRecord:
    """Return a flow of a minute that sends so many bytes and gets a tenth."""
    values = {"length_s": 60, "start_ns": start_s * NS, "payload_bytes_out": size, "payload_bytes_in": size // 10}
    return flow(flow_id, **{**values, **changes})
