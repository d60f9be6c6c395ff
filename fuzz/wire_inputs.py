"""The inputs for the wire's readers, by seed and number: changed frames, flow logs, messages and answers."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgpack

from common.flowlog import FILE_HEADER, FRAME_OVERHEAD, MAX_FRAME_BYTES
from common.kinds import UINT63_MAX
from common.link import (
    ACK,
    HELLO,
    LINK_VERSION,
    PING,
    REFUSED,
    WELCOME,
    pack_answer,
    pack_frame,
    pack_hello,
    pack_version,
)
from fuzz.msgpack_mutate import BROKEN, VALUES, retoken
from fuzz.wire_seeds import NOW, RUNS, Seed, fresh_frames, headers, real_frames, seed_of

ROUND_INPUTS: Final = 1000
_CRC_AND_LENGTH: Final = struct.Struct(">II")
_BIG_EVERY_ROUNDS: Final = 40
_ANY_VALUE: Final = VALUES + BROKEN


class Input(NamedTuple):
    """What one check gets: ``kind`` says which."""

    kind: str
    data: Any
    """Bytes; for ``answer`` the parts of a message, for ``talk`` [(peer, parts), ...]."""
    intact: tuple[int, ...] = ()
    """Of a flow log: the offsets of frames that no change has touched."""


class Corpus(NamedTuple):
    """What all rounds begin with."""

    real: list[Seed]
    headers: list[Seed]
    header_frames: dict[int, bytes]
    digest: str


def load(*, shared: bool) -> Corpus:
    """Return the corpus; without ``shared`` of the project's own files alone."""
    frames, digest = real_frames(shared=shared)
    header_frames = headers()
    return Corpus([*map(seed_of, frames)], [*map(seed_of, header_frames.values())], header_frames, digest)


def framed(payload: bytes) -> bytes:
    """Return a frame whose length and checksum are right."""
    return _CRC_AND_LENGTH.pack(len(payload), zlib.crc32(payload)) + payload


