"""What the wire's inputs begin with: records of each kind, made up and real, in frames of runs with other headers."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack

from common import kinds, records
from common.errors import UserError, WireError
from common.flowlog import (
    FRAME_OVERHEAD,
    Batch,
    Block,
    Frame,
    check_file_header,
    decode_payload,
    encode_block,
    encode_frame,
    header_batch,
    scan_frames,
)
from common.kinds import Kind
from common.records import FlowRecord, HttpExchange, SensorAlarm, SensorStats, fields_of
from correlator.ingest.formats.detect import Format
from correlator.ingest.formats.lines import BadLine, numbered_lines
from correlator.ingest.formats.zeek import read_json, read_tsv
from correlator.ingest.inputs import opened
from fuzz.msgpack_mutate import Token, tokens

ROOT: Final = Path(__file__).resolve().parents[1]
SENSOR: Final = "tap-1"
T0: Final = 1_700_000_000_000_000_000
NOW, OLDER, NEWER = T0, T0 + 1, T0 + 2
RUNS: Final = (NOW, OLDER, NEWER)
"""Runs by their header: today's, one that names fewer fields, one that names more and in another order."""

_REAL_RECORDS: Final = 12  # of each log


class Seed(NamedTuple):
    """A payload to begin with, and where its values are."""

    payload: bytes
    places: list[Token]


def seed_of(frame: bytes) -> Seed:
    """Return the seed that a frame's payload is."""
    payload = frame[FRAME_OVERHEAD:]
    return Seed(payload, tokens(payload))


# ---- records -----------------------------------------------------------------------------------------------
_LETTERS: Final = "az09 .-_:/\"',=\\é漢😀"


def _count(dice: random.Random) -> int:
    return dice.getrandbits(dice.choice((1, 5, 8, 14, 20, 34, 46)))


def _signed(dice: random.Random) -> int:
    return _count(dice) * dice.choice((1, -1))


def _text(dice: random.Random) -> str:
    return "".join(dice.choices(_LETTERS, k=dice.choice((0, 1, 5, 12, 40))))


def _facts(dice: random.Random) -> dict[str, int | str]:
    return {_text(dice): dice.choice((_signed, _text))(dice) for _ in range(dice.randrange(4))}


_GOOD: Final[Mapping[Kind, Callable[[random.Random], Any]]] = {
    kinds.COUNT: _count,
    kinds.OPTIONAL_COUNT: _count,
    kinds.BYTE: lambda dice: dice.getrandbits(8),
    kinds.PORT: lambda dice: dice.getrandbits(16),
    kinds.VLAN: lambda dice: dice.getrandbits(12),
    records.END_REASON: lambda dice: dice.choice(sorted(records.END_REASONS)),
    records.ORIENTATION: lambda dice: dice.choice(sorted(records.ORIENTATIONS)),
    kinds.ADDRESS: lambda dice: dice.randbytes(4),
    kinds.NAME: _text,
    kinds.OPTIONAL_NAME: _text,
    kinds.HISTOGRAM: lambda dice: tuple(_count(dice) for _ in range(8)),
    kinds.SHARE: lambda dice: dice.random() * 10 ** dice.randrange(12),
    kinds.SPLT: lambda dice: tuple((_signed(dice), _count(dice)) for _ in range(dice.choice((0, 1, 5, 32)))),
    kinds.FACTS: _facts,
    kinds.NAMES: lambda dice: tuple(_text(dice) for _ in range(dice.randrange(4))),
    kinds.HEADER_NAMES: lambda dice: tuple(_text(dice) for _ in range(dice.choice((0, 3, 64)))),
    kinds.OPTIONAL_TEXT: _text,
    records.OPTIONAL_PORT: lambda dice: dice.randrange(65536),
    kinds.COUNTS_BY_NAME: lambda dice: {_text(dice): _count(dice) for _ in range(dice.randrange(4))},
}


def _record(record_type: type[Any], dice: random.Random, given: float) -> Any:
    """Return a record whose fields are good by themselves; ``given`` is the share of optional ones that are there."""
    return record_type._make(
        None if field.default is None and dice.random() >= given else _GOOD[field.kind](dice)
        for field in fields_of(record_type)
    )


def made_up_flow(dice: random.Random) -> FlowRecord:
    """Return a flow record that agrees with itself, with none, some or all of the optional fields."""
    record: FlowRecord = _record(FlowRecord, dice, dice.choice((0.0, 0.5, 1.0)))
    start = T0 + dice.getrandbits(40)
    size = dice.choice((4, 16))
    return record._replace(
        flow_start_ns=start, start_ns=start + 5, end_ns=start + dice.getrandbits(40) + 5,
        client_ip=dice.randbytes(size), server_ip=dice.randbytes(size), end_reason=dice.choice((None, 1, 3)),
    )  # fmt: skip


