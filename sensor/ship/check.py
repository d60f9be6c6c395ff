"""The way to the correlator tried out once, step by step; what is wrong comes out in words."""

from __future__ import annotations

import errno
import socket
import time
from typing import Final, NamedTuple

import zmq

from common.errors import UserError, WireError
from common.link import PING, PONG, REFUSED, VERSION, WELCOME, Answer, pack_hello, unpack_answer
from sensor.batching import Batcher
from sensor.config import SensorConfig
from sensor.ship.dealer import Dealer, link_keys
from sensor.ship.linkstate import LinkState, Trouble

_ZMTP_BEGINS: Final = b"\xff"
_TURN_MS: Final = 20
_NS_PER_MS: Final = 1_000_000
_NO_ROUTE: Final = "no route to {endpoint} ({said}); check the address, this host's routes, and firewalls on the way"
_FORBIDDEN: Final = "this host may not connect to {endpoint} ({said}); check its routes and its firewall"
_NETWORK_SAYS: Final = {
    errno.ENETUNREACH: _NO_ROUTE,
    errno.EHOSTUNREACH: _NO_ROUTE,
    # Linux has no better word for a blackhole route, nor for fe80:: without its interface.
    errno.EINVAL: "no route to {endpoint} ({said}); check this host's routes, and a link-local address's %INTERFACE",
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
}


class Checked(NamedTuple):
    """What a correlator answered."""

    round_trip_ms: float
    mark: int
    """The highest frame of this run that is stored: 0 for a run that has just begun."""


def check_way(config: SensorConfig, timeout_s: float) -> Checked:
    """Go the whole way, sending no record; UserError in one line for the first thing that is wrong."""
    endpoint = config.ship.endpoint
    keys = link_keys(config.ship)
    _look(endpoint, timeout_s)
    dealer = Dealer(config.ship, keys, queued=10)
    try:
        state = LinkState(endpoint, config.name, keys.own.public if keys else "")
        conversation = _Conversation(dealer, state, timeout_s)
        run = time.time_ns()
        welcome = conversation.ask(pack_hello(Batcher(config.name, run, 0).header(run)), WELCOME)
        asked_ns = time.monotonic_ns()
        conversation.ask([PING], PONG)
        return Checked((time.monotonic_ns() - asked_ns) / _NS_PER_MS, welcome.sequence)
    finally:
        dealer.close()


class _Conversation:
    """Questions to a correlator, and what comes instead of an answer."""

    def __init__(self, dealer: Dealer, state: LinkState, timeout_s: float) -> None:
        self._dealer = dealer
        self._state = state
        self._timeout_s = timeout_s

    def ask(self, question: list[bytes], wanted: bytes) -> Answer:
        """Return the answer; UserError when it does not come."""
        asked = False
        deadline_s = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline_s:
            asked = asked or self._sent(question)
            self._dealer.socket.poll(_TURN_MS)
            now_ns = time.monotonic_ns()
            for answer in self._answers():
                self._state.answered(answer, now_ns)
                if answer.kind == wanted:
                    return answer
                if answer.kind in (REFUSED, VERSION):
                    raise UserError(self._state.statement())
            for kind, value in self._dealer.events():
                self._state.happened(kind, value, now_ns)
            if self._state.trouble is not Trouble.NONE:
                raise UserError(self._state.statement())
        if self._state.is_connected:
            raise UserError(
                f"connected, but no answer within {self._timeout_s:g} s: the correlator is busy, its database locked, "
                "it revoked this sensor's key, or its version is another; look at it there"
            )
        raise UserError(f"no connection that both ends agree on within {self._timeout_s:g} s; look at it there")

    def _sent(self, question: list[bytes]) -> bool:
        try:
            self._dealer.socket.send_multipart(question, zmq.DONTWAIT)
        except zmq.Again:  # there is no connection any more, and the events say why
            return False
        return True

    def _answers(self) -> list[Answer]:
        try:
            return [unpack_answer(self._dealer.socket.recv_multipart(zmq.DONTWAIT))]
        except zmq.Again:
            return []
        except WireError as error:
            raise UserError(f"no correlator of this version ({error}); upgrade the older side") from None


def _look(endpoint: str, timeout_s: float) -> None:
    """Connect once without ZeroMQ, which says why it cannot be done; and see whether ZeroMQ is there."""
    scheme, _, address = endpoint.partition("://")
    if scheme not in ("tcp", "ipc"):
        return
    try:
        connection = _connected(scheme, address, endpoint, timeout_s)
    except OSError as error:
        raise UserError(_why(endpoint, error, timeout_s)) from None
    with connection:
        connection.settimeout(timeout_s)
        try:
            beginning = connection.recv(64)
        except TimeoutError:
            raise UserError(
                f"what listens at {endpoint} takes the connection and says nothing: "
                "it hangs or is no correlator; check the port"
            ) from None
        except OSError:
            beginning = b""
    if not beginning:
        raise UserError(f"what listens at {endpoint} hangs up at once: it is no correlator; check the port")
    if not beginning.startswith(_ZMTP_BEGINS):
        raise UserError(f"what listens at {endpoint} is no correlator: it says {beginning[:24]!r}; check the port")


def _connected(scheme: str, address: str, endpoint: str, timeout_s: float) -> socket.socket:
    if scheme == "ipc":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        try:
            connection.connect("\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not port.isascii() or not 0 < int(port) < 1 << 16:
        raise UserError(f"not an endpoint: {endpoint!r}; write tcp://HOST:5690")
    try:
        return socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s)
    except UnicodeError:
        raise UserError(f"not a host name: {host!r}; write tcp://HOST:5690") from None


def _why(endpoint: str, error: OSError, timeout_s: float) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name in {endpoint} is not resolved ({error.strerror}); mend it, or write an address"
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return f"no answer from {endpoint} within {timeout_s:g} s: the host is down, or a firewall drops it"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {endpoint}: start 'tunnelwatch serve' there with that --bind, or mend the port"
    if isinstance(error, FileNotFoundError):
        return f"no socket at {endpoint}: start 'tunnelwatch serve' with that --bind, or mend the path"
    words = _NETWORK_SAYS.get(error.errno or 0) if endpoint.startswith("tcp:") else None
    if words is not None:
        return words.format(endpoint=endpoint, said=error.strerror)
    return f"cannot connect to {endpoint}: {error.strerror or error}; check the endpoint and who may use it"
