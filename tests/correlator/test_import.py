"""Importing: every format, what is wrong with a file, and what comes out again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from corr_castro import ndjson, rows
from corr_cli import Cli
from corr_flows import T0, batch, flow, flow_log, parts
from corr_strategies import traffic
from hypothesis import HealthCheck, given, settings

from common.flowlog import FILE_HEADER, encode_frame
from common.records import FlowRecord
from correlator.ingest import importer
from correlator.ingest.inputs import opened
from correlator.ingest.pipeline import Pipeline

VIEWS = (
    ("clients", "--depth", "3"),
    ("servers", "--depth", "3"),
    ("periods", "--depth", "3"),
    ("top", "channels", "--by", "channel-uptime"),
    ("top", "hosts"),
)


def views(cli: Cli) -> list[Any]:
    return [cli.json(*view, "--protocol", "all") for view in VIEWS]


def write(path: Path, content: str | bytes) -> Path:
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content)
    return path


def test_a_flow_log_is_imported_once(cli: Cli, tmp_path: Path) -> None:
    path = write(tmp_path / "a.flowlog", flow_log([batch([flow(1), flow(2)], 1), batch([flow(3)], 2)]))
    assert "3 records stored, 0 duplicates, 0 bad" in cli.imported(path)
    assert "0 records stored, 3 duplicates, 0 bad" in cli.imported(path)
    assert cli.json("summary")["connections"] == 3


def test_an_empty_flow_log_is_fine(cli: Cli, tmp_path: Path) -> None:
    assert "0 records stored" in cli.imported(write(tmp_path / "a.flowlog", flow_log([])))


def test_a_torn_tail_is_counted_and_no_error(cli: Cli, tmp_path: Path) -> None:
    whole = flow_log([batch([flow(1)], 1), batch([flow(2)], 2)])
    said = cli.imported(write(tmp_path / "a.flowlog", whole[:-5]))
    assert "1 records stored, 0 duplicates, 0 bad, 1 cut off at the end" in said


def test_damage_in_the_middle_is_reported_with_its_offset_and_the_rest_is_read(cli: Cli, tmp_path: Path) -> None:
    frames = [encode_frame(batch([flow(number)], number)) for number in (1, 2, 3)]
    head = flow_log([])
    damaged = frames[1][:20] + b"\x00\x00\x00" + frames[1][23:]
    result = cli("import", write(tmp_path / "a.flowlog", head + frames[0] + damaged + frames[2]))
    assert result.code == 1
    assert f"{len(damaged)} damaged bytes at offset {len(head + frames[0])}; the rest is read" in result.err
    assert "2 records stored, 0 duplicates, 1 bad" in result.err


def test_frames_without_a_header_are_refused(cli: Cli, tmp_path: Path) -> None:
    result = cli("import", write(tmp_path / "a.flowlog", FILE_HEADER + encode_frame(batch([flow(1)], 1))))
    assert result.code == 1
    assert "no header of its run came before it" in result.err


def test_bad_records_in_a_frame_are_counted_and_the_good_ones_kept(cli: Cli, tmp_path: Path) -> None:
    hostile: list[Any] = [
        flow(1),
        flow(2)._replace(packets_out=-1),
        flow(3)._replace(host="\x1b[2J"),
        flow(4)._replace(payload_bytes_in=1 << 47),
        flow(5)._replace(end_ns=1),
        ("too", "short"),
    ]
    result = cli("import", write(tmp_path / "a.flowlog", flow_log([batch(hostile, 1)])))
    assert result.code == 1
    assert "1 records stored, 0 duplicates, 5 bad" in result.err
    assert cli.json("sensors")[0]["records_refused"] == 5


def test_forged_records_of_the_largest_size_break_nothing(cli: Cli, tmp_path: Path) -> None:
    lasting = 48 * 3600 * 10**9
    forged = [flow(n, payload_bytes_in=1 << 46, end_ns=10**18 + lasting, start_ns=10**18) for n in range(4096)]
    path = write(tmp_path / "a.flowlog", flow_log([batch(forged, number) for number in (1, 2)]))
    cli.imported(path)
    cli.imported(write(tmp_path / "b.flowlog", flow_log([batch([flow(9000)], 1, run=8)], run=8)))
    assert cli.json("summary")["connections"] == 4097
    assert cli("servers", "--depth", "2").code == 0
    assert cli("periods").code == 0


def test_one_record_may_last_a_year_but_not_thousands(cli: Cli, tmp_path: Path) -> None:
    """Each is a row in every period that it touches."""
    year = (1 << 55) - 1
    forged = [flow(n, end_ns=10**18 + year, start_ns=10**18, client_port=n) for n in range(1, 4097)]
    result = cli("import", write(tmp_path / "a.flowlog", flow_log([batch(forged, 1)])))
    assert "4095 record_spread" in result.err
    assert cli.json("clients")[0]["channel_uptime_s"] == year / 1e9
    (row,) = map(json.loads, cli("flows", "--ndjson").out.splitlines())
    text = tmp_path / "a.ndjson"
    text.write_text("".join(f"{json.dumps({**row, 'flow_id': n})}\n" for n in (1, 2, 3)))
    result = cli("import", text)
    assert "lasts for very long, as too many others do" in result.err


def test_gzip_and_standard_input_are_read(cli: Cli, tmp_path: Path) -> None:
    log = flow_log([batch([flow(1)], 1)])
    assert "1 records stored" in cli.imported(write(tmp_path / "a.flowlog.gz", gzip.compress(log)))
    assert "21 records stored" in cli.imported(write(tmp_path / "c.gz", gzip.compress(ndjson().encode())))


def test_damaged_gzip_keeps_what_came_before(cli: Cli, tmp_path: Path) -> None:
    packed = gzip.compress(ndjson().encode() * 300)
    result = cli("import", write(tmp_path / "c.gz", packed[: len(packed) // 2]))
    assert result.code == 1
    assert "gzip data is damaged or cut off" in result.err


def test_a_bad_line_is_named_and_the_others_are_kept(cli: Cli, tmp_path: Path) -> None:
    lines = ndjson().splitlines()
    lines[4] = '{"client_ip": "10.1.1.9"'
    lines[9] = json.dumps({**json.loads(lines[9]), "start_ns": -5})
    path = write(tmp_path / "c.ndjson", "\n".join(lines))
    result = cli("import", path)
    assert result.code == 1
    assert f"{path}:5: not JSON" in result.err
    assert f"{path}:10: " in result.err
    assert "19 records stored, 0 duplicates, 2 bad" in result.err


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{",
        "nonsense",
        '{"client_ip":"x","server_ip":"10.0.0.1","start_ns":1,"end_ns":2}',
        '{"client_ip":"10.0.0.1","server_ip":"::1","start_ns":1,"end_ns":2}',
        '{"client_ip":"10.0.0.1","server_ip":"10.0.0.2","start_ns":NaN,"end_ns":2}',
        '{"client_ip":"10.0.0.1","server_ip":"10.0.0.2","start_ns":1.5,"end_ns":2}',
        '{"client_ip":"10.0.0.1","server_ip":"10.0.0.2","start_ns":2,"end_ns":1}',
        '{"client_ip":"10.0.0.1","server_ip":"10.0.0.2","start_ns":1,"end_ns":99999999999999999999}',
        '{"client_ip":"10.0.0.1","server_ip":"10.0.0.2","start_ns":1,"end_ns":2,"packets_out":4611686018427387904}',
        '{"client_ip":"10.0.0.1","server_ip":"10.0.0.2","start_ns":1,"end_ns":2,"host":"a\\u001b[31mb"}',
        '{"client_ip":"10.0.0.1","server_ip":"10.0.0.2","start_ns":1,"end_ns":2,"sensor":"\\u0007"}',
        '{"client_ip":"10.0.0.1","server_ip":"10.0.0.2","start_ns":1,"end_ns":2,"first_entropy":"nan"}',
        '{"client_ip":"10.0.0.1","server_ip":"10.0.0.2","start_ns":1,"end_ns":2,"protocol":"banana"}',
        '{"a":' * 100_000,
        "9" * 5000,
        "x" * (1 << 20),
        "\x1b]0;title\x07",
    ],
)
def test_a_hostile_line_is_one_bad_line(cli: Cli, tmp_path: Path, line: str) -> None:
    first, *rest = ndjson().splitlines()
    result = cli("import", write(tmp_path / "c.ndjson", "\n".join([first, line, *rest])))
    assert result.code == 1
    assert "21 records stored, 0 duplicates, 1 bad" in result.err
    assert "\x1b" not in result.err
    assert "\x07" not in result.err
    assert all(len(said) < 600 for said in result.err.splitlines())


def test_many_bad_lines_are_said_ten_times_and_counted(cli: Cli, tmp_path: Path) -> None:
    result = cli("import", write(tmp_path / "c.ndjson", ndjson() + "bad\n" * 50))
    assert "21 records stored, 0 duplicates, 50 bad" in result.err
    assert "40 more like these" in result.err
    assert len(result.err.splitlines()) == 12


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "packet capture"),
        (b"Lorem ipsum dolor sit amet, consectetur", "not in a known format"),
        (bytes(range(256)) * 10, "not in a known format"),
        (b"[\n {}\n]", "not in a known format"),
        (b"\x89TWFLOW\n\x00\x09\x00\x00", "flow log version 9"),
        (b"\x89TWFLOW\n", "cut off inside its file header"),
    ],
)
def test_what_is_no_import_format_is_one_line(cli: Cli, tmp_path: Path, content: bytes, fact: str) -> None:
    result = cli("import", write(tmp_path / "x", content))
    assert result.code == 1
    assert fact in result.err
    assert len(result.err.splitlines()) == 2


def test_a_file_that_is_missing_does_not_stop_the_others(cli: Cli, tmp_path: Path) -> None:
    result = cli("import", tmp_path / "missing", write(tmp_path / "c.ndjson", ndjson()))
    assert result.code == 1
    assert "cannot read" in result.err
    assert "21 records stored" in result.err


def test_a_row_with_only_the_required_columns_is_a_whole_ended_flow(cli: Cli, tmp_path: Path) -> None:
    row = {"client_ip": "10.0.0.1", "server_ip": "10.0.0.2", "start_ns": 10**18, "end_ns": 10**18 + 5}
    cli.imported(write(tmp_path / "one.ndjson", json.dumps(row)))
    (found,) = cli.json("flows")
    assert (found["part"], found["end_reason"], found["sensor"]) == (0, "end_of_flow", "import")


def test_equal_lines_are_flows_of_their_own_and_a_second_import_adds_none(cli: Cli, tmp_path: Path) -> None:
    line = json.dumps(next(rows()))
    path = write(tmp_path / "two.ndjson", f"{line}\n{line}\n")
    assert "2 records stored" in cli.imported(path)
    assert "0 records stored, 2 duplicates" in cli.imported(path)


def test_csv_with_the_required_columns_is_read(cli: Cli, tmp_path: Path) -> None:
    text = 'start_ns,end_ns,server_ip,client_ip,note\n1000,2000,10.0.0.2,10.0.0.1,"a, b"\n1,2,3\n"x\n'
    result = cli("import", write(tmp_path / "a.csv", text))
    assert "1 records stored, 0 duplicates, 2 bad" in result.err


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_export_and_import_give_the_same_views(castro: Cli, tmp_path: Path, form: str) -> None:
    path = write(tmp_path / "export", castro("flows", f"--{form}").out)
    again = Cli(tmp_path / "again.db")
    again.imported(path)
    assert views(again) == views(castro)
    assert "0 records stored, 21 duplicates" in castro.imported(path)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(traffic(max_flows=5))
def test_an_export_of_parts_loses_nothing(tmp_path_factory: pytest.TempPathFactory, records: list[FlowRecord]) -> None:
    folder = tmp_path_factory.mktemp("round")
    first = Cli(folder / "first.db")
    first.imported(write(folder / "a.flowlog", flow_log([batch(records, 1)])))
    for form in ("ndjson", "csv"):
        path = write(folder / form, first("flows", "--parts", "--protocol", "all", f"--{form}").out)
        again = Cli(folder / f"{form}.db")
        again.imported(path)
        assert views(again) == views(first)
        assert again("flows", "--parts", "--protocol", "all", f"--{form}").out == path.read_text()


def test_an_export_of_merged_flows_keeps_the_client_and_server_views(cli: Cli, tmp_path: Path) -> None:
    long = parts(1, [1800, 1800, 1800])
    cli.imported(write(tmp_path / "a.flowlog", flow_log([batch(long, 1)])))
    (row,) = cli.json("flows")
    assert (row["part"], row["packets_out"], row["end_reason"]) == (0, 15, "end_of_flow")
    again = Cli(tmp_path / "again.db")
    again.imported(write(tmp_path / "export", cli("flows", "--ndjson").out))
    for view in ("clients", "servers"):
        assert again.json(view, "--depth", "3") == cli.json(view, "--depth", "3")


def test_the_sensor_of_a_row_wins_over_the_option(cli: Cli, tmp_path: Path) -> None:
    named = json.dumps({**next(rows()), "sensor": "tap9"})
    cli.imported("--sensor", "old", write(tmp_path / "a", f"{named}\n{json.dumps(next(rows()))}\n"))
    assert [row["sensor"] for row in cli.json("sensors")] == ["old", "tap9"]


def test_frames_are_committed_before_they_are_too_much_at_once(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [batch([flow(number)], number) for number in range(1, 8)]
    path = write(tmp_path / "a.flowlog", flow_log(frames))
    steps: list[int | None] = []
    monkeypatch.setattr(importer, "_BYTES_PER_COMMIT", 2 * len(encode_frame(frames[0])) - 20)
    reader = importer.Importer(pipeline, "x", T0, lambda _line: None)
    with opened(str(path)) as source:
        reader.run(source, steps.append)
    assert (reader.tally.stored, len(steps)) == (7, 4)
