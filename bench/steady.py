"""The sensor's path inside one process, beside the least that can be done with the same file."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from measure import HERE, SHAPES, TMP, Plan, capture, median, ratio, say

from sensor.capture.pcapfile import read_capture
from sensor.flow._table import FlowTable


def steady_state(plan: Plan) -> list[str]:
    """Reading, decoding, the table and its records inside one process: start-up left out."""
    lines = [
        "Steady state: `read_capture` into a flow table, records drained, no output.",
        "The bare walk (`walk.c`) reads the same file from record to record and touches every packet's header.", "",
        "| capture | packets | flows | M packets/s | bare walk, M packets/s | of the bare walk |",
        "|---|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    walk = _walker()
    for shape in SHAPES:
        path = capture(shape, plan.packets)
        own, bare = [], []
        for number in range(plan.rounds + 1):
            table, rate = _own_rate(path)
            bare_rate = _bare_rate(walk, path) if walk else 0.0
            if number:  # the first brings the file into the page cache
                own.append(rate)
                bare.append(bare_rate)
        limit = f"{median(bare) / 1e6:.1f} | {ratio(own, bare):.0%}" if walk else "- | -"
        lines.append(f"| {shape} | {table.packets:,} | {table.flows_started:,} | {median(own) / 1e6:.2f} | {limit} |")
    if walk is None:
        lines += ["", "Not here: a C compiler, for the bare walk."]
    return lines


def _own_rate(path: Path) -> tuple[FlowTable, float]:
    table = FlowTable(seed=os.urandom(32))
    start = time.perf_counter()
    read_capture(str(path), table, "", lambda: table.drain_blocks(partial=False) is not None)
    return table, table.packets / (time.perf_counter() - start)


def _bare_rate(walk: Path, path: Path) -> float:
    packets, seconds, _ = subprocess.run([walk, path], capture_output=True, text=True, check=True).stdout.split()
    return int(packets) / float(seconds)


def _walker() -> Path | None:
    """Return the compiled walk, made on first use; None where there is no compiler."""
    source, program = HERE / "walk.c", TMP / "walk"
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    say(f"compiling {source.name}")
    TMP.mkdir(exist_ok=True)
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", source, "-o", program], check=True)
    return program
