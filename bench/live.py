#!/usr/bin/env python3
"""Live capture's path beside pypcap's own speed: the same capture file, opened through pypcap each time.

    scripts/setup; .venv/bin/python bench/live.py CAPTURE

A file stands for the interface, so that nothing waits for a wire: what is timed is libpcap, pypcap's hand-over of each
frame to Python, and what this program does with it.  The ways take turns, round by round.
"""

from __future__ import annotations

import argparse
import operator
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pcap

from sensor.capture._feed import FrameFeed
from sensor.capture.live import PACKETS_PER_TURN
from sensor.flow._table import FlowTable


def iterate(path: Path) -> int:
    """What pypcap's users write."""
    count = 0
    for _ts, _frame in pcap.pcap(name=str(path)):
        count += 1
    return count


def iterate_bare(path: Path) -> int:
    """The same, with nothing in the loop."""
    for _ts, _frame in pcap.pcap(name=str(path)):
        pass
    return 0


def dispatch_bare(path: Path) -> int:
    """The cheapest callback there is: a C function that takes the two arguments and returns."""
    return int(pcap.pcap(name=str(path), timestamp_in_ns=True).dispatch(-1, operator.is_))


def sensor(path: Path) -> int:
    """The sensor's own: turns of dispatch into a flow table, records drained after each."""
    handle = pcap.pcap(name=str(path), timestamp_in_ns=True)
    table = FlowTable(seed=os.urandom(32))
    feed = FrameFeed(table, handle.datalink(), handle.snaplen)
    while handle.dispatch(PACKETS_PER_TURN, feed):
        feed.settle()
        table.drain_blocks(partial=False)
        table.drain_events()
    return int(table.packets)


WAYS: dict[str, Callable[[Path], int]] = {
    "pypcap, `for ts, frame in handle: pass`": iterate_bare,
    "pypcap, `handle.dispatch(-1, callback)`, the cheapest callback": dispatch_bare,
    "the sensor: `dispatch` into a flow table, records drained": sensor,
}


def live(path: Path, packets: int, count: int) -> list[str]:
    """The table of live capture's path, as lines of Markdown."""
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(count + 1):
        for name, way in WAYS.items():
            start = time.perf_counter()
            way(path)
            if number:
                seconds[name].append(time.perf_counter() - start)
    bare = seconds[next(iter(WAYS))]
    lines = [
        f"Live capture's path on `{path.stem}`, {packets:,} packets through pypcap:", "",
        "| what | M packets/s | share of pypcap's bare iteration |", "|---|--:|--:|",
    ]  # fmt: skip
    for name, taken in seconds.items():
        share = statistics.median([one / own for one, own in zip(bare, taken, strict=True)])
        lines.append(f"| {name} | {packets / statistics.median(taken) / 1e6:.2f} | {share:.0%} |")
    return lines


def main() -> None:
    """Print the table for one capture file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print("\n".join(live(arguments.capture, iterate(arguments.capture), arguments.rounds)))


if __name__ == "__main__":
    main()
