"""The parsers in Python that bytes from outside reach: flow logs, the link's messages, imported texts.

    python -m fuzz.parsers '{"seed": 1, "examples": 1000, "seconds": 0, "state": PATH}'

Each takes whole inputs that were changed at random; only the errors that it declares may come out.
"""

from __future__ import annotations

import io
import json
import mmap
import random
import struct
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from http_talk import events, request, response
from rec_records import RUN, alarm, exchange, flow, flow_log, frame, header, stats

from common.errors import UserError, WireError
from common.flowlog import Frame, check_file_header, decode_payload, scan_frames
from common.link import ACK, FRAME, HELLO, PING, WELCOME, pack_answer, pack_frame, pack_hello, unpack_answer
from common.records import HttpExchange, RecordReader, check_exchange
from common.textrecords import FLOW_COLUMNS, flow_cells, flow_row
from correlator.ingest.formats.detect import detect_format
from correlator.ingest.formats.lines import numbered_lines
from correlator.ingest.formats.textrows import read_csv, read_ndjson
from correlator.ingest.formats.zeek import read_json, read_tsv
from correlator.ingest.peers import Message, Peers
from correlator.ingest.receiver import Receiver
from sensor.http.exchanges import Exchanges

_STATE_BYTES = 1 << 20
_FLOWS = [flow(flow_id=number, history="ShADadFf", vlan=number) for number in range(1, 5)]
_LOG = flow_log(
    header(), frame(1, _FLOWS), frame(2, [stats(rejected={"not_ip": 7})], kind="stats"),
    frame(3, [alarm()], kind="alarm"), frame(4, _FLOWS), frame(5, [exchange()], kind="http"),
)  # fmt: skip
_NDJSON = "".join(json.dumps(flow_row(record, "tap-1")) + "\n" for record in _FLOWS).encode()
_CSV = "\n".join([",".join(FLOW_COLUMNS), *(",".join(flow_cells(record, "tap-1")) for record in _FLOWS)]).encode()
_ZEEK = {
    "ts": "1700000000.281275", "uid": "CUid", "id.orig_h": "10.0.0.1", "id.orig_p": "51234", "id.resp_h": "192.0.2.1",
    "id.resp_p": "443", "proto": "tcp", "service": "ssl", "duration": "1.5", "orig_bytes": "100", "resp_bytes": "2000",
    "conn_state": "SF", "missed_bytes": "7", "history": "ShADadFf", "orig_pkts": "5", "orig_ip_bytes": "360",
    "resp_pkts": "6", "resp_ip_bytes": "2312",
}  # fmt: skip
_TSV = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#fields\t"
    + "\t".join(_ZEEK) + "\n" + ("\t".join(_ZEEK.values()) + "\n") * 3
).encode()  # fmt: skip
_ZEEK_JSON = ((json.dumps(_ZEEK) + "\n") * 3).encode()
_EXCHANGES = RecordReader(HttpExchange, HttpExchange._fields)
_CHUNKS = b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"
_TALKS = [
    b"|part|".join(talk)
    for talk in (
        [
            request(),
            response(body=b"hello"),
            request("HEAD / HTTP/1.1"),
            response("HTTP/1.1 200 OK", "Content-Length: 9"),
        ],
        [
            request("POST http://a:81/ HTTP/1.1", "Host: a", "Content-Length: 3", body=b"abc"),
            response("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=_CHUNKS),
        ],
        [request("CONNECT a:443 HTTP/1.1", "Host: a:443"), response("HTTP/1.1 200 OK", "A: b"), request(), response()],
        [
            request("GET /w HTTP/1.1", "Host: a", "Upgrade: websocket"),
            response("HTTP/1.1 101 Go", "A: b"),
            b"\x81\x05hello",
        ],
        [request() * 70, response(body=b"x") * 80, b"GET /old\r\n", b"<html>"],
    )
]
_WORDS = [
    b"|part|", b"HTTP/1.1", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"\r\n\r\n", b"CONNECT ",
    b"", b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff\xff\xff\xff\xff", b"-1", b"1e999", b"9" * 40, b"nan",
    b"null", b"[" * 50, b"{", b'"', b"\n", b"\t", b",", b"\xef\xbb\xbf", b"\xc3", b"\\x09", b"#fields\t", b"1e-999999",
    b"0x10", b"true", b"\xdf" + bytes(4), b"\xcb\x7f\xf0" + bytes(6), "\u202e\u0661".encode(), b"\\ud800",
]  # fmt: skip


def changed(data: bytes, dice: random.Random) -> bytes:
    """Return the bytes with some of them changed, lost, doubled or put in."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        at, size = dice.randrange(len(out) + 1), dice.choice((1, 1, 4, 20))
        kind = dice.randrange(7)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            out[at : at + size] = dice.randbytes(size)
        elif kind == 2:
            del out[at : at + size]
        elif kind == 3:
            out[at:at] = out[at : at + size]
        elif kind == 4 and dice.random() < 0.2:
            del out[at:]
        else:
            word = dice.choice(_WORDS)
            out[at : at + dice.choice((0, len(word)))] = word
    return bytes(out)


def a_flow_log(data: bytes) -> None:
    """As import reads it: header, frames, schemas, records."""
    receiver = Receiver()
    view = memoryview(data)
    with suppress(WireError):
        check_file_header(view)
    for item in scan_frames(view, 12):
        if isinstance(item, Frame):
            a_payload(bytes(item.payload), receiver)


def a_payload(payload: bytes, receiver: Receiver | None = None) -> None:
    """A batch whose checksum was right: its schema, or its records one by one."""
    receiver = receiver or Receiver()
    with suppress(WireError):
        batch = decode_payload(payload)
        if batch.kind == "header":
            receiver.open_run(batch)
        else:
            receiver.judge(batch, 0)


def messages(data: bytes) -> None:
    """What peers send each other, in parts."""
    parts = data.split(b"|part|")
    with suppress(WireError):
        unpack_answer(parts)
    receiver = Receiver()
    peers = Peers(4, receiver.open_run, lambda _sensor, _run: 0)
    wire = [frame(1, _FLOWS), header(), data]
    for first in (HELLO, FRAME, PING, data[:5]):
        sent = [[first, *numbers, part] for part in (*parts, *wire) for numbers in ((), (data[:2],), (data[:16],))]
        sent += [pack_frame(RUN, 1, part) for part in (*parts, *wire)]
        peers.handle([Message(b"peer", message) for message in (pack_hello(header()), *sent)])


def a_text(data: bytes) -> None:
    """Every text format, whatever the file says it is."""
    with suppress(UserError):
        detect_format(data[: 1 << 16], "name")
    for reader in (read_ndjson, read_csv, read_tsv, read_json):
        for _ in reader(numbered_lines(io.BytesIO(data))):
            pass


def http(data: bytes) -> None:
    """What the two sides of a connection say in turns, and gaps: exchanges that readers take."""
    turns = [(number & 1, part or 5) for number, part in enumerate(data.split(b"|part|"))]
    for record in Exchanges(uri_bytes=200).take(events(turns, end_reason=3 + len(data) % 2)):
        check_exchange(_EXCHANGES.read(tuple(record)))


def _payloads() -> list[bytes]:
    return [bytes(item.payload) for item in scan_frames(memoryview(_LOG), 12) if isinstance(item, Frame)]


def _framed(data: bytes, dice: random.Random) -> bytes:
    """Return a log with one changed payload under a right checksum."""
    payload = changed(dice.choice(_payloads()), dice)
    return data + struct.pack(">II", len(payload), zlib.crc32(payload)) + payload


def _input(dice: random.Random) -> tuple[Callable[[bytes], None], bytes]:
    kind = dice.randrange(8)
    if kind == 0:
        return a_flow_log, changed(_LOG, dice)
    if kind == 1:
        return a_flow_log, _framed(_LOG[: dice.choice((12, len(_LOG)))], dice)
    if kind == 2:
        return a_payload, changed(dice.choice(_payloads()), dice)
    if kind == 3:
        answer = b"|part|".join(pack_answer(dice.choice((WELCOME, ACK)), RUN, 7, "why"))
        return messages, changed(dice.choice((answer, frame(1, _FLOWS))), dice)
    if kind > 5:
        return http, changed(dice.choice(_TALKS), dice)
    return a_text, changed(dice.choice((_NDJSON, _CSV, _TSV, _ZEEK_JSON)), dice)


def main() -> int:
    """Run as many inputs as asked for, or for as long."""
    job = json.loads(sys.argv[1])
    with Path(job["state"]).open("r+b") as file:
        state = mmap.mmap(file.fileno(), _STATE_BYTES)
    words = memoryview(state)[: 8 * 8].cast("Q")
    end = time.monotonic() + (job["seconds"] or 1e9)
    number = 0
    while number < job["examples"] * 10 and time.monotonic() < end:
        parser, data = _input(random.Random(f"{job['seed']}:{number}"))
        words[1], words[4] = number, len(data)
        state[4096 : 4096 + len(data)] = data
        try:
            parser(data)
        except Exception:  # noqa: BLE001 - whatever was not declared is the finding
            traceback.print_exc()
            print(f"finding: {parser.__name__} let an error out that it does not declare", file=sys.stderr)
            return 3
        number += 1
    print(json.dumps({"inputs": number}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
