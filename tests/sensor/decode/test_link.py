"""Link layers: the same packet beneath each of them, and what is beneath none."""

from __future__ import annotations

import struct
from typing import Any

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import ACK, ethernet, ipv4, ipv6, tcp

from sensor.decode._frame import REJECT_REASONS, SUPPORTED_LINK_TYPES, decode

A, B = "192.0.2.1", "198.51.100.7"
A6, B6 = "2001:db8::1", "2001:db8::2"
SEGMENT = tcp(1025, 80, ACK, b"hello", seq=7, ack=9)
PACKET, PACKET6 = ipv4(A, B, 6, SEGMENT), ipv6(A6, B6, 6, SEGMENT)
SNAP = b"\xaa\xaa\3\0\0\0\x08\0"
SNAP6 = b"\xaa\xaa\3\0\0\0\x86\xdd"
SEEN, SEEN6 = decode(101, PACKET), decode(101, PACKET6)


def dot11(flags: int = 1, subtype: int = 0, *, kind: int = 2, extra: bytes = b"", sequence: int = 0) -> bytes:
    """An 802.11 header: frame control, duration, three addresses, sequence; then what is extra."""
    return bytes([subtype << 4 | kind << 2, flags]) + bytes(20) + struct.pack("<H", sequence) + extra


def radiotap(flags: int | None = None, *, time: bool = False, words: int = 1) -> bytes:
    """A radiotap header with one or more words of present bits."""
    present = (flags is not None) << 1 | time
    body = b"".join(struct.pack("<I", present | (n + 1 < words) << 31) for n in range(words))
    fields = b""
    if time:
        fields += bytes(-(4 + len(body)) % 8) + bytes(8)
    if flags is not None:
        fields += bytes([flags])
    return struct.pack("<BxH", 0, 4 + len(body) + len(fields)) + body + fields


def nflog(packet: bytes, family: int = 2, order: str = "<") -> bytes:
    """An NFLOG frame: a prefix attribute, then the payload."""
    prefix = struct.pack(order + "HH", 4 + 5, 10) + b"drop\0" + bytes(3)
    return struct.pack(">BBH", family, 0, 0) + prefix + struct.pack(order + "HH", 4 + len(packet), 9) + packet


