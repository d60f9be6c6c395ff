"""Many files below a directory: bounds on what is open and in memory, and nothing outside of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from disks import disk

from common.errors import UserError
from sensor.streams import files as module
from sensor.streams.files import BUFFER_BYTES, OutputFiles, make_directory

T = 1_385_391_358_382_163_000


def named(name: str) -> Callable[[int], str]:
    return lambda number: f"{name}c{number}" if number else name


def descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_bytes_and_holes_come_to_lie_where_they_belong(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path, 10)
    file = files.create(named("a"))
    files.append(file, b"abc")
    files.skip(file, 5)
    files.append(file, b"def")
    assert file.size == 11
    files.finish(file, T)
    files.close()
    assert (tmp_path / "a").read_bytes() == b"abc" + bytes(5) + b"def"
    assert (tmp_path / "a").stat().st_mtime_ns == T


def test_a_hole_takes_no_room_on_disk(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path, 10)
    file = files.create(named("a"))
    files.append(file, b"abc")
    files.skip(file, 16 << 20)
    files.append(file, b"def")
    files.finish(file, T)
    files.close()
    found = (tmp_path / "a").stat()
    assert found.st_size == (16 << 20) + 6
    assert found.st_blocks * 512 < 1 << 20


def test_a_name_that_is_there_gets_the_next_counter(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    (tmp_path / "ac1").symlink_to(tmp_path / "nowhere")
    files = OutputFiles(tmp_path, 10)
    assert [files.create(named("a")).name for _ in range(2)] == ["ac2", "ac3"]
    files.close()
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()


def test_the_same_name_again_is_not_searched_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TRIES", 2)
    monkeypatch.setattr(module, "MAX_NAMES", 1)
    files = OutputFiles(tmp_path, 10)
    assert [files.create(named("a")).name for _ in range(4)] == ["a", "ac1", "ac2", "ac3"]
    assert files.create(named("a"), 7).name == "ac7"
    files.create(named("b"))
    with pytest.raises(UserError, match="a is there already"):  # the bound on what is remembered
        files.create(named("a"))
    files.close()


def test_a_file_that_may_wait_is_made_when_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    files = OutputFiles(tmp_path, 1)
    made = [files.create(named("a"), at_once=False) for _ in range(3)]
    assert [file.name for file in made] == ["ac1", "ac2", "ac3"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    (tmp_path / "ac2").write_bytes(b"somebody's")
    for number, file in enumerate(made):
        files.append(file, b"%d" % number)
        files.finish(file, T)
    files.close()
    # The name that somebody took, and after it the first that was promised to nobody.
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a": b"mine", "ac1": b"0", "ac2": b"somebody's", "ac3": b"2", "ac4": b"1",
    }  # fmt: skip
    assert [file.name for file in made] == ["ac1", "ac4", "ac3"]
    assert files.reopened == 0


def test_names_that_never_end_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRIES", 3)
    for name in ("a", "ac1", "ac2"):
        (tmp_path / name).touch()
    files = OutputFiles(tmp_path, 10)
    for at_once in (True, False):
        with pytest.raises(UserError, match="a is there already, and 3 names after it"):
            files.create(named("a"), at_once=at_once)
    files.close()


@pytest.mark.parametrize("max_open", [1, 2, 7])
def test_no_more_files_are_open_than_allowed_and_none_loses_a_byte(tmp_path: Path, max_open: int) -> None:
    before = descriptors()
    files = OutputFiles(tmp_path, max_open, max_buffered=100)
    made = [files.create(named(f"dir{number % 3}/{number}")) for number in range(20)]
    for turn in range(30):
        for number, file in enumerate(made):
            files.append(file, b"%d:%d " % (number, turn))
            assert descriptors() <= before + 1 + max_open
    for file in made:
        files.finish(file, T)
    assert descriptors() == before + 1
    files.close()
    assert descriptors() == before
    assert files.reopened > 0
    for number in range(20):
        wanted = b"".join(b"%d:%d " % (number, turn) for turn in range(30))
        assert (tmp_path / f"dir{number % 3}" / str(number)).read_bytes() == wanted


def test_little_is_kept_in_memory(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path, 10, max_buffered=3 * BUFFER_BYTES)
    made = [files.create(named(str(number))) for number in range(10)]
    for file in made:
        files.append(file, b"x" * (BUFFER_BYTES // 2))
    # The first ones are on disk, whoever was written to last is not.
    assert [(tmp_path / file.name).stat().st_size for file in made] == [BUFFER_BYTES // 2] * 4 + [0] * 6
    files.append(made[-1], b"x" * BUFFER_BYTES)
    assert (tmp_path / "9").stat().st_size == BUFFER_BYTES * 3 // 2
    files.close()


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path, 10)
    files.create(named("a/b"))
    files.close()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o600


def test_a_link_leads_out_of_the_directory_neither_on_the_way_nor_at_the_end(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (inside / "dir").symlink_to(outside)
    files = OutputFiles(inside, 1)
    with pytest.raises(UserError, match=r"cannot write .*inside/dir/a: Not a directory"):
        files.create(named("dir/a"))
    file = files.create(named("a"))
    other = files.create(named("b"))  # closes the first
    (inside / "a").unlink()
    (inside / "a").symlink_to(outside / "victim")
    (outside / "victim").write_bytes(b"mine")
    files.append(file, b"theirs")
    with pytest.raises(UserError, match=r"cannot write .*inside/a: Too many levels of symbolic links"):
        files.finish(file, T)
    files.finish(other, T)
    files.close()
    assert (outside / "victim").read_bytes() == b"mine"
    assert sorted(path.name for path in outside.iterdir()) == ["victim"]


def test_a_file_put_in_the_place_of_ours_is_not_written_to(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path, 1)
    file = files.create(named("a"))
    files.create(named("b"))
    (tmp_path / "a").rename(tmp_path / "moved")
    (tmp_path / "a").write_bytes(b"mine")
    files.append(file, b"theirs")
    with pytest.raises(UserError, match="somebody put another file in its place"):
        files.finish(file, T)
    files.close()
    assert (tmp_path / "a").read_bytes() == b"mine"


def test_a_full_disk_is_one_line() -> None:
    with disk() as small:
        files = OutputFiles(small.path, 10)
        file = files.create(named("a"))
        with pytest.raises(UserError, match=r"cannot write .*/a: No space left on device; make room") as caught:
            files.append(file, b"x" * BUFFER_BYTES * 10)
        assert str(caught.value).isprintable()
        files.close()


def test_the_directory_is_made_with_those_on_its_way(tmp_path: Path) -> None:
    assert make_directory(tmp_path / "a/b")
    assert not make_directory(tmp_path / "a/b")
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("name", "words"), [("file", "is no directory"), ("file/below", "is no directory")])
def test_what_cannot_be_a_directory_is_one_line(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=words):
        make_directory(tmp_path / name)
    with pytest.raises(UserError, match="cannot write"):
        OutputFiles(tmp_path / name, 10)
