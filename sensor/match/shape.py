"""What a regular expression's parse tree tells: how far it looks, and bytes that every match holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

# The standard library's own parser; there is no public one.
_parser: Any = re._parser  # type: ignore[attr-defined]  # noqa: SLF001 - as above
_codes: Any = re._constants  # type: ignore[attr-defined]  # noqa: SLF001 - as above

UNBOUNDED: Final = 1 << 40
"""Stands for a length without a limit."""
GRAM_BYTES: Final = 4
"""What is looked for first has at most so many bytes."""
_MIN_BYTES = 2
_MAX_BYTES = 64
_MAX_ALTERNATIVES = 64
_MANY = 16
_REPEATS = tuple(
    getattr(_codes, name) for name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") if hasattr(_codes, name)
)
_ATOMIC = getattr(_codes, "ATOMIC_GROUP", None)
_ASSERTIONS = (_codes.ASSERT, _codes.ASSERT_NOT)


class Shape(NamedTuple):
    """What is known of a pattern without running it."""

    shortest: int
    longest: int
    """Bytes of a match, at most UNBOUNDED."""
    reach: int
    """How many bytes from a match's start on decide about it; look-ahead counts, at most UNBOUNDED."""
    behind: int
    """How many bytes before a match's start are looked at."""
    literals: tuple[bytes, ...]
    """In lower case; every match holds one of them, in whatever case. Empty where nothing is known."""
    nested: bool
    """Whether something is repeated without end that itself repeats: the time it takes may be without end too."""


class _Extent(NamedTuple):
    longest: int
    reach: int
    behind: int


def shape_of(source: bytes, flags: int = 0) -> Shape:
    """Return the shape of a pattern that compiles."""
    tree = _parser.parse(source, flags)
    extent = _extent(tree)
    shortest = min(int(tree.getwidth()[0]), UNBOUNDED)
    return Shape(shortest, *extent, _literals(tree), _nested(tree, inside=False))


def _extent(tree: Iterable[tuple[Any, Any]]) -> _Extent:
    longest = reach = behind = 0
    for code, value in tree:
        part = _item_extent(code, value)
        reach = max(reach, longest + part.reach)
        longest += part.longest
        behind = max(behind, part.behind)
    return _Extent(min(longest, UNBOUNDED), min(reach, UNBOUNDED), behind)


def _item_extent(code: Any, value: Any) -> _Extent:  # noqa: PLR0911 - one for each kind of item
    if code in (_codes.LITERAL, _codes.NOT_LITERAL, _codes.ANY, _codes.IN):
        return _Extent(1, 1, 0)
    if code is _codes.BRANCH:
        return _widest(value[1])
    if code is _codes.SUBPATTERN:
        return _extent(value[3])
    if code is _ATOMIC:
        return _extent(value)
    if code in _REPEATS:
        part = _extent(value[2])
        times = min(int(value[1]), UNBOUNDED)
        longest = min(part.longest * times, UNBOUNDED)
        reach = part.longest * (times - 1) + part.reach if times else 0
        return _Extent(longest, min(reach, UNBOUNDED), part.behind)
    if code in _ASSERTIONS:
        direction, inner = value
        part = _extent(inner)
        if direction > 0:
            return _Extent(0, part.reach, part.behind)
        return _Extent(0, part.reach, part.longest + part.behind)
    if code is _codes.AT:
        # $ looks at a newline and at what follows it
        return _Extent(0, 2, 1)
    if code is _codes.GROUPREF_EXISTS:
        return _widest([branch for branch in value[1:] if branch is not None])
    if code is _codes.FAILURE:
        return _Extent(0, 0, 0)
    # A group's repetition (GROUPREF), and what later Pythons may add.
    return _Extent(UNBOUNDED, UNBOUNDED, 1)


def _widest(branches: Sequence[Any]) -> _Extent:
    parts = [_extent(branch) for branch in branches]
    return _Extent(*(max(column) for column in zip(*parts, strict=True)))


def _literals(tree: Any) -> tuple[bytes, ...]:
    """Return the best set of alternatives of which every match of a sequence holds one."""
    best: tuple[bytes, ...] = ()
    run = bytearray()
    for code, value in [*tree, (None, None)]:
        letter = _folded(code, value)
        if letter is not None:
            run.append(letter)
            continue
        best = _better(best, (bytes(run[:_MAX_BYTES]),) if len(run) >= _MIN_BYTES else ())
        run.clear()
        best = _better(best, _item_literals(code, value))
    return best


def _item_literals(code: Any, value: Any) -> tuple[bytes, ...]:
    if code is _codes.SUBPATTERN:
        return _literals(value[3])
    if code is _ATOMIC and code is not None:
        return _literals(value)
    if code in _REPEATS and code is not None and int(value[0]) > 0:
        return _literals(value[2])
    if code is _codes.BRANCH:
        sets = [_literals(branch) for branch in value[1]]
        if all(sets):
            joined = tuple(dict.fromkeys(literal for one in sets for literal in one))
            return joined if len(joined) <= _MAX_ALTERNATIVES else ()
    return ()


def _folded(code: Any, value: Any) -> int | None:
    """Return the byte that an item always matches, in lower case; a set of both cases is one."""
    if code is _codes.LITERAL:
        return _lower(int(value))
    if code is _codes.IN and all(kind is _codes.LITERAL for kind, _ in value):
        letters = {_lower(int(letter)) for _, letter in value}
        return letters.pop() if len(letters) == 1 else None
    return None


def _lower(letter: int) -> int:
    return letter + 32 if 65 <= letter <= 90 else letter


def grams_in(literal: bytes) -> list[bytes]:
    """Return the stretches of GRAM_BYTES in a literal, or all of it."""
    size = min(len(literal), GRAM_BYTES)
    return [literal[at : at + size] for at in range(len(literal) - size + 1)]


def rarity(gram: bytes) -> int:
    """Return how unlikely other data is to hold this: letters and numbers of every text count least."""
    common = b" etaoinshr\0\n\r./0123"
    return sum(1 if letter in common else 2 if chr(letter).isalnum() and letter < 128 else 3 for letter in set(gram))


def _better(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return the set of alternatives that other data is less likely to hold."""
    return max(one, other, key=_worth)


def _worth(literals: tuple[bytes, ...]) -> tuple[int, int, int]:
    if not literals:
        return 0, 0, 0
    best = [max(map(rarity, grams_in(literal))) for literal in literals]
    return min(*map(len, literals), GRAM_BYTES), min(best), min(map(len, literals))


def _nested(tree: Any, *, inside: bool) -> bool:
    for code, value in tree:
        if code in _REPEATS:
            unlimited = int(value[1]) >= _MANY and int(value[1]) > int(value[0])
            if (inside and unlimited) or _nested(value[2], inside=inside or unlimited):
                return True
        elif any(_nested(part, inside=inside) for part in _parts(code, value)):
            return True
    return False


def _parts(code: Any, value: Any) -> list[Any]:
    if code is _codes.BRANCH:
        return list(value[1])
    if code is _codes.SUBPATTERN:
        return [value[3]]
    if code in _ASSERTIONS:
        return [value[1]]
    if code is _codes.GROUPREF_EXISTS:
        return [part for part in value[1:] if part is not None]
    return []
