from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rec_records import (
    BAD,
    RUN,
    T0,
    S,
    alarm,
    any_record,
    block,
    exchange,
    flow,
    flow_log,
    flows,
    frame,
    header,
    outcome,
    rows_of,
    stats,
    wire_values,
)

from common import flowlog
from common.errors import WireError
from common.flowlog import (
    FILE_HEADER,
    FRAME_OVERHEAD,
    MAX_BATCH_RECORDS,
    MAX_FRAME_BYTES,
    Batch,
    Damage,
    Frame,
    check_file_header,
    decode_frame,
    decode_head,
    decode_payload,
    encode_block,
    encode_frame,
    header_batch,
    read_schema,
    scan_frames,
)
from common.kinds import UINT63_MAX
from common.records import RECORD_TYPES, FlowRecord, RecordReader, fields_of, good_flow_row

LOOK_ALIKE = b"\x98\x01\xa4flow"
marks = st.integers(0, UINT63_MAX)
names = st.text(st.sampled_from("aZ09 -é漢"), min_size=1, max_size=255)
batches = st.builds(
    Batch, names, names, marks, marks, marks, marks, st.lists(any_record.map(tuple), max_size=3).map(tuple)
)


def payload_of(*items: object) -> bytes:
    payload: bytes = msgpack.packb(items)
    return payload


def framed(payload: bytes) -> bytes:
    return struct.pack(">II", len(payload), zlib.crc32(payload)) + payload


def scan(data: bytes, offset: int = len(FILE_HEADER)) -> list[Frame | Damage]:
    return list(scan_frames(memoryview(data), offset))


def raws(items: list[Frame | Damage]) -> list[bytes]:
    return [bytes(item.raw) for item in items if isinstance(item, Frame)]