class Inputs:
    """One round's inputs: the same ones for the same seed, number of the round and corpus."""

    def __init__(self, corpus: Corpus, seed: int, number: int) -> None:
        self._dice = random.Random(f"{seed}:{number}")
        self._roll = self._dice.random
        self._corpus = corpus
        self._number = number
        fresh = fresh_frames(self._dice)
        real = [corpus.real[int(self._roll() * len(corpus.real))] for _ in range(20)]
        self._seeds = [*map(seed_of, fresh), *real]
        self.good_frames = [*corpus.header_frames.values(), *fresh, *(framed(seed.payload) for seed in real)]
        self._kinds: list[Callable[[], Input]] = [
            *[self._retokened] * 44, *[self._smashed] * 12, *[self._spliced] * 8, *[self._header] * 6,
            *[self._damaged_frame] * 8, *[self._log] * 9, self._file, *[self._answer] * 4, *[self._talk] * 8,
        ]  # fmt: skip

    def __iter__(self) -> Iterator[Input]:
        """Yield the round's inputs."""
        big = self._number % _BIG_EVERY_ROUNDS == _BIG_EVERY_ROUNDS - 1
        for _ in range(ROUND_INPUTS - big):
            yield self._kinds[int(self._roll() * len(self._kinds))]()
        if big:
            yield self._big()

    def _any(self) -> Seed:
        return self._seeds[int(self._roll() * len(self._seeds))]

    # ---- one frame whose payload is reached ----------------------------------------------------------------
    def _retokened(self) -> Input:
        seed = self._any()
        return Input("frame", framed(retoken(seed.payload, seed.places, self._dice)))

    def _smashed(self) -> Input:
        return Input("frame", framed(self._smash(self._any().payload)))

    def _spliced(self) -> Input:
        """The beginning of one payload, the end of another: at the same value of both, or anywhere."""
        one, other = self._any(), self._any()
        at = int(self._roll() * len(one.places))
        there = at if self._roll() < 0.7 and at < len(other.places) else int(self._roll() * len(other.places))
        return Input("frame", framed(one.payload[: one.places[at].start] + other.payload[other.places[there].start :]))

    def _header(self) -> Input:
        seed = self._corpus.headers[int(self._roll() * len(self._corpus.headers))]
        changed = retoken(seed.payload, seed.places, self._dice) if self._roll() < 0.8 else self._smash(seed.payload)
        return Input("frame", framed(changed))

    def _damaged_frame(self) -> Input:
        """A length or checksum that is wrong, or a frame that is cut or goes on."""
        frame = bytearray(framed(self._any().payload))
        way = int(self._roll() * 6)
        if way == 0:
            frame[int(self._roll() * 4)] ^= 1 << self._dice.getrandbits(3)
        elif way == 1:
            frame[4 + int(self._roll() * 4)] ^= 1 << self._dice.getrandbits(3)
        elif way == 2:
            del frame[int(self._roll() * len(frame)) :]
        elif way == 3:
            frame += self._dice.randbytes(1 + self._dice.getrandbits(4))
        elif way == 4:
            frame[:4] = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\x40\0\1")[int(self._roll() * 4)]
        else:
            frame = bytearray(self._smash(bytes(frame)))
        return Input("frame", bytes(frame))

    def _smash(self, data: bytes) -> bytes:
        """Return bytes with a few of them changed, put in, lost or doubled."""
        roll, bits = self._roll, self._dice.getrandbits
        out = bytearray(data)
        for _ in range((1, 1, 1, 2, 3, 8)[int(roll() * 6)]):
            at, way = int(roll() * len(out)), int(roll() * 9)
            size = (1, 1, 2, 4, 20)[int(roll() * 5)]
            if way <= 1 and out:
                out[at] ^= 1 << bits(3)
            elif way <= 3 and out:
                out[at] = bits(8)
            elif way == 4:
                out[at : at + size] = self._dice.randbytes(size)
            elif way == 5:
                del out[at : at + size]
            elif way == 6:
                out[at:at] = out[at : at + size] * (1 + bits(2))
            elif way == 7:
                out[at:at] = _ANY_VALUE[int(roll() * len(_ANY_VALUE))]
            elif roll() < 0.5:
                del out[at:]
            else:
                out += self._dice.randbytes(size)
        return bytes(out)

    # ---- flow logs -----------------------------------------------------------------------------------------
    def _frames(self) -> list[bytes]:
        frames = self.good_frames
        return [self._corpus.header_frames[NOW], *(frames[int(self._roll() * len(frames))] for _ in range(4))]

    def _log(self) -> Input:
        """A flow log with one stretch of it replaced, and which of its frames have to be found nevertheless."""
        frames = self._frames()
        log = b"".join((FILE_HEADER, *frames))
        if self._roll() < 0.1:  # two files, one after the other
            frames += [FILE_HEADER, *(more := self._frames())]
            log = b"".join((log, FILE_HEADER, *more))
        first = int(self._roll() * (len(log) + 1)) if self._roll() < 0.05 else 12 + int(self._roll() * (len(log) - 12))
        last = min(len(log), first + (0, 1, 1, 4, 40, 400, len(log))[int(self._roll() * 7)])
        put = self._put(log[first:last])
        shift, at, intact = len(put) - (last - first), len(FILE_HEADER), []
        for frame in frames:
            if frame is not FILE_HEADER:
                if at + len(frame) <= first:
                    intact.append(at)
                elif at >= last:
                    intact.append(at + shift)
            at += len(frame)
        # Where the file header is touched and still taken, frames have another beginning.
        kept = tuple(intact) if first >= len(FILE_HEADER) else ()
        return Input("log", log[:first] + put + log[last:], kept)

    def _put(self, there: bytes) -> bytes:
        """Return what stands where something stood in a flow log."""
        bits = self._dice.getrandbits
        length = (0, 5, 200, 4096, MAX_FRAME_BYTES, 0xFFFFFFFF)[int(self._roll() * 6)]
        look_alike = _CRC_AND_LENGTH.pack(length, bits(32)) + b"\x98\x01\xa4flow"
        return (
            lambda: self._smash(there),
            lambda: self._dice.randbytes(len(there)),
            lambda: self._dice.randbytes(bits(6)),
            lambda: bytes(len(there)),
            lambda: bytes((1, 7, 8, 9, 4096)[int(self._roll() * 5)]),
            lambda: b"",
            lambda: FILE_HEADER[: bits(4)],
            lambda: look_alike * (1 + bits(3)),
        )[bits(3)]()

    def _file(self) -> Input:
        """A flow log for the importer: with frames that are changed under a right checksum too."""
        log = self._log()
        if self._roll() < 0.5:
            return log._replace(kind="file")
        changed = b"".join(self._retokened().data for _ in range(4))
        return Input("file", log.data + changed)

    # ---- the link ------------------------------------------------------------------------------------------
    def _answer(self) -> Input:
        """What a sensor gets."""
        number = self._dice.getrandbits
        if self._roll() < 0.1:
            return Input("answer", self._parts(pack_version()))
        kind = (WELCOME, ACK, REFUSED, b"PONG", b"", b"OTHER")[int(self._roll() * 6)]
        parts = pack_answer(kind, number(64), number(64), ("", "why", "é" * 300, "\0\n")[int(self._roll() * 4)])
        return Input("answer", self._parts(parts))

    def _parts(self, parts: list[bytes]) -> list[bytes]:
        roll = self._roll
        if roll() < 0.2:
            parts = parts[: int(roll() * (len(parts) + 1))]
        if roll() < 0.1:
            parts = [*parts, *parts[-1:], self._dice.randbytes(3)]
        if parts and roll() < 0.5:
            at = int(roll() * len(parts))
            parts[at] = self._smash(parts[at])
        return parts

    def _talk(self) -> Input:
        """What the correlator gets: a few messages of a few sensors."""
        roll = self._roll
        said: list[tuple[bytes, list[bytes]]] = []
        for _ in range(1 + int(roll() * 4)):
            peer = b"peer%d" % int(roll() * 7)
            way = roll()
            if way < 0.3:
                run = RUNS[int(roll() * len(RUNS))]
                version = self._dice.getrandbits(16) if roll() < 0.05 else LINK_VERSION
                said.append((peer, self._changed(pack_hello(self._corpus.header_frames[run], version))))
            elif way < 0.8:
                said.append((peer, self._changed(self._sent())))
            elif way < 0.9:
                said.append((peer, self._parts([PING])))
            else:
                said.append((peer, self._parts([self._smash(HELLO), self._dice.randbytes(9)])))
        return Input("talk", said)

    def _sent(self) -> list[bytes]:
        """A frame beside its numbers, or beside others."""
        frame = self.good_frames[int(self._roll() * len(self.good_frames))]
        run, sequence = msgpack.unpackb(frame[FRAME_OVERHEAD:])[3:5]
        if self._roll() < 0.1:
            run = self._dice.choice((NOW, 0, UINT63_MAX, (1 << 64) - 1))
        if self._roll() < 0.2:
            sequence = self._dice.getrandbits(self._dice.choice((1, 4, 32, 63, 64)))
        return pack_frame(run, sequence, frame)

    def _changed(self, parts: list[bytes]) -> list[bytes]:
        way = self._roll()
        if way < 0.4:
            return parts
        if way < 0.6:
            return self._parts(parts)
        return [*parts[:-1], framed(self._smash(parts[-1][FRAME_OVERHEAD:]))]

    # ---- big ones ------------------------------------------------------------------------------------------
    def _big(self) -> Input:
        """Whole frames, and logs of several, of what costs a reader most."""
        turn = self._number // _BIG_EVERY_ROUNDS
        size = MAX_FRAME_BYTES if turn % 4 == 0 else 1 << (10 + self._dice.getrandbits(3))
        what, head = _BOMBS[turn % len(_BOMBS)], _before(b"flow" if turn % 3 else b"beacon")
        if turn % 5 == 4:
            return Input("log", FILE_HEADER + b"\x01" * 9 + what * (4 * size // len(what)))
        lengths = (b"\xdd\x00\x00\x10\x00", b"\xdd\x00\x3f\xff\xff", b"\x91\xdd\x00\x3f\xf0\x00", b"\x91")
        body = lengths[int(self._roll() * 4)]
        count = (size - len(head) - len(body)) // len(what)
        if self._roll() < 0.7:  # as many as there are
            body = b"\x91\xdd" + struct.pack(">I", count)
        payload = head + body + what * (count - 1)
        return Input("frame", framed(payload[:MAX_FRAME_BYTES] + what[: max(0, MAX_FRAME_BYTES - len(payload))]))


_BOMBS: Final = (
    b"\x80", b"\x91\xc0", b"\xc0", b"\x91", b"\x81\xa1a", b"\xcd\xff\xff", b"\xcb" + b"\x01" * 8, b"\xa1a", b"\xa3abc",
    b"\x98\x01\xa4flow", _CRC_AND_LENGTH.pack(MAX_FRAME_BYTES, 7) + b"\x98\x01\xa4flow", b"\x90", b"\xc4\x01a",
    b"\xd4\x05a", b"\xd6\xff\x00\x00\x00\x01", _CRC_AND_LENGTH.pack(200, 7) + b"\x98\x01\xa4flow", b"\xd9",
)  # fmt: skip


def _before(kind: bytes) -> bytes:
    """Return a payload's items up to its records."""
    name = bytes([0xA0 + len(kind)]) + kind
    return b"\x98\x01" + name + b"\xa5tap-1\xcf" + struct.pack(">Q", NOW) + b"\x01\x01\x01"
