"""Capture files opened while that is allowed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sensor.capture.inputs import OpenInputs


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_that_is_gone_or_closed_to_us_later_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(b"content")
    with closing(OpenInputs([str(path), "-", str(path)])) as inputs:
        path.unlink()
        for _ in range(2):
            with open(str(path), "rb", opener=inputs.open) as file:
                assert file.read() == b"content"
        with pytest.raises(FileNotFoundError):
            inputs.open(str(path), os.O_RDONLY)


def test_what_cannot_be_opened_is_said_when_its_turn_comes(tmp_path: Path) -> None:
    missing = tmp_path / "a.pcap"
    with closing(OpenInputs([str(missing)])) as inputs:
        missing.write_bytes(b"too late")
        with pytest.raises(FileNotFoundError):
            inputs.open(str(missing), os.O_RDONLY)


def test_a_named_pipe_waits_for_its_writer_when_it_is_read_and_not_before(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    with closing(OpenInputs([str(fifo)])) as inputs:
        writer = subprocess.Popen([sys.executable, "-c", f"open({str(fifo)!r}, 'wb').write(b'content')"])
        assert writer.wait(20) == 0
        with open(str(fifo), "rb", opener=inputs.open) as file:
            assert os.get_blocking(file.fileno())
            assert file.read() == b"content"


def test_files_never_asked_for_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.touch()
    before = open_files()
    inputs = OpenInputs([str(path)] * 10)
    assert open_files() == before + 10
    inputs.close()
    assert open_files() == before


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.touch()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    script = (
        "import resource\nfrom common.errors import UserError\nfrom sensor.capture.inputs import OpenInputs\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))\n"
        f"OpenInputs([{str(path)!r}] * 200).close()\nprint(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
        f"try:\n    OpenInputs([{str(path)!r}] * 250)\nexcept UserError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == (
        "(264, 300)\n250 files are to be opened before root is given up, and the limit is 236 (ulimit -Hn); "
        "give fewer at a time, or stay root with -u root\n"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
