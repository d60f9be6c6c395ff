"""What DNS answered is kept beside the database, for a while and within bounds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from common.timespan import NS_PER_S
from correlator.names import cache
from correlator.names.cache import FAILED_S, NAMED_S, NAMELESS_S, Cache
from correlator.names.reverse import Answer

NOW = 1_800_000_000 * NS_PER_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.db-names"


def kept(path: Path, *answers: Answer) -> None:
    book = Cache(path, NOW)
    book.keep(answers)
    book.save()


@pytest.mark.parametrize(
    ("answer", "length_s"),
    [
        (Answer("10.0.0.1", "a.example.com"), NAMED_S),
        (Answer("10.0.0.1", None), NAMELESS_S),
        (Answer("10.0.0.1", None, failed=True), FAILED_S),
    ],
)
def test_an_answer_is_known_until_it_is_too_old(path: Path, answer: Answer, length_s: int) -> None:
    kept(path, answer)
    before = Cache(path, NOW + (length_s - 1) * NS_PER_S)
    assert "10.0.0.1" in before
    assert before.name("10.0.0.1") == answer.name
    assert "10.0.0.1" not in Cache(path, NOW + length_s * NS_PER_S)
    assert "10.0.0.2" not in before


def test_only_so_many_are_kept_and_those_are_the_youngest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_NAMES", 3)
    kept(path, *[Answer(f"10.0.0.{n}", None) for n in range(5)], *[Answer(f"10.0.1.{n}", "x") for n in range(3)])
    assert [address in Cache(path, NOW) for address in ("10.0.0.4", "10.0.1.0", "10.0.1.2")] == [False, True, True]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"10.0.0.1": 5}', b'{"10.0.0.1": ["a", 1e99]}'])
def test_a_file_that_is_damaged_is_as_good_as_none(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "10.0.0.1" not in Cache(path, NOW)
    kept(path, Answer("10.0.0.1", "a"))
    assert Cache(path, NOW).name("10.0.0.1") == "a"


def test_a_name_in_the_file_is_checked_like_one_from_the_wire(path: Path) -> None:
    path.write_text(json.dumps({"10.0.0.1": ["a\x1b[2J", NOW + 1], "10.0.0.2": ["a", NOW + 10**15 * 9]}))
    assert Cache(path, NOW).name("10.0.0.1") is None
    assert "10.0.0.2" not in Cache(path, NOW), "it would be believed for ever"


def test_a_directory_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    kept(tmp_path / "nowhere" / "t.db-names", Answer("10.0.0.1", "a"))
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_its_owners_and_nothing_else_is_left(path: Path) -> None:
    kept(path, Answer("10.0.0.1", "a"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == [path.name]  # noqa: PTH208 - names are what is compared


def test_nothing_new_writes_nothing(path: Path) -> None:
    Cache(path, NOW).save()
    assert not path.exists()
