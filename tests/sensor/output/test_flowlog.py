from __future__ import annotations

import os

import pytest
from rec_records import flow_log, frame, header

from common.errors import UserError
from sensor.output.flowlog import FlowLogFile, close_file, open_output, write_all

FULL = r"^cannot write /dev/full: No space left on device; make room or give another path$"


def test_the_file_is_whole_after_every_frame(tmp_path):
    path = tmp_path / "a.flowlog"
    log = FlowLogFile(str(path), header())
    assert path.read_bytes() == flow_log(header())
    for sequence in (1, 2):
        log.write(frame(sequence))
        assert path.read_bytes() == flow_log(header(), *(frame(n) for n in range(1, sequence + 1)))
    log.close()
    assert path.read_bytes() == flow_log(header(), frame(1), frame(2))


def test_a_dash_is_standard_output(capfdbinary):
    log = FlowLogFile("-", header())
    log.write(frame(1))
    log.close()
    os.write(1, b"still open")
    assert capfdbinary.readouterr().out == flow_log(header(), frame(1)) + b"still open"


@pytest.mark.parametrize("name", ["absent/a.flowlog", "."])
def test_a_path_that_cannot_be_written_is_one_line(tmp_path, name):
    with pytest.raises(UserError, match=r"^cannot write .*; give a path that this user may write$"):
        open_output(str(tmp_path / name))


def test_a_full_disk_is_one_line():
    with pytest.raises(UserError, match=FULL):
        FlowLogFile("/dev/full", header())


def test_a_full_disk_is_one_line_when_closing_too():
    file = open_output("/dev/full")
    with pytest.raises(UserError, match=FULL):
        write_all(file, b"x", "/dev/full")
    with pytest.raises(UserError, match=FULL):
        close_file(file, "/dev/full")
    assert file.closed


def test_a_reader_that_went_away_is_left_to_the_command_line(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = FlowLogFile(str(path), header())
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        log.write(frame(1))
    with pytest.raises(BrokenPipeError):
        log.close()
