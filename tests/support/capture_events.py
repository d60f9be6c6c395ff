"""Events of streams built by hand, and a plain assembler for captures without loss: what reassembly will hand out."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import dpkt

from sensor.stream.events import CLIENT, SERVER, Began, Data, Ended, Event

T0 = 1_700_000_000_000_000_000
S = 1_000_000_000


def began(flow_id: int = 1, protocol: int = 6, *, at: int = T0, port: int = 1025) -> Began:
    """A flow from 10.1.1.9 to 10.1.2.2:3128."""
    ends = socket.inet_aton("10.1.1.9"), socket.inet_aton("10.1.2.2")
    return Began(flow_id, at, protocol, None, ends[0], port, ends[1], 3128)


def conversation(
    *pieces: tuple[int, bytes], flow_id: int = 1, protocol: int = 6, end: bool = True, port: int = 1025
) -> list[Event]:
    """A flow of (direction, bytes), a second apart."""
    events: list[Event] = [began(flow_id, protocol, port=port)]
    sent = [0, 0]
    for number, (direction, data) in enumerate(pieces):
        events.append(Data(flow_id, direction, sent[direction], T0 + number * S, data))
        sent[direction] += len(data)
    if end:
        events.append(Ended(flow_id, T0 + len(pieces) * S, 3))
    return events


def assembled(paths: Sequence[Path]) -> Iterator[list[Event]]:
    """Yield the events of TCP over IPv4 and Ethernet; what comes again is left out, what is out of order too."""
    flows: dict[tuple[bytes, int, bytes, int], tuple[int, int]] = {}
    follow: dict[tuple[int, int], list[int]] = {}  # next sequence number, offset
    for path in paths:
        with path.open("rb") as file:
            for time_s, frame in dpkt.pcap.UniversalReader(file):
                packet = dpkt.ethernet.Ethernet(frame).data
                if not isinstance(packet, dpkt.ip.IP) or not isinstance(packet.data, dpkt.tcp.TCP):
                    continue
                tcp = packet.data
                events: list[Event] = []
                key = packet.src, tcp.sport, packet.dst, tcp.dport
                if key not in flows:
                    flow_id = len(flows) + 1
                    flows[key], flows[key[2:] + key[:2]] = (flow_id, CLIENT), (flow_id, SERVER)
                    events.append(Began(flow_id, int(time_s * S), 6, None, *key))
                where = flows[key]
                state = follow.setdefault(where, [tcp.seq + bool(tcp.flags & dpkt.tcp.TH_SYN), 0])
                if tcp.data and tcp.seq == state[0]:
                    events.append(Data(*where, state[1], int(time_s * S), bytes(tcp.data)))
                    state[0] = (state[0] + len(tcp.data)) % (1 << 32)
                    state[1] += len(tcp.data)
                yield events
