"""Filter programs by libpcap."""

from __future__ import annotations

import pytest
from packets import ACK, CLIENT, SERVER, tcp_frame

from sensor.capture._bpf import FilterProgram

FRAME = tcp_frame(CLIENT, SERVER, ACK, b"x")


@pytest.mark.parametrize(
    ("expression", "link_type", "matches"),
    [
        ("", 1, True),
        ("tcp", 1, True),
        ("udp", 1, False),
        ("host 10.1.1.9 and port 3128", 1, True),
        ("net 192.0.2.0/24", 1, False),
        ("greater 1000", 1, False),
    ],
)
def test_a_program_matches_as_tcpdump_would(*, expression: str, link_type: int, matches: bool) -> None:
    assert FilterProgram(expression, link_type).match(FRAME) is matches


@pytest.mark.parametrize("expression", ["tcp prt 80", "host", "port 99999999", "no-such-host.invalid", "tcp\0"])
def test_a_bad_expression_is_refused_with_a_reason(expression: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        FilterProgram(expression, 1)


@pytest.mark.parametrize("link_type", [12, 14, 101])
def test_raw_ip_is_filtered_under_each_of_its_numbers(link_type: int) -> None:
    assert FilterProgram("tcp port 3128", link_type).match(FRAME[14:])


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (9, b"\xff\3\0\x21" + FRAME[14:]),
        (50, b"\xff\3\0\x21" + FRAME[14:]),
        (51, b"\x11\0\0\1\0\x2b\0\x21" + FRAME[14:]),
        (104, b"\x0f\0\x08\0" + FRAME[14:]),
        (105, b"\x08\1" + bytes(22) + b"\xaa\xaa\3\0\0\0\x08\0" + FRAME[14:]),
        (127, b"\0\0\x08\0" + bytes(4) + b"\x08\1" + bytes(22) + b"\xaa\xaa\3\0\0\0\x08\0" + FRAME[14:]),
        (166, b"\1\3\0\x21" + FRAME[14:]),
        (228, FRAME[14:]),
    ],
)
def test_every_link_layer_is_filtered_by_what_is_beneath(link_type: int, frame: bytes) -> None:
    assert FilterProgram("tcp port 3128", link_type).match(frame)
    assert not FilterProgram("tcp port 3129", link_type).match(frame)


def test_a_link_layer_that_libpcap_cannot_filter_is_refused_with_its_words() -> None:
    with pytest.raises(ValueError, match="not implemented"):
        FilterProgram("tcp", 239)


def test_a_frame_shorter_than_the_program_looks_does_not_match() -> None:
    assert not FilterProgram("tcp port 3128", 1).match(FRAME[:20])
