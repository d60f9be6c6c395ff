"""Patterns are judged when they are given: a bad one is one line with its place."""

from __future__ import annotations

import pytest

from sensor.match.patterns import MAX_PATTERNS, PatternError, check_number, compile_pattern, patterns_of_file


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"foo(", "bad pattern 'foo(': missing ), unterminated subpattern at position 3"),
        (b"a**", "multiple repeat at position 2"),
        (b"\\", "bad escape"),
        (b"(?z)", "unknown extension"),
        (b"", "matches no byte"),
        (b"^$", "matches no byte"),
        (b"(?L)a", "leave L out"),
        (b"a" * 5000, "at most 4096 bytes"),
        (b"a{99999999999}", "bad pattern"),
        (b"(" * 2000 + b")" * 2000, "bad pattern"),
        (b"x(\xff", "x(\\\\xff"),
    ],
)
def test_a_bad_pattern_is_one_line_with_its_place(source: bytes, words: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(source, "-a")
    assert str(caught.value).startswith("-a: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_pattern_that_python_warns_about_is_taken_in_silence() -> None:
    assert compile_pattern(b"[[a]", "-a").regex.match(b"[")


def test_case_is_ignored_when_asked_for() -> None:
    assert compile_pattern(b"abc", "-a", ignore_case=True).regex.match(b"ABC")


def test_a_file_holds_a_pattern_a_line_and_says_which_line_is_bad() -> None:
    found = patterns_of_file(b"one\r\n\n# two\nthr\xffee", "p.txt", side="server")
    assert [one.name for one in found] == ["one", "# two", "thr\\xffee"]
    assert {one.side for one in found} == {"server"}
    with pytest.raises(PatternError, match=r"^p.txt line 3: bad pattern '\('"):
        patterns_of_file(b"one\n\n(\n", "p.txt", side="client")


def test_an_empty_file_of_patterns_is_refused() -> None:
    with pytest.raises(PatternError, match="holds no pattern"):
        patterns_of_file(b"\n\n", "p.txt", side="client")


def test_too_many_patterns_are_refused() -> None:
    one = compile_pattern(b"a", "-a")
    check_number([one] * MAX_PATTERNS)
    with pytest.raises(PatternError, match="10000 are taken"):
        check_number([one] * (MAX_PATTERNS + 1))