def ppi(link_type: int, fields: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack("<BBHI", 0, flags, 8 + len(fields), link_type) + fields


def pppoe(packet: bytes) -> bytes:
    return struct.pack(">BBHH", 0x11, 0, 1, len(packet)) + packet


def avs(packet: bytes) -> bytes:
    return struct.pack(">II", 0x80211001, 64) + bytes(56) + packet


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        pytest.param(1, ethernet(SNAP + PACKET, len(SNAP + PACKET)), id="802.3 with SNAP"),
        pytest.param(1, ethernet(SNAP + PACKET, len(SNAP + PACKET)) + bytes(8), id="802.3 with SNAP, padded"),
        pytest.param(1, ethernet(SNAP + PACKET, len(SNAP + PACKET), vlans=[5]), id="802.3 with SNAP in a VLAN"),
        pytest.param(1, ethernet(b"\xaa\xaa\3\0\0\xf8\x08\0" + PACKET, 53), id="802.1H"),
        pytest.param(1, ethernet(b"\6\6\3" + PACKET, 48), id="802.2 with the SAP of IP"),
        pytest.param(1, ethernet(b"\0\0\x21\x40" + PACKET, 0x8848), id="MPLS multicast"),
        pytest.param(1, ethernet(pppoe(b"\x21" + PACKET), 0x8864), id="PPPoE, protocol compressed"),
        pytest.param(1, ethernet(pppoe(b"\x02\x81\0\0\x21\x40" + PACKET), 0x8864), id="PPPoE, MPLS"),
        pytest.param(1, ethernet(ethernet(PACKET), 0x6558), id="Ethernet in Ethernet"),
        pytest.param(9, b"\xff\3\0\x21" + PACKET, id="PPP"),
        pytest.param(9, b"\0\x21" + PACKET, id="PPP, address and control compressed"),
        pytest.param(9, b"\x21" + PACKET, id="PPP, all compressed"),
        pytest.param(9, b"\xff\3\x21" + PACKET, id="PPP, protocol compressed"),
        pytest.param(50, b"\xff\3\0\x21" + PACKET, id="PPP in HDLC framing"),
        pytest.param(50, b"\x0f\0\x08\0" + PACKET, id="Cisco HDLC under the number of PPP"),
        pytest.param(51, pppoe(b"\0\x21" + PACKET), id="PPPoE without Ethernet"),
        pytest.param(104, b"\x0f\0\x08\0" + PACKET, id="Cisco HDLC"),
        pytest.param(166, b"\1\3\0\x21" + PACKET, id="PPP, direction in place of the address"),
        pytest.param(166, b"\0\x21" + b"" + PACKET, id="PPP, direction and nothing else"),
        pytest.param(204, b"\1\xff\3\0\x21" + PACKET, id="PPP, direction before the address"),
        pytest.param(113, b"\0\0\0\1\0\6" + bytes(8) + b"\0\4" + SNAP + PACKET, id="Linux cooked, 802.2"),
        pytest.param(105, dot11() + SNAP + PACKET, id="802.11"),
        pytest.param(105, dot11(2) + SNAP + PACKET + bytes(4), id="802.11 with a check sequence"),
        pytest.param(105, dot11(3, extra=bytes(6)) + SNAP + PACKET, id="802.11, four addresses"),
        pytest.param(105, dot11(1, 8, extra=bytes(2)) + SNAP + PACKET, id="802.11, QoS"),
        pytest.param(105, dot11(0x81, 8, extra=bytes(6)) + SNAP + PACKET, id="802.11, QoS and HT control"),
        pytest.param(105, dot11(3, 8, extra=bytes(8)) + SNAP + PACKET, id="802.11, QoS and four addresses"),
        pytest.param(127, radiotap() + dot11() + SNAP + PACKET, id="radiotap"),
        pytest.param(127, radiotap(0x10) + dot11() + SNAP + PACKET + bytes(4), id="radiotap, check sequence"),
        pytest.param(127, radiotap(0x20, time=True) + dot11(1, 8, extra=bytes(4)) + SNAP + PACKET, id="radiotap, pad"),
        pytest.param(
            127,
            radiotap(0x20, time=True, words=2) + dot11(1, 8, extra=bytes(4)) + SNAP + PACKET,
            id="radiotap, 2 words",
        ),
        pytest.param(119, bytes(144) + dot11() + SNAP + PACKET, id="Prism"),
        pytest.param(119, avs(dot11() + SNAP + PACKET), id="AVS under Prism's number"),
        pytest.param(163, avs(dot11() + SNAP + PACKET), id="AVS"),
        pytest.param(192, ppi(1) + ethernet(PACKET), id="PPI, Ethernet"),
        pytest.param(192, ppi(105, struct.pack("<HH20x", 2, 20)) + dot11() + SNAP + PACKET, id="PPI, 802.11"),
        pytest.param(192, ppi(9, struct.pack("<HH3xx", 9, 3), 1) + b"\x21" + PACKET, id="PPI, aligned, PPP"),
        pytest.param(239, nflog(PACKET), id="NFLOG, little-endian"),
        pytest.param(239, nflog(PACKET, order=">"), id="NFLOG, big-endian"),
        pytest.param(239, nflog(PACKET) + bytes(3), id="NFLOG, something after the packet"),
    ],
)
def test_the_same_packet_is_found_beneath_every_link_layer(link_type: int, frame: bytes) -> None:
    seen = decode(link_type, frame)
    seen["vlan"] = None
    assert seen == SEEN


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (9, b"\xff\3\0\x57" + PACKET6),
        (9, b"\x57" + PACKET6),
        (104, b"\x8f\0\x86\xdd" + PACKET6),
        (105, dot11() + SNAP6 + PACKET6),
        (127, radiotap(0) + dot11() + SNAP6 + PACKET6),
        (239, nflog(PACKET6, 10)),
        (1, ethernet(SNAP6 + PACKET6, 73)),
    ],
)
def test_ipv6_is_found_as_well(link_type: int, frame: bytes) -> None:
    assert decode(link_type, frame) == SEEN6


@pytest.mark.parametrize(
    ("link_type", "frame", "reason"),
    [
        (1, ethernet(b"\xff\xff" + bytes(40), 42), "not_ip"),
        (1, ethernet(b"\x42\x42\3" + bytes(35), 38), "not_ip"),
        (1, ethernet(b"\xaa\xaa\3\0\0\x0c\x20\0" + bytes(30), 38), "not_ip"),
        (1, ethernet(SNAP[:5], 5), "truncated_link"),
        (1, ethernet(SNAP + PACKET, 40), "bad_ip"),
        (1, ethernet(PACKET, 0), "truncated_link"),
        (1, ethernet(SNAP[:6] + b"\0\x20" + PACKET, 53), "not_ip"),
        (9, b"", "truncated_link"),
        (9, b"\xff\3", "truncated_link"),
        (9, b"\0", "truncated_link"),
        (9, b"\xc0\x21" + bytes(8), "not_ip"),
        (9, b"\0\xfd\x90\1" + bytes(8), "encrypted"),
        (9, b"\xfd\x80\1" + bytes(8), "not_ip"),
        (51, b"\x11\0\0\1\0", "truncated_link"),
        (104, b"\x0f\0\x20\0" + bytes(20), "not_ip"),
        (104, b"\x8f\0\0\0" + PACKET, "not_ip"),
        (105, b"\x08", "truncated_link"),
        (105, dot11()[:23], "truncated_link"),
        (105, dot11(kind=0) + bytes(40), "not_ip"),
        (105, dot11(kind=1) + bytes(40), "not_ip"),
        (105, b"\x09" + dot11()[1:] + SNAP + PACKET, "not_ip"),
        (105, dot11(1, 4) + SNAP + PACKET, "not_ip"),
        (105, dot11(1, 12, extra=bytes(2)), "not_ip"),
        (105, dot11(0x41) + bytes(40), "encrypted"),
        (105, dot11(1, 8, extra=b"\x80\0") + SNAP + PACKET, "not_ip"),
        (105, dot11(1, sequence=1) + SNAP + PACKET, "not_ip"),
        (105, dot11(1, 8, extra=b"\0"), "truncated_link"),
        (119, bytes(143), "truncated_link"),
        (127, bytes(7), "truncated_link"),
        (127, b"\1\0\x08\0" + bytes(4) + dot11() + SNAP + PACKET, "not_ip"),
        (127, b"\0\0\x07\0" + bytes(4) + dot11() + SNAP + PACKET, "not_ip"),
        (127, b"\0\0\xff\0" + bytes(40), "truncated_link"),
        (163, bytes(64) + dot11() + SNAP + PACKET, "not_ip"),
        (163, b"\x80\x21\x10\1\xff\xff\xff\xff" + bytes(80), "truncated_link"),
        (192, bytes(7), "truncated_link"),
        (192, ppi(147) + PACKET, "unknown_link_type"),
        (192, ppi(192) + ppi(1) + ethernet(PACKET), "unknown_link_type"),
        (192, b"\0\0\7\0\1\0\0\0" + ethernet(PACKET), "not_ip"),
        (239, b"\2\0\0", "truncated_link"),
        (239, nflog(PACKET, 7), "not_ip"),
        (239, b"\2\0\0\0" + bytes(40), "not_ip"),
        (239, nflog(PACKET)[:16], "not_ip"),
        (113, b"\0\0\0\1\0\6" + bytes(8) + b"\0\1" + PACKET, "not_ip"),
    ],
)
def test_what_is_no_ip_packet_is_rejected_with_its_reason(link_type: int, frame: bytes, reason: str) -> None:
    assert decode(link_type, frame) == {"rejected": reason}


