from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rec_records import addresses

from common.addresses import address_packed, address_text, endpoint_text, parse_endpoint


@given(packed=addresses)
def test_an_address_is_the_same_after_printing_and_parsing(packed):
    assert address_packed(address_text(packed)) == packed
    assert ipaddress.ip_address(address_text(packed)).packed == packed


@given(packed=addresses, port=st.integers(0, 65535))
def test_an_endpoint_is_the_same_after_printing_and_parsing(packed, port):
    text = address_text(packed)
    assert parse_endpoint(endpoint_text(text, port)) == (text, port)
    assert parse_endpoint(text) == (text, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.2.2:3128", ("10.1.2.2", 3128)),
        ("[2001:DB8::1]:443", ("2001:db8::1", 443)),
        ("[2001:db8:0:0:0:0:0:1]", ("2001:db8::1", None)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("10.1.2.2:00080", ("10.1.2.2", 80)),
    ],
)
def test_endpoints_are_written_in_several_ways(text, expected):
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize("size", [0, 3, 5, 15, 17])
def test_bytes_of_another_length_are_no_address(size):
    with pytest.raises(ValueError, match="4 or 16 bytes"):
        address_text(bytes(size))


@pytest.mark.parametrize(
    "text",
    ["", "10.1.2", "10.1.2.256", "010.1.2.3", "example.com", "10.1.2.3\0", "::1%lo", "1:2", "\ud800", "10.1.2.3 "],
)
def test_what_is_no_address_is_named(text):
    with pytest.raises(ValueError, match="not an IP address: "):
        address_packed(text)


@pytest.mark.parametrize(
    "text",
    [
        "10.1.2.2:", "10.1.2.2:65536", "10.1.2.2:-1", "10.1.2.2:+1", "10.1.2.2:http", "10.1.2.2: 80", "10.1.2.2:٣",
        "10.1.2.2:" + "9" * 5000, "[::1", "[::1]443", "[::1]:", "[::1]:x", "[]:1", "::1]:443", "[::1]:443:1", "",
    ],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused_in_one_short_line(text):
    with pytest.raises(ValueError, match=r"^not a") as caught:
        parse_endpoint(text)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@given(text=st.text(max_size=30))
def test_any_text_is_an_endpoint_or_a_value_error(text):
    try:
        address, port = parse_endpoint(text)
    except ValueError:
        return
    assert address_text(address_packed(address)) == address
    assert port is None or 0 <= port <= 65535
