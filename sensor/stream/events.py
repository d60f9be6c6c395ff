"""What a connection's streams are handed out as: begun, bytes in order or left out, the end."""

from __future__ import annotations

from typing import Final, NamedTuple

CLIENT: Final = 0
"""Direction: client to server."""
SERVER: Final = 1
"""Direction: server to client."""


class Began(NamedTuple):
    """A flow whose payload is followed; addresses are packed, 4 or 16 bytes."""

    flow_id: int
    time_ns: int
    """Of its first packet."""
    protocol: int
    vlan: int | None
    client_ip: bytes
    client_port: int
    server_ip: bytes
    server_port: int


class Data(NamedTuple):
    """Bytes of one direction, in the order of the stream; a datagram's payload is one of these."""

    flow_id: int
    direction: int
    offset: int
    """Of the first of them in its direction's stream; gaps count."""
    time_ns: int
    """Of the packet that brought the first of them."""
    data: bytes


class Gap(NamedTuple):
    """Bytes of one direction that were not seen, or for which there was no room."""

    flow_id: int
    direction: int
    offset: int
    time_ns: int
    length: int


class Skipped(NamedTuple):
    """Bytes of one direction that were seen and left out, because the taker asked for that."""

    flow_id: int
    direction: int
    offset: int
    time_ns: int
    """Of the packet that brought the last of them."""
    length: int


class Ended(NamedTuple):
    """The last of a flow."""

    flow_id: int
    time_ns: int
    end_reason: int
    """As in flow records."""
    packets_out: int = 0
    """Of the whole flow, from its first on, with payload or without."""
    packets_in: int = 0
    wire_bytes_out: int = 0
    """Of these packets, from their IP headers on; where flows have no active timeout."""
    wire_bytes_in: int = 0


Event = Began | Data | Gap | Skipped | Ended
