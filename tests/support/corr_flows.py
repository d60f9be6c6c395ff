"""Flow records and frames for tests: short to write, with plausible defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from common.addresses import address_packed
from common.flowlog import FILE_HEADER, Batch, decode_frame, encode_frame, header_batch
from common.records import FlowRecord

NS = 1_000_000_000
T0 = 1_700_000_000 * NS


def flow(flow_id: int = 1, **changes: Any) -> FlowRecord:
    """Return a flow record; addresses may be text, and ``start_s`` and ``end_s`` count from T0."""
    start = changes.pop("start_ns", T0 + int(changes.pop("start_s", 0) * NS))
    end = changes.pop("end_ns", None)
    length = int(changes.pop("length_s", 10) * NS)
    values: dict[str, Any] = {
        "flow_id": flow_id,
        "part": 0,
        "end_reason": 3,
        "protocol": 6,
        "vlan": None,
        "client_ip": "10.0.0.1",
        "client_port": 40000,
        "server_ip": "192.0.2.1",
        "server_port": 443,
        "oriented_by": 1,
        "flow_start_ns": start,
        "start_ns": start,
        "end_ns": start + length if end is None else end,
        "packets_out": 5,
        "packets_in": 4,
        "wire_bytes_out": 700,
        "wire_bytes_in": 900,
        "payload_bytes_out": 500,
        "payload_bytes_in": 740,
        **changes,
    }
    for name in ("client_ip", "server_ip"):
        if isinstance(values[name], str):
            values[name] = address_packed(values[name])
    return FlowRecord(**values)


def parts(flow_id: int, lengths_s: Iterable[float], *, closed: bool = True, **changes: Any) -> list[FlowRecord]:
    """Return the parts of one flow, each of the given length."""
    found: list[FlowRecord] = []
    start = T0 + int(changes.pop("start_s", 0) * NS)
    origin = start
    lengths = list(lengths_s)
    for part, length in enumerate(lengths):
        last = closed and part == len(lengths) - 1
        found.append(
            flow(
                flow_id,
                part=part,
                end_reason=3 if last else None,
                start_ns=start,
                length_s=length,
                **changes,
            )._replace(flow_start_ns=origin)
        )
        start = found[-1].end_ns
    return found


def batch(records: Iterable[Any], sequence: int, *, kind: str = "flow", sensor: str = "tap", run: int = 7) -> Batch:
    """Return a frame's content."""
    return Batch(kind, sensor, run, sequence, T0, T0, [tuple(record) for record in records])


def header(sensor: str = "tap", run: int = 7) -> Batch:
    """Return the header of a run, as it is after the wire."""
    return decode_frame(encode_frame(header_batch(sensor, run, T0)))


def flow_log(batches: Iterable[Batch], *, sensor: str = "tap", run: int = 7) -> bytes:
    """Return a whole flow log."""
    return FILE_HEADER + b"".join(map(encode_frame, [header(sensor, run), *batches]))
