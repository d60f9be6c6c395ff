"""Frames that Hypothesis builds, header in header, into the sanitized table and walker.

    python -m fuzz.structures '{"seed": 1, "examples": 1000, "seconds": 0, "state": PATH}'

The frames of the example at hand are kept in the state file as a capture, for when the process dies of it.
"""

from __future__ import annotations

import json
import mmap
import random
import struct
import sys
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from packets import T0, S, ethernet, ipv4, ipv6, tcp, udp

from fuzz._rounds import exact
from fuzz.captures import Captured, pcapng_file
from fuzz.corpus import headings
from fuzz.inside import STATE_BYTES, Finding, Ledger, walk

_ADDRESSES = st.sampled_from(["10.1.1.9", "10.1.2.2", "0.0.0.0", "255.255.255.255", "192.0.2.1"])
_ADDRESSES_6 = st.sampled_from(["2001:db8::1", "2001:db8::2", "fe80::1", "::", "::ffff:10.1.1.9"])
_PORTS = st.sampled_from([0, 1, 53, 80, 443, 2152, 4789, 6081, 40000, 65535])
_DATA = st.binary(max_size=64)
_NUMBERS = st.integers(0, 0xFFFFFFFF) | st.sampled_from([0, 1, 1 << 30, (1 << 31) - 1, 1 << 31, 0xFFFFFFFF])
_EXTENSIONS = st.sampled_from([0, 43, 44, 51, 60, 135, 139, 50, 59])


@st.composite
def transports(draw: st.DrawFn) -> tuple[int, bytes]:
    """(protocol, bytes) of TCP, UDP, ICMP, or of what is none of them."""
    kind = draw(st.sampled_from([6, 6, 17, 1, 58, 132]))
    data = draw(_DATA)
    if kind == 6:
        flags, words = draw(st.integers(0, 255)), draw(st.sampled_from([5, 5, 5, 8, 15, 0, 4]))
        return 6, tcp(draw(_PORTS), draw(_PORTS), flags, data, seq=draw(_NUMBERS), ack=draw(_NUMBERS), words=words)
    if kind == 17:
        return 17, udp(draw(_PORTS), draw(_PORTS), data)
    return kind, data


