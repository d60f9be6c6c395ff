"""What rounds begin with: the frames of fuzz/seeds, and of the captures kept beside the project where they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from fuzz._rounds import Corpus
from fuzz.captures import Captured, frames_of
from sensor.decode._frame import SUPPORTED_LINK_TYPES, decode

SEEDS = Path(__file__).resolve().parent / "seeds"
SHARED = SEEDS.parents[2] / "shared" / "data"
_SHARED_FRAMES = 120  # of each capture
_SHARED_BYTES = 4 << 20

# (link type, IP version, header): the ether type, or what stands for it, is that of the version.
_HEADINGS = [
    (0, 4, "02000000"), (0, 6, "1e000000"), (108, 4, "00000002"), (108, 6, "00000018"),
    (1, 4, "020000000001 020000000002 0800"), (1, 6, "020000000001 020000000002 86dd"),
    (12, 4, ""), (12, 6, ""), (14, 4, ""), (101, 4, ""), (101, 6, ""), (228, 4, ""), (229, 6, ""),
    (113, 4, "0000 0001 0006 020000000001 0000 0800"), (113, 6, "0004 0001 0006 020000000001 0000 86dd"),
    (276, 4, "0800 0000 00000002 0001 00 06 020000000001 0000"),
    (276, 6, "86dd 0000 00000002 0001 04 06 020000000001 0000"),
    (9, 4, "ff03 0021"), (9, 4, "0021"), (9, 4, "21"), (9, 6, "ff03 0057"), (50, 4, "ff03 0021"),
    (51, 4, "11 00 0001 0100 0021"), (104, 4, "0f 00 0800"), (107, 4, "1841 03 cc"),
    (105, 4, "0802 0000 020000000001 020000000002 020000000003 0000 aaaa03000000 0800"),
    (105, 6, "8802 0000 020000000001 020000000002 020000000003 0000 0000 aaaa03000000 86dd"),
    (127, 4, "00 00 0800 00000000 0802 0000 020000000001 020000000002 020000000003 0000 aaaa03000000 0800"),
    (127, 4, "00 00 0900 02000000 10 8801 0000 020000000001 020000000002 020000000003 0000 0000 aaaa03000000 0800"),
    (239, 4, "02 00 0000 0800 0900"), (239, 4, "02 00 0000 0800 0a00 00000000 0000 0900"),
    (239, 6, "0a 00 0000 0800 0900"),
    (147, 4, ""), (189, 4, ""),
]  # fmt: skip


def load(*, shared: bool) -> tuple[Corpus, str]:
    """Return the corpus, and a short digest by which two corpora can be told apart."""
    frames: list[tuple[int, int, int, bytes, int]] = []
    flows: dict[object, list[int]] = {}
    digest = hashlib.sha256()
    for number, path in enumerate(_paths(shared=shared)):
        for frame in _frames(path):
            key = _flow_of(frame)
            if key is not None:
                flows.setdefault((number, key), []).append(len(frames))
            frames.append(
                (number, frame.link_type, frame.time_ns, frame.data, max(frame.length - len(frame.data), 0) & 0xFFFFFF)
            )
            digest.update(repr(frames[-1]).encode())
    return Corpus(frames, [flow for flow in flows.values() if len(flow) > 2], headings()), digest.hexdigest()[:8]


def _paths(*, shared: bool) -> Iterator[Path]:
    yield from sorted(SEEDS.glob("*.pcap*"))
    if shared and SHARED.is_dir():
        yield from sorted(path for path in SHARED.rglob("*") if path.suffix in (".pcap", ".pcapng"))


def _frames(path: Path) -> Iterator[Captured]:
    limit = _SHARED_FRAMES if SEEDS not in path.parents else None
    with path.open("rb") as file:
        data = file.read(_SHARED_BYTES)
    for count, frame in enumerate(frames_of(data)):
        if count == limit:
            return
        yield frame


def _flow_of(frame: Captured) -> object:
    seen = decode(frame.link_type, frame.data, max(frame.length, len(frame.data)))
    if "protocol" not in seen:
        return None
    ends = (seen["source"], seen["source_port"]), (seen["destination"], seen["destination_port"])
    return seen["protocol"], frozenset(ends)


def headings() -> list[tuple[int, int, bytes]]:
    """Return (link type, IP version, header) of every link that the decoder knows, and of some it may not."""
    known = {link_type for link_type, _, _ in _HEADINGS}
    plain = [(link_type, 4, b"") for link_type in sorted(SUPPORTED_LINK_TYPES) if link_type not in known]
    return plain + [(link_type, version, bytes.fromhex(header)) for link_type, version, header in _HEADINGS]
