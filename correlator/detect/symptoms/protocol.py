"""Symptoms of what is spoken: a protocol where it does not belong, inside a tunnel, or with the sides reversed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct

from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.detect.spoken import (
    AT_HOME,
    CLEAR_WEB_PORTS,
    CONNECT,
    SHELLS,
    TLS_PORTS,
    UNTOLD,
    WEBSOCKET,
    Layer,
    Spoken,
    both_sides_heard,
    is_at_home,
    seen_from_start,
)
from correlator.detect.symptom import Family, Sight, Symptom, absent, present

FOREIGN: Final = "foreign-protocol"
INSIDE: Final = "foreign-in-tunnel"
SHELL: Final = "shell"
REVERSED: Final = "client-serves"
RAW: Final = "raw-transfer"
UNKNOWN: Final = "unknown-protocol"
UNKNOWN_INSIDE: Final = "unknown-in-connect"
DISAGREE: Final = "directions-disagree"
CLEAR_ON_TLS: Final = "http-on-tls-port"
ELSEWHERE: Final = "remote-access-elsewhere"
CONNECT_ELSEWHERE: Final = "connect-elsewhere"
OTHER_NAME: Final = "connect-other-name"

_ABSENT: Final = -0.0458
"""A likelihood ratio of 0.9: most tunnels hide what they are."""
_REMOTE_ACCESS: Final = frozenset(
    ("ssh", "telnet", "rdp", "vnc", "smb", "socks4", "socks5", "openvpn", "windows-shell", "unix-shell")
)
_USUAL_ELSEWHERE: Final = {
    "ssh": (22, 830),
    "telnet": (23, 992, 2323),
    "rdp": (3389,),
    "vnc": (5500, *range(5800, 6000)),
    "smb": (139, 445),
    "socks4": (1080, 9050, 9150),
    "socks5": (1080, 9050, 9150),
    "openvpn": (1194, 1195),
}
# The sensor's words for what does not fit; what is inside a tunnel has them with a prefix.
_DISAGREE: Final = "directions-disagree"
_REVERSALS: Final = ("client-speaks-server", "server-speaks-client")
_OTHER_NAME: Final = "connect-other-name"
_INSIDE: Final = "inside-"
_TELNET_PORTS: Final = (23, 992, 2323)
_TCP: Final = 6
_NOT_REMOTE: Final = 1.5
_TLS_IN_WEBSOCKET: Final = 1.5
_NOT_FOREIGN: Final = absent(FOREIGN)
_NOT_INSIDE: Final = absent(INSIDE)
Port = Annotated[int, Meta(ge=0, le=65535)]


class ProtocolLimits(Struct, frozen=True, kw_only=True):
    """[detect.protocol]: what is at home where, and from when on bytes without an answer are a transfer."""

    at_home: dict[str, tuple[Port, ...]] = {}
    """Further ports of protocols, such as ``{ssh = [443]}``."""
    raw_bytes: Annotated[int, Meta(ge=64)] = 2048
    raw_s: Annotated[int, Meta(ge=1)] = 10


SYMPTOMS: Final = (
    Symptom(
        FOREIGN,
        Family.PROTOCOL,
        5.0,
        "a protocol is spoken on a port that is let through for others: ssh on 443, smtp on 80",
        "the first bytes of a direction are a protocol by name that is not at home on the server's port, and both "
        "sides have sent payload; TLS is at home everywhere, HTTP and DNS are foreign only where browsers refuse to go",
        "Castro 2003, backdoor traces; Zhang and Paxson 2000, signatures; log10 LR 5: nearly deterministic",
        "services that were put on 443 on purpose, such as git hosts' ssh; name them in at_home, or list them",
        "the protocol inside TLS, or any first bytes that are not its own",
        log10_lr_absent=_ABSENT,
        decisive=True,
    ),
    Symptom(
        INSIDE,
        Family.PROTOCOL,
        5.0,
        "a protocol other than TLS is spoken inside a CONNECT, or any protocol by name inside a WebSocket",
        "after the proxy's 200 the first bytes of a direction are a protocol by name: not TLS, and not HTTP when the "
        "target's port is one of HTTP; after 101 to a WebSocket any, with log10 LR 1.5 for TLS",
        "Castro 2003, CONNECT to a service that is no web server; log10 LR 5: nearly deterministic",
        "remote desktops in web pages (VNC in a WebSocket), mail programs told to use the proxy",
        "TLS inside the CONNECT; frames that look like an application's own",
        log10_lr_absent=_ABSENT,
        decisive=True,
    ),
    Symptom(
        SHELL,
        Family.PROTOCOL,
        5.0,
        "a command shell's prompt or banner in clear text, from either side",
        "the first bytes of a direction are those of a Windows or Unix shell, and the port is not telnet's; from the "
        "client on any port",
        "Castro 2003, reverse shells; Zhang and Paxson 2000, root prompts; log10 LR 5: nearly deterministic",
        "consoles of network devices and test equipment on ports of their own",
        "a shell without a prompt, or one that is encrypted",
        decisive=True,
    ),
    Symptom(
        REVERSED,
        Family.PROTOCOL,
        5.0,
        "the client plays the server's part: whoever it called may command it",
        "the first bytes are the server's part of their protocol in the client's direction, or the client's in the "
        "server's; log10 LR 1.5 where the protocol is not for remote access",
        "Castro 2003, reverse tunnels; Bro's backdoor.bro; log10 LR 5: nearly deterministic",
        "protocols that call back by design, such as VNC viewers that listen (not on their own ports)",
        "software whose greeting both sides could send, such as OpenSSH before its key exchange",
        decisive=True,
    ),
    Symptom(
        RAW,
        Family.PROTOCOL,
        4.5,
        "bytes of no protocol go one way and nothing is answered: a file sent with netcat",
        "seen from the first packet with nothing missed; on a port of known protocols, or inside a CONNECT, one side "
        "sends raw_bytes or more that are no protocol's, the other nothing at all, and the flow is over or lasts raw_s",
        "Castro 2003, raw files; every protocol that is at home on these ports is answered; log10 LR 4.5: expert",
        "sensors and meters that push to 80 or 443 without any protocol",
        "one byte of answer, which leaves unknown-protocol",
        decisive=True,
    ),
    Symptom(
        UNKNOWN,
        Family.PROTOCOL,
        1.4771,
        "on a port of known protocols both sides speak none that is known: no ClientHello on 443, no HTTP on 80",
        "both directions are told to be text, random or unknown bytes on one of the ports of known protocols",
        "Slips, non-TLS on 443 and non-HTTP on 80; log10 LR 1.48: expert",
        "messengers and games with protocols of their own on 80 and 443",
        "TLS around it",
    ),
    Symptom(
        UNKNOWN_INSIDE,
        Family.PROTOCOL,
        1.4771,
        "inside a CONNECT both sides speak no TLS and nothing else that is known",
        "after the proxy's 200 both directions are told to be text, random or unknown bytes",
        "Castro 2003, CONNECT without TLS; log10 LR 1.48: expert, for Slips had false positives here",
        "messengers and conference software that take the proxy for their own protocols",
        "TLS around it",
    ),
    Symptom(
        DISAGREE,
        Family.PROTOCOL,
        1.0,
        "the two directions speak different protocols",
        "both directions are protocols by name that cannot be one conversation",
        "Suricata, applayer mismatch of both directions; log10 LR 1: expert",
        "scans, programs given the wrong port, loss at the start of a connection",
        "an answer in the protocol that was asked in",
    ),
    Symptom(
        CLEAR_ON_TLS,
        Family.PROTOCOL,
        0.7,
        "HTTP in clear text on a port of TLS",
        "both directions are HTTP on 443, 465, 853, 993, 995 or 8443",
        "nDPI, known protocol on non-standard port; log10 LR 0.7: expert",
        "web servers that redirect from there, health checks, wrong addresses",
        "TLS",
    ),
    Symptom(
        ELSEWHERE,
        Family.PROTOCOL,
        0.5,
        "remote access on a port that is neither its own nor anybody's",
        "ssh, telnet, rdp, vnc, smb, socks or openvpn on a port without known protocols that is not their own",
        "nDPI, known protocol on non-standard port; log10 LR 0.5: expert",
        "administrators who moved ssh to another port",
        "the usual port",
    ),
    Symptom(
        CONNECT_ELSEWHERE,
        Family.PROTOCOL,
        0.5,
        "a proxy opened a CONNECT to a port that is not 443",
        "CONNECT's target has another port than 443 and 8443, and something went through",
        "Castro 2003, CONNECT allowed to 443 alone; log10 LR 0.5: expert",
        "WebSockets in clear text through a proxy, and sites on ports of their own",
        "a server on 443",
    ),
    Symptom(
        OTHER_NAME,
        Family.PROTOCOL,
        0.7,
        "through a CONNECT to one name another is asked for: domain fronting",
        "the server name in the ClientHello inside is not the CONNECT's target, which is no address",
        "domain fronting (Fifield et al., PETS 2015); log10 LR 0.7: expert",
        "content networks and mail programs that know a host by two names",
        "the same name twice",
    ),
)


def of_flow(record: FlowRecord, spoken: Spoken, limits: ProtocolLimits) -> Iterator[Sight]:
    """Yield what the flow's first bytes say about where they are."""
    if record.protocol != _TCP or (record.app_out is None and record.app_in is None):
        return
    if spoken.inner is not None:
        yield from _inside(record, spoken, spoken.inner, limits)
    if _DISAGREE not in (record.anomalies or ()):
        yield from _outside(record, spoken.outer, limits)
    elif spoken.inner is None:
        text = f"the client speaks {record.app_out}, the server {record.app_in}"
        yield present(DISAGREE, record.server_port, 0, text)


