"""Tunnels: the innermost packet is the one that counts, and a bound on how deep it is looked for."""

from __future__ import annotations

import struct
from typing import Any

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import ACK, T0, accounted, all_records, ethernet, ipv4, ipv6, tcp, udp

from sensor.decode._frame import REJECT_REASONS, decode
from sensor.flow._table import FlowTable

A, B = "192.0.2.1", "198.51.100.7"
A6, B6 = "2001:db8::1", "2001:db8::2"
SEGMENT = tcp(1025, 80, ACK, b"hello", seq=7, ack=9)
PACKET, PACKET6 = ipv4(A, B, 6, SEGMENT), ipv6(A6, B6, 6, SEGMENT)
SEEN, SEEN6 = decode(101, PACKET), decode(101, PACKET6)
CHECKSUM, ROUTING, KEY, SEQUENCE, ACKNOWLEDGED = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080


def gre(inside: bytes, kind: int = 0x0800, flags: int = 0, *, optional: bytes | None = None) -> bytes:
    """GRE in IPv4; the optional fields follow from the flags."""
    words = sum(bool(flags & flag) for flag in (CHECKSUM, KEY, SEQUENCE))
    return ipv4(
        B, A, 47, struct.pack(">HH", flags, kind) + (bytes(4 * words) if optional is None else optional) + inside
    )


def pptp(inside: bytes, flags: int = KEY | SEQUENCE, length: int | None = None) -> bytes:
    key = struct.pack(">HH", len(inside) if length is None else length, 7)
    optional = key + bytes(4 * bool(flags & SEQUENCE)) + bytes(4 * bool(flags & ACKNOWLEDGED))
    return gre(inside, 0x880B, flags | 1, optional=optional)


def vxlan(inside: bytes, flags: int = 0x08, port: int = 4789) -> bytes:
    return ipv4(B, A, 17, udp(50000, port, bytes([flags]) + bytes(7) + inside))


def geneve(inside: bytes, kind: int = 0x6558, words: int = 0, *, version: int = 0, control: int = 0) -> bytes:
    header = struct.pack(">BBHI", version << 6 | words, control, kind, 0) + bytes(4 * words)
    return ipv4(B, A, 17, udp(50000, 6081, header + inside))


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        pytest.param(gre(PACKET), SEEN, id="GRE"),
        pytest.param(gre(PACKET6, 0x86DD), SEEN6, id="GRE, IPv6"),
        pytest.param(gre(PACKET, flags=CHECKSUM), SEEN, id="GRE, checksum"),
        pytest.param(gre(PACKET, flags=KEY), SEEN, id="GRE, key"),
        pytest.param(gre(PACKET, flags=SEQUENCE), SEEN, id="GRE, sequence number"),
        pytest.param(gre(PACKET, flags=CHECKSUM | KEY | SEQUENCE), SEEN, id="GRE, all three"),
        pytest.param(gre(ethernet(PACKET), 0x6558), SEEN, id="GRE, Ethernet"),
        pytest.param(gre(b"\0\0\x21\x40" + PACKET, 0x8847), SEEN, id="GRE, MPLS"),
        pytest.param(gre(b"\x21" + PACKET, 0x880B), SEEN, id="GRE, PPP"),
        pytest.param(gre(b"\x10" + bytes(7) + ethernet(PACKET), 0x88BE, SEQUENCE), SEEN, id="ERSPAN II"),
        pytest.param(gre(ethernet(PACKET), 0x88BE), SEEN, id="ERSPAN I"),
        pytest.param(gre(b"\x20" + bytes(11) + ethernet(PACKET), 0x22EB, SEQUENCE), SEEN, id="ERSPAN III"),
        pytest.param(
            gre(b"\x20" + bytes(10) + b"\1" + bytes(8) + ethernet(PACKET), 0x22EB, SEQUENCE),
            SEEN,
            id="ERSPAN III, more",
        ),
        pytest.param(pptp(b"\xff\3\0\x21" + PACKET), SEEN, id="PPTP"),
        pytest.param(pptp(b"\x21" + PACKET, KEY | SEQUENCE | ACKNOWLEDGED), SEEN, id="PPTP, compressed, acknowledging"),
        pytest.param(pptp(b"\x21" + PACKET) + bytes(8), SEEN, id="PPTP, padded"),
        pytest.param(ipv6(B6, A6, 47, b"\0\0\x08\0" + PACKET), SEEN, id="GRE in IPv6"),
        pytest.param(ipv4(B, A, 4, PACKET), SEEN, id="IPv4 in IPv4"),
        pytest.param(ipv4(B, A, 41, PACKET6), SEEN6, id="IPv6 in IPv4"),
        pytest.param(ipv6(B6, A6, 4, PACKET), SEEN, id="IPv4 in IPv6"),
        pytest.param(ipv6(B6, A6, 41, PACKET6), SEEN6, id="IPv6 in IPv6"),
        pytest.param(ipv6(B6, A6, 60, b"\x29\0" + bytes(6) + PACKET6), SEEN6, id="IPv6 in IPv6 behind options"),
        pytest.param(vxlan(ethernet(PACKET)), SEEN, id="VXLAN"),
        pytest.param(vxlan(ethernet(PACKET6)), SEEN6, id="VXLAN, IPv6"),
        pytest.param(geneve(ethernet(PACKET)), SEEN, id="Geneve"),
        pytest.param(geneve(ethernet(PACKET), words=3), SEEN, id="Geneve, options"),
        pytest.param(geneve(PACKET, 0x0800), SEEN, id="Geneve without Ethernet"),
        pytest.param(vxlan(ethernet(gre(ipv4(B, A, 4, PACKET)))), SEEN, id="IPv4 in IPv4 in GRE in VXLAN"),
    ],
)
def test_the_innermost_packet_is_the_one_that_counts(outer: bytes, inner: dict[str, Any]) -> None:
    assert decode(1, ethernet(outer)) == inner


