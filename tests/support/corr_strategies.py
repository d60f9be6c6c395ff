"""Hypothesis strategies for flow records."""

from __future__ import annotations

from corr_flows import NS, T0, flow
from hypothesis import strategies as st

from common.records import FlowRecord

_ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"])
_SERVERS = st.sampled_from(["192.0.2.1", "192.0.2.2"])


@st.composite
def flow_parts(draw: st.DrawFn, flow_id: int) -> list[FlowRecord]:
    """Draw the parts of one flow: contiguous, the last one ended or not."""
    start = T0 + draw(st.integers(0, 4 * 3600 * 10)) * NS // 10
    constant = {
        "client_ip": draw(_ADDRESSES),
        "server_ip": draw(_SERVERS),
        "server_port": draw(st.sampled_from([80, 443])),
        "client_port": draw(st.integers(1024, 65535)),
        "protocol": draw(st.sampled_from([6, 6, 6, 17])),
        "host": draw(st.sampled_from([None, "a.example", "b.example"])),
    }
    lengths = draw(st.lists(st.integers(0, 2400 * 10), min_size=1, max_size=4))
    ended = draw(st.booleans())
    parts: list[FlowRecord] = []
    begin = start
    for part, length in enumerate(lengths):
        end = begin + length * NS // 10
        parts.append(
            flow(
                flow_id,
                part=part,
                end_reason=3 if ended and part == len(lengths) - 1 else None,
                start_ns=begin,
                end_ns=end,
                packets_out=draw(st.integers(0, 100)),
                packets_in=draw(st.integers(0, 100)),
                payload_bytes_out=draw(st.integers(0, 10**6)),
                payload_bytes_in=draw(st.integers(0, 10**6)),
                wire_bytes_out=draw(st.integers(0, 10**6)),
                gaps_out=draw(st.none() | st.tuples(*[st.integers(0, 9)] * 8)),
                **constant,
            )._replace(flow_start_ns=start)
        )
        begin = end
    return parts


@st.composite
def traffic(draw: st.DrawFn, max_flows: int = 8) -> list[FlowRecord]:
    """Draw the records of several flows, in any order."""
    count = draw(st.integers(1, max_flows))
    records = [part for flow_id in range(1, count + 1) for part in draw(flow_parts(flow_id))]
    return draw(st.permutations(records))


moments = (
    st.none()
    | st.integers(0, 6 * 60).map(lambda minute: T0 + minute * 60 * NS)
    | st.just(T0 // (3600 * NS) * 3600 * NS + 3600 * NS)
)