def _outside(record: FlowRecord, layer: Layer, limits: ProtocolLimits) -> Iterator[Sight]:
    """Yield what the connection itself tells."""
    port = record.server_port
    if layer.out in SHELLS or layer.in_ in SHELLS:
        yield from _shell(record, layer)
    if record.anomalies and any(word in _REVERSALS for word in record.anomalies):
        yield _reversed(layer, port)
    if layer.has_name and both_sides_heard(record):
        yield from _at_home_or_not(record, layer, limits)
    elif port in AT_HOME:
        if layer.is_untold:
            yield present(UNKNOWN, port, 0, f"on port {port} both sides speak nothing known: {_both(layer)}")
        elif _is_one_way(record, layer, limits):
            yield _raw(record, f"on port {port}")


def _at_home_or_not(record: FlowRecord, layer: Layer, limits: ProtocolLimits) -> Iterator[Sight]:
    port, home = record.server_port, AT_HOME.get(record.server_port)
    if home is None:
        yield from _elsewhere(layer, port, limits)
    elif layer.out != layer.in_ or layer.out not in home:
        foreign = [name for name in layer.protocols if _is_foreign(name, layer, port, limits)]
        if foreign:
            text = f"{foreign[0]} on port {port}, which is for {' and '.join(sorted(home))}"
            yield present(FOREIGN, port, 0, text)
            return
    if None not in layer:
        yield _NOT_FOREIGN
    if layer.out == "http" and layer.in_ == "http" and port in TLS_PORTS:
        yield present(CLEAR_ON_TLS, port, 0, f"HTTP in clear text on port {port}")


