"""The decoder against cases by hand, and against dpkt for whatever Hypothesis thinks of."""

from __future__ import annotations

import struct
from typing import Any

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import ACK, SYN, ethernet, ipv4, ipv6, tcp, udp

from sensor.decode._frame import REJECT_REASONS, SUPPORTED_LINK_TYPES, decode

A, B = "192.0.2.1", "198.51.100.7"
A6, B6 = "2001:db8::1", "2001:db8::2"
SEGMENT = tcp(1025, 80, ACK, b"hello", seq=7, ack=9)


def test_a_tcp_segment_gives_all_its_fields() -> None:
    assert decode(1, ethernet(ipv4(A, B, 6, SEGMENT))) == {
        "ip_version": 4, "protocol": 6, "source": b"\xc0\0\2\1", "destination": b"\xc6\x33\x64\x07",
        "source_port": 1025, "destination_port": 80, "vlan": None, "wire_bytes": 45, "payload_bytes": 5,
        "tcp_flags": ACK, "sequence": 7, "acknowledgement": 9, "window": 65535, "content": b"hello",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (0, b"\2\0\0\0" + ipv4(A, B, 6, SEGMENT)),
        (0, b"\0\0\0\2" + ipv4(A, B, 6, SEGMENT)),
        (0, b"\x1e\0\0\0" + ipv6(A6, B6, 6, SEGMENT)),
        (1, ethernet(ipv6(A6, B6, 6, SEGMENT))),
        (1, ethernet(b"\0\0\x21\x40" + ipv4(A, B, 6, SEGMENT), 0x8847)),
        (1, ethernet(b"\0\0\x20\x40\0\0\x21\x40" + ipv4(A, B, 6, SEGMENT), 0x8847)),
        (1, ethernet(b"\x11\0\0\1\0\x2f\0\x21" + ipv4(A, B, 6, SEGMENT), 0x8864)),
        (1, ethernet(b"\x11\0\0\1\0\x2f\0\x57" + ipv6(A6, B6, 6, SEGMENT), 0x8864)),
        (12, ipv4(A, B, 6, SEGMENT)),
        (101, ipv6(A6, B6, 6, SEGMENT)),
        (108, b"\0\0\0\2" + ipv4(A, B, 6, SEGMENT)),
        (113, b"\0\0\0\1\0\6" + bytes(8) + b"\x08\0" + ipv4(A, B, 6, SEGMENT)),
        (228, ipv4(A, B, 6, SEGMENT)),
        (229, ipv6(A6, B6, 6, SEGMENT)),
        (276, b"\x86\xdd\0\0\0\0\0\2\0\1\0\6" + bytes(8) + ipv6(A6, B6, 6, SEGMENT)),
        (1, ethernet(ipv4(A, B, 6, tcp(1025, 80, ACK, b"hello", words=8), header_words=7))),
        (1, ethernet(ipv4(A, B, 6, SEGMENT)) + b"padding"),
        (1, ethernet(ipv6(A6, B6, 0, b"\6\0" + bytes(6) + SEGMENT))),
        (1, ethernet(ipv6(A6, B6, 43, b"\x3c\1" + bytes(14) + b"\6\0" + bytes(6) + SEGMENT))),
        (1, ethernet(ipv6(A6, B6, 51, b"\6\4" + bytes(22) + SEGMENT))),
        (1, ethernet(ipv6(A6, B6, 44, b"\6\0\0\6" + bytes(4) + SEGMENT))),
    ],
)
def test_the_same_segment_is_found_beneath_every_kind_of_header(link_type: int, frame: bytes) -> None:
    seen = decode(link_type, frame)
    assert (seen["protocol"], seen["source_port"], seen["destination_port"], seen["payload_bytes"]) == (6, 1025, 80, 5)


def test_the_outermost_vlan_tag_is_the_one_reported() -> None:
    assert decode(1, ethernet(ipv4(A, B, 6, SEGMENT), vlans=[0x6000 | 12, 34]))["vlan"] == 12


