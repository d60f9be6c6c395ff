"""What first bytes are: a table of each protocol's beginnings and of near misses, cut anywhere; and random bytes."""

from __future__ import annotations

import random
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.inspect._identify import APP_NAMES, MOST_BYTES, name_of, names_of, repeat, role_of, settled

NO_ANSWER = {"undecided", "nothing"}
NONE_KNOWN = {"printable", "random", "unknown"}
# What is said of a protocol as long as its bytes do not tell it from another.
LESS = {"ftp": {"ftp-or-smtp", "ftp-or-pop3"}, "smtp": {"ftp-or-smtp"}, "pop3": {"ftp-or-pop3"}}


def client_hello(suites: bytes = b"\x13\x01\x13\x02", session: bytes = bytes(32), extensions: bytes = b"") -> bytes:
    body = b"\x03\x03" + bytes(range(32)) + bytes([len(session)]) + session
    body += struct.pack(">H", len(suites)) + suites + b"\x01\x00" + struct.pack(">H", len(extensions)) + extensions
    return b"\x16\x03\x01" + struct.pack(">H", len(body) + 4) + b"\x01" + struct.pack(">I", len(body))[1:] + body


def server_hello(suite: bytes = b"\x13\x01") -> bytes:
    body = b"\x03\x03" + bytes(range(32)) + b"\x20" + bytes(32) + suite + b"\x00\x00\x00"
    return b"\x16\x03\x03" + struct.pack(">H", len(body) + 4) + b"\x02" + struct.pack(">I", len(body))[1:] + body


def tpkt(kind: int, variable: bytes) -> bytes:
    return struct.pack(">BBHBBHHB", 3, 0, 11 + len(variable), 6 + len(variable), kind, 0, 0, 0) + variable


def openvpn(kind: int, rest: bytes, session: bytes = b"\x01\x02\x03\x04\x05\x06\x07\x08") -> bytes:
    packet = bytes([kind << 3]) + session + rest
    return struct.pack(">H", len(packet)) + packet


def dns(flags: int, counts: tuple[int, int, int, int], rest: bytes) -> bytes:
    message = struct.pack(">HHHHHH", 0x1234, flags, *counts) + rest
    return struct.pack(">H", len(message)) + message


QUESTION = b"\x07example\x03org\x00\x00\x01\x00\x01"
ANSWER = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"
ACKED = b"\x01\x00\x00\x00\x00ABCDEFGH"
STAMP = b"\x00\x00\x00\x01\x65\x00\x00\x00"
RESET = b"\x00\x00\x00\x00\x00"

