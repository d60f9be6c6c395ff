"""The messages between sensor (DEALER) and correlator (ROUTER), as ZeroMQ message parts.

    sensor -> correlator   HELLO, version, header frame   who speaks, and the names of its fields
                           FRAME, run and sequence, frame one frame of the flow log, as it is on disk
                           PING                           a sign of life when there is nothing to send
    correlator -> sensor   WELCOME, run and sequence, version   up to here everything of this run is done with
                           ACK, run and sequence, nothing       the same, after a commit
                           REFUSED, run and sequence, reason    this one frame will never be stored; 0: nor the run
                           VERSION, version                     the other side speaks another link
                           PONG

A sensor keeps a frame until an answer covers it: WELCOME and ACK cover every frame up to theirs, REFUSED only its own.
Numbers are big-endian: run and sequence 64 bits each in one part, a version 16.  docs/link.md has the rules.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from common.errors import WireError

DEFAULT_PORT: Final = 5690
LINK_VERSION: Final = 2
# Version 1 had neither versions nor numbers beside a frame.
_FIRST_VERSION: Final = 1

HELLO: Final = b"HELLO"
FRAME: Final = b"FRAME"
PING: Final = b"PING"
WELCOME: Final = b"WELCOME"
ACK: Final = b"ACK"
REFUSED: Final = b"REFUSED"
VERSION: Final = b"VERSION"
PONG: Final = b"PONG"

_MARK = struct.Struct(">QQ")
_VERSION = struct.Struct(">H")


class Envelope(NamedTuple):
    """A frame and the numbers it goes by, which are readable whatever the frame is."""

    run: int
    sequence: int
    frame: bytes


class Answer(NamedTuple):
    """What the correlator says about a run; VERSION has its link version as ``sequence``."""

    kind: bytes
    run: int
    sequence: int
    reason: str


def pack_hello(header: bytes, version: int = LINK_VERSION) -> list[bytes]:
    """Return the message parts that introduce a run by its header frame."""
    return [HELLO, _VERSION.pack(version), header]


def unpack_hello(parts: list[bytes]) -> tuple[int, bytes]:
    """Return (link version, header frame) of a HELLO; the frame is empty when the version is not this one."""
    if len(parts) == 2:
        return _FIRST_VERSION, b""
    if len(parts) < 3 or len(parts[1]) != _VERSION.size:
        raise WireError("hello", "not a sensor's hello")
    (version,) = _VERSION.unpack(parts[1])
    return version, parts[2] if version == LINK_VERSION else b""


def pack_frame(run: int, sequence: int, frame: bytes) -> list[bytes]:
    """Return the message parts of a frame."""
    return [FRAME, _MARK.pack(run, sequence), frame]


def unpack_frame(parts: list[bytes]) -> Envelope:
    """Return the frame in message parts; WireError when its numbers cannot be read."""
    if len(parts) != 3 or len(parts[1]) != _MARK.size:
        raise WireError("envelope", "a frame comes with its run and sequence")
    run, sequence = _MARK.unpack(parts[1])
    return Envelope(run, sequence, parts[2])


def pack_answer(kind: bytes, run: int, sequence: int, reason: str = "") -> list[bytes]:
    """Return the message parts of an answer; a WELCOME tells the version too."""
    last = _VERSION.pack(LINK_VERSION) if kind == WELCOME else reason.encode()
    return [kind, _MARK.pack(run, sequence), last]


def pack_version() -> list[bytes]:
    """Return the message parts for a sensor that speaks another version."""
    return [VERSION, _VERSION.pack(LINK_VERSION)]


def unpack_answer(parts: list[bytes]) -> Answer:
    """Return the answer in message parts; WireError when they are not one."""
    if len(parts) == 1 and parts[0] == PONG:
        return Answer(PONG, 0, 0, "")
    if len(parts) == 2 and parts[0] == VERSION and len(parts[1]) == _VERSION.size:
        return Answer(VERSION, 0, _VERSION.unpack(parts[1])[0], "")
    if len(parts) != 3 or parts[0] not in (WELCOME, ACK, REFUSED) or len(parts[1]) != _MARK.size:
        raise WireError("answer", "not an answer of a correlator")
    run, sequence = _MARK.unpack(parts[1])
    if parts[0] == WELCOME and parts[2] != _VERSION.pack(LINK_VERSION):
        version = _VERSION.unpack(parts[2])[0] if len(parts[2]) == _VERSION.size else _FIRST_VERSION
        return Answer(VERSION, 0, version, "")
    reason = "" if parts[0] == WELCOME else parts[2].decode(errors="replace")[:255]
    return Answer(parts[0], run, sequence, reason)


def is_local(endpoint: str) -> bool:
    """Tell whether an endpoint stays on this host: ipc, inproc or a loopback address."""
    if endpoint.startswith(("ipc://", "inproc://")):
        return True
    if not endpoint.startswith("tcp://"):
        return False
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())