class TestOneFrame:
    @given(batch=batches)
    def test_a_batch_comes_back_as_it_was_written(self, batch):
        assert decode_frame(encode_frame(batch)) == batch

    @given(batch=batches, data=st.data())
    def test_mutated_bytes_are_a_batch_or_a_wire_error(self, batch, data):
        raw = bytearray(encode_frame(batch))
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        payload = bytes(raw[FRAME_OVERHEAD:])
        for attempt in (bytes(raw), framed(payload)):
            with suppress(WireError):
                assert isinstance(decode_frame(attempt), Batch)

    @given(payload=st.binary(max_size=64))
    def test_any_payload_is_a_batch_or_a_wire_error(self, payload):
        for attempt in (payload, b"\x98\x01\xa4flow" + payload):
            with suppress(WireError):
                assert isinstance(decode_payload(attempt), Batch)

    @given(items=st.lists(wire_values, min_size=6, max_size=10))
    def test_any_items_are_a_batch_or_a_wire_error(self, items):
        try:
            batch = decode_payload(payload_of(1, "flow", *items))
        except WireError:
            return
        assert isinstance(batch.records, tuple)

    def test_every_truncation_is_a_wire_error(self):
        raw = frame(1)
        for length in range(len(raw)):
            with pytest.raises(WireError):
                decode_frame(raw[:length])

    def test_bytes_after_the_frame_are_a_wire_error(self):
        with pytest.raises(WireError, match="the frame says") as caught:
            decode_frame(frame(1) + b"\0")
        assert caught.value.reason == "frame_length"

    def test_a_wrong_checksum_is_a_wire_error(self):
        raw = bytearray(frame(1))
        raw[-1] ^= 1
        with pytest.raises(WireError) as caught:
            decode_frame(bytes(raw))
        assert caught.value.reason == "crc"

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"\xc1", id="never-used type"),
            pytest.param(b"\x91" * 100_000, id="arrays too deep"),
            pytest.param(b"\x81\xa1a" * 100_000, id="maps too deep"),
            pytest.param(b"\xdd\xff\xff\xff\xff", id="huge array"),
            pytest.param(b"\xdf\xff\xff\xff\xff", id="huge map"),
            pytest.param(b"\xdb\xff\xff\xff\xff", id="huge text"),
            pytest.param(b"\xc6\xff\xff\xff\xff", id="huge binary"),
            pytest.param(b"\xc9\xff\xff\xff\xff\x05", id="huge extension"),
            pytest.param(b"\xc7\x01\x05x", id="extension"),
            pytest.param(b"\xc7\x03\xffabc", id="timestamp of a wrong size"),
            pytest.param(b"\xd7\xff" + b"\xff" * 8, id="timestamp with too many nanoseconds"),
            pytest.param(b"\xa2\xff\xfe", id="not UTF-8"),
            pytest.param(b"\xa3\xed\xa0\x80", id="surrogate"),
            pytest.param(b"\x81\x91\x01\x01", id="array as a key"),
            pytest.param(b"\x81\x80\x01", id="map as a key"),
            pytest.param(b"\x81\x01\x01", id="number as a key"),
            pytest.param(b"\x01\x01", id="two values"),
        ],
    )
    def test_hostile_msgpack_is_a_wire_error(self, payload):
        record_of_it = b"\x98\x01\xa4flow\xa1s\x01\x01\x01\x01\x91" + payload
        for attempt in (payload, record_of_it):
            try:
                batch = decode_payload(attempt)
            except WireError:
                continue
            # An extension is a value like any other until a field's check sees it.
            with pytest.raises(WireError):
                RecordReader(FlowRecord, FlowRecord._fields).read(batch.records[0])

    def test_keys_that_could_be_chosen_to_collide_are_refused(self):
        """Tuples of numbers have unseeded hashes; texts do not."""
        with pytest.raises(WireError):
            decode_payload(payload_of(1, "flow", "s", 1, 1, 1, 1, [{(1, 2): 1}]))

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({0: 2}, "version"),
            ({0: True}, "version"),
            ({0: 1.0}, "version"),
            ({0: [1] * 50}, "version"),
            ({1: b"flow"}, "batch_shape"),
            ({1: ""}, "batch_shape"),
            ({2: "a\nb"}, "batch_shape"),
            ({2: "x" * 256}, "batch_shape"),
            ({3: True}, "batch_shape"),
            ({3: 1 << 63}, "batch_shape"),
            ({4: -1}, "batch_shape"),
            ({5: 1.5}, "batch_shape"),
            ({6: None}, "batch_shape"),
            ({7: {}}, "batch_shape"),
            ({7: [None] * (MAX_BATCH_RECORDS + 1)}, "batch_shape"),
        ],
    )
    def test_a_batch_of_another_shape_is_refused(self, change, reason):
        items = [1, "flow", "s", 1, 1, 1, 1, []]
        for index, value in change.items():
            items[index] = value
        with pytest.raises(WireError) as caught:
            decode_payload(payload_of(*items))
        assert caught.value.reason == reason

    def test_items_after_the_eighth_are_left_to_newer_programs(self):
        assert decode_payload(payload_of(1, "flow", "s", 1, 2, 3, 4, [], "more", {})).last_ns == 4

    @pytest.mark.parametrize("depth", [600, 1000, 1020])
    def test_a_version_or_a_value_nested_deep_is_a_wire_error(self, depth):
        deep = b"\x91" * depth + b"\xc0"
        good = msgpack.packb([1, "flow", "tap-1", RUN, 1, T0, T0, [flow()._replace(host="HOST")]])
        with pytest.raises(WireError, match="batch version an array of 1, this program reads 1"):
            decode_payload(b"\x98" + deep + good[2:])
        batch = decode_payload(good.replace(msgpack.packb("HOST"), deep))
        with pytest.raises(WireError, match=r"^host is an array of 1$"):
            RecordReader(FlowRecord, FlowRecord._fields).read(batch.records[0])

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            (b"\x80" * 100_000, "more than 16384 maps"),
            (b"\xd4\x05a" * 100_000, "extension type 5"),
            (b"\xc0" * 99_999 + b"\xde\x04\x01" + b"\xa1a\x01" * 0x401, "1025 exceeds max_map_len"),
        ],
        ids=["maps", "extensions", "a map"],
    )
    def test_values_that_cost_much_more_memory_than_bytes_are_a_wire_error(self, values, words):
        before = msgpack.packb([1, "beacon", "tap-1", RUN, 1, T0, T0, [[]]])[:-1]
        with pytest.raises(WireError, match=words):
            decode_payload(before + b"\xdd" + struct.pack(">I", 100_000) + values)

    def test_the_maps_that_records_have_are_not_too_many(self):
        rows = [flow(flow_id=number, facts={"a": 1}) for number in range(MAX_BATCH_RECORDS)]
        batch = decode_frame(encode_frame(Batch("later", "tap-1", RUN, 1, T0, T0, rows)))
        assert list(batch.records) == rows

    def test_a_batch_over_the_limits_is_not_written(self):
        with pytest.raises(ValueError, match="at most 4096 records"):
            frame(1, [()] * (MAX_BATCH_RECORDS + 1))
        with pytest.raises(ValueError, match="at most 4194304 bytes"):
            frame(1, [b"x" * MAX_FRAME_BYTES])


