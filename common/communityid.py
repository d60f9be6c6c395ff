"""Community ID, the flow hash that other sensors write too; pure.

https://github.com/corelight/community-id-spec, version 1: SHA-1 over a seed and the flow's ends, the lower
end first, so that both directions give the same.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from itertools import chain
from typing import Final

from common.records import FlowRecord

_ICMP, _ICMP6 = 1, 58
_WITH_PORTS: Final = frozenset((1, 6, 17, 58, 132))


def _both_ways(*pairs: tuple[int, int]) -> Mapping[int, int]:
    return dict(chain(pairs, ((answer, question) for question, answer in pairs)))


# The types that answer each other; every other message goes one way, and its ports are type and code.
_COUNTERPARTS: Final = {
    _ICMP: _both_ways((8, 0), (10, 9), (13, 14), (15, 16), (17, 18)),
    _ICMP6: _both_ways((128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)),
}


def community_id(record: FlowRecord, seed: int = 0) -> str:
    """Return a record's Community ID."""
    first = record.client_ip, record.client_port
    second = record.server_ip, record.server_port
    if record.protocol in _COUNTERPARTS:
        first, second, ordered = _icmp_ends(record)
    else:
        ordered = first < second
    if not ordered:
        first, second = second, first
    hashed = seed.to_bytes(2, "big") + first[0] + second[0] + bytes((record.protocol, 0))
    if record.protocol in _WITH_PORTS:
        hashed += (first[1] << 16 | second[1]).to_bytes(4, "big")
    return "1:" + b64encode(hashlib.sha1(hashed, usedforsecurity=False).digest()).decode()


def _icmp_ends(record: FlowRecord) -> tuple[tuple[bytes, int], tuple[bytes, int], bool]:
    """Return source and destination as (address, port), and whether they are in order as they are."""
    source, destination = (record.client_ip, record.client_port), (record.server_ip, record.server_port)
    # A home network makes its side the client, also where only the other side sent.
    if record.packets_in > record.packets_out == 0:
        source, destination = destination, source
    counterpart = _COUNTERPARTS[record.protocol].get(source[1])
    if counterpart is None:
        return source, destination, True
    destination = destination[0], counterpart
    return source, destination, source < destination
