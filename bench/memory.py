"""The sensor's memory: bytes of an open flow, and a flood of SYNs against the table's bound.

memory.py open-flows CAPTURE    what the flow log's benchmark calls in a process of its own
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

from measure import Plan, capture, verdict

MOST_BYTES_PER_FLOW = 800
FLAT = 0.02
_STEPS = 10
_BLOCK = 62_500  # packets; each block is one client address, each packet one of its ports
_SMALL = 50_000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_RECORD = 16 + 54


def memory(plan: Plan) -> list[str]:
    """Return both tables."""
    return [*_open_flows(plan), "", *_flood(plan)]


def rss_bytes(pid: int | str = "self") -> int:
    """Return a process' resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def _open_flows(plan: Plan) -> list[str]:
    path = capture("syn", plan.packets)
    done = subprocess.run(
        [sys.executable, __file__, "open-flows", path], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )  # fmt: skip
    flows, grown, flow_bytes = map(int, done.stdout.split())
    each = grown / flows
    met = verdict(each <= MOST_BYTES_PER_FLOW)
    return [
        "Memory of open flows, resident and not only counted:", "",
        "| open flows | MiB more than before | bytes a flow | the flow itself | budget | |",
        "|--:|--:|--:|--:|--:|---|",
        f"| {flows:,} | {grown / 2**20:,.0f} | {each:.0f} | {flow_bytes} | {MOST_BYTES_PER_FLOW} | {met} |",
    ]  # fmt: skip


def measure_open_flows(path: str) -> None:
    """Print the flows that a capture of SYNs leaves open, the memory they took, and the size of one."""
    from sensor.capture.pcapfile import read_capture  # noqa: PLC0415 - only the process of its own needs it
    from sensor.flow._table import FlowTable  # noqa: PLC0415

    table = FlowTable(seed=os.urandom(32), max_flows=100_000_000)
    before = rss_bytes()
    read_capture(path, table, "", lambda: True)
    print(table.flows_open, rss_bytes() - before, table.flow_bytes)


def _flood(plan: Plan) -> list[str]:
    step = max(plan.flood // _STEPS // _BLOCK, 1) * _BLOCK
    lines = [
        f"A flood of {step * _STEPS:,} SYNs, each a new flow, through a pipe into `tunnelwatch-sensor read -`:", "",
        f"| max_flows | {' | '.join(str(number + 1) for number in range(_STEPS))} | growth | flat |",
        f"|--:|{'--:|' * _STEPS}--:|--:|",
    ]  # fmt: skip
    for name, max_flows in (("1,000,000 (default)", None), (f"{_SMALL:,}", _SMALL)):
        samples = _flooded(plan.scratch, step, max_flows)
        # The first sample past the bound may still see it being reached.
        reached = -(-(max_flows or 1_000_000) // step)
        level, last = samples[min(reached, _STEPS - 1)], max(samples[min(reached, _STEPS - 1) :])
        growth = last / level - 1
        cells = " | ".join(f"{sample / 2**20:.0f}" for sample in samples)
        flat = verdict(growth <= FLAT) if reached < _STEPS - 1 else "bound not reached"
        lines.append(f"| {name} | {cells} | {growth:+.1%} | {flat} |")
    flatness = f"Flat is a growth of at most {FLAT:.0%} from the second sample after the bound on."
    return [*lines, "", f"Resident MiB after every {step:,}. {flatness}"]


def _flooded(scratch: Path, step: int, max_flows: int | None) -> list[int]:
    """Return the sensor's resident memory after each step of a flood."""
    command = ["tunnelwatch-sensor", "read", "-", "-w", os.devnull, "--format", "flowlog", "-d", "0"]
    if max_flows is not None:
        config = scratch / "flood.toml"
        config.write_text(f"[flow]\nmax_flows = {max_flows}\n")
        command += ["--config", str(config)]
    samples = []
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin as pipe:
        pipe.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        block, number = _syn_block(), 0
        for _ in range(_STEPS):
            for _ in range(step // _BLOCK):
                _renumber(block, number)
                pipe.write(block)
                number += 1
            pipe.flush()
            # What the pipe still holds is a few thousand packets.
            samples.append(rss_bytes(process.pid))
    if process.wait():
        raise SystemExit(f"exit code {process.returncode}: {' '.join(command)}")
    return samples


def _syn_block() -> bytearray:
    """Return SYNs from as many ports of one client, as records of a capture."""
    ethernet = bytes.fromhex("020000000001020000000002") + b"\x08\x00"
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0x4000, 64, 6, 0, bytes(4), bytes((198, 51, 100, 7)))
    tcp = struct.pack(">HHIIBBHHH", 0, 80, 1, 0, 0x50, 0x02, 65535, 0, 0)
    record = struct.pack("<IIII", 0, 0, 54, 54) + ethernet + ip + tcp
    block = bytearray(record * _BLOCK)
    for shift, at in ((8, 0), (0, 1)):
        block[16 + 34 + at :: _RECORD] = bytes(port >> shift & 0xFF for port in range(_BLOCK))
    return block


def _renumber(block: bytearray, number: int) -> None:
    """Make the block the ``number``-th: its client's address, and the time, 10 microseconds a packet."""
    time_us = 1_700_000_000_000_000 + number * _BLOCK
    stamp = struct.pack("<II", time_us // 1_000_000, time_us % 1_000_000)
    client = bytes((10, number >> 16 & 0xFF, number >> 8 & 0xFF, number & 0xFF))
    for start, values in ((0, stamp), (16 + 26, client)):
        for at, value in enumerate(values):
            block[start + at :: _RECORD] = bytes((value,)) * _BLOCK


if __name__ == "__main__":
    measure_open_flows(sys.argv[2])
