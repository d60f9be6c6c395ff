"""Patterns of all kinds, and what re itself finds with them: what the streaming matcher has to find too."""

from __future__ import annotations

from collections.abc import Sequence

from sensor.match.patterns import Pattern, compile_pattern

ALL_KINDS = (
    b"ab", b"abc", b"a", b"abab", b"(?i)aBc", b"ab|ba", b"abc|b|cab", b"a+", b"a+b", b"a{2,4}", b"(ab)+", b"(ab){2}c",
    b"a.c", b"a.{3}c", b"a.{0,5}b", b"a.*b", b"a.*?b", b"(?s)a.{1,6}?b", b"[ab]c", b"[^ab]", b"[^ab]+", b"\\w+",
    b"\\bab",
    b"ab\\b", b"\\Bab", b"^ab", b"^a", b"(?m)^ab", b"ab$", b"(?m)b$", b"ab\\Z", b"\\Aab", b"(?<=a)b", b"(?<!a)b",
    b"a(?=b)", b"a(?!b)", b"(a|b)\\1", b"(?P<x>[ab])c(?P=x)", b"(a)?b(?(1)c|a)", b"(?:a|ab)(?:c|bcd)", b"\\x00",
    b"\\x00a",
    b"\\n", b"a\\n", b"[\\x80-\\xff]+", b"a*", b"a*b*", b"|a", b"(?:a?b?)+c", b"\\s?ab\\s?", b"(?i)[a-c]{3}",
    b"a(?:bc)?a",
    b"(?<=^a)b", b"[Aa]b", b"abc[abc]abc", b"(?:aab|abb)a", b"ca\\b|\\bac", b"(?>a+)b", b"a++b",
)  # fmt: skip


def pattern(source: bytes, side: str = "any", protocol: int | None = None) -> Pattern:
    """A pattern for a test."""
    return compile_pattern(source, "test", side=side, protocol=protocol)


def found_by_re(
    one: Pattern, stretch: bytes, offset: int = 0, *, unseen_before: bool = False
) -> list[tuple[int, bytes]]:
    """(offset, bytes) of the matches that are not empty in bytes without a gap."""
    data = b"\0" + stretch if unseen_before else stretch
    skip = int(unseen_before)
    return [
        (match.start() - skip + offset, match[0])
        for match in one.regex.finditer(data, skip)
        if match.end() > match.start()
    ]


def found_in_parts(patterns: Sequence[Pattern], parts: Sequence[tuple[int, bytes]]) -> list[tuple[int, str, bytes]]:
    """What re finds in stretches (gap before, bytes), sorted."""
    found = []
    offset = 0
    for number, (gap, stretch) in enumerate(parts):
        offset += gap
        for one in patterns:
            unseen = number > 0 or gap > 0
            found += [(at, one.name, data) for at, data in found_by_re(one, stretch, offset, unseen_before=unseen)]
        offset += len(stretch)
    return sorted(found)
