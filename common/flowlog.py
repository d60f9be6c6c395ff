"""The flow log's layout: magic and version, then frames of length, CRC-32 and a msgpack batch.

One format for what the sensor spools, ships frame by frame, keeps on disk and what the correlator
imports.  Pure: bytes in, bytes and batches out; files and sockets belong to the callers.

    file   = magic (8 bytes), version (u16), reserved (u16), frame...
    frame  = length (u32), CRC-32 of the payload (u32), payload
    payload = msgpack [version, kind, sensor, run, sequence, first_ns, last_ns, records]

All integers are big-endian.  ``kind`` is ``header``, ``flow``, ``stats``, ``alarm`` or ``http``; a reader skips
kinds that it does not know (words of at least three small letters), and items after the eighth.  A header's records are
``[[kind, [field name, ...]], ...]``; it has sequence 0 and opens every file and every connection.
The frames of a run count up from 1.  Keys of msgpack maps are texts: their hashes are seeded, so nobody
can choose keys that collide.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from typing import Annotated, Any, Final, NamedTuple

import msgpack
from msgspec import Meta, MsgspecError, Raw
from msgspec.msgpack import Decoder

from common.errors import WireError
from common.kinds import COUNT, NAME, UINT63_MAX
from common.records import RECORD_TYPES, are_good, good_flow_row, shown

MAGIC: Final = b"\x89TWFLOW\n"
VERSION: Final = 1
FILE_HEADER: Final = MAGIC + struct.pack(">HH", VERSION, 0)
MAX_FRAME_BYTES: Final = 4 << 20
MAX_BATCH_RECORDS: Final = 4096

_FRAME = struct.Struct(">II")
_LENGTH = struct.Struct(">I")
FRAME_OVERHEAD: Final = _FRAME.size
# Every payload begins with "array of 8 to 15 items", the version and the kind, a word of at least three
# letters, which is how reading finds its way again after damage. (Histograms and times hold the first bytes
# of that by the thousand.) What the search may cost is bounded, in bytes to checksum, so that a file made of
# look-alikes cannot hold it up.
_SIGNATURE: Final = re.compile(rb"[\x98-\x9f]\x%02x[\xa3-\xbf][a-z]{3}" % VERSION)
_NOT_ZERO: Final = re.compile(rb"[^\x00]")
_RESYNC_BYTES: Final = 64 << 20
_RESYNC_TIMES_SIZE: Final = 4
_TRY_BYTES: Final = 256  # what a try costs beside the checksum


# What a map costs in memory is many times what it costs on the wire, so all of a batch's are counted. A record
# has one or two, of at most 64 items.
_MAX_BATCH_MAPS: Final = 4 * MAX_BATCH_RECORDS
_MAX_MAP_ITEMS: Final = 1024

# Longer than everything before the records can be.
_HEAD_BYTES: Final = 4096
# What flow batches of this version begin with.
_FLOW_BATCH: Final = b"\x98%c\xa4flow" % VERSION


class Batch(NamedTuple):
    """One frame's content. ``records`` are wire rows: arrays whose columns the header names."""

    kind: str
    sensor: str
    run: int
    sequence: int
    first_ns: int
    last_ns: int
    records: Sequence[Any]


class Block(NamedTuple):
    """Rows that are msgpack already, one after another without an array's header: the records of one frame."""

    record_count: int
    rows: bytes
    first_ns: int
    last_ns: int


class Damage(NamedTuple):
    """A stretch of a flow log that could not be read."""

    offset: int
    length: int
    reason: str


class Frame(NamedTuple):
    """A whole frame found in a buffer: where it starts, all of its bytes, and its payload."""

    offset: int
    raw: memoryview
    payload: memoryview


def header_batch(sensor: str, run: int, now_ns: int) -> Batch:
    """Return the batch that names the fields of every record kind this program writes."""
    schema = [[kind, list(record._fields)] for kind, record in RECORD_TYPES.items()]
    return Batch("header", sensor, run, 0, now_ns, now_ns, schema)


def encode_frame(batch: Batch) -> bytes:
    """Return the frame that holds a batch; ValueError when it is over the format's limits."""
    if len(batch.records) > MAX_BATCH_RECORDS:
        raise ValueError(f"a batch holds at most {MAX_BATCH_RECORDS} records, not {len(batch.records)}")
    return _framed(msgpack.packb([VERSION, *batch]))


def encode_block(kind: str, sensor: str, run: int, sequence: int, block: Block) -> bytes:
    """Return the frame that holds a block, byte by byte what ``encode_frame`` makes of the same rows."""
    if block.record_count > MAX_BATCH_RECORDS:
        raise ValueError(f"a batch holds at most {MAX_BATCH_RECORDS} records, not {block.record_count}")
    packer = msgpack.Packer(buf_size=512)
    before = (VERSION, kind, sensor, run, sequence, block.first_ns, block.last_ns)
    head = b"".join((
        packer.pack_array_header(len(before) + 1),
        *map(packer.pack, before),
        packer.pack_array_header(block.record_count),
    ))  # fmt: skip
    return _framed(head, block.rows)


