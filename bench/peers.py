"""The whole process beside softflowd, nfpcapd, argus and nfstream, on every shape of capture."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measure import HERE, PATIENCE_S, SHAPES, Cost, Plan, capture, environment, median, ratio, rounds, verdict

FLOW_TOOLS = ("softflowd", "nfpcapd", "argus")
LEAST_FLOW_TOOLS, LEAST_NFSTREAM = 3, 12
STANDARD = "mixed"  # the budgets are for this one; the other shapes are extremes of it


def beside_peers(plan: Plan) -> list[str]:
    """Return the tables."""
    missing = [name for name in FLOW_TOOLS if shutil.which(name) is None]
    nfstream = _nfstream()
    if nfstream is None:
        missing.append("nfstream (its locked files cannot be installed for this Python)")
    summary = [
        f"Whole processes, {plan.packets:,} packets a capture; seconds, and how often tunnelwatch's go into a peer's.",
        f"Budgets, on `{STANDARD}`: {LEAST_FLOW_TOOLS} x the fastest of the three, {LEAST_NFSTREAM} x nfstream.", "",
        f"| capture | MB | tunnelwatch | M packets/s | {' | '.join(FLOW_TOOLS)} | fastest of the three | nfstream |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    details: list[str] = []
    for shape in SHAPES:
        path = capture(shape, plan.packets)
        with tempfile.TemporaryDirectory(dir=plan.scratch) as directory:
            costs = rounds(_commands(path, Path(directory), nfstream), plan.rounds)
        summary.append(_summary_row(shape, path, plan.packets, costs))
        if shape == STANDARD:
            details = _details(plan.packets, costs)
    if missing:
        summary += ["", f"Not here: {', '.join(missing)}."]
    summary += ["", f"A time with * is of a single run: its first took longer than {PATIENCE_S} s.", "", *details]
    return summary


def _commands(path: Path, scratch: Path, nfstream: Sequence[str] | None) -> dict[str, Sequence[str]]:
    known: dict[str, Sequence[str]] = {
        "tunnelwatch": ["tunnelwatch-sensor", "read", str(path), "-w", str(scratch / "a.flowlog")],
        # softflowd sends its flows to a port of this host that nobody listens on.
        "softflowd": ["softflowd", "-d", "-r", str(path), "-n", "127.0.0.1:9"],
        "nfpcapd": ["nfpcapd", "-r", str(path), "-l", str(scratch)],
        "argus": ["argus", "-r", str(path), "-w", str(scratch / "argus.out")],
    }
    found = {name: command for name, command in known.items() if shutil.which(command[0])}
    if nfstream:
        found["nfstream"] = [*nfstream, str(path)]
    return found


def _summary_row(shape: str, path: Path, packets: int, costs: dict[str, list[Cost]]) -> str:
    walls = {name: [each.wall_s for each in taken] for name, taken in costs.items()}
    own = walls["tunnelwatch"]
    times = {name: ratio(wall, own) for name, wall in walls.items()}

    def cell(name: str) -> str:
        if name not in walls:
            return "-"
        once = "*" if len(walls[name]) == 1 < len(own) else ""
        return f"{median(walls[name]):.2f}{once} ({times[name]:.1f})"

    three = [times[name] for name in FLOW_TOOLS if name in times]
    fastest = f"{min(three):.1f}" if three else "-"
    nfstream = cell("nfstream")
    if shape == STANDARD:
        fastest += f" {verdict(min(three) >= LEAST_FLOW_TOOLS)}" if three else ""
        nfstream += f" {verdict(times['nfstream'] >= LEAST_NFSTREAM)}" if "nfstream" in times else ""
    return (
        f"| {shape} | {path.stat().st_size / 1e6:,.0f} | {median(own):.2f} | {packets / median(own) / 1e6:.2f} | "
        f"{' | '.join(map(cell, FLOW_TOOLS))} | {fastest} | {nfstream} |"
    )


def _details(packets: int, costs: dict[str, list[Cost]]) -> list[str]:
    lines = [
        f"The same on `{STANDARD}`, with what each took of the machine:", "",
        "| command | wall s | cpu s | M packets/s | peak MiB |", "|---|--:|--:|--:|--:|",
    ]  # fmt: skip
    for name, taken in costs.items():
        wall_s = median([each.wall_s for each in taken])
        lines.append(
            f"| {name} | {wall_s:.2f} | {median([each.cpu_s for each in taken]):.2f} | {packets / wall_s / 1e6:.2f} "
            f"| {median([each.peak_kib for each in taken]) / 1024:.0f} |"
        )
    return lines


def _nfstream() -> Sequence[str] | None:
    """Return the command that reads a capture with nfstream; None where it cannot be installed."""
    python = environment("nfstream", "bench.txt")
    return None if python is None else [str(python), str(HERE / "nfstream_read.py")]
