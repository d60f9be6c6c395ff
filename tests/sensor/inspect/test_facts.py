"""What hellos, banners and heads tell is in a flow's record under names of its own, short and few."""

from __future__ import annotations

import pytest
from hellos import client_hello
from hypothesis import given
from hypothesis import strategies as st

from sensor.inspect.facts import is_other_name, told_by

REQUEST = b"GET /x HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x/1\r\n\r\n"


def test_a_request_names_the_host() -> None:
    told = told_by("http", False, False, REQUEST)
    assert told is not None
    assert told.host == "a.example"
    assert told.facts == {"http_method": "GET", "user_agent": "x/1"}


def test_a_connect_keeps_its_target_and_asks_for_a_tunnel() -> None:
    told = told_by("http", False, False, b"CONNECT a.example:22 HTTP/1.1\r\n\r\n")
    assert told is not None
    assert (told.host, told.port, told.tunnel) == ("a.example", 22, 1)
    assert told.facts == {"http_method": "CONNECT", "http_connect": "a.example:22"}


def test_a_request_inside_a_tunnel_has_names_of_its_own() -> None:
    told = told_by("http", False, True, REQUEST)
    assert told is not None
    assert told.facts == {
        "inside_http_method": "GET",
        "inside_user_agent": "x/1",
        "inside_http_host": "a.example",
    }
    answer = told_by("http", True, True, b"HTTP/1.1 404 Not Found\r\n\r\n")
    assert answer is not None
    assert answer.facts == {"inside_http_status": 404}


def test_a_response_from_the_client_is_one_as_well() -> None:
    told = told_by("http", False, False, b"HTTP/1.1 200 OK\r\n\r\n")
    assert told is not None
    assert (told.status, told.host, told.facts) == (200, "", {})


@pytest.mark.parametrize(("from_server", "side"), [(False, "out"), (True, "in")])
def test_both_sides_of_ssh_have_a_banner(from_server: bool, side: str) -> None:
    told = told_by("ssh", from_server, False, b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n\x00\x00\x05\xdc")
    assert told is not None
    assert told.facts == {
        f"ssh_banner_{side}": "SSH-2.0-OpenSSH_9.2p1 Debian",
        f"ssh_software_{side}": "OpenSSH_9.2p1",
    }


def test_a_hello_names_the_host() -> None:
    told = told_by("tls", False, False, client_hello())
    assert told is not None
    assert told.host == told.facts.get("sni", "")
    assert str(told.facts["ja4"]).startswith("t")


@pytest.mark.parametrize(
    ("tunnel", "inside", "other"),
    [
        ("a.example", "a.example", False),
        ("A.example.", "a.EXAMPLE", False),
        ("a.example", "b.example", True),
        ("192.0.2.1", "b.example", False),
        ("2001:db8::1", "b.example", False),
    ],
)
def test_a_tunnel_to_a_name_may_be_used_for_another(tunnel: str, inside: str, other: bool) -> None:
    assert is_other_name(tunnel, inside) == other


@given(
    st.sampled_from(["tls", "ssh", "http"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([b"", client_hello()[:60], b"SSH-2.0-", b"CONNECT a:1 HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n"]),
    st.binary(min_size=6, max_size=200),
)
def test_whatever_the_bytes_there_are_few_facts_and_they_are_short(
    app: str, from_server: bool, inside: bool, start: bytes, rest: bytes
) -> None:
    told = told_by(app, from_server, inside, start + rest)
    if told is None:
        return
    assert len(told.facts) <= 15
    assert len(told.host) <= 255
    for name, value in told.facts.items():
        assert len(name) <= 32
        assert isinstance(value, int) or (value.isprintable() and len(value) <= 255)
