"""The anomalies of HTTP exchanges: a word each, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ANOMALIES: Final[Mapping[str, str]] = {
    # the request's head
    "no-host": "HTTP/1.1 without Host (RFC 9112, 3.2)",
    "no-headers": "a request without any header",
    "no-user-agent": "a request without User-Agent, CONNECT's among them",
    "repeated-host": "several Host headers",
    "host-differs": "Host says another name than the absolute URI or CONNECT's target",
    "bad-host": "what should be the host is no name, no address, or has no port that could be",
    "exotic-method": "a method that is not registered (RFC 9110, 16.1)",
    "connect-odd-port": "CONNECT to another port than 443",
    "body-on-get": "GET, HEAD, DELETE, TRACE or CONNECT with a body",
    "header-order": "User-Agent names a program that sends its headers in another order",
    "missing-headers": "User-Agent names a browser, and headers that it always sends are not there",
    # either head
    "unknown-version": "neither HTTP/1.1 nor HTTP/1.0",
    "bad-start-line": "a request line with spaces in its target",
    "bad-header": "a line that is no header, or white space before the colon",
    "folded-header": "a header over several lines (RFC 9112, 5.2)",
    "control-characters": "control characters in a head",
    "bare-line-feed": "lines of a head that end without carriage return",
    "many-headers": "more headers than are looked at",
    "long-head": "a head longer than is looked at",
    "cut-head": "the connection ended inside a head",
    # bodies
    "bad-length": "Content-Length is no number, or several that differ",
    "length-and-chunked": "Content-Length beside Transfer-Encoding (RFC 9112, 6.3)",
    "bad-transfer-encoding": "a Transfer-Encoding that does not end in chunked",
    "bad-chunk": "a chunk whose size or end is wrong",
    "body-short": "the connection ended before the body did",
    "body-long": "bytes after the body's declared end that are no message",
    "not-http": "bytes where a message should begin that are none",
    # the exchange
    "no-response": "the connection ended without a response",
    "no-request": "a response to no request: the first of its connection, or picked up on the way",
    "two-responses": "one more response than there were requests",
    "early-response": "a response before the request's head was complete",
    "http-in-connect": "it was sent inside a CONNECT tunnel",
    # nobody's fault
    "gap": "bytes of it were not seen",
    "unfinished": "it went on when the sensor had to let go of the connection",
}

ABSENCES: Final = frozenset(("no-host", "no-headers", "no-user-agent", "missing-headers"))
"""What cannot be said of a head that was not seen to its end."""