def rows_of(block: Block) -> tuple[Any, ...]:
    """Return the rows of a block as tuples."""
    rows: tuple[Any, ...] = msgpack.unpackb(
        msgpack.Packer().pack_array_header(block.record_count) + block.rows, use_list=False
    )
    return rows


def _framed(*parts: bytes) -> bytes:
    """Return the frame of a payload given in parts: the rows of a block are copied once only."""
    size, checksum = 0, 0
    for part in parts:
        size += len(part)
        checksum = zlib.crc32(part, checksum)
    if size > MAX_FRAME_BYTES:
        raise ValueError(f"a frame holds at most {MAX_FRAME_BYTES} bytes, not {size}")
    return b"".join((_FRAME.pack(size, checksum), *parts))


def decode_payload(payload: bytes | memoryview) -> Batch:
    """Return the batch of a payload whose CRC was right; WireError for anything malformed.

    The rows of flows are of ``good_flow_row`` when all of them are, otherwise plain tuples of any values.
    """
    return _good_flows(payload) or _any_batch(payload)


def decode_head(payload: bytes | memoryview) -> Batch:
    """Return the batch of a payload without its records, at a fraction of the cost; WireError as ``decode_payload``.

    Of the records little is checked: that they are msgpack, in a short payload.
    """
    try:
        head = _long_head(payload) if len(payload) > _HEAD_BYTES else _head().decode(payload)
        _, kind, sensor, *numbers = head[:7]
        if head[0] == VERSION and _is_name(kind) and _is_name(sensor):
            return Batch._make((kind, sensor, *numbers, ()))
    except (MsgspecError, ValueError, TypeError, msgpack.UnpackException, RecursionError):
        pass
    return decode_payload(payload)._replace(records=())


def _long_head(payload: bytes | memoryview) -> tuple[Any, ...]:
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=_HEAD_BYTES)
    unpacker.feed(payload[:_HEAD_BYTES])
    if unpacker.read_array_header() < len(Batch._fields) + 1:
        raise ValueError("too short for a batch")
    head = tuple(unpacker.unpack() for _ in Batch._fields)
    if type(head[0]) is not int or not all(map(COUNT.check, head[3:])):
        raise ValueError("no numbers of a batch")
    return head


@cache
def _head() -> Decoder[tuple[Any, ...]]:
    """Return the decoder for batches that leaves their records as they are."""
    name: Any = NAME.wire_type
    count: Any = COUNT.wire_type
    return Decoder(tuple[int, name, name, count, count, count, count, Raw])


@cache
def _flow_batch() -> Decoder[tuple[Any, ...]]:
    """Return the decoder for batches of flows whose rows have today's fields; only readers need it."""
    name: Any = NAME.wire_type
    count: Any = COUNT.wire_type
    row: Any = good_flow_row()
    rows: Any = Annotated[tuple[row, ...], Meta(max_length=MAX_BATCH_RECORDS)]
    return Decoder(tuple[int, str, name, count, count, count, count, rows])


def _good_flows(payload: bytes | memoryview) -> Batch | None:
    """Return a batch of flow rows that are good in today's order, or None for any other payload."""
    if payload[: len(_FLOW_BATCH)] != _FLOW_BATCH:
        return None
    try:
        batch = Batch._make(_flow_batch().decode(payload)[1:])
    except (MsgspecError, ValueError, RecursionError):
        return None
    return batch if _is_name(batch.sensor) and are_good(batch.records) else None


def _any_batch(payload: bytes | memoryview) -> Batch:
    maps = count(1)

    def counted(one: dict[str, Any]) -> dict[str, Any]:
        if next(maps) > _MAX_BATCH_MAPS:
            raise ValueError(f"more than {_MAX_BATCH_MAPS} maps")
        return one

    try:
        items = msgpack.unpackb(
            payload, use_list=False, object_hook=counted, ext_hook=_no_extension, max_map_len=_MAX_MAP_ITEMS
        )
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise WireError("msgpack", f"not a msgpack batch: {str(error) or 'nested too deep'}") from None
    if not isinstance(items, tuple) or len(items) < 8:
        raise WireError("batch_shape", "a batch is an array of at least 8 items")
    version, kind, sensor, run, sequence, first_ns, last_ns, records = items[:8]
    if type(version) is not int or version != VERSION:
        raise WireError("version", f"batch version {shown(version)}, this program reads {VERSION}")
    if not (_is_name(kind) and _is_name(sensor)):
        raise WireError("batch_shape", "kind and sensor are short printable texts")
    if not all(type(n) is int and 0 <= n <= UINT63_MAX for n in (run, sequence, first_ns, last_ns)):
        raise WireError("batch_shape", "run, sequence and times are unsigned 63-bit numbers")
    if not isinstance(records, tuple) or len(records) > MAX_BATCH_RECORDS:
        raise WireError("batch_shape", f"a batch holds an array of at most {MAX_BATCH_RECORDS} records")
    return Batch(kind, sensor, run, sequence, first_ns, last_ns, records)


