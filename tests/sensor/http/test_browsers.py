"""Programs send their headers in their own order, and others that take their names do not."""

from __future__ import annotations

import pytest

from sensor.http.browsers import family_of, order_anomalies

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1"
)
IE6 = "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"
IE11 = "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko"

# What the programs themselves were seen to send.
_OWN = [
    (CHROME, "Host Connection Upgrade-Insecure-Requests User-Agent Accept Accept-Encoding Accept-Language Cookie"),
    (CHROME, "Host Proxy-Connection User-Agent Accept Referer Accept-Encoding Accept-Language"),
    (CHROME, "Host Connection Content-Length Accept User-Agent Content-Type Origin Referer Accept-Encoding Cookie"),
    (CHROME, "Host Connection Pragma Cache-Control User-Agent Upgrade Origin Accept-Encoding Accept-Language"),
    (CHROME, "Host Connection User-Agent Accept Sec-GPC Accept-Language Sec-Fetch-Site Accept-Encoding"),  # Brave
    (FIREFOX, "Host User-Agent Accept Accept-Language Accept-Encoding Connection Cookie Upgrade-Insecure-Requests"),
    (FIREFOX, "Host User-Agent Accept Accept-Language Accept-Encoding Referer Cookie Connection"),  # Firefox 20
    (FIREFOX, "Host User-Agent Accept Accept-Language Accept-Encoding Content-Type Content-Length Origin Connection"),
    (SAFARI, "Host Accept Upgrade-Insecure-Requests Cookie User-Agent Accept-Language Accept-Encoding Connection"),
    (IE6, "Accept Referer Accept-Language Content-Type Accept-Encoding User-Agent Host Content-Length Connection"),
    (IE11, "Accept Accept-Language User-Agent Accept-Encoding Host Connection Cookie"),
    ("curl/7.88.1", "Host User-Agent Accept Proxy-Connection Content-Length Content-Type"),
    ("curl/7.19.7", "User-Agent Host Accept"),
    ("Wget/1.21.3", "Host Referer User-Agent Accept Accept-Encoding Connection Cookie"),
    ("Wget/1.16", "User-Agent Accept Host Connection"),
    ("Go-http-client/1.1", "Host User-Agent Content-Length Content-Type Accept-Encoding"),
    ("something/1.0", "Connection Accept User-Agent Host"),
]


def _judged(agent: str, names: str, method: bytes = b"GET") -> list[str]:
    return order_anomalies(method, agent.encode("ascii"), names.encode("ascii").split())


@pytest.mark.parametrize(("agent", "names"), _OWN)
def test_a_programs_own_order_is_no_anomaly(agent: str, names: str) -> None:
    assert _judged(agent, names) == []


@pytest.mark.parametrize(
    ("agent", "names"),
    [
        (IE6, "Host User-Agent Accept Proxy-Connection Content-Length Content-Type"),  # curl -A
        (CHROME, "User-Agent Accept-Encoding Accept Connection Host"),  # requests
        (FIREFOX, "Host User-Agent Accept-Encoding Accept Connection"),  # requests
        (FIREFOX, "Accept-Encoding Host User-Agent Connection Accept"),  # urllib
        (SAFARI, "User-Agent Accept Host"),
        ("curl/8.0", "Accept Host User-Agent"),
    ],
)
def test_another_programs_order_under_a_browsers_name_is_one(agent: str, names: str) -> None:
    assert _judged(agent, names) == ["header-order"]


def test_a_browser_without_what_it_always_sends_is_none() -> None:
    assert _judged(CHROME, "Host Connection User-Agent") == ["missing-headers"]
    assert _judged(IE6, "Content-Type User-Agent Host Content-Length Connection") == ["missing-headers"]
    assert _judged("curl/8.0", "Host User-Agent") == []


def test_connect_is_not_judged() -> None:
    assert _judged(FIREFOX, "User-Agent Proxy-Connection Connection Host", b"CONNECT") == []


def test_what_a_reverse_proxy_passed_on_is_not_judged() -> None:
    assert _judged(FIREFOX, "Accept Connection Host User-Agent X-Forwarded-For") == []


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (CHROME, "chromium"), (CHROME + " Edg/120.0.0.0", "chromium"), (FIREFOX, "firefox"), (SAFARI, "safari"),
        (IE6, "ie"), (IE11, "ie"), (CHROME + " Edge/18.17763", "ie"), ("curl/8.1", "curl"), ("Wget/1.2", "wget"),
        ("Mozilla/5.0", None), ("", None), (" " * 5000 + "curl/8", None),
    ],
)  # fmt: skip
def test_the_user_agent_tells_the_family(agent: str, name: str | None) -> None:
    family = family_of(agent.encode("ascii"))
    assert (family.name if family else None) == name