@pytest.mark.parametrize(
    ("link_type", "frame", "reason"),
    [
        (147, bytes(60), "unknown_link_type"),
        (1, b"", "truncated_link"),
        (1, bytes(13), "truncated_link"),
        (1, ethernet(b"", 0x8100), "truncated_link"),
        (1, ethernet(bytes(28), 0x0806), "not_ip"),
        (1, ethernet(bytes(46), 60), "not_ip"),
        (1, ethernet(ipv4(A, B, 6, SEGMENT), vlans=range(1, 12)), "not_ip"),
        (1, ethernet(bytes(7), 0x8847), "truncated_link"),
        (1, ethernet(bytes(41), 0x8847), "not_ip"),
        (0, bytes(4), "truncated_ip"),
        (1, ethernet(ipv4(A, B, 6, SEGMENT)[:19]), "truncated_ip"),
        (1, ethernet(ipv6(A6, B6, 6, SEGMENT)[:39]), "truncated_ip"),
        (1, ethernet(ipv4(A, B, 6, SEGMENT, header_words=4)), "bad_ip"),
        (1, ethernet(ipv4(A, B, 6, SEGMENT, total=19)), "bad_ip"),
        (1, ethernet(ipv4(A, B, 6, SEGMENT, total=46)), "bad_ip"),
        (1, ethernet(ipv6(A6, B6, 6, SEGMENT), 0x0800), "bad_ip"),
        (1, ethernet(ipv6(A6, B6, 0, b"\0\0" + bytes(6))), "truncated_ip"),
        (1, ethernet(ipv6(A6, B6, 60, b"\6\xff" + bytes(40))), "bad_ip"),
        (1, ethernet(ipv4(A, B, 6, SEGMENT, fragment=1)), "fragment"),
        (1, ethernet(ipv6(A6, B6, 44, b"\6\0\0\x08" + bytes(4) + SEGMENT)), "fragment"),
        (1, ethernet(ipv4(A, B, 132, SEGMENT)), "other_protocol"),
        (1, ethernet(ipv6(A6, B6, 59, b"")), "other_protocol"),
        (1, ethernet(ipv4(A, B, 6, SEGMENT[:19])), "bad_transport"),
        (1, ethernet(ipv4(A, B, 6, tcp(1, 2, ACK, words=4))), "bad_transport"),
        (1, ethernet(ipv4(A, B, 6, struct.pack(">HHIIBBHHH", 1, 2, 0, 0, 0xF0, ACK, 0, 0, 0))), "bad_transport"),
        (1, ethernet(ipv4(A, B, 17, bytes(7))), "bad_transport"),
        (1, ethernet(ipv4(A, B, 1, bytes(3))), "bad_transport"),
    ],
)
def test_what_cannot_be_counted_is_rejected_with_its_reason(link_type: int, frame: bytes, reason: str) -> None:
    assert decode(link_type, frame) == {"rejected": reason}


@pytest.mark.parametrize("captured", range(20))
def test_a_frame_cut_inside_its_transport_header_counts_once_flags_are_there(captured: int) -> None:
    whole = ethernet(ipv4(A, B, 6, SEGMENT))
    seen = decode(1, whole[: 34 + captured], len(whole))
    if captured < 14:
        assert seen == {"rejected": "truncated_transport"}
    else:
        assert seen["payload_bytes"] == 5, "by the headers, not by what was captured"


def test_a_length_of_zero_is_segmentation_offload_and_means_the_whole_frame() -> None:
    seen = decode(1, ethernet(ipv4(A, B, 6, tcp(1, 2, ACK, bytes(3000)), total=0)))
    assert (seen["wire_bytes"], seen["payload_bytes"]) == (3040, 3000)


@pytest.mark.parametrize(("vlans", "seen"), [([0], None), ([0x2000], None), ([0, 7], 7), ([7, 0], 7)])
def test_a_tag_of_vlan_0_is_only_a_priority(vlans: list[int], seen: int | None) -> None:
    assert decode(1, ethernet(ipv4(A, B, 6, SEGMENT), vlans=vlans))["vlan"] == seen


