"""Protocols where they do not belong: what is told, and the ordinary use that is not."""

from __future__ import annotations

from typing import Any

import pytest
from corr_flows import flow

from common.records import FlowRecord
from correlator.detect.spoken import spoken_in
from correlator.detect.symptom import Sight
from correlator.detect.symptoms.protocol import ProtocolLimits, of_flow

LIMITS = ProtocolLimits()
SYNS = {"tcp_flags_out": 0x1B, "tcp_flags_in": 0x13}


def answers(record: FlowRecord, limits: ProtocolLimits) -> list[Sight]:
    return list(of_flow(record, spoken_in(record), limits))


def found(limits: ProtocolLimits = LIMITS, **changes: Any) -> dict[str, Sight]:
    return {sight.symptom: sight for sight in answers(flow(**changes), limits) if sight.found}


def inside(out: str | None, in_: str | None, target: str = "a.example:443", **changes: Any) -> dict[str, Sight]:
    facts = {"http_method": "CONNECT", "http_connect": target, "inside_out": out, "inside_in": in_}
    facts = {name: value for name, value in facts.items() if value is not None}
    return found(app_out="http", app_in="http", server_port=3128, facts=facts, **changes)


def framed(out: str, in_: str, upgrade: str = "websocket") -> dict[str, Sight]:
    facts = {"http_method": "GET", "http_upgrade": upgrade, "inside_out": out, "inside_in": in_}
    return found(app_out="http", app_in="http", server_port=80, facts=facts)


@pytest.mark.parametrize(
    ("out", "in_", "port", "expected"),
    [
        ("ssh", "ssh", 443, {"foreign-protocol"}),
        ("ssh", "ssh", 80, {"foreign-protocol"}),
        ("ssh", "ssh", 25, {"foreign-protocol"}),
        ("smb", "random", 80, {"foreign-protocol"}),
        ("ftp", "ftp", 443, {"foreign-protocol"}),
        ("openvpn", "openvpn", 443, {"foreign-protocol"}),
        ("socks5", "socks5", 8080, {"foreign-protocol"}),
        ("printable", "vnc", 443, {"foreign-protocol"}),
        ("http", "http", 22, {"foreign-protocol"}),
        ("ssh", "ssh", 53, {"foreign-protocol"}),
        ("windows-shell", "random", 4321, {"shell"}),
        ("random", "unix-shell", 4444, {"shell"}),
        ("unix-shell", "printable", 23, {"shell"}),
        ("unix-shell", "printable", 443, {"shell", "foreign-protocol"}),
        ("random", "random", 443, {"unknown-protocol"}),
        ("unknown", "printable", 110, {"unknown-protocol"}),
        ("http", "http", 443, {"http-on-tls-port"}),
        ("ssh", "ssh", 2222, {"remote-access-elsewhere"}),
    ],
)
def test_what_does_not_belong_on_a_port(out: str, in_: str, port: int, expected: set[str]) -> None:
    assert set(found(app_out=out, app_in=in_, server_port=port)) == expected


@pytest.mark.parametrize(
    ("app", "port"),
    [
        ("tls", 443), ("tls", 80), ("tls", 25), ("tls", 4444), ("http", 80), ("http", 3128), ("http", 8888),
        ("http", 17000), ("http2", 443), ("ssh", 22), ("ssh", 830), ("irc", 6667), ("smtp", 25), ("smtp", 587),
        ("smtp", 2525), ("ftp", 21), ("ftp-or-smtp", 25), ("pop3", 110), ("imap", 143), ("rdp", 3389), ("vnc", 5901),
        ("smb", 445), ("dns", 53), ("telnet", 23), ("unix-shell", 23), ("bittorrent", 6881), ("random", 9001),
        ("ssl", 443), ("ssl,smtp", 25), ("gssapi,smb", 445),
    ],
)  # fmt: skip
def test_what_is_usual_says_nothing(app: str, port: int) -> None:
    answered = "printable" if app == "unix-shell" else app
    out, in_ = (answered, app) if app == "unix-shell" else (app, app)
    assert not found(app_out=out, app_in=in_, server_port=port)


@pytest.mark.parametrize(
    ("out", "in_", "target", "expected"),
    [
        ("ssh", "ssh", "a.example:443", {"foreign-in-tunnel"}),
        ("ssh", None, "a.example:443", {"foreign-in-tunnel"}),
        ("unix-shell", "printable", "a.example:443", {"foreign-in-tunnel"}),
        ("http", "http", "a.example:443", {"foreign-in-tunnel"}),
        ("smtp", "smtp", "mx.example:25", {"foreign-in-tunnel", "connect-elsewhere"}),
        ("random", "random", "a.example:443", {"unknown-in-connect"}),
        ("tls", "tls", "a.example:443", set()),
        ("tls", "tls", "a.example:8443", set()),
        ("http", "http", "a.example:80", {"connect-elsewhere"}),
        ("tls", None, "a.example:443", set()),
        ("random", None, "a.example:443", set()),
    ],
)
def test_what_a_connect_carries(out: str | None, in_: str | None, target: str, expected: set[str]) -> None:
    assert set(inside(out, in_, target)) == expected