@st.composite
def tunnelled(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> tuple[int, bytes]:
    """(protocol, bytes) of a tunnel's header and a packet in it."""
    packet = draw(inner)
    version = packet[:1] and packet[0] >> 4
    ether_type = 0x86DD if version == 6 else 0x0800
    kind = draw(st.sampled_from(["ip", "gre", "gre-ethernet", "vxlan", "gtp"]))
    if kind == "ip":
        return (41 if version == 6 else 4), packet
    if kind.startswith("gre"):
        flags = draw(st.sampled_from([0, 0x2000, 0x1000, 0x8000, 0x3000, 0xB000, 0x4000, 0x3081, 7]))
        words = draw(st.integers(0, 4)) if draw(st.booleans()) else (flags >> 12 & 0xB).bit_count()
        if kind == "gre-ethernet":
            ether_type, packet = 0x6558, ethernet(packet)
        return 47, struct.pack(">HH", flags, ether_type) + bytes(4 * words) + packet
    if kind == "vxlan":
        return 17, udp(draw(_PORTS), 4789, b"\x08" + bytes(7) + ethernet(packet))
    return 17, udp(draw(_PORTS), 2152, struct.pack(">BBHI", 0x30, 0xFF, len(packet), 1) + packet)


@st.composite
def in_ip(draw: st.DrawFn, contents: st.SearchStrategy[tuple[int, bytes]]) -> bytes:
    """An IPv4 or IPv6 packet, with options, extension headers or a fragment's offset."""
    protocol, data = draw(contents)
    if draw(st.booleans()):
        fields: dict[str, int] = {"header_words": draw(st.sampled_from([5, 5, 5, 6, 15, 4]))}
        if draw(st.integers(0, 5)) == 0:
            fields["fragment"] = draw(st.sampled_from([0x2000, 0x2001, 1, 2, 0x1FFF, 0x4000, 0x3FFF]))
        if draw(st.integers(0, 7)) == 0:
            fields["total"] = draw(st.integers(0, 0xFFFF))
        return ipv4(draw(_ADDRESSES), draw(_ADDRESSES), protocol, data, **fields)
    for kind in draw(st.lists(_EXTENSIONS, max_size=18 if draw(st.integers(0, 9)) == 0 else 2)):
        size = draw(st.sampled_from([0, 0, 1, 2, 255]))
        body = 8 if kind == 44 else (size + 2) * 4 if kind == 51 else (size + 1) * 8
        third = draw(st.sampled_from([0, 1, 8, 0xFFF9])) if kind == 44 else 0
        data = struct.pack(">BBHI", protocol, size, third, 1) + bytes(body - 8) + data
        protocol = kind
    length = draw(st.none() | st.integers(0, 0xFFFF)) if draw(st.integers(0, 7)) == 0 else None
    return ipv6(draw(_ADDRESSES_6), draw(_ADDRESSES_6), protocol, data[:0xFFFF], length)


packets = st.recursive(in_ip(transports()), lambda inner: in_ip(tunnelled(inner)), max_leaves=6)


@st.composite
def frames(draw: st.DrawFn) -> Captured:
    """A packet on any link, perhaps cut, perhaps with tags around."""
    packet = draw(packets)
    if draw(st.booleans()):
        link_type, _, heading = draw(st.sampled_from(headings()))
        data = heading + packet
    else:
        link_type = 1
        data = ethernet(
            packet, vlans=draw(st.lists(st.integers(0, 0xFFFF), max_size=draw(st.sampled_from([0, 2, 10]))))
        )
    wire = len(data) + draw(st.sampled_from([0, 0, 0, 1, 6, 1000, 0x7FFFFFFF]))
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    step = draw(st.integers(-100, 100) | st.sampled_from([-T0, 1 << 60, 3600 * S]))
    time_ns = T0 + step * draw(st.sampled_from([1, S]))
    return Captured(link_type, max(0, min(time_ns, 4_600_000_000 * S)), data, wire)


def _run_one(example: list[Captured], state: mmap.mmap, dice: random.Random) -> None:
    capture, _ = pcapng_file(example, dice)
    words = memoryview(state)[: 8 * 8].cast("Q")
    words[1] += 1
    words[4] = min(len(capture), STATE_BYTES - 4096)
    state[4096 : 4096 + words[4]] = capture[: words[4]]
    table_settings: dict[str, Any] = {"max_flows": dice.choice((1, 3, 1000)), "active_timeout_ns": dice.choice((0, S))}
    alone, walked = Ledger(table_settings), Ledger(table_settings)
    for frame in example:
        alone.table.feed_frame(frame.link_type, frame.time_ns, exact(frame.data), frame.length)
        alone.check()
    walk(walked, capture, dice, expression="", gather=True)
    if alone.table.rejected_by_reason() != walked.table.rejected_by_reason():
        raise Finding("frame by frame and through the walker differ")
    alone.close()
    walked.close()


def main() -> int:
    """Run as many examples as asked for, or for as long."""
    job = json.loads(sys.argv[1])
    with Path(job["state"]).open("r+b") as file:
        state = mmap.mmap(file.fileno(), STATE_BYTES)
    end = time.monotonic() + (job["seconds"] or 1e9)
    counts = {"examples": 0, "frames": 0}

    @seed(job["seed"])
    @settings(
        max_examples=job["examples"], deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink], print_blob=False,
    )  # fmt: skip
    @given(st.lists(frames(), min_size=1, max_size=6))
    def run(example: list[Captured]) -> None:
        if time.monotonic() < end:
            counts["examples"] += 1
            counts["frames"] += len(example)
            _run_one(example, state, random.Random(len(example)))

    try:
        run()
    except Finding as finding:
        print(f"finding: {finding}", file=sys.stderr)
        return 3
    print(json.dumps(counts), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
