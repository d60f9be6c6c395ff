"""What is wrong with the link, in words: from ZeroMQ's events and the correlator's answers; no socket, no clock.

What ZeroMQ tells, as libzmq 4.3 was seen to do:

    nobody listens, no such name       CONNECT_RETRIED again and again
    own key unknown or revoked         CONNECTED, HANDSHAKE_FAILED_AUTH 400, DISCONNECTED; mostly no new try
    correlator's key wrong             CONNECTED, HANDSHAKE_FAILED_NO_DETAIL EPIPE, DISCONNECTED, CONNECT_RETRIED
    plain text at one end only         CONNECTED, HANDSHAKE_FAILED_PROTOCOL mechanism, no new try; or, whichever end
                                       is faster, as with a wrong key, and this only at one of the next tries
    another protocol                   CONNECTED, DISCONNECTED; no new try
    takes connections, says nothing    CONNECTED, HANDSHAKE_FAILED_NO_DETAIL EAGAIN after HANDSHAKE_IVL
    key revoked while connected        nothing: the correlator does not answer any more
"""

from __future__ import annotations

import errno
from enum import Enum, auto
from typing import Final

import zmq

from common.keys import quoted
from common.link import LINK_VERSION, PONG, REFUSED, VERSION, Answer

_NS: Final = 1_000_000_000
_RETRIES: Final = 3
_ENDINGS: Final = 4
_CONNECTING_NS: Final = 8 * _NS
SILENT_NS: Final = 15 * _NS
_AGAIN_NS: Final = 1 * _NS
_AGAIN_MAX_NS: Final = 10 * _NS
_MECHANISM_MISMATCH: Final = 0x11000002  # ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH


class _Phase(Enum):
    CONNECTING = auto()
    CONNECTED = auto()
    READY = auto()


class Trouble(Enum):
    """What may be wrong with a link."""

    NONE = auto()
    NOBODY = auto()
    KEY_UNKNOWN = auto()
    CORRELATOR_KEY = auto()
    ONE_PLAIN = auto()
    OTHER_PROTOCOL = auto()
    MUTE = auto()
    SILENT = auto()
    HELLO = auto()


_STATEMENTS: Final = {
    Trouble.NONE: "the correlator at {endpoint} answers",
    Trouble.NOBODY: "nobody takes connections at {endpoint}; 'tunnelwatch-sensor check-link' looks why",
    Trouble.KEY_UNKNOWN: "the correlator at {endpoint} does not know this sensor's key, or revoked it; "
    "there: tunnelwatch sensors add {sensor} {key}",
    Trouble.CORRELATOR_KEY: "{endpoint} ends the connection before it is encrypted: correlator_key is not its key, "
    "or it speaks plain text, or is no correlator; 'tunnelwatch serve' prints the key when it starts",
    Trouble.ONE_PLAIN: "{endpoint} {plain}",
    Trouble.OTHER_PROTOCOL: "what listens at {endpoint} is no correlator: it speaks another protocol; check the port",
    Trouble.MUTE: "what listens at {endpoint} says nothing: it hangs, or is no correlator; look at it there",
    Trouble.SILENT: "the correlator at {endpoint} is connected and has not answered for {silent_s} s: "
    "it is busy, its database is locked, or it revoked this sensor's key; look at it there",
    Trouble.HELLO: "the correlator at {endpoint} takes no records of this sensor: {reason}",
}
_PLAIN_THERE: Final = "speaks plain text and this sensor has keys; serve there without --plaintext"
_PLAIN_HERE: Final = "wants keys and this sensor speaks plain text; ship without --plaintext"