def _elsewhere(layer: Layer, port: int, limits: ProtocolLimits) -> Iterator[Sight]:
    name = next((name for name in layer.protocols if name in _USUAL_ELSEWHERE), None)
    if name is not None and port not in _USUAL_ELSEWHERE[name] and not is_at_home(name, port, limits.at_home):
        yield present(ELSEWHERE, port, 0, f"{name} on port {port}")


def _is_foreign(name: str, layer: Layer, port: int, limits: ProtocolLimits) -> bool:
    """Tell whether a protocol is on a port of others; HTTP, which anybody may send anywhere, from both sides only."""
    if name == "tls" or port not in AT_HOME or is_at_home(name, port, limits.at_home):
        return False
    return name not in ("http", "http2", "dns") or layer.out == layer.in_


def _shell(record: FlowRecord, layer: Layer) -> Iterator[Sight]:
    port = record.server_port
    if layer.out in SHELLS:
        yield present(SHELL, port, 0, f"the client sends a {layer.out}'s prompt: a shell for whoever it called")
    elif layer.in_ in SHELLS and port not in _TELNET_PORTS:
        yield present(SHELL, port, 0, f"the server sends a {layer.in_}'s prompt on port {port}")


def _reversed(layer: Layer, port: int) -> Sight:
    name = next(iter(layer.protocols), "an unknown protocol")
    known = name in _REMOTE_ACCESS
    return present(REVERSED, port, 0, f"the client plays the server's part of {name}", None if known else _NOT_REMOTE)