class TestFlowRows:
    """Rows with today's fields are decoded by their types; that must show in nothing but the time it takes."""

    NAMES = (FlowRecord._fields, FlowRecord._fields[::-1], (*FlowRecord._fields, "newer"), FlowRecord._fields[:-1])

    def came_of(self, decode, payload):
        """What every reader makes of a payload, or why it is refused; texts, for 1, 1.0 and True are equal."""
        try:
            batch = decode(payload)
        except WireError as error:
            return error.reason, str(error)
        readers = [RecordReader(FlowRecord, names) for names in self.NAMES]
        return repr(batch[:-1]), [[outcome(reader, row) for row in batch.records] for reader in readers]

    def assert_same(self, payload):
        assert self.came_of(decode_payload, payload) == self.came_of(flowlog._any_batch, payload)

    @given(rows=st.lists(rows_of(FlowRecord), max_size=3))
    def test_good_rows_are_decoded_by_their_types(self, rows):
        payload = payload_of(1, "flow", "s", 1, 1, 1, 1, rows)
        batch = decode_payload(memoryview(payload))
        assert {good_flow_row()}.issuperset(map(type, batch.records))
        assert batch == flowlog._any_batch(payload)
        self.assert_same(payload)

    @given(data=st.data())
    def test_any_value_in_any_field_has_the_same_outcome(self, data):
        rows = [list(flow(flow_id=1)), list(data.draw(rows_of(FlowRecord)))]
        for index in data.draw(st.sets(st.integers(0, len(FlowRecord._fields) - 1), min_size=1, max_size=3)):
            bad = BAD[fields_of(FlowRecord)[index].kind]
            rows[1][index] = data.draw(st.sampled_from(bad) | wire_values)
        rows[1] = data.draw(st.sampled_from([rows[1], rows[1][:-1], [*rows[1], None]]))
        items = (1, "flow", "s", 1, 1, 1, 1, rows)
        self.assert_same(msgpack.packb(items, unicode_errors="surrogatepass"))

    @pytest.mark.parametrize("field", fields_of(FlowRecord), ids=lambda field: field.name)
    def test_bad_values_have_the_same_outcome(self, field):
        for value in BAD[field.kind]:
            items = (1, "flow", "s", 1, 1, 1, 1, [flow(), flow(**{field.name: value})])
            self.assert_same(msgpack.packb(items, unicode_errors="surrogatepass"))

    @given(batch=st.builds(Batch, st.just("flow"), names, marks, marks, marks, marks, st.lists(flows(), max_size=2)),
           data=st.data())  # fmt: skip
    def test_mutated_bytes_have_the_same_outcome(self, batch, data):
        raw = bytearray(encode_frame(batch)[FRAME_OVERHEAD:])
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(raw) - 1))
            raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        self.assert_same(bytes(raw))

    @given(items=st.lists(wire_values, min_size=6, max_size=6))
    def test_any_batch_of_flows_has_the_same_outcome(self, items):
        self.assert_same(payload_of(1, "flow", *items))

    @pytest.mark.parametrize(
        "change",
        [{2: "a\n"}, {2: ""}, {2: "x" * 256}, {3: -1}, {4: 1 << 63}, {5: 1.0}, {6: True}, {7: [flow()] * 4097}],
    )
    def test_a_batch_that_is_refused_is_refused_alike(self, change):
        items = [change.get(index, item) for index, item in enumerate((1, "flow", "s", 1, 1, 1, 1, []))]
        self.assert_same(payload_of(*items))

    @pytest.mark.parametrize(
        "tail",
        [
            pytest.param(b"\xdd\xff\xff\xff\xff", id="huge array"),
            pytest.param(b"\xdd\x00\x00\x10\x00", id="an array of 4096 that is not there"),
            pytest.param(b"\x91\xdd\xff\xff\xff\xff", id="huge row"),
            pytest.param(b"\x91" * 100_000, id="arrays too deep"),
            pytest.param(b"\x90\x90", id="two values"),
        ],
    )
    def test_hostile_rows_are_refused_alike(self, tail):
        self.assert_same(b"\x98\x01\xa4flow\xa1s\x01\x01\x01\x01" + tail)


def whole_or_reason(payload: bytes, decode: Callable[[bytes], Batch]) -> object:
    try:
        return decode(payload)._replace(records=())
    except WireError as error:
        return error.reason


