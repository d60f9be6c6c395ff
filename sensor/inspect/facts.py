"""What a hello, a banner or a head tells, as a flow's record has it; one question for each of them."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, NamedTuple

from sensor.inspect.httphead import NOT_ASKED, request_head, response_head
from sensor.inspect.ssh import banner_facts
from sensor.inspect.tls import client_hello_facts, server_hello_facts

Facts = dict[str, str | int]

_HANDSHAKE_TYPE: Final = 5
_CLIENT_HELLO: Final = 1


class Told(NamedTuple):
    """The facts, at most 15 with short names, and what they mean for the flow."""

    facts: Facts
    host: str = ""
    """The name that the client asked for."""
    tunnel: int = NOT_ASKED
    """What an HTTP client asks for: see ``sensor.inspect.httphead``."""
    port: int = 0
    """The one that a tunnel is to lead to."""
    status: int = 0
    """Of an HTTP response."""


def told_by(app: str, from_server: bool, inside: bool, head: bytes) -> Told | None:  # noqa: FBT001 - asked by C code
    """Return what the first bytes of a direction tell, None when that is nothing.

    ``inside``: they went through a tunnel that HTTP opened.
    """
    if app == "tls":
        return _told_by_hello(head)
    if app == "ssh":
        return _told_by_banner(head, from_server=from_server)
    if app == "http":
        told = _told_by_head(head)
        return _renamed(told) if told is not None and inside else told
    return None


def is_other_name(tunnel: str, inside: str) -> bool:
    """Tell whether a tunnel to one name is used to ask for another; an address may have any name."""
    try:
        ip_address(tunnel)
    except ValueError:
        return tunnel.rstrip(".").lower() != inside.rstrip(".").lower()
    return False


def _told_by_hello(head: bytes) -> Told | None:
    if head[_HANDSHAKE_TYPE] == _CLIENT_HELLO:
        facts = client_hello_facts(head)
        return None if facts is None else Told(facts, str(facts.get("sni", "")))
    facts = server_hello_facts(head)
    return None if facts is None else Told(facts)


def _told_by_banner(head: bytes, *, from_server: bool) -> Told | None:
    facts = banner_facts(head)
    if facts is None:
        return None
    # Both sides have one.
    side = "in" if from_server else "out"
    return Told({f"{name}_{side}": facts[name] for name in ("ssh_banner", "ssh_software") if name in facts})


def _told_by_head(head: bytes) -> Told | None:
    if head.lstrip(b"\r\n").startswith(b"HTTP/"):
        response = response_head(head)
        return None if response is None else Told({}, status=response.status)
    request = request_head(head)
    if request is None:
        return None
    facts: Facts = {"http_method": request.method}
    if request.target:
        facts["http_connect"] = request.target
    if request.upgrade:
        facts["http_upgrade"] = request.upgrade
    if request.user_agent:
        facts["user_agent"] = request.user_agent
    return Told(facts, request.host, request.tunnel, request.port)


def _renamed(told: Told) -> Told:
    """Return what HTTP inside a tunnel tells under names of its own: the tunnel's request has the others."""
    facts: Facts = {f"inside_{name}": value for name, value in told.facts.items()}
    if told.host:
        facts["inside_http_host"] = told.host
    if told.status:
        facts["inside_http_status"] = told.status
    return Told(facts, told.host)
