"""Events of streams, built by hand."""

from __future__ import annotations

import socket

from sensor.stream.events import Began, Data, Ended, Event

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