# Each of these is told from its own bytes, whichever side sends them and whatever the other one says.
CASES = {
    "http": [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /cgi-bin/x HTTP/1.0\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\n",
        b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"GET http://example.org/ HTTP/1.1\r\n",
        b"PROPFIND /dav/ HTTP/1.1\r\n",
        b"X-EXOTIC /a HTTP/1.1\r\n",
        b"get /lower HTTP/1.1\n",
        b"\r\nGET / HTTP/1.1\r\n",
        b"GET /a b c HTTP/1.1\r\n",
        b"GET /index.html\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 404\r\n",
        b"HTTP/2.0 200 \r\n",
    ],
    "http2": [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"\x00\x00\x0c\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\x00\x04\x00\x10\x00\x00",
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\x00\x00",
    ],
    "tls": [
        client_hello(),
        client_hello(session=b""),
        server_hello(),
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x05abcde\x17\x03\x03\x00\x10",
        b"\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x28" + bytes(40),
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37),
        b"\x80\x1c\x01\x03\x01\x00\x03\x00\x00\x00\x10" + bytes(19),
        b"\x80\x17\x04\x00\x01\x00\x02\x00\x03\x00\x03\x00\x06" + bytes(12),
    ],
    "ssh": [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
        b"SSH-1.99-Cisco-1.25\n",
        b"SSH-1.5-x\r\n",
        b"Welcome to this host.\r\nMind the step.\r\nSSH-2.0-dropbear_2022.83\r\n",
        b"\r\nSSH-2.0-x\r\n",
    ],
    "smtp": [
        b"220 mail.example.org ESMTP Postfix\r\n",
        b"220-mail.example.org ESMTP Exim 4.96\r\n220-We do not\r\n220 take spam.\r\n",
        b"220 mail.example.org ready\r\n250-mail.example.org\r\n",
        b"554 5.7.1 no service\r\n",
        b"421 4.3.2 closing down\r\n",
        b"EHLO client.example.org\r\n",
        b"helo x\r\n",
    ],
    "pop3": [b"+OK POP3 ready <1.2@example.org>\r\n", b"CAPA\r\n", b"USER a\r\nPASS b\r\nUIDL\r\n", b"APOP a b\r\n"],
    "imap": [
        b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
        b"* PREAUTH hello\r\n",
        b"* BYE no more\r\n",
        b"a001 CAPABILITY\r\n",
        b"1 login bob secret\r\n",
        b". CAPABILITY\r\n",
    ],
    "ftp": [
        b"220 ProFTPD 1.3.8 Server ready.\r\n",
        b"220-FileZilla Server 1.7\r\n220 Please visit us\r\n",
        b"220 hello\r\n331 a password, please\r\n",
        b"AUTH TLS\r\n",
        b"USER anonymous\r\nPASS me@\r\nSYST\r\n",
        b"FEAT\r\n",
    ],
    "dns": [
        dns(0x0100, (1, 0, 0, 0), QUESTION),
        dns(0x0100, (1, 0, 0, 1), QUESTION + b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"),
        dns(0x8180, (1, 1, 0, 0), QUESTION + ANSWER),
        dns(0x0000, (1, 0, 0, 0), b"\x00\x00\x02\x00\x01"),
    ],
    "rdp": [
        tpkt(0xE0, b"Cookie: mstshash=bob\r\n\x01\x00\x08\x00\x03\x00\x00\x00"),
        tpkt(0xE0, b"\x01\x00\x08\x00\x0b\x00\x00\x00"),
        tpkt(0xD0, b"\x02\x1f\x08\x00\x02\x00\x00\x00"),
        tpkt(0xD0, b"\x03\x00\x08\x00\x05\x00\x00\x00"),
    ],
    "vnc": [b"RFB 003.008\n", b"RFB 004.001\n"],
    "smb": [
        b"\x00\x00\x00\x54\xffSMB\x72" + bytes(79),
        b"\x00\x00\x00\x66\xfeSMB\x40\x00" + bytes(96),
        b"\x81\x00\x00\x44\x20" + b"CA" * 16 + b"\x00\x20" + b"CA" * 16 + b"\x00",
    ],
    "socks4": [
        b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00",
        b"\x04\x01\x01\xbb\xc0\x00\x02\x01bob\x00",
        b"\x04\x01\x00\x50\x00\x00\x00\x01\x00example.org\x00",
        b"\x04\x02\x00\x50\x00\x00\x00\x01bob\x00example.org\x00",
    ],
    "socks5": [
        b"\x05\x01\x00",
        b"\x05\x02\x00\x02",
        b"\x05\x01\x00\x05\x01\x00\x03\x0bexample.org\x01\xbb",
        b"\x05\x01\x02\x01\x03bob\x03pwd",
    ],
    "irc": [
        b"NICK bob\r\nUSER bob 0 * :Bob\r\n",
        b"USER bob 0 * :Bob\r\nNICK bob\r\n",
        b"PASS secret\r\nNICK bob\r\n",
        b"CAP LS 302\r\n",
        b":irc.example.org NOTICE * :*** Looking up your hostname\r\n",
        b":irc.example.org 001 bob :Welcome\r\n",
        b"NOTICE AUTH :*** Looking up\r\n",
        b"ERROR :Closing Link: (too many)\r\n",
    ],
    "bittorrent": [b"\x13BitTorrent protocol" + bytes(48)],
    "openvpn": [
        openvpn(7, RESET),
        openvpn(8, ACKED + bytes(4)),
        openvpn(7, bytes(range(20)) + STAMP + RESET),
        openvpn(8, bytes(range(64)) + STAMP + ACKED + bytes(4)),
        openvpn(7, STAMP + bytes(range(32)) + b"\x91\x82\x73\x64\x55"),
        openvpn(10, b"\x0f\x00\x00\x01" + STAMP[4:] + bytes(range(32)) + bytes(300)),
        openvpn(7, RESET) + openvpn(5, bytes(9)),
    ],
    "telnet": [
        b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23\xff\xfd\x27",
        b"\xff\xfb\x01login: ",
        b"\xff\xfd\x18\xff\xfa\x18\x00xterm\xff\xf0",
        b"\xff\xfe\x01",
    ],
    "windows-shell": [
        b"Microsoft Windows [Version 10.0.19045.3803]\r\n(c) Microsoft Corporation.\r\n\r\nC:\\Users\\bob>",
        b"Microsoft Windows XP [Version 5.1.2600]\r\n",
        b"\r\nC:\\WINDOWS\\system32>",
        b"PS C:\\Users\\bob> ",
        b"Windows PowerShell\r\nCopyright",
    ],
    "unix-shell": [
        b"bash: no job control in this shell\nbash-5.1$ ",
        b"/bin/sh: 0: can't access tty; job control turned off\n$ ",
        b"sh-5.1$ ",
        b"bash-5.2# ",
        b"root@host:~# ",
        b"bob@web-1.example.org:/var/www$ id\n",
        b"[root@host ~]# ",
        b"bob@mac ~ % ",
        b"\x1b]0;root@host: ~\x07root@host:~# ",
        b"\x1b[?2004hroot@host:/# ",
        b"uid=0(root) gid=0(root) groups=0(root)\n",
        b"$ ",
        b"# ",
        b"$ uid=1000(bob) gid=1000(bob)\n$ ",
        b"# /root\n# ",
        b'["setup", {}]',
        b'["stdout", "\\u001b[?2004hbob@web:~$ "]',
        b"Linux web 6.1.0-17-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.69-1 x86_64 GNU/Linux\n",
    ],
}
ALL = [pytest.param(name, data, id=f"{name}-{number}") for name in CASES for number, data in enumerate(CASES[name])]