class TestHead:
    @given(batch=batches, filling=st.sampled_from([0, 100]))
    def test_it_is_the_batch_without_its_records(self, batch, filling):
        payload = encode_frame(batch._replace(records=[*batch.records, *[b"x" * 99] * filling]))[FRAME_OVERHEAD:]
        assert decode_head(payload) == batch._replace(records=())

    @pytest.mark.parametrize("filling", [0, 9000])
    @pytest.mark.parametrize("index", range(7))
    @pytest.mark.parametrize("value", [2, True, -1, 1 << 63, 1.5, None, "", "a\n", "x" * 256, b"x", (), {}])
    def test_what_is_no_head_is_refused_for_the_same_reason(self, index, value, filling):
        items = [1, "flow", "s", 1, 1, 1, 1, [b"x" * filling]]
        items[index] = value
        payload = msgpack.packb(items)
        assert whole_or_reason(payload, decode_head) == whole_or_reason(payload, decode_payload)

    @pytest.mark.parametrize(
        "payload", [b"", b"\xc0", b"\x97" + bytes(9000), b"\x98", b"\x98\x01" * 3000, b"\x91" * 9000]
    )
    def test_what_is_no_batch_is_refused(self, payload):
        with pytest.raises(WireError):
            decode_head(payload)


class TestHeader:
    def test_the_header_names_the_fields_of_every_kind(self):
        schema = read_schema(decode_frame(header()))
        assert schema == {kind: record._fields for kind, record in RECORD_TYPES.items()}

    @pytest.mark.parametrize(
        "item",
        [
            None, 1, "flow", (), ("flow",), (1, ()), ("", ()), ("a\n", ()), ("flow", None), ("flow", "ab"),
            ("flow", (1,)), ("flow", ("",)), ("flow", ("a\x1b",)), ("flow", ("a", "a")), ("flow", ("x" * 256,)),
            ("flow", tuple(map(str, range(1025)))), ("flow", ({},)),
        ],
    )  # fmt: skip
    def test_a_malformed_schema_is_refused(self, item):
        with pytest.raises(WireError) as caught:
            read_schema(header_batch("s", 1, 1)._replace(records=(item,)))
        assert caught.value.reason == "schema"

    @given(records=st.lists(wire_values, max_size=4).map(tuple))
    def test_any_header_is_a_schema_or_a_wire_error(self, records):
        try:
            schema = read_schema(header_batch("s", 1, 1)._replace(records=records))
        except WireError:
            return
        assert all(isinstance(name, str) for fields in schema.values() for name in fields)

    @pytest.mark.parametrize("length", range(len(FILE_HEADER)))
    def test_a_file_cut_off_inside_its_header_is_no_flow_log(self, length):
        with pytest.raises(WireError) as caught:
            check_file_header(FILE_HEADER[:length])
        assert caught.value.reason == "magic"

    def test_the_first_frame_follows_the_file_header(self):
        assert check_file_header(memoryview(flow_log(header()))) == len(FILE_HEADER)

    def test_a_newer_flow_log_is_refused_by_its_version(self):
        with pytest.raises(WireError, match="flow log version 2, this program reads 1"):
            check_file_header(FILE_HEADER[:8] + b"\0\x02\0\0")


