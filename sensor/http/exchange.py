"""One exchange while it is going on, and the record that it becomes."""

from __future__ import annotations

from typing import Final

from common.records import HttpExchange
from sensor.http.browsers import order_anomalies
from sensor.http.framing import Body
from sensor.http.head import Headers, RequestLine, StatusLine
from sensor.http.target import NOWHERE, Destination, authority, destination, kept_uri
from sensor.http.words import ANOMALIES
from sensor.inspect.wiretext import LONGEST_NAME, LONGEST_VALUE, wire_text
from sensor.stream.events import Began

MAX_NAMES: Final = 64
"""Header names of a request that its record lists."""

# The registry of RFC 9110, 16.1, and what went before it.
_REGISTERED: Final = frozenset(
    b"""ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE MKACTIVITY
    MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI PROPFIND PROPPATCH PUT QUERY
    REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL
    NOTIFY SUBSCRIBE UNSUBSCRIBE M-SEARCH""".split()
)
_WITHOUT_BODY: Final = frozenset((b"GET", b"HEAD", b"DELETE", b"TRACE", b"CONNECT"))
_VERSIONS: Final = frozenset((b"1.1", b"1.0"))
_HTTPS: Final = 443
_RANKS: Final = {word: rank for rank, word in enumerate(ANOMALIES)}


class Exchange:
    """What is known so far; bytes are counted as they come."""

    __slots__ = (
        "anomalies",
        "body_bytes",
        "content_type",
        "destination",
        "end_ns",
        "has_request",
        "has_response",
        "head_bytes",
        "header_names",
        "method",
        "number",
        "over",
        "referer_host",
        "request_end_ns",
        "response_start_ns",
        "response_version",
        "start_ns",
        "status",
        "upgrade",
        "uri",
        "uri_bytes",
        "user_agent",
        "version",
    )

    def __init__(self, number: int, time_ns: int) -> None:
        self.number = number
        self.anomalies: set[str] = set()
        self.has_request = self.has_response = False
        self.over = [False, False]
        """Whether the request, and the response, is over; by direction."""
        self.head_bytes = [0, 0]
        self.body_bytes = [0, 0]
        self.start_ns = self.end_ns = time_ns
        self.request_end_ns: int | None = None
        self.response_start_ns: int | None = None
        self.method: bytes | None = None
        self.destination: Destination = NOWHERE
        self.uri: str | None = None
        self.uri_bytes: int | None = None
        self.version: bytes | None = None
        self.header_names: tuple[str, ...] | None = None
        self.user_agent: str | None = None
        self.referer_host: str | None = None
        self.status: int | None = None
        self.response_version: bytes | None = None
        self.content_type: str | None = None
        self.upgrade: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether both of its messages are."""
        return self.over[0] and self.over[1]

    def request(self, line: RequestLine, headers: Headers, body: Body, uri_most: int) -> None:
        """Take a request's head."""
        self.has_request = True
        self.method = line.method
        self.version = line.version or b"0.9"
        self.uri_bytes = len(line.target)
        self.uri = kept_uri(line.target, uri_most)
        self.header_names = tuple(wire_text(name, LONGEST_NAME) for name in headers.names[:MAX_NAMES])
        fields = headers.fields
        agent = fields.get(b"user-agent", (None,))[0]
        self.user_agent = None if agent is None else wire_text(agent)
        if b"referer" in fields:
            self.referer_host = destination(b"", fields[b"referer"][0]).host or None
        if b"upgrade" in fields:
            self.upgrade = wire_text(fields[b"upgrade"][0].lower(), LONGEST_NAME)
        found = self.anomalies
        found.update(headers.anomalies, body.anomalies)
        found.update(_host_anomalies(self, line, fields.get(b"host", [])))
        if line.version:
            if not headers.names:
                found.add("no-headers")
            elif agent is None:
                found.add("no-user-agent")
        if agent is not None:
            found.update(order_anomalies(line.method, agent, headers.names))
        if line.version not in _VERSIONS:
            found.add("unknown-version")
        if line.spaces:
            found.add("bad-start-line")
        if line.method not in _REGISTERED:
            found.add("exotic-method")
        if line.method in _WITHOUT_BODY and (body.chunked or body.length):
            found.add("body-on-get")

    def response(self, line: StatusLine, headers: Headers, body: Body) -> None:
        """Take the head of the final response."""
        self.has_response = True
        self.status = line.status
        self.response_version = line.version
        kind = headers.fields.get(b"content-type")
        if kind:
            self.content_type = wire_text(kind[0].partition(b";")[0].strip().lower())
        self.anomalies.update(headers.anomalies, body.anomalies)
        if line.version not in _VERSIONS:
            self.anomalies.add("unknown-version")

    def record(self, flow: Began) -> HttpExchange:
        """Return the record."""
        port = self.destination.port
        return HttpExchange(
            flow_id=flow.flow_id,
            number=self.number,
            client_ip=flow.client_ip,
            client_port=flow.client_port,
            server_ip=flow.server_ip,
            server_port=flow.server_port,
            start_ns=self.start_ns,
            request_end_ns=self.request_end_ns,
            response_start_ns=self.response_start_ns,
            end_ns=max(self.start_ns, self.end_ns),
            method=_text(self.method),
            host=self.destination.host[:LONGEST_VALUE] or None,
            host_port=port,
            uri_bytes=self.uri_bytes,
            uri=self.uri,
            version=_text(self.version),
            header_names=self.header_names,
            user_agent=self.user_agent,
            referer_host=self.referer_host,
            upgrade=self.upgrade,
            request_header_bytes=self.head_bytes[0],
            request_body_bytes=self.body_bytes[0],
            status=self.status,
            response_version=_text(self.response_version),
            response_header_bytes=self.head_bytes[1],
            response_body_bytes=self.body_bytes[1],
            content_type=self.content_type,
            anomalies=tuple(sorted(self.anomalies, key=_RANKS.__getitem__)[:32]) or None,
        )


def _text(value: bytes | None) -> str | None:
    return None if not value else wire_text(value, LONGEST_NAME)


def _host_anomalies(exchange: Exchange, line: RequestLine, hosts: list[bytes]) -> list[str]:
    """Settle where a request goes; return what is wrong about it.

    The target itself counts before Host (RFC 9112, 3.2.2).
    """
    found = []
    own = destination(line.method, line.target)
    named = authority(hosts[0]) if hosts and hosts[0] else NOWHERE
    exchange.destination = own if own.host else named
    if not hosts and line.version == b"1.1":
        found.append("no-host")
    if len(hosts) > 1:
        found.append("repeated-host")
    if not own.good or not named.good:
        found.append("bad-host")
    if own.host and named.host and own.host != named.host:
        found.append("host-differs")
    if line.method == b"CONNECT" and own.port is not None and own.port != _HTTPS:
        found.append("connect-odd-port")
    return found
