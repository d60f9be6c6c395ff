"""Addresses of collectors and webhooks."""

from __future__ import annotations

import pytest

from correlator.notify.formats.places import Address, Url, parse_address, parse_url


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("udp://192.0.2.9", Address("udp", "192.0.2.9", 514, "")),
        ("tcp://[2001:db8::1]:601", Address("tcp", "2001:db8::1", 601, "")),
        ("udp://logs.example.com:5514/", Address("udp", "logs.example.com", 5514, "")),
        ("unix:///dev/log", Address("unix", "", 514, "/dev/log")),
    ],
)
def test_a_collector(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "192.0.2.9:514", "tls://a:6514", "udp://", "udp://a:99999", "unix://dev/log", "unix:", "tcp://a/b", "udp://[::1"]
)  # fmt: skip
def test_what_is_no_collector_is_one_line_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="write udp://") as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://a.example", Url(is_tls=True, host="a.example", port=None, target="/")),
        ("http://127.0.0.1:8080/x?y=1", Url(is_tls=False, host="127.0.0.1", port=8080, target="/x?y=1")),
        ("https://[::1]:8443/h", Url(is_tls=True, host="::1", port=8443, target="/h")),
    ],
)
def test_a_webhook(text: str, url: Url) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.example",
        "ftp://a/",
        "http://",
        "http://a:x/",
        "http://a/b c",
        "http://u:p@a/",
        "http://a/\r\nX: y",
        "http://münchen/",
    ],
)
def test_what_is_no_webhook_is_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="address of a webhook") as caught:
        parse_url(text)
    assert "\n" not in str(caught.value)
