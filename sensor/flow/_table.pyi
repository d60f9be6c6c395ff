from collections.abc import Sequence
from typing import Any

from common.flowlog import Block
from sensor.decode._fragments import Reassembler
from sensor.inspect._content import Inspector
from sensor.stream._streams import Streams

EVENT_KINDS: tuple[str, ...]
SERVICE_PORTS: tuple[int, ...]

class FlowTable:
    reassembler: Reassembler
    packets: int
    accepted: int
    filtered: int
    fragments: int
    wire_bytes: int
    flows_open: int
    max_flows: int
    flows_started: int
    flows_evicted: int
    records: int
    records_dropped: int
    alarms: int
    events_dropped: int
    clock_steps: int
    flow_bytes: int
    shapes_used: int
    waiting: bool
    streams: Streams | None
    inspector: Inspector | None
    def __init__(
        self,
        *,
        active_timeout_ns: int = ...,
        tcp_attempt_timeout_ns: int = ...,
        tcp_timeout_ns: int = ...,
        tcp_unestablished_timeout_ns: int = ...,
        udp_timeout_ns: int = ...,
        icmp_timeout_ns: int = ...,
        max_flows: int = ...,
        memory_bytes: int = ...,
        alarm_bytes: int = ...,
        alarm_duration_ns: int = ...,
        alarm_packets: int = ...,
        vlan_in_key: bool = ...,
        trace: bool = ...,
        home: Sequence[tuple[bytes, int]] = ...,
        first_flow_id: int = ...,
        block_records: int = ...,
        seed: bytes = ...,
        streams: Streams | None = ...,
        inspector: Inspector | None = ...,
    ) -> None: ...
    def feed_frame(
        self, link_type: int, time_ns: int, frame: bytes | bytearray | memoryview, length: int | None = None
    ) -> None: ...
    def advance(self, now_ns: int) -> None: ...
    def flush(self) -> bool: ...
    def drain_blocks(self, *, partial: bool = ...) -> list[Block]: ...
    def drain(self) -> list[tuple[Any, ...]]: ...
    def drain_events(self) -> list[tuple[str, bool, tuple[Any, ...]]]: ...
    def rejected_by_reason(self) -> dict[str, int]: ...
