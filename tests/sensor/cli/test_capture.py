"""``tunnelwatch-sensor capture``: what can be said without an interface; the rest is test_live."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from programs import SENSOR, error_line, run, running


def test_an_interface_has_to_be_named() -> None:
    code, _, err = run(SENSOR, "capture")
    assert code == 2
    assert "'-i'" in err


def test_a_missing_interface_is_one_line() -> None:
    code, _, err = run(SENSOR, "capture", "-i", "none0")
    assert code == 1
    assert "no interface 'none0'" in error_line(err)


def test_two_filters_are_one_too_many() -> None:
    code, _, err = run(SENSOR, "capture", "-i", "lo", "--filter", "udp", "tcp")
    assert code == 1
    assert "two filters: 'tcp' and --filter 'udp'" in error_line(err)


def test_a_buffer_beyond_libpcaps_integer_is_a_usage_error() -> None:
    code, _, err = run(SENSOR, "capture", "-i", "lo", "--buffer-bytes", str(2**31))
    assert code == 2
    assert "--buffer-bytes" in err


def test_a_mistyped_interface_leaves_the_file_of_an_earlier_run_alone(tmp_path: Path) -> None:
    log = tmp_path / "good.flowlog"
    log.write_bytes(b"precious")
    assert run(SENSOR, "capture", "-i", "none0", "-w", str(log))[0] == 1
    assert log.read_bytes() == b"precious"


@pytest.mark.live
def test_settings_may_come_through_a_pipe_and_all_of_them_count(tmp_path: Path) -> None:
    pipe = tmp_path / "config"
    os.mkfifo(pipe)
    with running(SENSOR, "capture", "-i", "lo", "-w", os.devnull, "--config", str(pipe)) as sensor:
        pipe.write_text("[statistics]\ninterval_s = 0.1\n")
        sensor.wait_for("packets ")
        assert sensor.stop() == 0
