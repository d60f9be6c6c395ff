from __future__ import annotations

from pathlib import Path

import pytest
from rec_records import RUN, flow, flow_log, frame, header

from common.flowlog import FILE_HEADER
from sensor.ship.segment import STRETCH_BYTES, Segment, index, read_at


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    """A thousand frames of several sizes, and its file."""
    content = flow_log(header(), *(frame(n, [flow()] * (n % 40 + 1)) for n in range(1, 1001)))
    made = Segment(tmp_path / "a", 0, b"", len(content))
    made.path.write_bytes(content)
    assert index(made, memoryview(content), {}) == 0
    return made


def test_every_frame_is_found_between_two_marks(segment):
    marks = set()
    for sequence in range(1, 1001):
        start, end = segment.stretch_of(sequence)
        marks.add(start)
        assert end - start < STRETCH_BYTES + len(frame(1, [flow()] * 40))
        assert segment.load(start, end)[sequence] == frame(sequence, [flow()] * (sequence % 40 + 1))
    assert 10 < len(marks) < segment.size // STRETCH_BYTES + 2


def test_a_frame_that_is_not_in_it_is_in_no_stretch(segment):
    for sequence in (0, 1001):
        assert sequence not in segment.load(*segment.stretch_of(sequence))


def test_damage_between_two_marks_costs_the_damaged_frame_only(segment):
    start, end = segment.stretch_of(500)
    before = segment.load(start, end)
    raw = bytearray(segment.path.read_bytes())
    at = raw.index(before[500])
    raw[at : at + 4] = b"\xff\xff\xff\xff"
    segment.path.write_bytes(raw)
    assert segment.load(start, end).keys() == before.keys() - {500}


def test_a_file_is_as_written_until_somebody_else_writes_it(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(FILE_HEADER)
    found = path.stat()
    made = Segment(path, RUN, header(), len(FILE_HEADER), identity=(found.st_dev, found.st_ino))
    assert made.is_as_written()
    path.write_bytes(FILE_HEADER + b"x")
    assert not made.is_as_written()
    path.rename(tmp_path / "b")
    assert not made.is_as_written()
    path.write_bytes(FILE_HEADER)
    assert not made.is_as_written()


def test_bytes_are_read_as_far_as_they_go_and_links_are_not_followed(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    assert read_at(tmp_path / "a", 3, 4) == b"3456"
    assert read_at(tmp_path / "a", 8, 99) == b"89"
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="symbolic links"):
        read_at(tmp_path / "b", 0, 1)