NEAR_MISSES = [
    (b"GET / RTSP/1.0\r\n", "printable"),
    (b"INVITE sip:bob@example.org SIP/2.0\r\n", "printable"),
    (b"GET noslash HTTP/1.1\r\n", "printable"),
    (b"get index\r\n", "printable"),
    (b"HTTP/1.1 OK\r\n", "printable"),
    (b"HTTP/1.1 099 x\r\n", "printable"),
    (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "printable"),
    (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "unknown"),
    (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x77\x77\x00\x00\x00\x64", "unknown"),
    (b"\x16\x03\x01\x00\x10\x01\x00\x00\x0c\x03\x03" + bytes(10), "unknown"),
    (client_hello(session=bytes(33)), "unknown"),
    (client_hello(suites=b"\x13\x01\x13"), "unknown"),
    (b"\x16\x03\x05\x02\x00\x01\x00\x01\xfc\x03\x03", "unknown"),
    (b"\x17\x03\x03\x00\x02ab\x99\x99\x99\x99\x99", "unknown"),
    (b"\x15\x03\x01\x00\x02\x07\x28", "unknown"),
    (b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x11" + bytes(37), "unknown"),
    (b"SSH-3.0-x\r\n", "printable"),
    (b"SSH-2.0-\x00\x01\r\n", "unknown"),
    (b"SSH 2.0\r\n", "printable"),
    (b"SSH-2.0-" + b"a" * 300 + b"\r\n", "printable"),
    (b"2200 apples\r\n", "printable"),
    (b"554 apples\r\n", "printable"),
    (b"EHLOx y\r\n", "printable"),
    (b"+OK\r\n", "printable"),
    (b"-ERR unknown command\r\n", "printable"),
    (b"+PONG\r\n", "printable"),
    (b"* OKAY\r\n", "printable"),
    (b"login bob secret\r\n", "printable"),
    (b"a001 DANCE\r\n", "printable"),
    (dns(0x0100, (2, 0, 0, 0), QUESTION), "unknown"),
    (dns(0x0100, (1, 0, 0, 0), QUESTION + b"\x00"), "unknown"),
    (dns(0x2800, (1, 0, 0, 0), QUESTION), "unknown"),
    (tpkt(0xE0, b"\xc1\x02\x01\x00\xc2\x02\x01\x02\xc0\x01\x0a"), "unknown"),
    (b"RFB 00a.008\n", "printable"),
    (b"\x00\x00\x00\x54\xffSMX\x72" + bytes(79), "unknown"),
    (b"\x00\x00\x00\x66\xfeSMB\x41\x00" + bytes(96), "unknown"),
    (b"\x04\x01\x00\x00\xc0\x00\x02\x01\x00", "unknown"),
    (b"\x04\x03\x00\x50\xc0\x00\x02\x01\x00", "unknown"),
    (b"\x05\x02\x00\x00", "unknown"),
    (b"\x05\x01\x63", "unknown"),
    (b"\x05\x00\x00\x03\x10\x00\x00\x00", "unknown"),
    (b"\x05\x01\x00\x05\x09\x00\x03", "unknown"),
    (b"NICKEL mine\r\n", "printable"),
    (b":-) hello you\r\n", "printable"),
    (b"\x13BitTorrent protocoL" + bytes(48), "unknown"),
    (openvpn(7, b"\x00\x00\x00\x00\x01"), "unknown"),
    (openvpn(7, RESET, session=bytes(8)), "unknown"),
    (openvpn(9, RESET), "unknown"),
    (b"\xff\xfb\x90\x44", "unknown"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF", "unknown"),
    (b"\xff\xfea\x00b\x00", "unknown"),
    (b"C:\\no prompt\r\n", "printable"),
    (b"C:/dir>", "printable"),
    (b"bob@example.org, hello\r\n", "printable"),
    (b"uid=bob\r\n", "printable"),
    (b"sh-\r\n", "printable"),
    (b"Linux is a kernel\n", "printable"),
    (b"$", "printable"),
    (b"# a comment\n# and another\nkey = value\n", "printable"),
    (b"$ 5 a piece\n", "printable"),
    # Protocols that have no name here: Redis, memcached, SIP's answer, XMPP, MySQL, PostgreSQL, LDAP, MQTT, RTMP,
    # Kerberos, ONC RPC, MongoDB, X11, AMQP, Git, DCE RPC.
    (b"*1\r\n$4\r\nPING\r\n", "printable"),
    (b"get key\r\n", "printable"),
    (b"SIP/2.0 200 OK\r\n", "printable"),
    (b"<?xml version='1.0'?><stream:stream to='example.org'>", "printable"),
    (b"N\x00\x00\x00\n5.6.12-log\x00P\x9c\x84]7^Th1XIE\x00\xff\xf7!\x02\x00", "unknown"),
    (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "unknown"),
    (b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00", "unknown"),
    (b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", "unknown"),
    (b"\x03\x00\x00\x00\x00\x00\x00\x00\x00" + bytes(range(100)), "unknown"),
    (b"\x00\x00\x00\x90\x6a\x81\x8d\x30\x81\x8a", "unknown"),
    (b"\x80\x00\x00\x28\x12\x34\x56\x78\x00\x00\x00\x00\x00\x00\x00\x02", "unknown"),
    (b"\x3f\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xd4\x07\x00\x00", "unknown"),
    (b"l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00", "unknown"),
    (b"AMQP\x00\x00\x09\x01", "unknown"),
    (b"0033git-upload-pack /project.git\x00host=example.org\x00", "printable"),
    (b"\x05\x00\x0b\x03\x10\x00\x00\x00\x48\x00\x00\x00\x01\x00\x00\x00", "unknown"),
    (b"hello world, this is nothing that anybody knows\n", "printable"),
    (bytes(64), "unknown"),
    (b"\x01" * 64, "unknown"),
]


@pytest.mark.parametrize(("name", "data"), ALL)
def test_a_beginning_is_told_in_either_direction(name: str, data: bytes) -> None:
    assert name_of(data) == name
    assert name_of(data, direction=1) == name


@pytest.mark.parametrize(("name", "data"), ALL)
def test_a_cut_beginning_is_undecided_or_right_and_never_another(name: str, data: bytes) -> None:
    right = {name} | LESS.get(name, set())
    for cut in range(len(data) + 1):
        for direction in (0, 1):
            assert name_of(data[:cut], complete=False, direction=direction) in {"undecided"} | right, cut
            assert name_of(data[:cut], direction=direction) in {"nothing"} | NONE_KNOWN | right, cut


@pytest.mark.parametrize(("name", "data"), ALL)
def test_what_follows_does_not_change_the_answer_once_there_is_one(name: str, data: bytes) -> None:
    right = {name} | LESS.get(name, set())
    answers = [name_of(data[:cut], complete=False) for cut in range(len(data) + 1)]
    for before, after in pairwise(answers):
        if before != "undecided":
            assert after in right


@pytest.mark.parametrize(("data", "name"), NEAR_MISSES)
def test_near_misses_are_none(data: bytes, name: str) -> None:
    assert name_of(data) == name
    assert name_of(data, direction=1) == name


def test_nothing_sent_is_nothing_and_before_that_undecided() -> None:
    assert name_of(b"") == "nothing"
    assert name_of(b"", complete=False) == "undecided"


@pytest.mark.parametrize(
    ("data", "other", "name"),
    [
        (b"220 ready\r\n", "undecided", "ftp-or-smtp"),
        (b"220 ready\r\n", "smtp", "smtp"),
        (b"220 ready\r\n", "ftp", "ftp"),
        (b"220 ready\r\n", "ftp-or-pop3", "ftp"),
        (b"USER bob\r\n", "undecided", "ftp-or-pop3"),
        (b"USER bob\r\n", "pop3", "pop3"),
        (b"USER bob\r\n", "ftp-or-smtp", "ftp"),
        (b"+OK\r\n", "pop3", "pop3"),
        (b"+OK\r\n", "ftp-or-pop3", "pop3"),
        (b"-ERR no\r\n", "pop3", "pop3"),
        (b"\x05\x00", "socks5", "socks5"),
        (b"\x05\x02\x01\x00\x05\x00\x00\x01", "socks5", "socks5"),
        (b"\x05\xff", "socks5", "socks5"),
        (b"\x05\x00", "tls", "unknown"),
        (b"\x00\x5a\x00\x50\xc0\x00\x02\x01", "socks4", "socks4"),
        (b"\x00\x5a\x00\x50\xc0\x00\x02\x01", "undecided", "unknown"),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "http2", "http2"),
        (b"\x82\x00\x00\x00", "smb", "smb"),
        (b"\x82\x00\x00\x00", "undecided", "unknown"),
        (tpkt(0xD0, b""), "rdp", "rdp"),
    ],
)
def test_what_is_short_needs_the_other_direction(data: bytes, other: str, name: str) -> None:
    assert name_of(data, direction=1, other=other) == name


def test_a_socks_answer_whose_client_was_not_seen_needs_the_answer_to_the_request() -> None:
    assert name_of(b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", direction=1) == "socks5"
    assert name_of(b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", direction=0) == "unknown"


def test_both_directions_help_each_other() -> None:
    assert names_of(b"USER bob\r\nPASS x\r\n", b"220 ready\r\n") == ("ftp", "ftp")
    assert names_of(b"USER bob\r\n", b"+OK\r\n") == ("pop3", "pop3")
    assert names_of(b"EHLO a\r\n", b"220 ready\r\n") == ("smtp", "smtp")
    assert names_of(b"\x05\x01\x00", b"\x05\x00") == ("socks5", "socks5")


def test_settling_needs_no_bytes_and_changes_only_what_is_one_of_two() -> None:
    assert settled("ftp-or-smtp", "smtp") == "smtp"
    assert settled("ftp-or-pop3", "ftp") == "ftp"
    assert settled("ftp-or-smtp", "tls") == "ftp-or-smtp"
    for name in set(APP_NAMES) - {"ftp-or-smtp", "ftp-or-pop3"}:
        assert {settled(name, other) for other in APP_NAMES} == {name}


# ---- any bytes -----------------------------------------------------------------------------------

STARTS = [data[:cut] for datas in CASES.values() for data in datas for cut in (1, 2, 3, 5, 8, 12, 20, len(data))]


@given(st.binary(max_size=3000), st.booleans(), st.integers(0, 1), st.sampled_from(APP_NAMES))
def test_any_bytes_have_a_declared_outcome(data: bytes, complete: bool, direction: int, other: str) -> None:
    name = name_of(data, complete=complete, direction=direction, other=other)
    assert name in APP_NAMES
    if complete or len(data) >= MOST_BYTES:
        assert name != "undecided"


@given(st.sampled_from(STARTS), st.binary(max_size=200), st.booleans(), st.sampled_from(APP_NAMES))
def test_a_beginning_with_any_rest_has_a_declared_outcome(
    start: bytes, rest: bytes, complete: bool, other: str
) -> None:
    name = name_of(start + rest, complete=complete, other=other)
    assert name in APP_NAMES
    assert not (complete and name == "undecided")


@pytest.mark.parametrize(("name", "data"), ALL)
def test_what_lies_behind_the_bytes_is_not_read(name: str, data: bytes) -> None:
    # Behind a bytes object lies a zero; here the protocol goes on, which an answer must not depend on.
    for cut in range(len(data) + 1):
        for other in ("undecided", name):
            told = [
                name_of(rest, length=cut, direction=1, other=other)
                for rest in (data, data[:cut], data[:cut] + b"\xff" * 64)
            ]
            assert len(set(told)) == 1, (cut, told)
        assert role_of(name, data, length=cut) == role_of(name, data[:cut]), cut


def test_a_length_is_within_the_bytes() -> None:
    with pytest.raises(ValueError, match="length 4 of 3 bytes"):
        name_of(b"abc", length=4)


def test_random_bytes_are_practically_never_anything_known() -> None:
    dice = random.Random(2003)
    wrong = [
        (name, data)
        for _ in range(100_000)
        if (name := name_of(data := dice.randbytes(dice.randint(1, 64)), direction=dice.randint(0, 1)))
        not in NONE_KNOWN
    ]
    assert len(wrong) <= 3, wrong  # fewer than one in 30,000


def test_random_text_is_practically_never_anything_known() -> None:
    dice = random.Random(1973)
    marks = bytes(range(32, 127)) * 2 + b"\r\n\n\t  "
    names = [
        name_of(bytes(dice.choices(marks, k=dice.randint(1, 64))), direction=dice.randint(0, 1)) for _ in range(30_000)
    ]
    assert len([name for name in names if name not in NONE_KNOWN]) <= 3


@pytest.mark.parametrize(("size", "least"), [(32, 0.90), (64, 0.96), (100, 0.98), (256, 0.99)])
def test_long_random_bytes_look_random(size: int, least: float) -> None:
    dice = random.Random(size)
    names = [name_of(dice.randbytes(size)) for _ in range(5000)]
    assert names.count("random") / len(names) >= least


def test_random_bytes_are_decided_soon() -> None:
    dice = random.Random(7)
    names = [name_of(dice.randbytes(64), complete=False) for _ in range(20_000)]
    assert names.count("undecided") / len(names) < 0.01


def test_repeating_counts_the_answers() -> None:
    assert repeat([b"GET / HTTP/1.1\r\n", b""], 10) == 15
