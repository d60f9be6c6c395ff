"""A log of flows that nobody had: the same rows for the same arguments.

    python tests/support/fake_log.py --flows 1000 --seed 1 > fake.ndjson
    tunnelwatch import fake.ndjson

Clients browse, and one of them keeps a tunnel: many short uploads to one service, all through the nights too.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

NS = 10**9
START = 1_795_132_800 * NS  # 2026-11-20T00:00:00Z, a Friday
TUNNEL = ("10.0.0.1", "203.0.113.9", 443)


def rows(flows: int = 1000, clients: int = 20, days: int = 3, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield rows as ``tunnelwatch import`` takes them; every tenth is of the tunnel, long ones come in parts."""
    rng = random.Random(seed)
    for number in range(1, flows + 1):
        if number % 10 == 0:
            client, server, port = TUNNEL
            start, length = rng.randrange(days * 86400), rng.randrange(1, 5)
            out, inwards = rng.randrange(20_000, 60_000), rng.randrange(200, 900)
        else:
            which = (number - number // 10) % clients
            client = f"10.0.{which // 250}.{which % 250 + 1}"
            server, port = f"198.51.100.{rng.randrange(1, 30)}", rng.choice((80, 443, 3128))
            start = rng.randrange(days) * 86400 + rng.randrange(8 * 3600, 18 * 3600)
            length = int(rng.expovariate(1 / 60))
            out, inwards = rng.randrange(300, 3000), rng.randrange(2000, 200_000)
        yield from _parts(
            number, (client, 1024 + number % 60_000, server, port), START + start * NS, length, out, inwards
        )


def _parts(
    number: int, ends: tuple[str, int, str, int], start: int, length: int, out: int, inwards: int
) -> Iterator[dict[str, Any]]:
    count = 1 + length // 60
    for part in range(count):
        last = part == count - 1
        yield {
            "sensor": "fake",
            "flow_id": str(number),
            "part": part,
            "end_reason": "end_of_flow" if last else None,
            "protocol": "tcp",
            **dict(zip(("client_ip", "client_port", "server_ip", "server_port"), ends, strict=True)),
            "flow_start_ns": start,
            "start_ns": start + part * 60 * NS,
            "end_ns": start + length * NS if last else start + (part + 1) * 60 * NS,
            "packets_out": 1 + out // count // 1000,
            "packets_in": 1 + inwards // count // 1000,
            "payload_bytes_out": out // count,
            "payload_bytes_in": inwards // count,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a log of flows that nobody had, as ndjson.")
    for name, default in (("flows", 1000), ("clients", 20), ("days", 3), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for row in rows(**vars(parser.parse_args())):
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
