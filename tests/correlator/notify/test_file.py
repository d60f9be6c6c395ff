"""Notices appended to real files."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from disks import disk
from notices import notice

from correlator.notify.file import FileOutput
from correlator.notify.formats.notice import notice_line
from correlator.notify.output import OutputError


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_lines_are_appended_and_only_the_owner_writes(tmp_path: Path) -> None:
    path = tmp_path / "alarms.ndjson"
    output = FileOutput("file", path, notice_line)
    told = [notice(number) for number in range(3)]
    for one in told:
        output.deliver(one)
    assert ids(path) == [one.alarm["id"] for one in told]
    assert not stat.S_IMODE(path.stat().st_mode) & 0o027


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "alarms.ndjson"
    output = FileOutput("file", path, notice_line)
    output.deliver(notice(1))
    path.rename(tmp_path / "alarms.1")
    output.deliver(notice(2))
    assert ids(path) == [notice(2).alarm["id"]]
    assert ids(tmp_path / "alarms.1") == [notice(1).alarm["id"]]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "file"):
        with pytest.raises(OutputError, match=f"cannot write {path}"):
            FileOutput("file", path, notice_line).deliver(notice())


def test_a_pipe_that_nobody_reads_is_an_error_and_no_wait(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OutputError, match="cannot write"):
        FileOutput("file", path, notice_line).deliver(notice())


def test_on_a_full_disk_no_half_line_is_left_and_it_goes_on_when_there_is_room() -> None:
    with disk() as small:
        path = small.path / "alarms.ndjson"
        output = FileOutput("file", path, notice_line)
        output.deliver(notice(1))
        filler = small.path / "filler"
        size = len(notice_line(notice(2, message="x" * 3000)))
        with filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    break
        with pytest.raises(OutputError, match="cannot write"):  # noqa: PT012 - the line that the last page has no room for
            for _ in range(4096 // size + 1):
                output.deliver(notice(2, message="x" * 3000))
        whole = len(ids(path))
        filler.unlink()
        output.deliver(notice(3))
        assert ids(path)[whole:] == [notice(3).alarm["id"]]