@pytest.mark.parametrize("length", [None, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_unknown_or_absurd_length_on_the_wire_changes_no_counter(length: int | None) -> None:
    seen = decode(1, ethernet(ipv4(A, B, 6, SEGMENT, total=0)), length)
    assert (seen["wire_bytes"], seen["payload_bytes"]) == (45, 5)


@pytest.mark.parametrize(
    ("protocol", "kind", "answer"),
    [(1, 8, 0), (1, 0, 8), (1, 13, 14), (1, 14, 13), (1, 17, 18), (1, 10, 9), (58, 128, 129), (58, 129, 128),
     (58, 135, 136), (58, 133, 134), (58, 139, 140)],
)  # fmt: skip
def test_icmp_question_and_answer_share_their_two_numbers(protocol: int, kind: int, answer: int) -> None:
    packet = ipv4(A, B, protocol, bytes([kind, 0]) + bytes(14))
    seen = decode(1, ethernet(packet))
    assert (seen["source_port"], seen["destination_port"], seen["payload_bytes"]) == (kind, answer, 8)


def test_icmp_without_an_answer_shows_its_code() -> None:
    assert decode(1, ethernet(ipv4(A, B, 1, b"\3\1" + bytes(10))))["destination_port"] == 1


@given(st.sampled_from(sorted(SUPPORTED_LINK_TYPES)), st.binary(max_size=120), st.integers(0, 2000))
def test_any_bytes_are_decoded_or_rejected_with_a_known_reason(link_type: int, frame: bytes, extra: int) -> None:
    seen = decode(link_type, frame, len(frame) + extra)
    assert seen.get("rejected", REJECT_REASONS[1]) in REJECT_REASONS


PORTS = st.integers(0, 65535)


@st.composite
def good_frames(draw: st.DrawFn) -> bytes:
    data = draw(st.binary(max_size=60))
    if draw(st.booleans()):
        protocol, transport = 6, tcp(draw(PORTS), draw(PORTS), draw(st.integers(0, 255)), data, seq=draw(PORTS),
                                     ack=draw(PORTS), words=draw(st.integers(5, 15)))  # fmt: skip
    else:
        protocol, transport = 17, udp(draw(PORTS), draw(PORTS), data)
    if draw(st.booleans()):
        packet = ipv4(A, B, protocol, transport, header_words=draw(st.integers(5, 15)))
    else:
        packet = ipv6(A6, B6, protocol, transport)
    return ethernet(packet, vlans=draw(st.lists(st.integers(1, 4094), max_size=2)))


@given(good_frames())
def test_dpkt_sees_the_same(frame: bytes) -> None:
    link: Any = dpkt.ethernet.Ethernet(frame)
    network = link.data
    transport = network.data
    seen = decode(1, frame)
    assert seen["source"] == network.src
    assert seen["destination"] == network.dst
    assert (seen["source_port"], seen["destination_port"]) == (transport.sport, transport.dport)
    assert seen["payload_bytes"] == len(transport.data)
    assert seen["vlan"] == (link.vlan_tags[0].id if getattr(link, "vlan_tags", None) else None)
    if seen["protocol"] == 6:
        assert (seen["tcp_flags"], seen["sequence"], seen["acknowledgement"], seen["window"]) == (
            transport.flags & 0xFF,
            transport.seq,
            transport.ack,
            transport.win,
        )
        assert seen["content"] == transport.data  # fmt: skip


@given(good_frames(), st.data())
def test_a_cut_frame_never_decodes_to_something_else(frame: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(frame)))
    whole, part = decode(1, frame), decode(1, frame[:cut], len(frame))
    if "rejected" in part:
        assert part["rejected"].startswith("truncated")
        return
    assert whole.pop("content").startswith(part.pop("content"))
    assert part == whole


def test_a_syn_keeps_its_flags_even_with_reserved_bits_set() -> None:
    assert decode(1, ethernet(ipv4(A, B, 6, tcp(1, 2, SYN | 0xC0))))["tcp_flags"] == SYN | 0xC0
