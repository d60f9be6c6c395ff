"""Symptoms in the head of a connection's first HTTP request: it is not a browser's, whatever it says it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from common.records import FlowRecord
from correlator.detect.symptom import Family, Sight, Symptom, present

NO_AGENT: Final = "no-user-agent"
FALSE_AGENT: Final = "false-user-agent"
NO_HOST: Final = "no-host"
ODD_METHOD: Final = "odd-method"

_METHODS: Final = frozenset(
    (
        "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LABEL",
        "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE",
        "OPTIONS", "ORDERPATCH", "PATCH", "POST", "PRI", "PROPFIND", "PROPPATCH", "PUT", "QUERY", "REBIND", "REPORT",
        "SEARCH", "TRACE", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF",
        "VERSION-CONTROL",
        # not registered, but used: UPnP, caches, AirPlay
        "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "PURGE", "SOURCE",
    )
)  # fmt: skip
"""IANA's registry of HTTP methods, and what devices send."""
_LONGEST: Final = 60
_KEPT_AGENTS: Final = 2000
_BROWSER: Final = re.compile(r"Mozilla/[45]\.0\b")
_ENGINE: Final = re.compile(r"AppleWebKit|Gecko|Trident|Presto|compatible|KHTML|iTunes|Darwin", re.IGNORECASE)
"""What every browser's word says beside Mozilla; robots and old ones say that they are compatible."""
_OBSOLETE: Final = re.compile(r"MSIE [1-8]\.")

SYMPTOMS: Final = (
    Symptom(
        NO_AGENT,
        Family.PROTOCOL,
        1.0,
        "an HTTP request, or a CONNECT, does not say what program sends it",
        "the connection's first request has no field User-Agent",
        "Web Tap (Borders, Prakash 2004), header filter: no false alarm in 240",
        "devices and scripts of one's own, CONNECT by older Python programs",
        "any User-Agent",
    ),
    Symptom(
        FALSE_AGENT,
        Family.PROTOCOL,
        1.0,
        "the User-Agent says browser, and no browser says it so, or none since years",
        "Mozilla/4.0 or 5.0 without a word for an engine (AppleWebKit, Gecko, Trident, ...) or compatible; or MSIE 8 "
        "and older",
        "Web Tap (Borders, Prakash 2004), header filter: browsers never seen at the site; the rule is ours: expert",
        "programs that shorten a browser's word so that servers take them",
        "a browser's word, letter by letter",
    ),
    Symptom(
        NO_HOST,
        Family.PROTOCOL,
        0.7,
        "an HTTP request does not say what host it is for",
        "the connection's first request has no field Host and no absolute target, and is no CONNECT",
        "RITA, missing host header; log10 LR 0.7: expert",
        "health checks, programs of the last century (HTTP/1.0)",
        "any Host",
    ),
    Symptom(
        ODD_METHOD,
        Family.PROTOCOL,
        1.0,
        "the request's method is none that HTTP knows",
        "the connection's first request has a method that is neither registered with IANA nor known of devices",
        "Castro 2003, HTTP anomalies; Zeek's weird unknown_HTTP_method; log10 LR 1: expert",
        "protocols in HTTP's clothes: RTSP, SIP, servers' own extensions",
        "GET and POST",
    ),
)


def of_flow(record: FlowRecord) -> Iterator[Sight]:
    """Yield what the head of the first request tells."""
    facts = record.facts or {}
    method, agent = facts.get("http_method"), facts.get("user_agent")
    if not isinstance(method, str) or record.app_out != "http":
        return
    if not agent:
        yield present(NO_AGENT, 0, 0, f"{_shown(method)} without a User-Agent")
    elif isinstance(agent, str) and (why := _false(agent)):
        yield present(FALSE_AGENT, 0, 0, f"the User-Agent {_shown(agent)} {why}")
    if not record.host and method != "CONNECT":
        yield present(NO_HOST, 0, 0, f"{_shown(method)} without a host")
    if method.upper() not in _METHODS:
        yield present(ODD_METHOD, 0, 0, f"the method {_shown(method)} is none of HTTP's")


@lru_cache(_KEPT_AGENTS)
def _false(agent: str) -> str:
    """Return what is false about a User-Agent, nothing where it is none of a browser, or could be one's."""
    if _OBSOLETE.search(agent):
        return "is that of a browser nobody uses any more"
    if _BROWSER.match(agent) and not _ENGINE.search(agent):
        return "names no browser's engine"
    return ""


def _shown(text: str) -> str:
    return f"'{text[:_LONGEST]}...'" if len(text) > _LONGEST else f"'{text}'"
