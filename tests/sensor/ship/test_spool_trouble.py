"""What the spool does with a disk in trouble, while it runs."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from disks import disk
from rec_records import RUN, flow_log, frame, header
from spools import OLD, fill, segments, spool, tended, throw

from common.errors import UserError
from sensor.ship.losses import DISK_FULL, LOST, UNWRITABLE
from sensor.ship.segment import Segment
from sensor.ship.spool import Spool, SpoolFullError, SpoolTroubleError


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def small_disk():
    with disk() as made:
        yield made.path


class TestTroubleWhileRunning:
    """Once the spool is open, the disk may do what it will."""

    def held(self, directory: Path, **how: Any) -> Spool:
        held = spool(directory, **how)
        held.append(1, frame(1))
        tended(held, 1)
        return held

    def refused(self, held: Spool, sequence: int) -> SpoolTroubleError:
        with pytest.raises(SpoolTroubleError) as caught:
            held.append(sequence, frame(sequence))
        assert "\n" not in str(caught.value)
        return caught.value

    def test_a_full_disk_is_said_once_and_its_end_too(self, small_disk):
        held = self.held(small_disk / "spool", segment_bytes=1)
        fill(small_disk / "ballast")
        for sequence in range(2, 7):
            assert isinstance(self.refused(held, sequence), SpoolFullError)
        (line,) = held.news()
        assert line.endswith("make room or give another --spool; until then frames are dropped and counted")
        tended(held, 30)
        self.refused(held, 7)
        assert held.news() == []
        (small_disk / "ballast").unlink()
        held.append(8, frame(8))
        assert held.news() == [f"the spool {held.directory} can be written again; 6 frames were dropped meanwhile"]
        assert held.losses.by_reason == {DISK_FULL: 6}
        assert held.read(RUN, 8) == frame(8)
        held.close()

    def test_a_disk_that_fills_up_again_and_again_is_not_said_more_often_than_every_ten_seconds(self, small_disk):
        held = self.held(small_disk / "spool", segment_bytes=1)
        lines = []
        for second in range(2, 62):
            fill(small_disk / "ballast")
            self.refused(held, second * 2)
            tended(held, second)
            lines += held.news()
            (small_disk / "ballast").unlink()
            held.append(second * 2 + 1, frame(second * 2 + 1))
            lines += held.news()
        assert 2 <= len(lines) <= 7
        held.close()

    def test_a_disk_that_becomes_read_only_costs_frames_and_no_more(self):
        with disk() as made:
            held = self.held(made.path / "spool", segment_bytes=1)
            made.read_only()
            assert "Read-only file system; put it right" in str(self.refused(held, 2))
            self.refused(held, 3)
            tended(held, 2)
            assert held.read(RUN, 1) == frame(1)
            held.acknowledge(RUN, 1)
            lines = held.news()
            assert ["cannot write to" in line for line in lines] == [True, False]
            assert lines[1].startswith(f"cannot delete {held.directory}/")
            made.writable()
            tended(held, 20)
            held.append(4, frame(4))
            assert held.news() == [
                f"the spool {held.directory} can be written again; 2 frames were dropped meanwhile",
                f"the spool {held.directory} can be cleared again",
            ]
            assert held.losses.by_reason == {UNWRITABLE: 2}
            assert len(segments(held.directory)) == 1
            held.close()

    def test_a_directory_moved_away_and_back_costs_what_came_meanwhile(self, directory):
        held = self.held(directory)
        away = directory.with_name("away")
        directory.rename(away)
        assert "No such file or directory" in str(self.refused(held, 2))
        with pytest.raises(
            SpoolTroubleError, match=r"^cannot read the spool .*No such file or directory; put it right$"
        ):
            held.read(RUN, 1)
        self.refused(held, 3)
        assert len(held.news()) == 2
        away.rename(directory)
        tended(held, 20)
        held.append(4, frame(4))
        assert [held.read(RUN, n) for n in (1, 4)] == [frame(1), frame(4)]
        assert held.news() == [
            f"the spool {directory} can be written again; 2 frames were dropped meanwhile",
            f"the spool {directory} can be read again",
        ]
        assert held.losses.by_reason == {UNWRITABLE: 2}
        held.acknowledge(RUN, 4)
        held.close()
        assert segments(directory) == []

    def test_another_directory_in_its_place_is_locked_and_used(self, directory):
        held = self.held(directory)
        directory.rename(directory.with_name("away"))
        directory.mkdir()
        held.append(2, frame(2))
        assert (held.read(RUN, 1), held.read(RUN, 2)) == (None, frame(2))
        assert held.losses.by_reason == {LOST: 1}
        with pytest.raises(UserError, match="in use by another sensor"):
            spool(directory)
        held.close()

    def test_another_sensors_directory_in_its_place_is_left_alone(self, directory):
        held = self.held(directory)
        directory.rename(directory.with_name("away"))
        other = spool(directory)
        assert "in use by another sensor" in str(self.refused(held, 2))
        assert segments(directory) == []
        other.close()
        held.close()

    @pytest.mark.parametrize("how", ["deleted", "truncated", "replaced", "emptied and longer"])
    def test_a_file_that_somebody_changed_costs_its_own_frames(self, directory, how):
        held = spool(directory)
        for sequence in (1, 2, 3):
            held.append(sequence, frame(sequence))
        (path,) = directory.glob("*.flowlog")
        content = path.read_bytes()
        if how == "deleted":
            path.unlink()
        elif how == "truncated":
            os.truncate(path, len(content) - len(frame(3)) - 1)
        elif how == "replaced":
            path.unlink()
            path.write_bytes(flow_log(header(run=OLD), *(frame(n, run=OLD) for n in (1, 2, 3))))
        else:
            path.write_bytes(bytes(len(content)))
        # What follows goes to a file of its own, where nothing is at a wrong place.
        held.append(4, frame(4))
        alive = [1] if how == "truncated" else []
        assert [n for n in (1, 2, 3, 4) if held.read(RUN, n) == frame(n)] == [*alive, 4]
        assert held.losses.by_reason == {LOST: 3 - len(alive)}
        held.acknowledge(RUN, 4)
        held.close()
        assert held.size_bytes == 0

    def test_a_file_that_cannot_be_read_for_a_minute_is_given_up(self, directory, monkeypatch):
        held = self.held(directory)
        failing = OSError(errno.EIO, "Input/output error")
        monkeypatch.setattr(Segment, "load", lambda *_: throw(failing))
        for second in (2, 30, 61):
            tended(held, second)
            with pytest.raises(SpoolTroubleError, match="Input/output error"):
                held.read(RUN, 1)
        tended(held, 63)
        assert held.read(RUN, 1) is None
        assert held.losses.by_reason == {LOST: 1}
        held.close()

    def test_what_failed_is_tried_again_no_more_often_than_every_second(self, directory, monkeypatch):
        held = self.held(directory)
        tries = []

        def failing(*_: Any) -> int:
            tries.append(1)
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", failing)
            for sequence in range(2, 100):
                self.refused(held, sequence)
        assert len(tries) == 1
        tended(held, 2.1)
        held.append(100, frame(100))
        assert held.losses.by_reason == {UNWRITABLE: 98}
        held.close()
