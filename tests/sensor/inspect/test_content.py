"""What flows carry is in their records: whole, in pieces, behind gaps, in parts, inside tunnels, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hellos import (
    ESTABLISHED,
    REQUEST,
    RESPONSE,
    UPGRADE,
    UPGRADED,
    client_hello,
    connect,
    deflated,
    frame,
    server_hello,
    ssh,
)
from hypothesis import given
from hypothesis import strategies as st
from packets import ACK, FIN, SYN, T0, Conversation, S, all_records, ethernet, ipv4, records, tcp_frame, udp

from common.records import FlowRecord, RecordReader
from sensor.flow._table import FlowTable
from sensor.inspect._content import Inspector
from sensor.inspect.facts import Told

OUT, IN = 0, 1
READER = RecordReader(FlowRecord, FlowRecord._fields)
Sent = tuple[int, bytes]


class Talk(Conversation):
    """A conversation whose sides send their bytes in turn, each where the one before ended."""

    def __init__(self, port: int = 443, inspector: Inspector | None = None) -> None:
        self.inspector = inspector or Inspector()
        super().__init__(FlowTable(inspector=self.inspector), server=("10.0.0.2", port))
        self.at = 0.1
        self.sequence = [101, 501]

    def say(self, side: int, data: bytes, *, ahead: int = 0) -> Talk:
        """Send bytes from one side, or leave them out and send those behind them."""
        send = self.back if side else self.out
        send(self.at, ACK, data, seq=self.sequence[side] + ahead, ack=self.sequence[1 - side])
        self.at += 0.001
        if not ahead:
            self.sequence[side] += len(data)
        return self

    def record(self) -> FlowRecord:
        """End the flow, whose memory is given back then."""
        (record,) = all_records(self.table)
        assert self.inspector.used_bytes == 0
        return READER.read(tuple(record))


def told(sent: Iterable[Sent], port: int = 443, size: int = 0) -> FlowRecord:
    """The record of a conversation; with ``size`` its bytes come in segments of so many."""
    talk = Talk(port)
    talk.handshake()
    for side, data in sent:
        for start in range(0, len(data), size or len(data)):
            talk.say(side, data[start : start + (size or len(data))])
    return talk.record()


TALKS: dict[str, tuple[int, list[Sent], tuple[str | None, str | None], str | None, dict[str, str | int], set[str]]] = {
    "tls": (
        443,
        [(OUT, client_hello()), (IN, server_hello())],
        ("tls", "tls"),
        "a.example",
        {"sni": "a.example", "tls_offered": "TLSv12", "tls": "TLSv12"},
        set(),
    ),
    "a hello of 1.8 KB": (443, [(OUT, client_hello(padding=1700))], ("tls", None), "a.example", {}, set()),
    "http": (
        80,
        [(OUT, REQUEST), (IN, RESPONSE)],
        ("http", "http"),
        "a.example",
        {"http_method": "GET", "user_agent": "x/1", "http_status": 200},
        set(),
    ),
    "a request that is not whole": (80, [(OUT, REQUEST[:-2])], ("http", None), "a.example", {}, set()),
    "ssh": (
        22,
        [(IN, ssh("s")), (OUT, ssh("c"))],
        ("ssh", "ssh"),
        None,
        {"ssh_banner_out": "SSH-2.0-OpenSSH_9.2p1", "ssh_banner_in": "SSH-2.0-OpenSSH_9.2p1"},
        set(),
    ),
    "ssh on a port of https": (443, [(IN, ssh("s")), (OUT, ssh("c"))], ("ssh", "ssh"), None, {}, {"odd-port"}),
    "ssh's server behind the client": (
        22,
        [(OUT, ssh("s")), (IN, ssh("c"))],
        ("ssh", "ssh"),
        None,
        {},
        {"client-speaks-server", "server-speaks-client"},
    ),
    "a request to a server of ssh": (
        22,
        [(OUT, REQUEST), (IN, ssh("s"))],
        ("http", "ssh"),
        "a.example",
        {},
        {"directions-disagree", "odd-port"},
    ),
    "a shell that the client offers": (
        4444,
        [(OUT, b"root@victim:/# "), (IN, b"id\n")],
        ("unix-shell", "printable"),
        None,
        {},
        {"odd-port", "client-speaks-server"},
    ),
    "tls through connect": (
        3128,
        [(OUT, connect("a.example:443")), (IN, ESTABLISHED), (OUT, client_hello()), (IN, server_hello())],
        ("http", "http"),
        "a.example",
        {"http_connect": "a.example:443", "sni": "a.example", "inside_out": "tls", "inside_in": "tls"},
        set(),
    ),
    "another server's name through connect": (
        3128,
        [(OUT, connect("b.example:443")), (IN, ESTABLISHED), (OUT, client_hello()), (IN, server_hello())],
        ("http", "http"),
        "b.example",
        {"sni": "a.example"},
        {"connect-other-name"},
    ),
    "ssh through connect": (
        3128,
        [(OUT, connect("h.example:443")), (IN, ESTABLISHED), (IN, ssh("s")), (OUT, ssh("c"))],
        ("http", "http"),
        "h.example",
        {"http_status": 200, "inside_out": "ssh", "inside_in": "ssh", "ssh_software_in": "OpenSSH_9.2p1"},
        {"connect-not-tls", "inside-odd-port"},
    ),
    "ssh in the segments of connect": (
        3128,
        [(OUT, connect("h.example:443") + ssh("c")), (IN, ESTABLISHED + ssh("s"))],
        ("http", "http"),
        "h.example",
        {"inside_out": "ssh", "inside_in": "ssh"},
        {"connect-not-tls", "inside-odd-port"},
    ),
    "a shell through connect": (
        3128,
        [(OUT, connect("h.example:443")), (IN, ESTABLISHED), (OUT, b"root@victim:/# "), (IN, b"id\n")],
        ("http", "http"),
        "h.example",
        {"inside_out": "unix-shell", "inside_in": "printable"},
        {"connect-not-tls", "inside-odd-port", "inside-client-speaks-server"},
    ),
    "mail through connect": (
        8080,
        [
            (OUT, connect("mx.example:25")),
            (IN, ESTABLISHED),
            (IN, b"220 mx.example ESMTP Postfix\r\n"),
            (OUT, b"EHLO x\r\n"),
        ],
        ("http", "http"),
        "mx.example",
        {"inside_out": "smtp", "inside_in": "smtp"},
        {"connect-not-tls", "connect-odd-port"},
    ),
    "connect refused": (
        3128,
        [(OUT, connect("h.example:443")), (IN, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")],
        ("http", "http"),
        "h.example",
        {"http_status": 403, "http_connect": "h.example:443"},
        set(),
    ),
    "connect after asking for a password": (
        3128,
        [
            (OUT, connect("h.example:443")),
            (IN, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nHTTP/"),
            (IN, b"HTTP/1.1 200 no head\r\n\r\n"),
            (OUT, connect("h.example:443", "Proxy-Authorization: Basic c2VjcmV0\r\n")),
            (IN, ESTABLISHED),
            (OUT, ssh("c")),
            (IN, ssh("s")),
        ],
        ("http", "http"),
        "h.example",
        {"http_status": 200, "inside_out": "ssh", "inside_in": "ssh", "http_method": "CONNECT"},
        {"connect-not-tls", "inside-odd-port"},
    ),
    "a few bytes after connect and nothing from the client": (
        3128,
        [(OUT, connect("h.example:443")), (IN, ESTABLISHED), (IN, b"\x01\x02\x03")],
        ("http", "http"),
        "h.example",
        {"inside_in": "unknown"},
        set(),
    ),
    "an answer that goes on": (
        80,
        [(OUT, REQUEST), (IN, b"HTTP/1.1 100 Continue\r\n\r\n"), (IN, b"HTTP/1.1 404 Not Found\r\n\r\n")],
        ("http", "http"),
        "a.example",
        {"http_status": 404},
        set(),
    ),
    "ssh in a websocket": (
        80,
        [
            (OUT, UPGRADE),
            (IN, UPGRADED),
            (IN, frame(b"", opcode=9) + frame(ssh("s"))),
            (OUT, frame(ssh("c")[:9], b"mask") + frame(ssh("c")[9:], b"\x00\xff\x01\xfe")),
        ],
        ("http", "http"),
        "a.example",
        {"http_status": 101, "http_upgrade": "websocket", "inside_out": "ssh", "inside_in": "ssh"},
        {"websocket-protocol"},
    ),
    "messages in a websocket": (
        80,
        [
            (OUT, UPGRADE),
            (IN, UPGRADED),
            (OUT, frame(b'{"type": "hello"}' * 30, b"mask", opcode=1)),
            (IN, frame(b'{"type": "welcome"}' * 30, opcode=1)),
        ],
        ("http", "http"),
        "a.example",
        {"inside_out": "printable", "inside_in": "printable"},
        set(),
    ),
    "compressed messages in a websocket": (
        80,
        [
            (OUT, UPGRADE),
            (IN, UPGRADED),
            (OUT, frame(deflated(b'{"type": "hello"}'), b"mask", opcode=0x41)),
            (IN, frame(deflated(b'{"type": "welcome"}' * 30), opcode=0x41)),
        ],
        ("http", "http"),
        "a.example",
        {"inside_out": "printable", "inside_in": "printable"},
        set(),
    ),
    "a shell in a page": (
        80,
        [
            (OUT, UPGRADE),
            (IN, UPGRADED),
            (IN, frame(b'["setup", {}]', opcode=1) + frame(b'["stdout", "user@host:~$ "]', opcode=1)),
            (OUT, frame(b'["stdin", "id"]', b"mask", opcode=1)),
        ],
        ("http", "http"),
        "a.example",
        {"inside_out": "printable", "inside_in": "unix-shell"},
        {"websocket-protocol"},
    ),
    "an upgrade that is not taken": (
        80,
        [(OUT, UPGRADE), (IN, RESPONSE), (OUT, ssh("c"))],
        ("http", "http"),
        "a.example",
        {"http_status": 200},
        set(),
    ),
}


@pytest.mark.parametrize("size", [0, 1, 7, 100, 1460])
@pytest.mark.parametrize("name", TALKS)
def test_a_record_says_what_the_flow_carried_however_it_was_cut(name: str, size: int) -> None:
    port, sent, apps, host, facts, anomalies = TALKS[name]
    record = told(sent, port, size)
    assert (record.app_out, record.app_in) == apps
    assert record.host == host
    assert facts.items() <= (record.facts or {}).items()
    assert set(record.anomalies or ()) == anomalies


@pytest.mark.parametrize("name", ["tls", "http", "ssh", "tls through connect", "ssh in a websocket"])
def test_segments_that_change_places_or_come_twice_change_nothing(name: str) -> None:
    port, sent, *_ = TALKS[name]
    talk = Talk(port)
    talk.handshake()
    for side, data in sent:
        first = len(data) // 3
        second = 2 * first
        talk.say(side, data[second:], ahead=second)
        talk.say(side, data[first:second], ahead=first)
        talk.say(side, data[:first])
        talk.sequence[side] -= first
        talk.say(side, data)
    record = talk.record()
    whole = told(sent, port)
    for field in ("app_out", "app_in", "host", "facts", "anomalies"):
        assert getattr(record, field) == getattr(whole, field)


def test_the_page_names_every_anomaly_and_every_fact(repo_root: Path) -> None:
    page = (repo_root / "docs/identification.md").read_text(encoding="utf-8")
    source = (repo_root / "sensor/flow/_content.pxd").read_text(encoding="utf-8")
    words = re.findall(r'"([a-z-]+)"', source.partition("tw_anomalies[] = {")[2].partition("};")[0])
    assert len(words) == 12
    table = page.partition("## What does not fit")[2].partition("## Facts")[0]
    assert set(words) == {
        word for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for word in row.strip("`").split("`, `")
    }
    assert {word for *_, anomalies in TALKS.values() for word in anomalies} <= set(words)
    facts = page.partition("## Facts")[2]
    for name in {name for port, sent, *_ in TALKS.values() for name in told(sent, port).facts or ()}:
        assert f"`{name}`" in facts, name


def test_a_flow_without_payload_carries_nothing() -> None:
    talk = Talk()
    talk.handshake().close(1.0)
    record = talk.record()
    assert (record.app_out, record.app_in, record.host, record.facts, record.anomalies) == (None,) * 5


def test_bytes_that_never_came_leave_what_was_known_before_them() -> None:
    talk = Talk(22)
    talk.handshake()
    talk.say(IN, b"SSH-2.0-OpenSSH_9.2p1\r\n")
    talk.say(IN, bytes(1000), ahead=500)
    talk.say(IN, bytes(1000), ahead=1 << 17)
    record = talk.record()
    assert record.app_in == "ssh"
    assert record.facts == {"ssh_banner_in": "SSH-2.0-OpenSSH_9.2p1", "ssh_software_in": "OpenSSH_9.2p1"}


def test_a_direction_whose_start_never_came_has_no_name() -> None:
    talk = Talk()
    talk.handshake()
    talk.say(OUT, REQUEST, ahead=100)
    record = talk.record()
    assert record.app_out is None
    assert record.anomalies is None


def test_a_flow_picked_up_late_is_told_by_what_is_sure_and_by_nothing_else() -> None:
    sure, other = Talk(443), Talk(22)
    sure.say(OUT, b"\x17\x03\x03\x00\x14" + bytes(20) + b"\x17\x03\x03\x00\x14" + bytes(20)).say(IN, bytes(200))
    other.say(OUT, b"220 this is a line of some text\r\n").say(IN, b"root@host:~# ")
    assert sure.record().app_out == "tls"
    record = other.record()
    assert (record.app_out, record.app_in, record.anomalies) == (None, None, None)


def test_a_direction_is_not_late_when_the_answer_to_its_syn_was_seen() -> None:
    talk = Talk(22)
    talk.back(0.0, SYN | ACK, seq=500, ack=101)
    talk.say(OUT, ssh("c")).say(IN, ssh("s"))
    record = talk.record()
    assert (record.app_out, record.app_in) == ("ssh", "ssh")


def test_what_goes_through_a_tunnel_is_told_when_only_the_client_was_seen() -> None:
    record = told([(OUT, connect("h.example:443")), (OUT, client_hello())], 3128)
    assert record.facts is not None
    assert (record.facts["inside_out"], record.facts["sni"]) == ("tls", "a.example")


def test_a_part_says_what_is_known_by_then_and_later_ones_keep_it() -> None:
    talk = Talk(22)
    talk.handshake()
    talk.say(IN, b"SSH-2.0-Open")
    talk.at = 70.0
    talk.say(IN, b"SSH_9.2p1\r\n")
    talk.at = 140.0
    talk.say(OUT, ssh("c"))
    talk.at = 210.0
    talk.say(OUT, b"x")
    parts = records(talk.table) + all_records(talk.table)
    assert [part.part for part in parts] == [0, 1, 2, 3]
    assert [part.app_out for part in parts] == [None, None, "ssh", "ssh"]
    assert [part.app_in for part in parts] == ["ssh"] * 4
    assert [sorted(part.facts or ()) for part in parts] == [
        [],
        [],
        ["ssh_banner_out", "ssh_software_out"],
        ["ssh_banner_in", "ssh_banner_out", "ssh_software_in", "ssh_software_out"],
    ]


def test_the_same_ports_again_are_another_flow() -> None:
    talk = Talk(22)
    talk.handshake()
    talk.say(IN, ssh("s")).say(OUT, ssh("c"))
    talk.out(1.0, FIN | ACK, seq=talk.sequence[0]).back(1.1, FIN | ACK, seq=talk.sequence[1])
    talk.handshake(2.0)
    talk.sequence, talk.at = [101, 501], 2.1
    talk.say(OUT, REQUEST)
    first, second = records(talk.table) + all_records(talk.table)
    assert (first.app_out, second.app_out, second.app_in) == ("ssh", "http", None)


def test_a_segment_of_which_not_all_was_captured_is_told_by_what_was() -> None:
    talk = Talk(80)
    talk.handshake()
    sent = tcp_frame(*talk.ends, ACK, REQUEST, seq=101)
    talk.table.feed_frame(1, T0 + S, sent[:-10], len(sent))
    talk.sequence[OUT] += len(REQUEST)
    talk.say(OUT, b"SSH-2.0-x\r\n")
    record = talk.record()
    assert (record.app_out, record.host) == ("http", "a.example")


def test_datagrams_have_no_name() -> None:
    talk = Talk()
    talk.table.feed_frame(1, T0, ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, udp(1000, 53, b"x" * 40))))
    assert talk.record().app_out is None


def test_first_bytes_of_many_flows_stay_within_the_memory_given() -> None:
    inspector = Inspector(memory_bytes=1 << 16)
    table = FlowTable(inspector=inspector)
    for number in range(1000):
        talk = Conversation(table, client=("10.0.1.1", 1000 + number)).handshake()
        talk.out(1.0, ACK, b"SSH-2.0-x", seq=101)
        assert inspector.used_bytes <= 1 << 16
    assert inspector.given_up > 0
    found = all_records(table)
    assert {record.app_out for record in found} == {"ssh"}
    assert inspector.used_bytes == 0


def test_facts_stay_within_the_memory_given() -> None:
    inspector = Inspector(memory_bytes=2000)
    table = FlowTable(inspector=inspector)
    for number in range(100):
        Conversation(table, client=("10.0.1.1", 1000 + number)).handshake().out(1.0, ACK, REQUEST, seq=101)
        assert inspector.used_bytes <= 2000
    found = all_records(table)
    assert {record.app_out for record in found} == {"http"}
    assert 0 < sum(record.facts is not None for record in found) < 100
    assert inspector.given_up > 0


def test_facts_that_cannot_be_taken_are_left_out_and_counted() -> None:
    def fails(*_: object) -> Told | None:
        raise IndexError

    talk = Talk(80, Inspector(facts_of=fails))
    talk.handshake()
    record = talk.say(OUT, REQUEST).say(IN, RESPONSE).record()
    assert (record.app_out, record.app_in, record.facts, record.host) == ("http", "http", {"http_status": 200}, None)
    assert (talk.inspector.told, talk.inspector.failed) == (1, 1)


def test_the_longest_facts_fit_into_a_record() -> None:
    long = "x" * 255
    many = {f"{name}": long for name in "abcdefghijklmno"}

    def tells(*_: object) -> Told | None:
        return Told(many, long, tunnel=1, port=22, status=200)  # type: ignore[arg-type]

    talk = Talk(80, Inspector(facts_of=tells))
    talk.handshake()
    for side, data in ((OUT, connect("a:1")), (IN, ESTABLISHED), (OUT, client_hello()), (IN, server_hello())):
        talk.say(side, data)
    record = talk.record()
    assert record.host == long
    assert talk.inspector.given_up > 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from([OUT, IN]),
            st.one_of(
                st.sampled_from(
                    [REQUEST, UPGRADE, UPGRADED, ESTABLISHED, connect("a:443"), client_hello(), ssh("c"), RESPONSE]
                ),
                st.binary(max_size=64),
            ),
            st.integers(-20, 6000),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_whatever_comes_there_is_a_good_record_and_no_memory_is_lost(
    sent: list[tuple[int, bytes, int, bool]],
) -> None:
    talk = Talk(3128)
    talk.handshake()
    for side, data, ahead, in_order in sent:
        talk.say(side, data, ahead=0 if in_order else ahead)
    for record in records(talk.table) + all_records(talk.table):
        READER.read(tuple(record))
    assert talk.inspector.used_bytes == 0
    assert talk.inspector.failed == 0


@given(st.data())
def test_however_the_segments_lie_the_record_is_the_same(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(TALKS)))
    port, sent, *_ = TALKS[name]
    talk = Talk(port)
    talk.handshake()
    for side, whole in sent:
        cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=4))
        edges = sorted({0, *cuts, len(whole)})
        for start, end in pairwise(edges):
            again = data.draw(st.integers(0, start))  # what came before comes again, in part
            talk.sequence[side] -= again
            talk.say(side, whole[start - again : end])
    record, expected = talk.record(), told(sent, port)
    for field in ("app_out", "app_in", "host", "facts", "anomalies"):
        assert getattr(record, field) == getattr(expected, field), name
