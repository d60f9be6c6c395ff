"""Names from DNS: real questions to a server on loopback, and their limits."""

from __future__ import annotations

import time

import pytest
from dns_server import DnsServer, serving

from common.errors import UserError
from correlator.names.reverse import Answer, Limits, Reverse, clean

FREELY = Limits(10, 1000)
KNOWN = {"10.1.1.9": (b"Laptop", b"example", b"com"), "fd00::1": (b"six", b"example", b"com")}


def test_addresses_of_both_families_get_their_names() -> None:
    with serving(DnsServer(KNOWN)) as server:
        reverse = Reverse([server.endpoint], FREELY)
        assert reverse.ask(["10.1.1.9", "10.9.9.9", "fd00::1"]) == [
            Answer("10.1.1.9", "laptop.example.com"),
            Answer("10.9.9.9", None),
            Answer("fd00::1", "six.example.com"),
        ]
        assert reverse.unanswered == 0


def test_a_server_that_is_silent_costs_the_time_limit_once_for_all() -> None:
    with serving(DnsServer(KNOWN, silent=True)) as server:
        reverse = Reverse([server.endpoint], Limits(0.6, 1000))
        begin = time.monotonic()
        answers = reverse.ask([f"10.1.1.{number}" for number in range(200)])
        assert reverse.ask(["10.2.2.2"]) == []
        assert time.monotonic() - begin < 3
    assert len(answers) == 200
    assert all(answer.failed for answer in answers)
    assert reverse.unanswered == 201


def test_no_server_at_all_is_no_error() -> None:
    with serving(DnsServer({})) as server:
        gone = server.endpoint
    reverse = Reverse([gone], Limits(0.6, 10))
    begin = time.monotonic()
    assert reverse.ask(["10.1.1.9"]) == [Answer("10.1.1.9", None, failed=True)]
    assert time.monotonic() - begin < 3


def test_the_next_server_is_asked_when_one_is_silent() -> None:
    with serving(DnsServer(KNOWN, silent=True)) as silent, serving(DnsServer(KNOWN)) as server:
        reverse = Reverse([silent.endpoint, server.endpoint], Limits(6, 10))
        assert reverse.ask(["10.1.1.9"])[0].name == "laptop.example.com"


def test_no_more_is_asked_than_the_limit_says() -> None:
    with serving(DnsServer(KNOWN)) as server:
        reverse = Reverse([server.endpoint], Limits(10, 3))
        assert len(reverse.ask([f"10.1.1.{number}" for number in range(2)])) == 2
        assert len(reverse.ask([f"10.1.2.{number}" for number in range(5)])) == 1
        assert reverse.ask(["10.1.3.1"]) == []
        assert len(server.asked) == 3
        assert reverse.unanswered == 5


def test_answers_that_are_no_dns_are_none() -> None:
    with serving(DnsServer({}, garbage=b"\xff" * 40)) as server:
        assert Reverse([server.endpoint], Limits(0.6, 10)).ask(["10.1.1.9"])[0].failed


@pytest.mark.parametrize(
    "labels",
    [(b"\x1b[2J\x1b[31m", b"evil"), (b"a\nb",), (b"\x00",), (b"\xff\xfe" * 30,), (b"a b",), (b"<script>",), (b"..",)],
)
def test_a_name_of_any_bytes_comes_out_harmless(labels: tuple[bytes, ...]) -> None:
    with serving(DnsServer({"10.1.1.9": labels})) as server:
        (answer,) = Reverse([server.endpoint], FREELY).ask(["10.1.1.9"])
    assert answer.name is None or (answer.name.isascii() and answer.name.isprintable() and len(answer.name) <= 253)


def test_a_name_longer_than_names_are_is_none() -> None:
    assert clean("x" * 254) is None
    assert clean("") is None
    assert clean("WWW.Example.com.") == "www.example.com"
    assert clean("a\x1b") is None


@pytest.mark.parametrize("text", ["banana", "127.0.0.1:99999", ""])
def test_a_server_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match=r"no DNS server in \[names\] servers: .*; write 192.0.2.53"):
        Reverse([text], FREELY)
