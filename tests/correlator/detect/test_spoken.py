"""What a flow's record says of what is spoken."""

from __future__ import annotations

import pytest
from corr_flows import flow

from correlator.detect.spoken import CONNECT, Layer, both_sides_heard, is_at_home, seen_from_start, spoken_in


def test_without_a_tunnel_there_is_one_layer() -> None:
    spoken = spoken_in(flow(app_out="tls", app_in="tls"))
    assert spoken.outer == Layer("tls", "tls")
    assert (spoken.inner, spoken.tunnel, spoken.target_port) == (None, None, None)


@pytest.mark.parametrize(
    ("target", "port"),
    [("a.example:443", 443), ("[2001:db8::1]:22", 22), ("a.example", None), ("a:999999", None), (":", None)],
)
def test_a_connect_has_a_target_and_what_is_inside(target: str, port: int | None) -> None:
    facts: dict[str, str | int] = {"http_method": "CONNECT", "http_connect": target, "inside_out": "ssh"}
    spoken = spoken_in(flow(app_out="http", app_in="http", facts=facts))
    assert (spoken.inner, spoken.tunnel, spoken.target_port) == (Layer("ssh", None), CONNECT, port)


def test_an_upgrade_names_its_tunnel() -> None:
    facts: dict[str, str | int] = {"http_upgrade": "websocket", "inside_out": "printable", "inside_in": "ssh"}
    spoken = spoken_in(flow(app_out="http", app_in="http", facts=facts))
    assert (spoken.inner, spoken.tunnel) == (Layer("printable", "ssh"), "websocket")


@pytest.mark.parametrize(
    ("services", "outer", "inner", "tunnel"),
    [
        ("ssl", "tls", None, None),
        ("ssh,http", "http", "ssh", "connect"),
        ("http,websocket,ssh", "http", "ssh", "websocket"),
        ("http,websocket", "http", None, None),
        ("ssl,http", "http", "tls", "connect"),
        ("gssapi,smb", "gssapi", None, None),
    ],
)
def test_services_of_zeek_are_layers(services: str, outer: str, inner: str | None, tunnel: str | None) -> None:
    spoken = spoken_in(flow(app_out=services, app_in=services))
    assert spoken.outer == Layer(outer, outer)
    assert spoken.inner == (None if inner is None else Layer(inner, inner))
    assert spoken.tunnel == tunnel


@pytest.mark.parametrize(
    ("protocol", "port", "at_home"),
    [
        ("ssh", 22, True),
        ("ssh", 443, False),
        ("ssh", 4443, True),
        ("ftp-or-smtp", 21, True),
        ("ftp-or-smtp", 25, True),
        ("ftp-or-smtp", 80, False),
        ("tls", 993, True),
    ],
)
def test_what_is_at_home_where(protocol: str, port: int, *, at_home: bool) -> None:
    assert is_at_home(protocol, port, {"ssh": (4443,)}) == at_home


@pytest.mark.parametrize(
    ("packets_in", "bytes_in", "heard"), [(4, 740, True), (4, 0, False), (0, 0, True)]
)  # fmt: skip
def test_a_side_that_was_not_captured_counts_as_heard(packets_in: int, bytes_in: int, *, heard: bool) -> None:
    assert both_sides_heard(flow(packets_in=packets_in, payload_bytes_in=bytes_in)) == heard


def test_a_flow_is_seen_from_its_start_when_both_syns_were_and_nothing_was_missed() -> None:
    whole = flow(tcp_flags_out=0x1A, tcp_flags_in=0x1A)
    assert seen_from_start(whole)
    assert not seen_from_start(whole._replace(tcp_flags_in=0x18))
    assert not seen_from_start(whole._replace(missed_bytes_out=1))