def _inside(record: FlowRecord, spoken: Spoken, inner: Layer, limits: ProtocolLimits) -> Iterator[Sight]:
    """Yield what is spoken through a tunnel that HTTP opened."""
    port = 443 if spoken.target_port is None else spoken.target_port
    where = f"a CONNECT to port {port}" if spoken.tunnel == CONNECT else f"an upgrade to {spoken.tunnel}"
    anomalies = {word.removeprefix(_INSIDE) for word in record.anomalies or () if word.startswith(_INSIDE)}
    if _DISAGREE in anomalies:
        yield present(DISAGREE, port, 0, f"inside {where} the client speaks {inner.out}, the server {inner.in_}")
        return
    if anomalies.intersection(_REVERSALS) and not any(word in _REVERSALS for word in record.anomalies or ()):
        yield _reversed(inner, port)
    foreign = [name for name in inner.protocols if _is_foreign_inside(name, spoken, port, limits)]
    if foreign:
        own_lr = _TLS_IN_WEBSOCKET if foreign == ["tls"] else None
        yield present(INSIDE, port, 0, f"{foreign[0]} inside {where}", own_lr)
    elif None not in inner:
        yield _NOT_INSIDE
    if spoken.tunnel == CONNECT:
        yield from _inside_connect(record, inner, port, limits)


def _inside_connect(record: FlowRecord, inner: Layer, port: int, limits: ProtocolLimits) -> Iterator[Sight]:
    where = f"inside a CONNECT to port {port}"
    if inner.is_untold:
        yield present(UNKNOWN_INSIDE, port, 0, f"{where} both sides speak nothing known: {_both(inner)}")
    elif _is_one_way(record, inner, limits):
        yield _raw(record, where)
    if port not in (443, 8443):
        yield present(CONNECT_ELSEWHERE, port, 443, f"the proxy opened a CONNECT to port {port}")
    if _OTHER_NAME in (record.anomalies or ()):
        facts = record.facts or {}
        text = f"CONNECT to {facts.get('http_connect')}, where the client asks for {facts.get('sni')}"
        yield present(OTHER_NAME, port, 0, text)


def _is_foreign_inside(name: str, spoken: Spoken, port: int, limits: ProtocolLimits) -> bool:
    if spoken.tunnel != CONNECT:
        return spoken.tunnel == WEBSOCKET or name not in ("tls", "http", "http2")
    if name == "tls" or port in limits.at_home.get(name, ()):
        return False
    return name not in ("http", "http2") or port not in CLEAR_WEB_PORTS


def _is_one_way(record: FlowRecord, layer: Layer, limits: ProtocolLimits) -> bool:
    """Tell whether one side sent bytes of no protocol, and the other, which was listened to, nothing."""
    if layer.out in UNTOLD and layer.in_ is None:
        sent = record.payload_bytes_out
    elif layer.in_ in UNTOLD and layer.out is None:
        sent = record.payload_bytes_in
    else:
        return False
    over = record.end_reason is not None or record.end_ns - record.flow_start_ns >= limits.raw_s * NS_PER_S
    return sent >= limits.raw_bytes and over and seen_from_start(record)


def _raw(record: FlowRecord, where: str) -> Sight:
    sent = max(record.payload_bytes_out, record.payload_bytes_in)
    return present(RAW, float(sent), 0, f"{sent} bytes of no protocol one way {where}, without an answer")


def _both(layer: Layer) -> str:
    return f"{layer.out} out, {layer.in_} in"