def test_the_outermost_vlan_is_reported_for_what_is_inside() -> None:
    assert decode(1, ethernet(vxlan(ethernet(PACKET, vlans=[9])), vlans=[5]))["vlan"] == 5
    assert decode(1, ethernet(vxlan(ethernet(PACKET, vlans=[9]))))["vlan"] == 9


@pytest.mark.parametrize(
    "packet",
    [
        vxlan(ethernet(PACKET), flags=0),
        vxlan(ethernet(PACKET)[:10]),
        vxlan(ethernet(b"", 0x0806)),
        vxlan(ethernet(gre(PACKET, 0x0806))),
        vxlan(b""),
        vxlan(ethernet(PACKET), port=4790),
        geneve(ethernet(PACKET), version=1),
        geneve(ethernet(PACKET), control=0x80),
        geneve(ethernet(PACKET), kind=0x1234),
        geneve(b"", words=63)[:60],
        ipv4(B, A, 17, udp(50000, 4789, b"\x08")),
        ipv4(B, A, 17, udp(4789, 50000, b"\x08" + bytes(7) + ethernet(PACKET))),
    ],
)
def test_a_udp_packet_whose_inside_does_not_decode_stays_what_it_is(packet: bytes) -> None:
    if len(packet) == 60:
        packet = packet[:2] + struct.pack(">H", 60) + packet[4:]
    seen = decode(1, ethernet(packet, vlans=[5]))
    assert (seen["protocol"], seen["wire_bytes"], seen["payload_bytes"]) == (17, len(packet), len(packet) - 28)
    assert (seen["content"], seen["tcp_flags"], seen["vlan"]) == (packet[28:], 0, 5)


