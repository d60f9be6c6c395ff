"""Cells of tables that other programs write, as the numbers of a flow record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from common.errors import WireError
from common.textrecords import protocol_number

TCP: Final = 6
ICMP: Final = 1
ICMP6: Final = 58
_IP_HEADER_BYTES: Final = {4: 20, 16: 40}
_TRANSPORT_HEADER_BYTES: Final = {TCP: 20, 17: 8, ICMP: 8, ICMP6: 8}
# Names beyond those of records (IANA's protocol numbers), and what Argus calls by what UDP carries.
_PROTOCOL_NUMBERS: Final = {
    "ipv6-icmp": ICMP6, "icmpv6": ICMP6, "igmp": 2, "ipip": 4, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "eigrp": 88,
    "ospf": 89, "pim": 103, "vrrp": 112, "sctp": 132, "rtp": 17, "rtcp": 17, "udt": 17,
}  # fmt: skip


def row_of(kind: str, names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Return the cells of a line by their columns' names; WireError of this kind when they are not as many."""
    if len(cells) != len(names):
        raise WireError(kind, f"{len(cells)} cells, the first line names {len(names)} columns")
    return dict(zip(names, cells, strict=True))


def protocol_of(cell: str) -> int:
    """Return the number of a protocol's name as Argus and nfdump write it; ValueError when it is none."""
    known = _PROTOCOL_NUMBERS.get(cell.lower())
    return protocol_number(cell) if known is None else known


def count(value: Any) -> int:
    """Return a count of a cell, 0 of an empty one; ValueError for anything else."""
    if value in (None, ""):
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    if type(value) is int:
        return value
    raise ValueError(f"not a count: {value!r:.40}")


def payload_estimate(ip_bytes: int, packets: int, protocol: int, address: bytes) -> int:
    """Return the IP bytes less what headers without options take; nothing that only counts IP bytes tells better."""
    header = _IP_HEADER_BYTES[len(address)] + _TRANSPORT_HEADER_BYTES.get(protocol, 0)
    return max(0, ip_bytes - packets * header)