# ---- runs with other headers -------------------------------------------------------------------------------
_OLDER_AT: Final = [index for index, field in enumerate(fields_of(FlowRecord)) if field.default is ... or index % 3]
_NEWER_AT: Final = random.Random(5).sample(range(len(FlowRecord._fields)), len(FlowRecord._fields))


def _row_for(run: int, record: FlowRecord) -> tuple[Any, ...]:
    if run == OLDER:
        return tuple(record[index] for index in _OLDER_AT)
    if run == NEWER:
        return ({"later": [1, 2]}, *(record[index] for index in _NEWER_AT), "more")
    return record


def headers() -> dict[int, bytes]:
    """Return {run: the frame that opens it}."""
    older = [["flow", [FlowRecord._fields[index] for index in _OLDER_AT]]]
    newer = [["flow", ["later", *(FlowRecord._fields[index] for index in _NEWER_AT), "more"], "tail"], ["beacon", []]]
    return {
        NOW: encode_frame(header_batch(SENSOR, NOW, NOW)),
        OLDER: encode_frame(Batch("header", SENSOR, OLDER, 0, T0, T0, older)),
        NEWER: encode_frame(Batch("header", SENSOR, NEWER, 0, T0, T0, newer)),
    }


def fresh_frames(dice: random.Random) -> list[bytes]:
    """Return frames of made-up records: flows by both encoders and for all runs, the other kinds, an unknown one."""
    frames: list[bytes] = []
    for sequence in range(1, 8):
        flows = [made_up_flow(dice) for _ in range(dice.choice((1, 1, 2)))]
        run = NOW if sequence < 5 else dice.choice(RUNS)
        if run == NOW and sequence % 2:
            block = Block(len(flows), b"".join(map(msgpack.packb, flows)), T0, T0 + 1)
            frames.append(encode_block("flow", SENSOR, run, sequence, block))
        else:
            rows = [_row_for(run, flow) for flow in flows]
            frames.append(encode_frame(Batch("flow", SENSOR, run, sequence, T0, T0 + 1, rows)))
    for kind, record_type in (("stats", SensorStats), ("alarm", SensorAlarm), ("http", HttpExchange)):
        row = _record(record_type, dice, 1.0)
        if isinstance(row, HttpExchange):
            row = row._replace(start_ns=T0, end_ns=T0 + 1, client_ip=bytes(4), server_ip=bytes(4))
        frames.append(encode_frame(Batch(kind, SENSOR, NOW, 8, T0, T0, [row])))
    frames.append(encode_frame(Batch("beacon", SENSOR, NOW, 9, T0, T0, [[1, "a"], {"b": None}])))
    return frames


# ---- real ones ---------------------------------------------------------------------------------------------
def real_frames(*, shared: bool) -> tuple[list[bytes], str]:
    """Return frames of one or two real records each, and a short digest of them all."""
    flows: list[FlowRecord] = []
    frames: list[bytes] = []
    for path in _logs(shared=shared):
        with suppress(UserError, WireError), opened(str(path)) as source:
            if source.format is Format.FLOW_LOG:
                frames += _small(path.read_bytes())
            else:
                reader = read_tsv if source.format is Format.ZEEK_TSV else read_json
                rows = reader(numbered_lines(source.stream))
                flows += [row.record for row in islice(rows, _REAL_RECORDS) if not isinstance(row, BadLine)]
    for sequence, record in enumerate(flows, 1):
        run = RUNS[sequence % 8] if sequence % 8 < len(RUNS) else NOW
        frames.append(encode_frame(Batch("flow", SENSOR, run, sequence, T0, T0, [_row_for(run, record)])))
    return frames, hashlib.sha256(b"".join(frames)).hexdigest()[:8]


def _logs(*, shared: bool) -> Iterator[Path]:
    yield from sorted((ROOT / "tests/data").rglob("*.flowlog"))
    if shared:
        yield from sorted((ROOT.parent / "shared/data/e_flowlogs").rglob("*conn*.log*"))


def _small(log: bytes) -> Iterator[bytes]:
    """Yield the records of a flow log two by two."""
    view = memoryview(log)
    for item in scan_frames(view, check_file_header(view)):
        if isinstance(item, Frame):
            batch = decode_payload(item.payload)
            yield encode_frame(batch._replace(sensor=SENSOR, run=NOW, records=batch.records[:2]))
            for at in range(2, min(len(batch.records), 40), 2):
                yield encode_frame(batch._replace(sensor=SENSOR, run=NOW, records=batch.records[at : at + 2]))
