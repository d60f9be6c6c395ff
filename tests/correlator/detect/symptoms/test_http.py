"""The first request's head: what no browser, and hardly any program, sends."""

from __future__ import annotations

from typing import Any

import pytest
from corr_flows import flow

from correlator.detect.symptoms.http import of_flow

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"


def found(agent: str | None, method: str = "GET", host: str | None = "a.example", **changes: Any) -> set[str]:
    facts = {"http_method": method} if agent is None else {"http_method": method, "user_agent": agent}
    record = flow(**{"app_out": "http", "app_in": "http", "host": host, "facts": facts, **changes})
    return {sight.symptom for sight in of_flow(record)}


@pytest.mark.parametrize(
    "agent",
    [
        CHROME,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0",
        "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/4.0 (compatible; MSIE 9.0; Windows NT 6.1)",
        "curl/7.88.1",
        "Wget/1.21.3",
        "Debian APT-HTTP/1.3 (2.6.2)",
        "git/2.39.5",
        "Python/3.11 websockets/17.4",
        "Microsoft-CryptoAPI/10.0",
    ],
)
def test_browsers_and_programs_that_say_who_they_are_say_nothing(agent: str) -> None:
    assert not found(agent)
    assert not found(agent, "CONNECT")


@pytest.mark.parametrize(
    "agent",
    ["Mozilla/5.0", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"],
)
def test_what_no_browser_says_is_false(agent: str) -> None:
    assert found(agent) == {"false-user-agent"}


def test_a_request_that_does_not_say_who_sends_it_and_to_whom() -> None:
    assert found(None) == {"no-user-agent"}
    assert found("", "CONNECT", None) == {"no-user-agent"}
    assert found(CHROME, host=None) == {"no-host"}


@pytest.mark.parametrize(("method", "odd"), [("PROPFIND", False), ("get", False), ("XFER", True)])
def test_methods_that_http_knows(method: str, *, odd: bool) -> None:
    assert ("odd-method" in found(CHROME, method)) == odd


def test_without_a_request_nothing_is_told() -> None:
    assert not found(CHROME, app_out="tls")
    assert not found(CHROME, facts=None)


def test_what_is_shown_of_a_strangers_words_is_short() -> None:
    facts: dict[str, str | int] = {"http_method": "A" * 900, "user_agent": "Mozilla/5.0 " + "x" * 900}
    sights = list(of_flow(flow(app_out="http", host=None, facts=facts)))
    assert len(sights) == 3
    assert all(len(sight.explanation) < 120 for sight in sights)
