"""Builders of records and frames, and Hypothesis strategies for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgpack
from hypothesis import strategies as st

from common import kinds, records
from common.errors import WireError
from common.flowlog import FILE_HEADER, Batch, Block, encode_frame, header_batch
from common.kinds import UINT63_MAX, Kind
from common.records import FlowRecord, HttpExchange, Record, RecordReader, SensorAlarm, SensorStats, fields_of
from correlator.ingest.receiver import MAX_COUNTER, MAX_TIME_NS

S = 1_000_000_000
T0 = 1_700_000_000 * S
RUN = T0

R = TypeVar("R", bound=Record)


def flow(**fields: Any) -> FlowRecord:
    """A flow of one part that ended well."""
    return FlowRecord(
        **{
            "flow_id": 1, "part": 0, "end_reason": 3, "protocol": 6, "vlan": None, "client_ip": bytes([10, 1, 1, 46]),
            "client_port": 1044, "server_ip": bytes([10, 1, 1, 1]), "server_port": 3128, "oriented_by": 1,
            "flow_start_ns": T0, "start_ns": T0, "end_ns": T0 + 2 * S, **fields,
        }
    )  # fmt: skip


def stats(**fields: Any) -> SensorStats:
    """A sensor's account of itself."""
    return SensorStats(**{"time_ns": T0, "version": "0.1.0", "source": "eth0", **fields})


def alarm(**fields: Any) -> SensorAlarm:
    """A flow over its byte limit."""
    return SensorAlarm(
        **{
            "time_ns": T0 + 66 * S, "rule": "bytes", "value": 100_100, "limit": 100_000, "flow_id": 1, "protocol": 6,
            "client_ip": bytes([10, 1, 1, 46]), "client_port": 1044, "server_ip": bytes([10, 1, 1, 1]),
            "server_port": 3128, "packets_out": 9, "packets_in": 8, "payload_bytes_out": 90_100,
            "payload_bytes_in": 10_000, "duration_ns": 66_500_000_000, **fields,
        }
    )  # fmt: skip


def exchange(**fields: Any) -> HttpExchange:
    """A page asked for through a proxy."""
    return HttpExchange(
        **{
            "flow_id": 1, "number": 0, "client_ip": bytes([10, 1, 1, 46]), "client_port": 1044,
            "server_ip": bytes([10, 1, 1, 1]), "server_port": 3128, "start_ns": T0, "request_end_ns": T0,
            "response_start_ns": T0 + S, "end_ns": T0 + 2 * S, "method": "GET", "host": "www.example.net",
            "host_port": 80, "uri_bytes": 27, "version": "1.1", "header_names": ("Host", "User-Agent"),
            "user_agent": "curl/8.0", "request_header_bytes": 90, "status": 200, "response_version": "1.1",
            "response_header_bytes": 120, "response_body_bytes": 5000, "content_type": "text/html", **fields,
        }
    )  # fmt: skip


def header(sensor: str = "tap-1", run: int = RUN) -> bytes:
    """The frame that opens a run."""
    return encode_frame(header_batch(sensor, run, run))


def frame(
    sequence: int, rows: Sequence[Any] = (), *, kind: str = "flow", sensor: str = "tap-1", run: int = RUN
) -> bytes:
    """A frame of a run."""
    return encode_frame(Batch(kind, sensor, run, sequence, T0, T0 + S, rows or [flow(flow_id=sequence)]))


def block(*rows: FlowRecord) -> Block:
    """Records as the flow table hands them out."""
    packed = b"".join(map(msgpack.packb, rows))
    return Block(len(rows), packed, min(row.start_ns for row in rows), max(row.end_ns for row in rows))


def flow_log(*frames: bytes) -> bytes:
    """A whole file."""
    return FILE_HEADER + b"".join(frames)


def outcome(reader: RecordReader[Any], row: object) -> tuple[str, str]:
    """What becomes of a row: ("", the record) or (reason, the error). Texts, for 1, 1.0 and True are equal."""
    try:
        return "", repr(reader.read(row))
    except WireError as error:
        return error.reason, str(error)


counts = st.integers(0, UINT63_MAX) | st.integers(0, 300)
signed = st.integers(-UINT63_MAX, UINT63_MAX)
shares = st.floats(0, allow_nan=False, allow_infinity=False)
addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


def texts(limit: int, min_size: int = 0) -> st.SearchStrategy[str]:
    """Texts that a record may hold."""
    letters = st.sampled_from("az09 .-_:/\"',=\\é漢😀") | st.characters(codec="utf-8").filter(str.isprintable)
    return st.text(letters, min_size=min_size, max_size=min(limit, 20)) | st.just("x" * limit)


def _optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


GOOD: Mapping[Kind, st.SearchStrategy[Any]] = {
    kinds.COUNT: counts,
    kinds.OPTIONAL_COUNT: _optional(counts),
    kinds.BYTE: st.integers(0, 255),
    kinds.PORT: st.integers(0, 65535),
    records.OPTIONAL_PORT: _optional(st.integers(0, 65535)),
    kinds.VLAN: _optional(st.integers(0, 4095)),
    records.END_REASON: _optional(st.sampled_from(sorted(records.END_REASONS))),
    records.ORIENTATION: st.sampled_from(sorted(records.ORIENTATIONS)),
    kinds.ADDRESS: addresses,
    kinds.NAME: texts(255),
    kinds.OPTIONAL_NAME: _optional(texts(255)),
    kinds.OPTIONAL_TEXT: _optional(texts(1024)),
    kinds.HISTOGRAM: _optional(st.tuples(*[counts] * 8)),
    kinds.SHARE: _optional(shares),
    kinds.SPLT: _optional(st.lists(st.tuples(signed, signed), max_size=32).map(tuple)),
    kinds.FACTS: _optional(st.dictionaries(texts(64), signed | texts(1024), max_size=4)),
    kinds.NAMES: _optional(st.lists(texts(64), max_size=4).map(tuple)),
    kinds.HEADER_NAMES: _optional(st.lists(texts(64), max_size=4).map(tuple)),
    kinds.COUNTS_BY_NAME: st.dictionaries(texts(64), counts, max_size=4),
}
"""Values that each kind of field takes."""

