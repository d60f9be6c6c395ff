"""What does not fit: directions that do not belong together, ports of other protocols, clients in the server's part."""

from __future__ import annotations

import re
import struct
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.inspect._identify import (
    APP_NAMES,
    ROLE_NAMES,
    disagreeing,
    is_odd_port,
    is_reversed,
    name_of,
    role_of,
    usual_ports,
)

NO_ANSWER = ("undecided", "nothing")
NONE_KNOWN = ("printable", "random", "unknown")
PROTOCOLS = [name for name in APP_NAMES if name not in (*NO_ANSWER, *NONE_KNOWN)]
OPENSSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"


def key_exchange(names: bytes) -> bytes:
    body = b"\x14" + bytes(16) + struct.pack(">I", len(names)) + names
    return struct.pack(">IB", len(body) + 1, 4) + body


@pytest.mark.parametrize(
    ("out", "in_"),
    [
        ("http", "ssh"), ("tls", "http"), ("ssh", "tls"), ("smtp", "ftp"), ("http", "windows-shell"), ("tls", "random"),
        ("ssh", "printable"), ("socks5", "socks4"), ("ftp-or-smtp", "pop3"), ("ftp-or-pop3", "smtp"),
        ("tls", "unknown"),
    ],
)  # fmt: skip
def test_two_directions_that_disagree(out: str, in_: str) -> None:
    assert disagreeing(out, in_)
    assert disagreeing(in_, out)


@pytest.mark.parametrize(
    ("out", "in_"),
    [
        ("http", "http"), ("http", "http2"), ("http2", "http"), ("ftp-or-smtp", "smtp"), ("ftp-or-pop3", "ftp-or-smtp"),
        ("ftp-or-pop3", "irc"), ("printable", "unix-shell"), ("http", "printable"), ("random", "unknown"),
        ("tls", "nothing"), ("ssh", "undecided"),
    ],
)  # fmt: skip
def test_two_directions_that_may_belong_together(out: str, in_: str) -> None:
    assert not disagreeing(out, in_)
    assert not disagreeing(in_, out)


def test_disagreeing_goes_both_ways_and_needs_two_answers() -> None:
    for out, in_ in product(APP_NAMES, repeat=2):
        assert disagreeing(out, in_) == disagreeing(in_, out)
        if out in NO_ANSWER or in_ in NO_ANSWER or out == in_:
            assert not disagreeing(out, in_)
        if out in NONE_KNOWN and in_ in NONE_KNOWN:
            assert not disagreeing(out, in_)


@pytest.mark.parametrize(
    ("app", "port"),
    [
        ("ssh", 443), ("ssh", 80), ("http", 443), ("tls", 80), ("ftp", 443), ("openvpn", 443), ("random", 443),
        ("unknown", 80), ("printable", 22), ("unix-shell", 23), ("windows-shell", 4321), ("smb", 80), ("dns", 443),
        ("ftp-or-smtp", 443), ("ftp-or-pop3", 25), ("bittorrent", 443),
    ],
)  # fmt: skip
def test_a_protocol_on_a_port_of_others(app: str, port: int) -> None:
    assert is_odd_port(app, port)


@pytest.mark.parametrize(
    ("app", "port"),
    [
        ("ssh", 22), ("http", 80), ("http", 3128), ("tls", 443), ("tls", 993), ("ftp", 21), ("random", 50000),
        ("unknown", 11095), ("undecided", 443), ("nothing", 443), ("ftp-or-smtp", 25), ("ftp-or-smtp", 21),
        ("ftp-or-pop3", 110), ("bittorrent", 6881), ("vnc", 5901), ("smtp", 587),
    ],
)  # fmt: skip
def test_a_protocol_on_its_port(app: str, port: int) -> None:
    assert not is_odd_port(app, port)


def test_the_page_lists_the_usual_ports(repo_root: Path) -> None:
    page = (repo_root / "docs/identification.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", page.partition("## Usual ports")[2], re.MULTILINE))
    for name in PROTOCOLS:
        if name in ("ftp-or-smtp", "ftp-or-pop3"):
            continue
        pairs = usual_ports(name)
        told = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs) or "none"
        assert rows.get(name) == told, name


def test_the_page_names_every_answer(repo_root: Path) -> None:
    page = (repo_root / "docs/identification.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z0-9-]+)` \|", page.partition("## Inside tunnels")[0], re.MULTILINE)
    assert named == [name for name in APP_NAMES if name not in NO_ANSWER]


# ---- parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "role"),
    [
        (OPENSSH, "either"),
        (b"SSH-2.0-PuTTY_Release_0.78\r\n", "client"),
        (b"SSH-2.0-libssh2_1.10.0\r\n", "client"),
        (b"SSH-2.0-babeld-8f1b\r\n", "server"),
        (b"SSH-2.0-AWS_SFTP_1.1\r\n", "server"),
        (OPENSSH + key_exchange(b"curve25519-sha256,ext-info-c"), "client"),
        (OPENSSH + key_exchange(b"curve25519-sha256,kex-strict-c-v00@openssh.com"), "client"),
        (OPENSSH + key_exchange(b"curve25519-sha256,kex-strict-s-v00@openssh.com"), "server"),
        (OPENSSH + key_exchange(b"curve25519-sha256"), "either"),
        (b"Welcome\r\n" + OPENSSH + key_exchange(b"a,ext-info-s"), "server"),
        (b"GET / HTTP/1.1\r\n", "client"),
        (b"HTTP/1.1 200 OK\r\n", "server"),
        (b"220 x ESMTP\r\n", "server"),
        (b"EHLO x\r\n", "client"),
        (b"+OK POP3 ready\r\n", "server"),
        (b"* OK IMAP ready\r\n", "server"),
        (b":irc.example.org 001 bob :hi\r\n", "server"),
        (b"NICK bob\r\n", "client"),
        (b"C:\\>", "server"),
        (b"sh-5.1$ ", "server"),
        (b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00", "client"),
        (b"RFB 003.008\n", "either"),
    ],
)
def test_whose_part_a_direction_plays(data: bytes, role: str) -> None:
    assert role_of(name_of(data), data) == role


@pytest.mark.parametrize(
    ("out", "in_", "answer"),
    [
        ("client", "server", False), ("either", "server", False), ("client", "either", False),
        ("server", "client", True), ("server", "either", True), ("either", "client", True), ("either", "either", False),
        ("client", "client", False), ("server", "server", False),
    ],
)  # fmt: skip
def test_a_client_in_the_servers_part(out: str, in_: str, *, answer: bool) -> None:
    assert is_reversed(out, in_) == answer


@given(st.sampled_from(APP_NAMES), st.binary(max_size=400) | st.binary(max_size=100).map(lambda rest: OPENSSH + rest))
def test_any_bytes_have_a_part(app: str, data: bytes) -> None:
    assert role_of(app, data) in ROLE_NAMES


def test_every_cut_of_a_key_exchange_is_read_within_its_bytes() -> None:
    whole = OPENSSH + key_exchange(b"curve25519-sha256,ext-info-c")
    roles = [role_of("ssh", whole[:cut]) for cut in range(len(whole) + 1)]
    assert set(roles) == {"either", "client"}
    assert roles[-1] == "client"