class TestScan:
    def test_whole_frames_come_in_order_with_their_offsets(self):
        parts = [header(), frame(1), frame(2)]
        items = scan(flow_log(*parts))
        assert raws(items) == parts
        assert items[2].offset == len(flow_log(*parts[:2]))
        assert decode_frame(raws(items)[1]).sequence == 1

    def test_a_torn_tail_is_reported_last_and_everything_before_it_is_read(self):
        whole = flow_log(header(), frame(1))
        tail = frame(2)
        for length in range(1, len(tail)):
            items = scan(whole + tail[:length])
            assert raws(items) == [header(), frame(1)]
            assert items[-1] == Damage(len(whole), length, "torn")

    @pytest.mark.parametrize("length", [1, 7, 8, 9, 4096])
    def test_zeros_at_the_end_are_a_torn_tail_and_no_frames(self, length):
        """Some file systems leave them after a power failure; CRC-32 of nothing is zero."""
        whole = flow_log(header(), frame(1))
        assert scan(whole + bytes(length))[2:] == [Damage(len(whole), length, "torn")]

    def test_zeros_in_the_middle_are_damage(self):
        whole = flow_log(header())
        items = scan(whole + bytes(80) + frame(1))
        assert items[1] == Damage(len(whole), 80, "damaged")
        assert raws(items) == [header(), frame(1)]

    def test_garbage_at_the_end_is_damage_and_not_torn(self):
        whole = flow_log(header())
        assert scan(whole + b"\xff" * 40)[1:] == [Damage(len(whole), 40, "damaged")]

    @given(data=st.data())
    def test_whatever_happens_to_some_frames_the_others_are_found(self, data):
        frames = [header(), *(frame(n, [flow(flow_id=n), flow(history="ShADadFf")]) for n in range(1, 6))]
        hit = data.draw(st.sets(st.integers(0, len(frames) - 1), max_size=4))
        damaged = list(frames)
        for index, raw in enumerate(frames):
            if index in hit:
                how = data.draw(st.sampled_from(["flip", "cut", "insert", "random"]))
                at = data.draw(st.integers(0, len(raw) - 1))
                noise = data.draw(st.binary(min_size=1, max_size=40))
                damaged[index] = {
                    "flip": raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :],
                    "cut": raw[:at],
                    "insert": raw[:at] + noise + raw[at:],
                    "random": noise,
                }[how]
        items = scan(flow_log(*damaged))
        found = raws(items)
        # Every frame that was written is found, unless it was hit; nothing else ever is.
        assert [raw for raw in found if raw not in frames] == []
        assert [raw for index, raw in enumerate(frames) if index not in hit] == [
            raw for raw in found if frames.index(raw) not in hit
        ]
        assert [item.offset for item in items] == sorted(item.offset for item in items)
        # Frames and damage cover the file without a gap.
        lengths = [len(item.raw) if isinstance(item, Frame) else item.length for item in items]
        assert sum(lengths) == len(flow_log(*damaged)) - len(FILE_HEADER)

    @given(noise=st.binary(max_size=200))
    def test_noise_never_raises(self, noise):
        assert raws(scan(noise + frame(1), 0))[-1:] == [frame(1)]

    @given(noise=st.lists(st.sampled_from([LOOK_ALIKE, b"\0\0\0\x09", b"\x9f\x01", b"\xa3", bytes(4)]), max_size=60))
    def test_look_alikes_do_not_hide_the_frame_after_them(self, noise):
        assert raws(scan(b"".join(noise) + frame(1), 0))[-1:] == [frame(1)]

    def test_a_frame_that_says_it_is_longer_than_the_limit_is_damage(self):
        raw = struct.pack(">II", MAX_FRAME_BYTES + 1, 0) + b"\x98\x01"
        items = scan(flow_log(raw, frame(1)))
        assert items[0] == Damage(len(FILE_HEADER), len(raw), "damaged")
        assert raws(items) == [frame(1)]

    def test_a_signature_across_a_mebibyte_is_seen(self):
        for shift in range(4):
            noise = b"\xff" * ((1 << 20) - shift - FRAME_OVERHEAD)
            assert raws(scan(noise + frame(1), 0)) == [frame(1)]

    @pytest.mark.timeout(20)
    @pytest.mark.parametrize(
        "unit",
        [LOOK_ALIKE, b"\x9f\x01\xbfzzz", b"\x98", struct.pack(">II", MAX_FRAME_BYTES, 0) + LOOK_ALIKE, b"\0"],
        ids=["signatures", "other signatures", "half signatures", "longest frames", "zeros"],
    )
    def test_a_file_of_look_alikes_costs_little(self, unit):
        """A bound on the work: these took minutes when only the number of tries was bounded."""
        size = 6 << 20
        data = (unit * (size // len(unit) + 1))[:size]
        (item,) = scan(data, 0)
        assert isinstance(item, Damage)
        assert item.length == size

    def test_an_honest_log_costs_little_of_what_the_search_may_cost(self, monkeypatch):
        """Histograms, counters and times must not look like frames, or the bound would hide good ones."""
        monkeypatch.setattr(flowlog, "_RESYNC_BYTES", 0)
        monkeypatch.setattr(flowlog, "_RESYNC_TIMES_SIZE", 2)
        dice = random.Random(1)

        def histogram():
            return tuple(dice.randrange(3) for _ in range(8))

        def record(number):
            time_ns = T0 + number * 1_000_000
            return flow(
                flow_id=T0 + number, start_ns=time_ns, flow_start_ns=time_ns, end_ns=time_ns + dice.randrange(1 << 40),
                packets_out=dice.randrange(1000), wire_bytes_out=dice.randrange(1 << 24), gaps_out=histogram(),
                gaps_in=histogram(), payload_sizes_out=histogram(), payload_sizes_in=histogram(),
                max_idle_ns=dice.randrange(1 << 32), exchange_gap_mean_s=dice.random(),
                splt=tuple((dice.randrange(-1400, 1400), dice.randrange(9)) for _ in range(9)),
            )  # fmt: skip

        frames = [bytearray(frame(number, list(map(record, range(200))))) for number in range(1, 12)]
        for raw in frames[:-1]:
            raw[4] ^= 1
        assert raws(scan(flow_log(header(), *map(bytes, frames)))) == [header(), bytes(frames[-1])]

    def test_what_is_given_up_is_reported_as_damage(self, monkeypatch):
        monkeypatch.setattr(flowlog, "_RESYNC_BYTES", 0)
        monkeypatch.setattr(flowlog, "_RESYNC_TIMES_SIZE", 0)
        assert scan(b"\xff" + frame(1), 0) == [Damage(0, 1 + len(frame(1)), "damaged")]


# The golden file was written once, with `--update-golden`. It must be readable for ever; it is written again
# only when the format changes on purpose (a field more in a record is such a change).
GOLDEN_RUN = 1_700_000_000_000_000_000
GOLDEN: list[Batch] = [
    header_batch("tap-1", GOLDEN_RUN, GOLDEN_RUN),
    Batch("flow", "tap-1", RUN, 1, T0, T0 + 2 * S, (
        flow(),
        flow(flow_id=UINT63_MAX, part=7, end_reason=None, protocol=17, vlan=4095, client_ip=bytes(range(16)),
             server_ip=bytes(16), client_port=65535, server_port=0, oriented_by=0, packets_out=1, wire_bytes_in=1 << 40,
             history="ShADadFf", conn_state="SF", payload_sizes_out=(0, 1, 2, 3, 4, 5, 6, 1 << 33),
             splt=((517, 0), (-1400, 12)), exchange_gap_mean_s=0.1, host="näme.example",
             facts={"alpn": "h2", "tls": 772}, anomalies=("bad_checksum",)),
    )),
    Batch("stats", "tap-1", RUN, 2, T0, T0, (stats(packets=9, rejected={"short": 1}),)),
    Batch("alarm", "tap-1", RUN, 3, T0, T0, (alarm(),)),
    Batch("http", "tap-1", RUN, 4, T0, T0 + 2 * S, (
        exchange(),
        exchange(number=1, client_ip=bytes(range(16)), server_ip=bytes(16), request_end_ns=None, response_start_ns=None,
                 method="CONNECT", host="näme.example", host_port=22, uri="näme.example:22", referer_host="a.example",
                 upgrade="websocket", status=None, content_type=None, anomalies=("no-response", "connect-odd-port")),
    )),
]  # fmt: skip


@pytest.fixture(scope="module")
def golden(data_dir, request):
    path = data_dir / "wire" / "v1" / "sample.flowlog"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(flow_log(*map(encode_frame, GOLDEN)))
    return path.read_bytes()


@pytest.mark.golden
def test_todays_code_writes_the_bytes_of_version_1(golden):
    assert flow_log(*map(encode_frame, GOLDEN)) == golden


@pytest.mark.golden
def test_todays_code_reads_the_records_of_version_1(golden):
    read = [decode_payload(item.payload) for item in scan(golden, check_file_header(golden)) if isinstance(item, Frame)]
    schema = read_schema(read[0])
    for batch, wanted in zip(read[1:], GOLDEN[1:], strict=True):
        record_type: Any = RECORD_TYPES[batch.kind]
        reader = RecordReader(record_type, schema[batch.kind])
        assert batch._replace(records=tuple(map(reader.read, batch.records))) == wanted


@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_a_long_log_with_flipped_bytes_gives_only_frames_that_were_written(seed):
    dice = random.Random(seed)
    frames = {frame(n) for n in range(1, 30)}
    data = bytearray(flow_log(header(), *sorted(frames)))
    for _ in range(dice.randrange(1, 12)):
        data[dice.randrange(len(FILE_HEADER), len(data))] ^= 1 << dice.randrange(8)
    assert set(raws(scan(bytes(data)))) <= frames | {header()}


@given(records=st.lists(flows(), min_size=1, max_size=20))
def test_a_block_makes_the_frame_that_its_rows_would(records: list[FlowRecord]) -> None:
    made = block(*records)
    same = encode_frame(Batch("flow", "tap-1", RUN, 7, made.first_ns, made.last_ns, records))
    assert encode_block("flow", "tap-1", RUN, 7, made) == same
    assert flowlog.rows_of(made) == tuple(records)