def test_of_nested_udp_tunnels_the_innermost_that_decodes_counts() -> None:
    inner = vxlan(b"nothing")
    assert decode(1, ethernet(vxlan(ethernet(inner)))) == decode(1, ethernet(inner))


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (gre(PACKET, flags=ROUTING), "not_ip"),
        (gre(PACKET, flags=2), "not_ip"),
        (gre(bytes(40), 0x0806), "not_ip"),
        (gre(PACKET, 0), "not_ip"),
        (gre(PACKET, 0x003C), "not_ip"),
        (gre(b"", flags=CHECKSUM | KEY)[:26], "bad_ip"),
        (ipv4(B, A, 47, b"\0\0"), "truncated_link"),
        (ipv4(B, A, 47, b"\xb0\0\x08\0" + bytes(8)), "truncated_link"),
        (gre(ethernet(PACKET)[:13], 0x6558), "truncated_link"),
        (gre(bytes(4), 0x88BE, SEQUENCE), "truncated_link"),
        (gre(b""), "truncated_ip"),
        (gre(PACKET[:30]), "bad_ip"),
        (gre(ipv4(A, B, 132, bytes(12))), "other_protocol"),
        (gre(ipv4(A, B, 6, SEGMENT[:19])), "bad_transport"),
        (pptp(b"", KEY | ACKNOWLEDGED), "not_ip"),
        (pptp(b"\x21" + PACKET, length=40), "bad_ip"),
        (pptp(b"\xc0\x21" + bytes(8)), "not_ip"),
        (pptp(b"\0\xfd\x90\1" + bytes(30)), "encrypted"),
        (gre(PACKET, 0x0800, KEY | SEQUENCE | 1), "not_ip"),
        (ipv4(B, A, 4, PACKET6), "bad_ip"),
        (ipv4(B, A, 4, b""), "truncated_ip"),
        (ipv6(B6, A6, 41, PACKET6[:39]), "truncated_ip"),
        (ipv6(B6, A6, 59, b""), "other_protocol"),
    ],
)
def test_the_reason_inside_is_the_reason(packet: bytes, reason: str) -> None:
    assert decode(1, ethernet(packet)) == {"rejected": reason}


@pytest.mark.parametrize("wrap", [gre, lambda p: ipv4(B, A, 4, p), lambda p: vxlan(ethernet(p))])
def test_four_tunnels_are_opened_and_a_fifth_is_not(wrap: Any) -> None:
    packet = PACKET
    for _ in range(4):
        packet = wrap(packet)
        assert decode(1, ethernet(packet)) == SEEN
    fifth = decode(1, ethernet(wrap(packet)))
    if packet[9] == 17:
        assert (fifth["destination_port"], fifth["content"]) == (4789, b"\x08" + bytes(7) + ethernet(PACKET))
    else:
        assert fifth == {"rejected": "too_deep"}


@pytest.mark.parametrize("wrap", [gre, lambda p: ipv4(B, A, 4, p), lambda p: ipv6(A6, B6, 41, ipv6(A6, B6, 4, p))])
def test_a_frame_cut_inside_a_tunnel_never_decodes_to_something_else(wrap: Any) -> None:
    frame = ethernet(wrap(PACKET))
    for cut in range(len(frame)):
        seen = decode(1, frame[:cut], len(frame))
        if "rejected" in seen:
            assert seen["rejected"].startswith("truncated")
        else:
            assert SEEN["content"].startswith(seen.pop("content"))
            assert seen.items() <= SEEN.items() | {("window", 0xFFFF)}


def test_a_flow_counts_the_inner_packet_s_bytes() -> None:
    table = FlowTable()
    for packet in (PACKET, gre(PACKET), vxlan(ethernet(PACKET))):
        table.feed_frame(1, T0, ethernet(packet))
    assert accounted(table)
    (flow,) = all_records(table)
    assert (flow.packets_out + flow.packets_in, flow.wire_bytes_out + flow.wire_bytes_in) == (3, 3 * len(PACKET))


@given(st.binary(max_size=60), st.sampled_from([0, KEY, SEQUENCE, CHECKSUM, CHECKSUM | KEY | SEQUENCE]))
def test_dpkt_finds_the_same_in_gre(data: bytes, flags: int) -> None:
    frame = ethernet(gre(ipv4(A, B, 17, udp(5, 6, data)), flags=flags))
    link: Any = dpkt.ethernet.Ethernet(frame)
    inner = link.data.data.data
    seen = decode(1, frame)
    assert (seen["source"], seen["destination"]) == (inner.src, inner.dst)
    assert (seen["source_port"], seen["content"]) == (inner.data.sport, inner.data.data)


@given(
    st.sampled_from([
        gre(PACKET, flags=KEY), pptp(b"\x21" + PACKET), vxlan(ethernet(gre(PACKET))), geneve(ethernet(PACKET6)),
        ipv6(B6, A6, 4, ipv4(B, A, 41, PACKET6)),
    ]),
    st.data(),
)  # fmt: skip
def test_a_damaged_tunnel_is_decoded_or_rejected(packet: bytes, data: st.DataObject) -> None:
    damaged = bytearray(ethernet(packet))
    for at in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    seen = decode(1, bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), len(damaged))
    assert seen.get("rejected", "accepted") in REJECT_REASONS
