"""The streams of every capture kept beside the project have the MD5 that other tools' reassembly gave.

``*.streams-md5.tsv`` has a row per direction, made by tcpflow 1.6.1 where tshark agreed on its length.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from common.addresses import address_text
from sensor.capture.pcapfile import CaptureFileError
from sensor.stream._streams import Streams
from sensor.stream.events import Began, Data, Event, Gap
from sensor.stream.reading import batches

pytestmark = pytest.mark.shared

End = tuple[str, int]
# (capture, source port): why ours is something else
DIFFERENCES = {
    ("chrissanders-packets__mail_sender_attachment.pcapng", 50593): (
        "tcpflow wrote null bytes for 76,695 bytes behind a SYN with data (its issue 272); tshark's stream has our MD5",
        "025706a6e45b10850438cfce670326dc",
    )
}


def readable(path: Path) -> Iterator[list[Event]]:
    with suppress(CaptureFileError):  # a few captures are cut off
        yield from batches([str(path)], "", Streams())


def streams_of(path: Path) -> dict[tuple[End, End], set[tuple[int, str]]]:
    """(length, MD5) of what each end sent to another, gaps as null bytes."""
    ends: dict[int, tuple[End, End]] = {}
    sent: defaultdict[tuple[int, int], bytearray] = defaultdict(bytearray)
    for batch in readable(path):
        for event in batch:
            if isinstance(event, Began):
                client = (address_text(event.client_ip), event.client_port)
                ends[event.flow_id] = client, (address_text(event.server_ip), event.server_port)
            elif isinstance(event, Data):
                sent[event.flow_id, event.direction] += event.data
            elif isinstance(event, Gap):
                sent[event.flow_id, event.direction] += bytes(event.length)
    found: defaultdict[tuple[End, End], set[tuple[int, str]]] = defaultdict(set)
    for (flow_id, direction), data in sent.items():
        client, server = ends[flow_id]
        found[(client, server) if direction == 0 else (server, client)].add((len(data), hashlib.md5(data).hexdigest()))
    return found


def test_every_stream_has_the_md5_that_others_gave_it(shared_dir: Path) -> None:
    checked = 0
    for table in sorted(shared_dir.glob("data/**/*.streams-md5.tsv")):
        capture = table.with_name(table.name.removesuffix(".streams-md5.tsv"))
        found = streams_of(capture)
        for row in csv.DictReader(table.read_text().splitlines(), delimiter="\t"):
            ends = (row["src"], int(row["sport"])), (row["dst"], int(row["dport"]))
            _, expected = DIFFERENCES.get((capture.name, ends[0][1]), ("", row["md5"]))
            assert (int(row["bytes"]), expected) in found[ends], (capture.name, ends)
            checked += 1
    assert checked == 1123
