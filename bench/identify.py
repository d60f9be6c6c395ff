"""The identification of first bytes: calls a second inside one process, by what the bytes are."""

from __future__ import annotations

import random
import struct
import time

from measure import Plan, median

from sensor.inspect._identify import name_of, repeat

CALLS = 1_000_000


def identification(plan: Plan) -> list[str]:
    """Each kind of beginning by itself, a processor's time, and the mixture of them that is usual."""
    lines = [
        "Identification: `identify()` once for every direction of a flow; `repeat` calls it in a loop, in C.",
        "Half of the calls say that no more will come.", "",
        "| first bytes | told to be | M calls/s |",
        "|---|---|--:|",
    ]  # fmt: skip
    kinds = _kinds()
    usual = [data for name, data in kinds.items() if not name.startswith("nothing known")]
    for name, samples in {
        "the protocols below in turn": usual,
        **{name: [data] for name, data in kinds.items()},
    }.items():
        told = name_of(samples[0]) if len(samples) == 1 else ""
        rates = [_rate(samples) for _ in range(plan.rounds)]
        lines.append(f"| {name} | {told} | {median(rates) / 1e6:.1f} |")
    return lines


def _kinds() -> dict[str, bytes]:
    dice = random.Random(1)
    hello = b"\x03\x03" + dice.randbytes(32) + b"\x20" + dice.randbytes(32)
    client = hello + b"\x00\x04\x13\x01\x13\x02\x01\x00" + struct.pack(">H", 400) + bytes(400)
    server = hello + b"\x13\x01\x00" + struct.pack(">H", 46) + bytes(46)
    return {
        "ClientHello": _record(1, client),
        "ServerHello": _record(2, server),
        "HTTP request": b"GET /index.html HTTP/1.1\r\nHost: example.org\r\nUser-Agent: Mozilla/5.0\r\n\r\n",
        "HTTP response": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + b"<p>text</p>" * 100,
        "SSH banner": b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
        "SMTP greeting": b"220 mail.example.org ESMTP Postfix\r\n",
        "SMTP command": b"EHLO client.example.org\r\n",
        "nothing known, 64 random bytes": dice.randbytes(64),
        "nothing known, 1400 random bytes": dice.randbytes(1400),
        "nothing known, 1400 bytes of text": b"a line of text\r\n" * 87,
    }


def _record(kind: int, body: bytes) -> bytes:
    message = bytes([kind]) + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


def _rate(samples: list[bytes]) -> float:
    rounds = CALLS // len(samples)
    start = time.process_time()
    repeat(samples, rounds)
    return rounds * len(samples) / (time.process_time() - start)
