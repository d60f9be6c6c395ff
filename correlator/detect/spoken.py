"""What a flow speaks: its two directions, and inside a CONNECT or a WebSocket those of what it carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from common.records import FlowRecord

UNTOLD: Final = frozenset(("printable", "random", "unknown"))
"""What bytes are that belong to no protocol known."""
SHELLS: Final = frozenset(("windows-shell", "unix-shell"))
CONNECT: Final = "connect"
WEBSOCKET: Final = "websocket"
_EITHER: Final[Mapping[str, tuple[str, ...]]] = {
    "ftp-or-smtp": ("ftp", "smtp"),
    "ftp-or-pop3": ("ftp", "pop3"),
}
_ZEEK: Final[Mapping[str, str]] = {"ssl": "tls"}
"""Names of Zeek's services that differ from ours; records imported from its conn.log have them."""
_TCP_SYN: Final = 0x02

# Ports that firewalls let out or in for one purpose, and what is at home there. Elsewhere anything may run.
_WEB: Final = frozenset(("http", "http2", "tls"))
_MAIL: Final = frozenset(("smtp", "tls"))
AT_HOME: Final[Mapping[int, frozenset[str]]] = {
    20: frozenset(("ftp",)),
    21: frozenset(("ftp", "tls")),
    22: frozenset(("ssh",)),
    23: frozenset(("telnet", "windows-shell", "unix-shell")),
    25: _MAIL,
    53: frozenset(("dns", "tls")),
    80: _WEB,
    110: frozenset(("pop3", "tls")),
    143: frozenset(("imap", "tls")),
    443: _WEB,
    465: _MAIL,
    587: _MAIL,
    853: frozenset(("dns", "tls")),
    993: frozenset(("imap", "tls")),
    995: frozenset(("pop3", "tls")),
    3128: _WEB,
    8080: _WEB,
    8118: _WEB,
    8443: _WEB,
}
TLS_PORTS: Final = frozenset((443, 465, 853, 993, 995, 8443))
WEB_PORTS: Final = frozenset((80, 443, 3128, 8080, 8118, 8443))
CLEAR_WEB_PORTS: Final = frozenset((80, 8000, 8008, 8080, 8088, 8888))


class Layer(NamedTuple):
    """What both directions of a conversation are, None where that is not known, or nothing was said."""

    out: str | None
    in_: str | None

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols by name, the client's first; text, random and unknown bytes are none."""
        return tuple(dict.fromkeys(app for app in self if app is not None and app not in UNTOLD))

    @property
    def has_name(self) -> bool:
        """Whether a side speaks a protocol by name."""
        return (self.out is not None and self.out not in UNTOLD) or (self.in_ is not None and self.in_ not in UNTOLD)

    @property
    def is_untold(self) -> bool:
        """Whether both sides have spoken, and neither a protocol that is known."""
        return self.out in UNTOLD and self.in_ in UNTOLD


class Spoken(NamedTuple):
    """What a flow speaks, from the outside in."""

    outer: Layer
    inner: Layer | None
    """Inside a tunnel that stands; None where there is no tunnel, or nothing is known of what it carries."""
    tunnel: str | None
    """``CONNECT``, or the word of the upgrade that HTTP was left for; None where nobody asked for one."""
    target_port: int | None
    """Where the CONNECT leads to."""


def spoken_in(record: FlowRecord) -> Spoken:
    """Return what a flow speaks, as far as its record tells."""
    outer, facts = Layer(record.app_out, record.app_in), record.facts
    if outer.out is not None and outer.out == outer.in_ and ("," in outer.out or outer.out in _ZEEK):
        return _of_zeek(outer.out)
    if not facts:
        return Spoken(outer, None, None, None)
    inner = Layer(_text(facts.get("inside_out")), _text(facts.get("inside_in")))
    target = _text(facts.get("http_connect"))
    tunnel = _text(facts.get("http_upgrade")) if target is None else CONNECT
    return Spoken(outer, inner if inner != (None, None) else None, tunnel, _port_of(target))


def is_at_home(protocol: str, port: int, also: Mapping[str, tuple[int, ...]]) -> bool:
    """Tell whether a protocol belongs on a port; ``also`` names further ports of protocols."""
    names = _EITHER.get(protocol, (protocol,))
    home = AT_HOME.get(port, frozenset())
    return any(name in home or port in also.get(name, ()) for name in names)


def both_sides_heard(record: FlowRecord) -> bool:
    """Tell whether each side sent payload; a side of which no packet was seen counts as having done so."""
    return bool((record.payload_bytes_out or not record.packets_out) and (
        record.payload_bytes_in or not record.packets_in
    ))  # fmt: skip


def seen_from_start(record: FlowRecord) -> bool:
    """Tell whether the flow was seen from its first packet, in both directions, and nothing was missed."""
    opened = record.tcp_flags_out & _TCP_SYN and record.tcp_flags_in & _TCP_SYN
    return bool(opened and not record.missed_bytes_out and not record.missed_bytes_in)


def _of_zeek(services: str) -> Spoken:
    """Return what Zeek's list of services tells: with HTTP in it, the others are inside."""
    names = [_ZEEK.get(name, name) for name in services.split(",")]
    inside = [name for name in names if name not in ("http", WEBSOCKET)]
    if "http" in names and inside:
        tunnel = WEBSOCKET if WEBSOCKET in names else CONNECT
        return Spoken(Layer("http", "http"), Layer(inside[0], inside[0]), tunnel, None)
    name = "http" if "http" in names else names[0]
    return Spoken(Layer(name, name), None, None, None)


def _text(value: str | int | None) -> str | None:
    return value if isinstance(value, str) and value else None


def _port_of(target: str | None) -> int | None:
    """Return the port of ``host:port``."""
    if target is None:
        return None
    _, colon, digits = target.rpartition(":")
    return int(digits) if colon and digits.isascii() and digits.isdigit() and len(digits) < 6 else None
