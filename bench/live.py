"""Live capture's path beside pypcap's own speed: the same capture file, opened through pypcap each time.

A file stands for the interface, so that nothing waits for a wire: what is timed is libpcap, pypcap's hand-over of each
frame to Python, and what this program does with it.  The ways take turns, round by round.
"""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable
from pathlib import Path

import pcap
from measure import Plan, capture, median, ratio, verdict

from sensor.capture._feed import FrameFeed
from sensor.capture.live import PACKETS_PER_TURN
from sensor.flow._table import FlowTable

BUDGET = 0.6


def iterate_bare(path: Path) -> None:
    """What pypcap's users write, with nothing in the loop."""
    for _ts, _frame in pcap.pcap(name=str(path)):
        pass


def dispatch_bare(path: Path) -> None:
    """The cheapest callback there is: a C function that takes the two arguments and returns."""
    pcap.pcap(name=str(path), timestamp_in_ns=True).dispatch(-1, operator.is_)


def sensor(path: Path) -> None:
    """The sensor's own: turns of dispatch into a flow table, records drained after each."""
    handle = pcap.pcap(name=str(path), timestamp_in_ns=True)
    table = FlowTable(seed=os.urandom(32))
    feed = FrameFeed(table, handle.datalink(), handle.snaplen)
    while handle.dispatch(PACKETS_PER_TURN, feed):
        feed.settle()
        table.drain_blocks(partial=False)
        table.drain_events()


WAYS: dict[str, Callable[[Path], None]] = {
    "pypcap, `for ts, frame in handle: pass`": iterate_bare,
    "pypcap, `handle.dispatch(-1, callback)`, the cheapest callback": dispatch_bare,
    "the sensor: `dispatch` into a flow table, records drained": sensor,
}


def live_path(plan: Plan) -> list[str]:
    """What becomes of pypcap's speed when its packets are counted."""
    path = capture("mixed", plan.packets)
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(plan.rounds + 1):
        for name, way in WAYS.items():
            start = time.perf_counter()
            way(path)
            if number:  # the first brings the file into the page cache
                rates[name].append(plan.packets / (time.perf_counter() - start))
    bare = rates[next(iter(WAYS))]
    own = ratio(rates[list(WAYS)[-1]], bare)
    lines = [
        f"Live capture's path on `mixed`, {plan.packets:,} packets through pypcap from the file:", "",
        "| what | M packets/s | of pypcap's bare iteration |", "|---|--:|--:|",
    ]  # fmt: skip
    lines += [f"| {name} | {median(taken) / 1e6:.2f} | {ratio(taken, bare):.0%} |" for name, taken in rates.items()]
    return [*lines, "", f"Budget: at least {BUDGET:.0%} of the bare iteration, {verdict(own >= BUDGET)}."]
