from __future__ import annotations

import json
import os
from contextlib import nullcontext

import pytest
from rec_records import RUN, T0, S, alarm, block, flow, header, stats
from rec_router import Router, until

from common.errors import UserError
from common.flowlog import Batch, Frame, check_file_header, decode_frame, decode_payload, scan_frames
from sensor.batching import Batcher
from sensor.config import ShipConfig
from sensor.output.fanout import Outputs, TextFile
from sensor.output.flowlog import FlowLogFile, open_output
from sensor.output.text import ndjson_format, zeek_format
from sensor.ship.link import Shipper
from sensor.ship.spool import Spool


@pytest.fixture
def batcher():
    return Batcher("tap-1", RUN, S)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out"


def clock() -> int:
    return T0


def text_file(path, text_format) -> TextFile:
    return TextFile(str(path), open_output(str(path)), text_format)


def batches_of(path) -> list[Batch]:
    data = memoryview(path.read_bytes())
    frames = [item for item in scan_frames(data, check_file_header(data)) if isinstance(item, Frame)]
    return [decode_payload(item.payload) for item in frames]


def test_the_flow_log_gets_flows_alarms_and_statistics_in_the_order_they_came(batcher, path):
    outputs = Outputs(batcher, FlowLogFile(str(path), header()), None, None)
    outputs.alarms([alarm()])
    outputs.flows([block(flow(flow_id=1), flow(flow_id=2))])
    outputs.alarms([])
    outputs.flows([])
    outputs.statistics(stats())
    outputs.turn(S)
    outputs.flows([block(flow(flow_id=3)), block(flow(flow_id=4))])
    outputs.finish()
    outputs.close()
    assert [(batch.kind, batch.sequence, len(batch.records)) for batch in batches_of(path)] == [
        ("header", 0, 4), ("alarm", 1, 1), ("flow", 2, 2), ("stats", 3, 1), ("flow", 4, 1), ("flow", 5, 1),
    ]  # fmt: skip


def test_text_gets_flows_as_they_come_and_nothing_else(batcher, path):
    outputs = Outputs(batcher, None, text_file(path, ndjson_format("tap-1")), None)
    outputs.flows([block(flow(flow_id=1))])
    assert [json.loads(line)["flow_id"] for line in path.read_text().splitlines()] == ["1"]
    outputs.alarms([alarm()])
    outputs.statistics(stats())
    outputs.turn(99 * S)
    outputs.finish()
    outputs.close()
    assert len(path.read_text().splitlines()) == 1
    # Nobody takes frames, so none are numbered.
    assert batcher.statistics(stats()).sequence == 1


def test_a_text_format_is_opened_and_closed(batcher, path):
    outputs = Outputs(batcher, None, text_file(path, zeek_format(clock)), None)
    outputs.finish()
    outputs.close()
    assert path.read_text() == zeek_format(clock).opening + zeek_format(clock).closing()


def test_a_text_that_was_not_finished_does_not_look_so(batcher, path):
    outputs = Outputs(batcher, None, text_file(path, zeek_format(clock)), None)
    outputs.flows([block(flow())])
    outputs.close()
    assert "#close" not in path.read_text()


def test_a_text_that_cannot_be_opened_is_one_line_and_closed():
    file = open_output("/dev/full")
    with pytest.raises(UserError, match="cannot write /dev/full: No space left"):
        TextFile("/dev/full", file, zeek_format(clock))
    assert file.closed


def test_a_run_without_places_counts_only(batcher):
    outputs = Outputs(batcher, None, None, None)
    outputs.flows([block(*[flow()] * 5)])
    outputs.statistics(stats())
    outputs.turn(S)
    outputs.finish()
    outputs.close()


def test_the_correlator_and_the_flow_log_get_the_same_frames(batcher, path, tmp_path):
    endpoint = f"ipc://{tmp_path}/link"
    spool = Spool(tmp_path / "spool", RUN, header(), 1 << 20, 1 << 16)
    outputs = Outputs(
        batcher, FlowLogFile(str(path), header()), None, Shipper(ShipConfig(endpoint=endpoint, plaintext=True), spool)
    )
    router = Router(endpoint)
    outputs.flows([block(*[flow(flow_id=number) for number in range(5)])])
    outputs.finish()
    outputs.statistics(stats(time_ns=T0))
    now_ns = S

    def step() -> None:
        nonlocal now_ns
        now_ns += S // 20
        outputs.turn(now_ns)
        router.turn()

    assert outputs.shipper is not None
    until(lambda: outputs.shipper and not outputs.shipper.waiting, step)
    outputs.close()
    router.close()
    assert [decode_frame(raw) for raw in router.frames] == batches_of(path)[1:]
    assert list((tmp_path / "spool").glob("*.flowlog")) == []


def test_a_place_that_cannot_be_closed_does_not_keep_the_others_open(batcher, path, tmp_path):
    spool = Spool(tmp_path / "spool", RUN, header(), 1 << 20, 1 << 16)
    shipper = Shipper(ShipConfig(endpoint=f"ipc://{tmp_path}/link", plaintext=True), spool)
    log = FlowLogFile(str(path), header())
    log._file.close()
    log._file, log._path = open_output("/dev/full"), "/dev/full"
    outputs = Outputs(batcher, log, None, shipper)
    outputs.statistics(stats())
    assert [str(error)[:38] for error in outputs.failures] == ["cannot write /dev/full: No space left "]
    outputs.close()
    Spool(tmp_path / "spool", RUN + 1, header(), 1 << 20, 1 << 16).close()


def on_a_full_disk() -> TextFile:
    return text_file("/dev/full", ndjson_format("tap-1"))


def test_a_text_that_fails_is_closed_and_the_flow_log_goes_on(batcher, path):
    text = on_a_full_disk()
    outputs = Outputs(batcher, FlowLogFile(str(path), header()), text, None)
    for number in range(4):
        outputs.flows([block(flow(flow_id=number))])
    assert text._file.closed
    assert ["No space left" in str(error) for error in outputs.failures] == [True]
    outputs.finish()
    outputs.close()
    assert [len(batch.records) for batch in batches_of(path)[1:]] == [1, 1, 1, 1]


def test_a_flow_log_that_fails_leaves_the_text_whole(batcher, path):
    log = FlowLogFile(str(path.with_name("log")), header())
    log._file.close()
    log._file, log._path = open_output("/dev/full"), "/dev/full"
    outputs = Outputs(batcher, log, text_file(path, ndjson_format("tap-1")), None)
    for number in range(6):
        outputs.flows([block(flow(flow_id=number))])
    outputs.finish()
    outputs.close()
    assert len(outputs.failures) == 1
    assert len(path.read_text().splitlines()) == 6


def test_the_failure_of_the_last_place_ends_the_run(batcher):
    outputs = Outputs(batcher, None, on_a_full_disk(), None)
    with pytest.raises(UserError, match="cannot write /dev/full: No space left"):
        outputs.flows([block(flow())])
    outputs.flows([block(flow())])
    outputs.finish()
    outputs.close()


@pytest.mark.parametrize("alone", [True, False])
def test_a_reader_that_went_away_ends_only_its_own_place(batcher, path, tmp_path, alone):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    text = text_file(pipe, ndjson_format("tap-1"))
    os.close(reading)
    outputs = Outputs(batcher, None if alone else FlowLogFile(str(path), header()), text, None)
    with pytest.raises(BrokenPipeError) if alone else nullcontext():
        outputs.flows([block(flow(), flow())])
    assert outputs.failures == []
    outputs.close()
    assert alone or len(batches_of(path)) == 2