@pytest.mark.parametrize(
    ("out", "in_", "upgrade", "expected"),
    [
        ("ssh", "ssh", "websocket", {"foreign-in-tunnel"}),
        ("http", "http", "websocket", {"foreign-in-tunnel"}),
        ("tls", "tls", "websocket", {"foreign-in-tunnel"}),
        ("printable", "printable", "websocket", set()),
        ("random", "unknown", "websocket", set()),
        ("http2", "http2", "h2c", set()),
        ("ssh", "ssh", "foo", {"foreign-in-tunnel"}),
    ],
)
def test_what_an_upgrade_carries(out: str, in_: str, upgrade: str, expected: set[str]) -> None:
    assert set(framed(out, in_, upgrade)) == expected


def test_tls_in_a_websocket_is_no_proof() -> None:
    assert framed("tls", "tls")["foreign-in-tunnel"].log10_lr == 1.5
    assert framed("ssh", "ssh")["foreign-in-tunnel"].log10_lr is None


def test_a_site_may_name_further_ports_of_a_protocol() -> None:
    limits = ProtocolLimits(at_home={"ssh": (443, 2222)})
    assert not found(limits, app_out="ssh", app_in="ssh", server_port=443)
    assert not found(limits, app_out="ssh", app_in="ssh", server_port=2222)


def test_a_greeting_that_nobody_answered_is_no_conversation() -> None:
    assert not found(app_out=None, app_in="ssh", server_port=443, payload_bytes_out=0)
    assert found(app_out=None, app_in="ssh", server_port=443, payload_bytes_out=0, packets_out=0)


def test_directions_that_disagree_are_no_foreign_protocol() -> None:
    changes: dict[str, Any] = {"app_out": "ssh", "app_in": "http", "server_port": 80}
    assert set(found(anomalies=("directions-disagree", "odd-port"), **changes)) == {"directions-disagree"}


@pytest.mark.parametrize(("app", "log10_lr"), [("ssh", None), ("http", 1.5)])
def test_a_client_that_serves_is_proof_where_the_protocol_is_for_remote_access(
    app: str, log10_lr: float | None
) -> None:
    sight = found(app_out=app, app_in=app, server_port=22, anomalies=("client-speaks-server",))["client-serves"]
    assert sight.log10_lr == log10_lr


def test_what_does_not_fit_inside_a_tunnel_is_told_likewise() -> None:
    assert set(inside("ssh", "printable", anomalies=("inside-directions-disagree",))) == {"directions-disagree"}
    reversed_ = inside("ssh", "ssh", anomalies=("inside-client-speaks-server", "connect-not-tls"))
    assert set(reversed_) == {"client-serves", "foreign-in-tunnel"}
    assert set(inside("tls", "tls", anomalies=("connect-other-name",))) == {"connect-other-name"}


RAW: dict[str, Any] = {"payload_bytes_out": 500_000, "payload_bytes_in": 0, **SYNS}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"app_out": "random", "server_port": 443}, True),
        ({"app_out": "printable", "server_port": 25}, True),
        ({"app_in": "unknown", "server_port": 80, "payload_bytes_in": 9000, "payload_bytes_out": 0}, True),
        ({"app_out": "random", "server_port": 9100}, False),
        ({"app_out": "tls", "server_port": 443}, False),
        ({"app_out": "random", "server_port": 443, "payload_bytes_out": 100}, False),
        ({"app_out": "random", "server_port": 443, "tcp_flags_in": 0x18}, False),
        ({"app_out": "random", "server_port": 443, "missed_bytes_in": 5}, False),
        ({"app_out": "random", "server_port": 443, "end_reason": None, "length_s": 2}, False),
        ({"app_out": "random", "server_port": 443, "end_reason": None, "length_s": 20}, True),
    ],
)
def test_a_file_sent_raw_goes_one_way(changes: dict[str, Any], *, told: bool) -> None:
    assert ("raw-transfer" in found(**{**RAW, **changes})) == told


def test_a_file_sent_raw_through_a_connect_is_told_beside_the_proxys_answer() -> None:
    assert set(inside("random", None, **{**RAW, "payload_bytes_in": 70})) == {"raw-transfer"}


def test_only_tcp_is_looked_at() -> None:
    assert not found(app_out="ssh", app_in="ssh", server_port=443, protocol=17)


def test_where_a_protocol_is_at_home_its_absence_elsewhere_is_told() -> None:
    (sight,) = answers(flow(app_out="tls", app_in="tls", server_port=443), LIMITS)
    assert (sight.symptom, sight.found) == ("foreign-protocol", False)
