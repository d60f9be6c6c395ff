from __future__ import annotations

import pytest
from rec_records import RUN

from sensor.ship.runfile import RunFile


def test_a_stopped_run_leaves_nothing_to_say(tmp_path):
    run = RunFile(tmp_path, RUN)
    assert run.look_back() == ""
    assert run.begin()
    run.count(3, 4)
    run.stop()
    after = RunFile(tmp_path, RUN + 1)
    assert (after.look_back(), after.unclean_stops) == ("", 0)


def test_a_run_that_was_not_stopped_says_what_it_had_open(tmp_path):
    run = RunFile(tmp_path, RUN)
    run.begin()
    run.count(12, 345)
    after = RunFile(tmp_path, RUN + 1)
    assert after.look_back() == (
        "the run before, of 2023-11-14T22:13:20Z, ended without a stop: what its 12 open flows (at its last "
        "statistics, after 345 records) had since their last record is lost"
    )
    assert after.unclean_stops == 1
    after.begin()
    again = RunFile(tmp_path, RUN + 2)
    again.look_back()
    assert again.unclean_stops == 2
    again.begin()
    again.stop()
    last = RunFile(tmp_path, RUN + 3)
    assert (last.look_back(), last.unclean_stops) == ("", 2)


def test_a_note_cut_anywhere_is_only_a_line(tmp_path):
    run = RunFile(tmp_path, RUN)
    run.begin()
    content = (tmp_path / "run").read_bytes()
    for length in range(len(content)):
        for rest in (b"", bytes(len(content) - length)):
            (tmp_path / "run").write_bytes(content[:length] + rest)
            after = RunFile(tmp_path, RUN + 1)
            assert after.look_back() == (
                f"cannot read {tmp_path}/run (not what a sensor writes): "
                "whether the run before was stopped is not known"
            )
            assert after.unclean_stops == 0
            assert after.begin()


@pytest.mark.parametrize(
    "content", [b"\xff", b"[]", b'{"run": -1}', b'{"run": 1, "flows_open": 9223372036854775808}', b"[" * 5000]
)
def test_a_note_of_anything_else_is_only_a_line(tmp_path, content):
    (tmp_path / "run").write_bytes(content)
    assert "is not known" in RunFile(tmp_path, RUN).look_back()


def test_a_directory_in_its_place_is_only_a_line(tmp_path):
    (tmp_path / "run").mkdir()
    run = RunFile(tmp_path, RUN)
    assert "(Is a directory)" in run.look_back()
    assert not run.begin()
    run.count(1, 1)
    run.stop()


def test_a_link_in_its_place_is_not_followed_when_writing(tmp_path):
    (tmp_path / "run.new").symlink_to(tmp_path / "elsewhere")
    assert not RunFile(tmp_path, RUN).begin()
    assert not (tmp_path / "elsewhere").exists()