_NOT_COUNTS: list[Any] = [-1, 1 << 63, True, 1.0, "1", b"1", (), {}, [], math.nan, (1,), {"a": 1}]
_NOT_TEXTS: list[Any] = ["x" * 256, "a\nb", "\x1b[2J", "\x00", "\x7f", "\u202e", "\ud800", b"x", 1, True, (), {}, []]
BAD: Mapping[Kind, Sequence[Any]] = {
    kinds.COUNT: [None, *_NOT_COUNTS],
    kinds.OPTIONAL_COUNT: _NOT_COUNTS,
    kinds.BYTE: [None, 256, *_NOT_COUNTS],
    kinds.PORT: [None, 65536, *_NOT_COUNTS],
    records.OPTIONAL_PORT: [65536, *_NOT_COUNTS],
    kinds.VLAN: [4096, *_NOT_COUNTS],
    records.END_REASON: [0, 6, "idle", *_NOT_COUNTS],
    records.ORIENTATION: [None, 6, "syn", *_NOT_COUNTS],
    kinds.ADDRESS: [None, b"", b"123", b"x" * 5, b"x" * 15, b"x" * 17, "1.2.3.4", 1, bytearray(4), (1, 2, 3, 4)],
    kinds.NAME: [None, *_NOT_TEXTS],
    kinds.OPTIONAL_NAME: _NOT_TEXTS,
    kinds.OPTIONAL_TEXT: ["x" * 1025, *_NOT_TEXTS[1:]],
    kinds.HISTOGRAM: [(1,) * 7, (1,) * 9, [1] * 8, (1,) * 7 + (True,), (1,) * 7 + (-1,), 8, "12345678", b"12345678"],
    kinds.SHARE: [1, True, -0.5, math.nan, math.inf, -math.inf, "0.5", b"", (), {}],
    kinds.SPLT: [((1, 2),) * 33, [(1, 2)], ([1, 2],), ((1, 2, 3),), ((1,),), ((1, None),), ((1, True),), (1, 2), "",
        {}],
    kinds.FACTS: [
        {str(n): n for n in range(33)}, {"x" * 65: 1}, {"a": "x" * 1025}, {"a\n": 1}, {"a": "b\n"}, {"a": None},
        {"a": True}, {"a": 1.5}, {"a": (1,)}, {"a": {}}, {1: 1}, {b"a": 1}, {(1,): 1}, (), [], "{}", 1,
    ],
    kinds.NAMES: [("a",) * 33, ["a"], ("x" * 65,), ("\n",), (None,), (1,), ((),), ({},), "a", {"a": 1}, 1],
    kinds.HEADER_NAMES: [("a",) * 65, ["a"], ("x" * 65,), ("\n",), (None,), (1,), ((),), "a", {"a": 1}, 1],
    kinds.COUNTS_BY_NAME: [
        None, {str(n): n for n in range(65)}, {"a": -1}, {"a": True}, {"a": "1"}, {"\n": 1}, {1: 1}, (), [], 1,
    ],
}  # fmt: skip
"""Values that each kind of field refuses."""


def rows_of(record_type: type[R]) -> st.SearchStrategy[R]:
    """Records whose every field is good by itself."""
    make: Callable[[Any], R] = record_type._make  # type: ignore[assignment]  # the method of the bound's types
    return st.tuples(*(GOOD[field.kind] for field in fields_of(record_type))).map(make)


@st.composite
def flows(draw: st.DrawFn) -> FlowRecord:
    """Flow records whose fields agree with each other."""
    record = draw(rows_of(FlowRecord))
    flow_start_ns, start_ns, end_ns = sorted(draw(st.tuples(counts, counts, counts)))
    size = draw(st.sampled_from((4, 16)))
    packed = st.binary(min_size=size, max_size=size)
    return record._replace(
        flow_start_ns=flow_start_ns, start_ns=start_ns, end_ns=end_ns, client_ip=draw(packed), server_ip=draw(packed)
    )


_VOLUMES = FlowRecord._fields[FlowRecord._fields.index("packets_out") : FlowRecord._fields.index("tcp_flags_out")]


@st.composite
def plausible_flows(draw: st.DrawFn) -> FlowRecord:
    """Those of them that a receiver lets through wherever they stand: none is too large or lasts for too long."""
    record = draw(flows())
    limits = dict.fromkeys(_VOLUMES, MAX_COUNTER) | {"start_ns": MAX_TIME_NS >> 1}
    record = record._replace(**{name: getattr(record, name) % limit for name, limit in limits.items()})
    duration_ns = (record.end_ns - record.start_ns) % 10**15
    return record._replace(
        flow_start_ns=min(record.flow_start_ns, record.start_ns), end_ns=record.start_ns + duration_ns
    )


any_record = flows() | rows_of(SensorStats) | rows_of(SensorAlarm) | rows_of(HttpExchange)

# Whatever msgpack can carry, to stand where a record or a field belongs.
wire_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text(max_size=8)
    | st.binary(max_size=16),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
