"""``grep`` finds what Python's ``re`` finds in the streams that tshark follows, byte for byte.

tshark puts the streams together by itself; ``re`` searches them whole.  Offsets, bytes, ends and sides of all
matches agree, in captures of tunnels and of what is none; and the files of ``-l`` hold the streams.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from packets import ACK, CLIENT, PSH, SERVER, SYN, T0, S, pcap, tcp_frame
from programs import AS_ROOT

from sensor.cli import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark: it is not installed"),
]
End = tuple[str, int]
# Literals, classes, repetitions, alternatives, anchors, looks around, references, flags, bytes of every kind.
PATTERNS = (
    ("a", r"HTTP/1\.[01]"), ("a", r"^GET "), ("c", r"^(GET|POST|HEAD|CONNECT) "), ("s", r"^HTTP/1\.\d \d{3}"),
    ("a", r"(?i)host: [a-z0-9.-]+"), ("a", r"(?i)^ssh-"), ("c", r"^SSH-[12]\.[0-9]+-[^\r\n]{1,40}"), ("s", r"^SSH-"),
    ("a", r"User-Agent: [^\r\n]*"), ("a", r"\r\n\r\n"), ("a", r"(?m)^[A-Z][a-z]+(?:-[A-Z][a-z]+)*:"),
    ("a", r"\x16\x03[\x00-\x04]"),
    ("c", r"^\x16\x03.\x00"), ("a", r"\x17\x03[\x00-\x03]..(?=.)"), ("s", r"^220[ -]"),
    ("c", r"(?i)^(?:ehlo|helo) \S+"),
    ("a", r"(?i)\bpass\b"), ("a", r"\x00{8,}"), ("a", r"\xff{4}"), ("a", r"[\x80-\xff]{16}"),
    ("a", r"(?s)<html.{0,200}?>"), ("a", r"<(\w+)>[^<]*</\1>"), ("a", r"(?<=Content-Length: )\d+"), ("a", r"(?<!\r)\n"),
    ("a", r"\d{1,3}(?:\.\d{1,3}){3}"), ("s", r"\x00\x00.\x00"), ("a", r"[A-Za-z0-9+/]{40,60}={0,2}"), ("a", r"the"),
    ("a", r"(?i)THE"), ("a", r"\bthe\b"), ("a", r"(?s)a.b"), ("a", r"a.b"),
    ("a", r"[aeiou]{3}"), ("a", r"[^\x00-\x7f]{3,5}?"), ("a", r"(?:ab|bc|cd){2}"), ("a", r"\.(?:com|org|net)\b"),
    ("a", r"e{2}|o{2}|l{2}"), ("c", r"\x05[\x01-\x03]\x00"), ("s", r"\x05\x00"), ("a", r"\w+@\w+\.\w+"),
    ("a", r"(?m)^\.\r?$"), ("a", r"\A.{4}"), ("a", r"(?P<q>['\"])[^'\"]{1,30}(?P=q)"), ("a", r"\t+"),
    ("a", r"(?x) 2 0 0 \ OK"), ("a", r"(?:(?:GET|HTTP)|(?:POST|PUT))(?=[ /])"), ("a", r"z{2,3}?"),
    ("a", r"[\r\n]{2,4}"),
    ("s", r"uid=\d+\(\w+\)"), ("a", r"\$ ?$"),
)  # fmt: skip


class Found(NamedTuple):
    """One match: who sent it to whom, where in the stream, what."""

    source: End
    destination: End
    offset: int
    data: bytes
    pattern: str


def followed(capture: Path) -> Iterator[tuple[End, End, bytes, bytes]]:
    """(client, server, its bytes, the server's bytes) of each stream, as tshark follows them."""
    shown = subprocess.run(
        ["tshark", "-r", str(capture), "-T", "fields", "-e", "tcp.stream"], capture_output=True, text=True, check=False
    )
    numbers = sorted({int(line) for line in shown.stdout.split() if line.isdigit()})
    wanted = [word for number in numbers for word in ("-z", f"follow,tcp,raw,{number}")]
    text = subprocess.run(["tshark", "-q", "-r", str(capture), *wanted], capture_output=True, text=True, check=False)
    for part in re.split(r"^=+$", text.stdout, flags=re.MULTILINE):
        if "Node 0: " not in part:
            continue
        first, second = (_end(part.split(f"Node {node}: ")[1].splitlines()[0]) for node in (0, 1))
        sides = [bytearray(), bytearray()]
        for line in part.split("Node 1: ")[1].splitlines()[1:]:
            sides[line.startswith("\t")] += bytes.fromhex(line.strip())
        yield first, second, bytes(sides[0]), bytes(sides[1])


def _end(text: str) -> End:
    address, _, port = text.strip().rpartition(":")
    return str(ipaddress.ip_address(address.strip("[]"))), int(port)


# Captures in which they differ, and why.
DIFFERENCES = {
    "ipfixprobe__tls.pcap": "it plays connections twice, with the same sequence numbers; tshark follows those as one",
}
MOST_BYTES = 500_000
# What tshark writes into a stream where bytes are missing: such streams are left out.
HOLE = b" bytes missing in capture file]"
Way = tuple[End, End]


def found_by_re(capture: Path) -> tuple[Counter[Found], set[Way]]:
    """What re finds in the streams that tshark follows, and the directions that have no holes."""
    found: Counter[Found] = Counter()
    whole = set()
    for client, server, out, back in followed(capture):
        for source, destination, data, letters in ((client, server, out, "ac"), (server, client, back, "as")):
            if HOLE in data:
                continue
            whole.add((source, destination))
            for letter, pattern in PATTERNS:
                if letter in letters:
                    for match in re.finditer(pattern.encode(), data):
                        found[Found(source, destination, match.start(), match[0], pattern)] += bool(match[0])
    return +found, whole


def found_by_grep(capture: Path, *more: str) -> Counter[Found]:
    """What ``grep`` finds in TCP."""
    words = [word for letter, pattern in PATTERNS for word in (f"-{letter}", pattern)]
    done = CliRunner().invoke(main, ["grep", "-r", str(capture), "--json", *AS_ROOT, *words, *more])
    assert done.exit_code in (0, 1), done.output
    found: Counter[Found] = Counter()
    for row in map(json.loads, done.stdout.splitlines()):
        if row["protocol"] == "tcp":
            ends = _end(row["client"]), _end(row["server"])
            source, destination = ends if row["direction"] == "client" else ends[::-1]
            found[Found(source, destination, row["offset"], base64.b64decode(row["base64"]), row["pattern"])] += 1
    return found


@pytest.mark.shared
def test_grep_finds_what_re_finds_in_the_streams_that_tshark_follows(shared_dir: Path) -> None:
    captures = sorted(
        path
        for path in shared_dir.glob("data/[ab]_*/*")
        if path.suffix in (".pcap", ".pcapng") and path.stat().st_size <= MOST_BYTES
    )
    with ThreadPoolExecutor(4) as pool:
        expected = dict(zip(captures, pool.map(found_by_re, captures), strict=True))
    differing, patterns, matches = set(), set(), 0
    for capture, (by_re, whole) in expected.items():
        by_grep = Counter(
            {one: count for one, count in found_by_grep(capture).items() if (one.source, one.destination) in whole}
        )
        if by_grep == by_re:
            patterns |= {one.pattern for one in by_re}
            matches += by_re.total()
        else:
            differing.add(capture.name)
    assert differing == set(DIFFERENCES)
    assert len(PATTERNS) == 50
    # Four patterns find nothing there: that nobody finds them is a result too.
    assert (len(captures), len(patterns), matches) == (46, 46, 61585)


def segments(*pieces: tuple[int, bytes]) -> list[tuple[int, bytes]]:
    """Frames of a connection whose client sends (offset, bytes), a millisecond apart."""
    handshake = [tcp_frame(CLIENT, SERVER, SYN, seq=100), tcp_frame(SERVER, CLIENT, SYN | ACK, seq=500, ack=101)]
    said = [tcp_frame(CLIENT, SERVER, PSH | ACK, data, seq=101 + at, ack=501) for at, data in pieces]
    frames = [*handshake, tcp_frame(CLIENT, SERVER, ACK, seq=101, ack=501), *said]
    return [(T0 + number * S // 1000, frame) for number, frame in enumerate(frames)]


@pytest.mark.parametrize(
    ("pieces", "stream"),
    [
        pytest.param([(0, b"GET / HT"), (8, b"TP/1.1\r\nHo"), (18, b"st: a\r\n\r\n")], None, id="straddles"),
        pytest.param([(at, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[at : at + 1]) for at in range(27)], None, id="bytes"),
        pytest.param([(8, b"TP/1.1\r\nHo"), (18, b"st: a\r\n\r\n"), (0, b"GET / HT")], None, id="out of order"),
        pytest.param([(0, b"GET / HTTP/1.1\r\n"), (0, b"SSH-2.0-liar!!\r\n"), (16, b"Host: a\r\n\r\n")], None,
                     id="a retransmission with other bytes"),
        pytest.param([(16, b"Host: a\r\n\r\n"), (6, b"XXXX/1.1\r\nHo"), (0, b"GET / ")],
                     b"GET / XXXX/1.1\r\nHost: a\r\n\r\n", id="what came first is right"),
    ],
)  # fmt: skip
def test_matches_are_those_of_the_stream_however_it_came(
    pieces: list[tuple[int, bytes]], stream: bytes | None, tmp_path: Path
) -> None:
    stream = stream or b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    capture = tmp_path / "a.pcap"
    capture.write_bytes(pcap(segments(*pieces)))
    expected = Counter(
        Found(CLIENT, SERVER, match.start(), match[0], pattern)
        for letter, pattern in PATTERNS
        if letter in "ac"
        for match in re.finditer(pattern.encode(), stream)
        if match[0]
    )
    assert found_by_grep(capture) == expected == found_by_re(capture)[0]
    assert expected.total() > 3
    found_by_grep(capture, "-l", str(tmp_path / "flows"))
    assert [path.read_bytes() for path in (tmp_path / "flows").iterdir()] == [stream]