def test_the_check_sequence_at_the_end_is_not_taken_for_data() -> None:
    packet = ipv4(A, B, 6, SEGMENT, total=0)  # as long as the frame
    for frame in (radiotap(0x10) + dot11(), ppi(105, struct.pack("<HH8xH10x", 2, 20, 1)) + dot11()):
        link_type = 192 if frame[4:8] == b"\x69\0\0\0" else 127
        assert decode(link_type, frame + SNAP + packet + bytes(4))["wire_bytes"] == len(packet)


@pytest.mark.parametrize("cut", range(4, 24))
def test_an_nflog_frame_cut_short_says_so(cut: int) -> None:
    frame = nflog(PACKET)
    seen = decode(239, frame[:cut], len(frame))
    assert seen["rejected"].startswith("truncated")


LINKS = st.sampled_from(sorted(SUPPORTED_LINK_TYPES))


@given(
    LINKS,
    st.sampled_from([
        radiotap(0x30, time=True) + dot11(0x81, 8, extra=bytes(6)) + SNAP + PACKET, nflog(PACKET), avs(dot11() + SNAP),
        ppi(105, bytes(24)) + dot11() + SNAP + PACKET, b"\xff\3\0\x21" + PACKET,
        ethernet(pppoe(b"\x21" + PACKET), 0x8864),
    ]),
    st.data(),
)  # fmt: skip
def test_a_damaged_frame_is_decoded_or_rejected(link_type: int, frame: bytes, data: st.DataObject) -> None:
    damaged = bytearray(frame)
    for at in data.draw(st.lists(st.integers(0, min(len(frame), 60) - 1), max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(frame)))
    seen = decode(link_type, bytes(damaged[:cut]), len(frame) + data.draw(st.integers(0, 100)))
    assert seen.get("rejected", "accepted") in REJECT_REASONS


@given(st.binary(max_size=40), st.sampled_from([0, 0x10]), st.booleans(), st.booleans())
def test_dpkt_finds_the_same_beneath_radiotap(data: bytes, flags: int, quality: bool, time: bool) -> None:
    header = dot11(1, 8, extra=bytes(2)) if quality else dot11(1)
    check = b"\1\2\3\4" if flags else b""
    frame = radiotap(flags, time=time) + header + SNAP + ipv4(A, B, 17, b"\0\1\0\2\0\0\0\0" + data) + check
    theirs: Any = dpkt.radiotap.Radiotap(frame).data.data_frame.data
    seen = decode(127, frame)
    inner = dpkt.llc.LLC(theirs).data
    assert (seen["source"], seen["destination"], seen["payload_bytes"]) == (inner.src, inner.dst, len(inner.data.data))


@given(st.binary(max_size=40), st.sampled_from([b"\0\x21", b"\x21"]))
def test_dpkt_finds_the_same_beneath_pppoe(data: bytes, protocol: bytes) -> None:
    frame = ethernet(pppoe(protocol + ipv4(A, B, 17, b"\0\1\0\2\0\0\0\0" + data)), 0x8864)
    inner: Any = dpkt.ethernet.Ethernet(frame).data.data.data
    seen = decode(1, frame)
    assert (seen["source"], seen["destination"], seen["payload_bytes"]) == (inner.src, inner.dst, len(inner.data.data))
