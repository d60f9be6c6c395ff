from __future__ import annotations

import pytest
from rec_records import RUN, flow_log, frame, header

from common.errors import UserError
from common.flowlog import FILE_HEADER
from sensor.ship import recovery
from sensor.ship.recovery import Recovery, aside_paths, segment_path, segment_paths


def test_paths_come_in_the_order_of_their_numbers_and_others_not_at_all(tmp_path):
    paths = [segment_path(tmp_path, run, number) for run in (5, RUN) for number in (2, 999_999, 1_000_000)]
    for path in (*paths, tmp_path / "today.flowlog", tmp_path / "lock"):
        path.touch()
    assert segment_paths(tmp_path) == paths
    assert aside_paths(tmp_path) == []


def test_segments_of_one_run_share_their_header(tmp_path):
    for number in (1, 2):
        segment_path(tmp_path, RUN, number).write_bytes(flow_log(header(), frame(number)))
    one, two = Recovery(tmp_path, RUN).segments()
    assert one.header == header()
    assert one.header is two.header


@pytest.mark.parametrize(
    "content", [b"", FILE_HEADER[:5], FILE_HEADER, flow_log(header()), bytes(4096), FILE_HEADER[:9] + bytes(99)]
)
def test_a_file_that_a_stop_of_any_kind_left_without_a_frame_goes(tmp_path, content):
    path = segment_path(tmp_path, RUN, 1)
    path.write_bytes(content)
    found = Recovery(tmp_path, RUN)
    assert list(found.segments()) == []
    assert (found.damaged, found.lines, list(tmp_path.iterdir())) == (0, [], [])


def test_a_file_longer_than_any_segment_is_read_so_far_only(tmp_path, monkeypatch):
    content = flow_log(header(), *(frame(n) for n in range(1, 10)))
    monkeypatch.setattr(recovery, "_MOST_BYTES", len(content) - 1)
    segment_path(tmp_path, RUN, 1).write_bytes(content)
    found = Recovery(tmp_path, RUN)
    (segment,) = found.segments()
    assert list(segment.waiting) == list(range(1, 9))
    assert found.damaged == 1
    assert "damaged in 1 places; the 8 frames that are whole will be sent" in found.lines[0]


def test_a_directory_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^cannot use the spool .*: No such file or directory; give a directory"):
        segment_paths(tmp_path / "none")
