"""The flows of flow logs as other tools know them: one row each, its parts put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import msgpack

from common.flowlog import check_file_header, scan_frames
from common.records import FlowRecord


class Flow(NamedTuple):
    """A whole flow; bytes are payload bytes, those that ``top`` ranks by."""

    flow_id: int
    part: int
    end_reason: int | None
    protocol: int
    client: bytes
    client_port: int
    server: bytes
    server_port: int
    start_ns: int
    end_ns: int
    packets_out: int
    packets_in: int
    bytes_out: int
    bytes_in: int
    flags: int
    host: str | None


_TAKEN = (
    "flow_id", "part", "end_reason", "protocol", "client_ip", "client_port", "server_ip", "server_port",
    "flow_start_ns", "end_ns", "packets_out", "packets_in", "payload_bytes_out", "payload_bytes_in",
    "tcp_flags_out", "host",
)  # fmt: skip
_take = itemgetter(*map(FlowRecord._fields.index, _TAKEN))


def whole_flows(logs: Sequence[Path]) -> Iterator[Flow]:
    """Yield the flows of logs that bench/large_flows.py wrote, in the order in which they end."""
    open_flows: dict[int, Flow] = {}
    for log in logs:
        data = memoryview(log.read_bytes())
        for frame in scan_frames(data, check_file_header(data)):
            batch = msgpack.unpackb(frame.payload)
            if batch[1] != "flow":
                continue
            for flow in map(Flow._make, map(_take, batch[7])):
                if flow.part == 0 and flow.end_reason is not None:
                    yield flow
                    continue
                known = open_flows.pop(flow.flow_id, None)
                sums = flow if known is None else _added(known, flow)
                if flow.end_reason is None:
                    open_flows[flow.flow_id] = sums
                else:
                    yield sums
    if open_flows:
        raise ValueError(f"{len(open_flows)} flows have no end")


def _added(known: Flow, part: Flow) -> Flow:
    return part._replace(
        packets_out=known.packets_out + part.packets_out,
        packets_in=known.packets_in + part.packets_in,
        bytes_out=known.bytes_out + part.bytes_out,
        bytes_in=known.bytes_in + part.bytes_in,
        host=part.host or known.host,
    )