def _no_extension(code: int, _data: bytes) -> object:
    raise ValueError(f"extension type {code}")


def decode_frame(data: bytes | memoryview) -> Batch:
    """Return the batch of exactly one frame, as the link delivers it; WireError otherwise."""
    if len(data) < FRAME_OVERHEAD:
        raise WireError("frame_short", f"a frame has at least {FRAME_OVERHEAD} bytes, not {len(data)}")
    length, crc = _FRAME.unpack_from(data)
    if length > MAX_FRAME_BYTES or length != len(data) - FRAME_OVERHEAD:
        raise WireError("frame_length", f"the frame says {length} bytes and holds {len(data) - FRAME_OVERHEAD}")
    payload = memoryview(data)[FRAME_OVERHEAD:]
    if zlib.crc32(payload) != crc:
        raise WireError("crc", "the frame's checksum is wrong")
    return decode_payload(payload)


def read_schema(batch: Batch) -> dict[str, tuple[str, ...]]:
    """Return {record kind: field names} of a header batch; WireError when it is malformed."""
    schema: dict[str, tuple[str, ...]] = {}
    for item in batch.records:
        if not isinstance(item, tuple) or len(item) < 2 or not _is_name(item[0]):
            raise WireError("schema", "a header lists [kind, [field, ...]]")
        names = item[1]
        if not isinstance(names, tuple) or len(names) > 1024 or not all(map(_is_name, names)):
            raise WireError("schema", f"the fields of {item[0]!r} are not a list of names")
        if len(set(names)) != len(names):
            raise WireError("schema", f"the fields of {item[0]!r} repeat")
        schema[item[0]] = names
    return schema


def check_file_header(data: bytes | memoryview) -> int:
    """Return the offset of the first frame; WireError when this is no flow log, or a newer one."""
    if bytes(data[: len(MAGIC)]) != MAGIC:
        raise WireError("magic", "not a flow log")
    if len(data) < len(FILE_HEADER):
        raise WireError("magic", "a flow log cut off inside its file header")
    (version,) = struct.unpack_from(">H", data, len(MAGIC))
    if version != VERSION:
        raise WireError("version", f"flow log version {version}, this program reads {VERSION}")
    return len(FILE_HEADER)


def scan_frames(data: memoryview, offset: int) -> Iterator[Frame | Damage]:
    """Yield the frames of a buffer, and the damaged stretches between them.

    A frame that the buffer's end cuts off is a torn tail, which is normal for a file still written
    or cut by a power failure: it comes last, as Damage with reason ``torn``.  So is a tail of zeros,
    which some file systems leave where data did not reach the disk.
    """
    budget = _RESYNC_BYTES + _RESYNC_TIMES_SIZE * len(data)
    while offset < len(data):
        frame = _frame_at(data, offset)
        if frame is not None:
            yield frame
            offset += len(frame.raw)
            continue
        following, budget = _resynchronise(data, offset + 1, budget)
        if following is None:
            torn = budget > 0 and _looks_torn(data, offset)
            yield Damage(offset, len(data) - offset, "torn" if torn else "damaged")
            return
        yield Damage(offset, following - offset, "damaged")
        offset = following


def _frame_at(data: memoryview, offset: int) -> Frame | None:
    if len(data) - offset < FRAME_OVERHEAD:
        return None
    length, crc = _FRAME.unpack_from(data, offset)
    end = offset + FRAME_OVERHEAD + length
    # Eight zero bytes would be an empty frame with the right checksum.
    if not 0 < length <= MAX_FRAME_BYTES or end > len(data):
        return None
    payload = data[offset + FRAME_OVERHEAD : end]
    if zlib.crc32(payload) != crc:
        return None
    return Frame(offset, data[offset:end], payload)


def _resynchronise(data: memoryview, offset: int, budget: int) -> tuple[int | None, int]:
    """Return (offset of the next whole frame or None, what is left of the budget)."""
    position = offset + FRAME_OVERHEAD
    while budget > 0 and (found := _SIGNATURE.search(data, position)) is not None:
        start = found.start() - FRAME_OVERHEAD
        (length,) = _LENGTH.unpack_from(data, start)
        budget -= _TRY_BYTES + (length if length <= len(data) - found.start() else 0)
        if _frame_at(data, start) is not None:
            return start, budget
        position = found.start() + 1
    return None, budget


def _looks_torn(data: memoryview, offset: int) -> bool:
    rest = len(data) - offset
    if rest < FRAME_OVERHEAD or _NOT_ZERO.search(data, offset) is None:
        return True
    (length, _) = _FRAME.unpack_from(data, offset)
    signature = bytes(data[offset + FRAME_OVERHEAD : offset + FRAME_OVERHEAD + 2])
    plausible = len(signature) < 2 or (0x98 <= signature[0] < 0xA0 and signature[1] == VERSION)
    return bool(FRAME_OVERHEAD + length > rest and length <= MAX_FRAME_BYTES and plausible)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()