class LinkState:
    """Follows a connection; ``own_key`` is empty on a link of plain text."""

    def __init__(self, endpoint: str, sensor: str, own_key: str) -> None:
        self._endpoint = endpoint
        self._sensor = sensor
        self._own_key = own_key
        self._phase = _Phase.CONNECTING
        self._phase_ns: int | None = None
        self._retries = 0
        self._endings = 0  # handshakes that the other side ended without a word, one after another
        self._again_ns: int | None = None
        self._pause_ns = _AGAIN_NS
        self._reason = ""
        self._told = Trouble.NONE
        self.trouble = Trouble.NONE

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands, keys and all."""
        return self._phase is _Phase.READY

    def happened(self, kind: int, value: int, now_ns: int) -> None:
        """Take an event of the monitor."""
        if kind == zmq.EVENT_CONNECTED:
            self._enter(_Phase.CONNECTED, now_ns)
            self._retries = 0
            self._again_ns = None
        elif kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._enter(_Phase.READY, now_ns)
            self._endings = 0
        elif kind == zmq.EVENT_CONNECT_RETRIED:
            self._again_ns = None
            self._retries += 1
            if self._retries > _RETRIES:
                self.trouble = Trouble.NOBODY
        elif kind == zmq.EVENT_DISCONNECTED:
            self._disconnected(now_ns)
        else:
            self._handshake_failed(kind, value)

    def answered(self, answer: Answer, now_ns: int) -> None:
        """Take an answer of the correlator."""
        if answer.kind == REFUSED and answer.sequence == 0:
            self._reason = answer.reason if answer.reason.isprintable() else ascii(answer.reason)
            self.trouble = Trouble.HELLO
        elif answer.kind == VERSION:
            self._reason = (
                f"it speaks version {answer.sequence} of the link, this sensor {LINK_VERSION}: "
                "upgrade the older one; the spool keeps the frames"
            )
            self.trouble = Trouble.HELLO
        elif answer.kind != PONG or self.trouble is not Trouble.HELLO:
            self.trouble = Trouble.NONE
        self._pause_ns = _AGAIN_NS
        self._enter(_Phase.READY, now_ns)

    def is_due(self, now_ns: int) -> bool:
        """Tell whether the connection is to be made anew, because ZeroMQ gave it up; once each time."""
        if self._again_ns is None or now_ns < self._again_ns:
            return False
        self._again_ns = None
        self._pause_ns = min(self._pause_ns * 2, _AGAIN_MAX_NS)
        return True

    def news(self, now_ns: int, *, waiting: bool) -> str:
        """Return a line when the state changed, else nothing; ``waiting`` says that an answer is due."""
        if self._phase_ns is None or (self._phase is _Phase.READY and not waiting):
            self._phase_ns = now_ns
        passed_ns = now_ns - self._phase_ns
        if self.trouble is Trouble.NONE:
            if self._phase is _Phase.CONNECTING and passed_ns > _CONNECTING_NS:
                self.trouble = Trouble.NOBODY
            elif self._phase is _Phase.READY and passed_ns > SILENT_NS:
                self.trouble = Trouble.SILENT
        if self.trouble is self._told:
            return ""
        self._told = self.trouble
        return self.statement()

    def statement(self) -> str:
        """Return what is wrong, or that nothing is."""
        return _STATEMENTS[self.trouble].format(
            endpoint=self._endpoint,
            sensor=quoted(self._sensor),
            key=quoted(self._own_key),
            silent_s=SILENT_NS // _NS,
            reason=self._reason,
            plain=_PLAIN_THERE if self._own_key else _PLAIN_HERE,
        )

    def _enter(self, phase: _Phase, now_ns: int) -> None:
        self._phase = phase
        self._phase_ns = now_ns

    def _disconnected(self, now_ns: int) -> None:
        if self._phase is _Phase.CONNECTED and self.trouble is Trouble.NONE and not self._endings:
            self.trouble = Trouble.OTHER_PROTOCOL
        self._enter(_Phase.CONNECTING, now_ns)
        # ZeroMQ takes a connection that was refused for an answer and does not try again.
        self._again_ns = now_ns + self._pause_ns

    def _handshake_failed(self, kind: int, value: int) -> None:
        if kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self.trouble = Trouble.KEY_UNKNOWN
        elif kind == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            self.trouble = Trouble.ONE_PLAIN if value == _MECHANISM_MISMATCH else Trouble.OTHER_PROTOCOL
        elif value == errno.EAGAIN:
            self.trouble = Trouble.MUTE
            self._endings = 1
        else:
            self._endings += 1
            # A few may be a correlator that is just stopping, or plain text there, which ZeroMQ tells sooner or later.
            if self._endings >= _ENDINGS and self.trouble is Trouble.NONE:
                self.trouble = Trouble.CORRELATOR_KEY
