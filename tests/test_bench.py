"""The benchmark runs, whatever it measures: its tables are made, and its options mean something."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from common.flowlog import Batch, check_file_header, decode_payload, scan_frames
from common.records import FlowRecord, check_flow


@pytest.fixture
def bench(repo_root: Path, tmp_path: Path) -> Path:
    """A copy that makes its captures in a place of its own, beside the packages it reads."""
    shutil.copytree(repo_root / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("tmp", "__pycache__"))
    for package in ("sensor", "common"):
        (tmp_path / package).symlink_to(repo_root / package)
    return tmp_path / "bench"


def run(bench: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    programs = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    command = [sys.executable, str(bench / "run"), "--packets", "3000", "--rounds", "1", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=50, check=False, env={"PATH": programs, "LC_ALL": "C.UTF-8"}
    )


@pytest.mark.slow
def test_the_steady_state_of_every_shape_is_a_row_beside_the_bare_walk(bench: Path) -> None:
    done = run(bench, "--only", "steady")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (\w+) \| 3,000 \| ([\d,]+) \| [\d.]+ \| ([\d.]+|-) \|", done.stdout, re.MULTILINE)
    assert [row[:2] for row in rows][-3:] == [("large", "64"), ("minimum", "64"), ("syn", "3,000")]
    assert {row[0] for row in rows} == {"mixed", "spoken", "small", "large", "minimum", "syn"}
    assert all((limit == "-") == (shutil.which("cc") is None) for _, _, limit in rows)


def test_memory_is_measured_per_open_flow_and_over_a_flood(bench: Path) -> None:
    done = run(bench, "--only", "memory", "--flood", "625000")
    assert done.returncode == 0, done.stderr
    (row,) = re.findall(r"^\| 3,000 \| .* \| 800 \| (\S+) \|$", done.stdout, re.MULTILINE)
    assert row == "met"
    (default, small) = re.findall(r"^\| (1,000,000 \(default\)|50,000) \|.*\| (.+) \|$", done.stdout, re.MULTILINE)
    assert default[1] == "bound not reached"
    assert small == ("50,000", "met")


def test_the_flow_log_is_written_read_and_imported_and_only_its_figures_change(bench: Path) -> None:
    def figures() -> dict[str, str]:
        text = (bench / "README.md").read_text(encoding="utf-8")
        return dict(re.findall(r"<!-- (\w+): begin -->\n(.*?)<!-- \1: end -->", text, re.DOTALL))

    before = figures()
    done = run(bench, "--only", "flowlog", "--write")
    after = figures()
    assert {name for name in before if before[name] != after[name]} == {"flowlog"}
    names = {"peers", "steady", "identify", "content", "live", "memory", "flowlog", "ingest", "detection", "large"}
    assert set(after) == names
    assert after["flowlog"] in done.stdout.replace("\n\n\n", "\n\n")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\| .* \| [\d,]+ \| ", done.stdout, re.MULTILINE)) == 6


@pytest.mark.slow
def test_detection_over_a_day_is_measured_as_a_whole_and_minute_by_minute(bench: Path) -> None:
    done = run(bench, "--only", "detection", "--clients", "2")
    assert done.returncode == 0, done.stderr
    (records,) = re.findall(r"of 2 clients: [\d,]+ flows, ([\d,]+) records", done.stdout)
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| [\d.]+ \| [\d,]+ \| (\d*) \|", done.stdout, re.MULTILINE)
    assert [row[0] for row in rows] == [
        "`tunnelwatch detect --all`, whole process", "one minute more, median of 30", "one minute more, the slowest",
    ]  # fmt: skip
    assert rows[0][1] == records
    assert int(rows[0][2]) > 10


@pytest.mark.parametrize(
    "arguments",
    [("--without", "nothing"), ("--only", "nothing"), ("--flood", "0"), ("--flows", "0"), ("--clients", "0")],
)
def test_what_makes_no_sense_is_refused_before_anything_is_measured(bench: Path, arguments: tuple[str, ...]) -> None:
    done = run(bench, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert not (bench / "tmp").exists()


def write_month(bench: Path, target: Path, *arguments: str) -> list[Path]:
    subprocess.run([sys.executable, str(bench / "large_flows.py"), str(target), *arguments], check=True, timeout=50)
    return sorted(target.iterdir())


def batches(log: Path) -> list[Batch]:
    data = memoryview(log.read_bytes())
    return [decode_payload(frame.payload) for frame in scan_frames(data, check_file_header(data))]  # type: ignore[union-attr]


def test_a_months_flow_logs_are_those_of_a_sensor_and_the_same_every_time(bench: Path, tmp_path: Path) -> None:
    logs = write_month(bench, tmp_path / "one", "--flows", "10000")
    assert [log.name for log in logs] == [f"day-{day:02}.flowlog" for day in range(1, 31)]
    again = write_month(bench, tmp_path / "two", "--flows", "10000")
    assert [log.read_bytes() for log in logs] == [log.read_bytes() for log in again]
    flows: dict[int, list[FlowRecord]] = {}
    for log in logs:
        header, *frames = batches(log)
        assert header.kind == "header"
        assert [frame.sequence for frame in frames] == list(range(1, len(frames) + 1))
        records = [FlowRecord._make(row[:]) for frame in frames for row in frame.records]
        assert [record.end_ns for record in records] == sorted(record.end_ns for record in records)
        for frame in frames:
            assert frame.first_ns == min(row[FlowRecord._fields.index("start_ns")] for row in frame.records)
        for record in records:
            check_flow(record)
            assert record.closed_ns in (None, record.end_ns)
            flows.setdefault(record.flow_id, []).append(record)
    assert len(flows) == 10_000
    long_ones = [parts for parts in flows.values() if len(parts) > 1]
    assert long_ones
    for parts in flows.values():
        assert [part.part for part in parts] == list(range(len(parts)))
        assert [part.end_reason is None for part in parts] == [True] * (len(parts) - 1) + [False]
        assert all(one.end_ns == other.start_ns for one, other in pairwise(parts))
    assert {record.protocol for parts in flows.values() for record in parts} == {6, 17}
    hosts = [parts[0].host for parts in flows.values() if parts[0].server_port in (80, 443) and parts[0].protocol == 6]
    assert 0.3 < sum(host is not None for host in hosts) / len(hosts) < 0.7
