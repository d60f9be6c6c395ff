from __future__ import annotations

import pytest

from correlator.ingest.formats.cells import count, payload_estimate, protocol_of

V4, V6 = bytes(4), bytes(16)


@pytest.mark.parametrize(
    ("cell", "expected"), [("", 0), (None, 0), ("0", 0), ("42", 42), (7, 7), ("9" * 20, 10**20 - 1)]
)
def test_a_cell_is_a_count(cell: object, expected: int) -> None:
    assert count(cell) == expected


@pytest.mark.parametrize("cell", ["-1", "1.5", "1e3", "x", "٣", "9" * 21, 1.5, True, [1]])
def test_what_is_no_count_is_an_error(cell: object) -> None:
    with pytest.raises(ValueError, match="not a count"):
        count(cell)


@pytest.mark.parametrize(
    ("ip_bytes", "packets", "protocol", "address", "payload"),
    [(1000, 5, 6, V4, 800), (1000, 5, 17, V4, 860), (1000, 5, 6, V6, 700), (100, 5, 47, V4, 0), (10, 5, 6, V4, 0)],
)
def test_payload_is_ip_bytes_less_headers(
    ip_bytes: int, packets: int, protocol: int, address: bytes, payload: int
) -> None:
    assert payload_estimate(ip_bytes, packets, protocol, address) == payload


@pytest.mark.parametrize(
    ("cell", "number"), [("TCP", 6), ("udp", 17), ("GRE", 47), ("rtp", 17), ("ipv6-icmp", 58), ("89", 89)]
)
def test_a_protocols_name_is_its_number(cell: str, number: int) -> None:
    assert protocol_of(cell) == number
