"""The messages between sensor (DEALER) and correlator (ROUTER), as ZeroMQ message parts.

    sensor -> correlator   HELLO, header frame      who speaks, and the names of its fields
                           FRAME, frame             one frame of the flow log, as it is on disk
                           PING                     a sign of life when there is nothing to send
    correlator -> sensor   WELCOME, run, sequence   the highest sequence of this run that is stored
                           ACK, run, sequence       every frame up to here is committed
                           REFUSED, run, sequence, reason   this frame will never be stored
                           PONG

A sensor keeps a frame until an ACK or REFUSED covers it.  Numbers are unsigned 64-bit big-endian.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from common.errors import WireError

DEFAULT_PORT: Final = 5690

HELLO: Final = b"HELLO"
FRAME: Final = b"FRAME"
PING: Final = b"PING"
WELCOME: Final = b"WELCOME"
ACK: Final = b"ACK"
REFUSED: Final = b"REFUSED"
PONG: Final = b"PONG"

_MARK = struct.Struct(">QQ")


class Answer(NamedTuple):
    """What the correlator says about a run: everything up to ``sequence`` is done with."""

    kind: bytes
    run: int
    sequence: int
    reason: str


def pack_answer(kind: bytes, run: int, sequence: int, reason: str = "") -> list[bytes]:
    """Return the message parts of an answer."""
    return [kind, _MARK.pack(run, sequence), reason.encode()]


def unpack_answer(parts: list[bytes]) -> Answer:
    """Return the answer in message parts; WireError when they are not one."""
    if len(parts) == 1 and parts[0] == PONG:
        return Answer(PONG, 0, 0, "")
    if len(parts) != 3 or parts[0] not in (WELCOME, ACK, REFUSED) or len(parts[1]) != _MARK.size:
        raise WireError("answer", "not an answer of a correlator")
    run, sequence = _MARK.unpack(parts[1])
    return Answer(parts[0], run, sequence, parts[2].decode(errors="replace")[:255])


def is_local(endpoint: str) -> bool:
    """Tell whether an endpoint stays on this host: ipc, inproc or a loopback address."""
    if endpoint.startswith(("ipc://", "inproc://")):
        return True
    if not endpoint.startswith("tcp://"):
        return False
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())
