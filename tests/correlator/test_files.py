"""A file is there whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from correlator.files import whole


def test_a_file_gets_its_name_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with whole(path, force=False) as unfinished:
        unfinished.write_text("content")
        assert not path.exists()
    assert path.read_text() == "content"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fail() -> None:
        with whole(path, force=True) as unfinished:
            unfinished.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_replaced_without_being_asked(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def come_second() -> None:
        with whole(path, force=False) as unfinished:
            unfinished.write_text("new")
            path.write_text("came meanwhile")

    with pytest.raises(UserError, match="is there already"):
        come_second()
    assert path.read_text() == "came meanwhile"
    with pytest.raises(UserError, match="is there already"), whole(path, force=False):
        pass
    with whole(path, force=True) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new"


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="No such file or directory; make room, or name"),
        whole(tmp_path / "no" / "a", force=False),
    ):
        pass
    with pytest.raises(UserError, match="is a directory"), whole(tmp_path, force=True):
        pass
