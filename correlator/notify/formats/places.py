"""Where outputs deliver to: addresses of syslog collectors and of webhooks, as they are configured."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORT: Final = 514
_EXAMPLES: Final = "udp://192.0.2.9:514, tcp://192.0.2.9:601 or unix:///dev/log"


class Address(NamedTuple):
    """Where a collector listens."""

    scheme: str
    host: str
    port: int
    path: str


def parse_address(text: str) -> Address:
    """Return the address of a collector; ValueError in one line."""
    try:
        parts = urlsplit(text)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError(f"not an address of a syslog collector: {text!r:.80}; write {_EXAMPLES}") from None
    is_unix = parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc
    is_inet = parts.scheme in ("udp", "tcp") and parts.hostname and parts.path in ("", "/")
    if not is_unix and not is_inet:
        raise ValueError(f"not an address of a syslog collector: {text!r:.80}; write {_EXAMPLES}")
    return Address(parts.scheme, parts.hostname or "", port, parts.path if is_unix else "")


class Url(NamedTuple):
    """Where notices are posted to."""

    is_tls: bool
    host: str
    port: int | None
    target: str


def parse_url(text: str) -> Url:
    """Return the parts of a webhook's address; ValueError in one line."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or not (text.isascii() and text.isprintable()):
        raise ValueError(f"not the address of a webhook: {text!r:.80}; write https://alarms.example.com/hook")
    if parts.username is not None or " " in text:
        raise ValueError("the address of a webhook has no user, password or spaces: put a token into token_file")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(parts.scheme == "https", parts.hostname, port, target)
