"""Patterns as people give them, compiled and judged: a bad one is one line with its place."""

from __future__ import annotations

import re
import warnings
from typing import Final, NamedTuple

from common.errors import UserError
from sensor.match.shape import Shape, shape_of

ANY: Final = "any"
SIDES: Final = (ANY, "client", "server")
MAX_PATTERNS: Final = 10_000
MAX_PATTERN_BYTES: Final = 4096


class PatternError(UserError):
    """A pattern that cannot be used."""

    exit_code = 2


class Pattern(NamedTuple):
    """One signature."""

    name: str
    """As it is shown: a rule's name, or the pattern itself."""
    regex: re.Pattern[bytes]
    shape: Shape
    side: str = ANY
    """Whose bytes are looked at: one of SIDES."""
    protocol: int | None = None
    """Only payload of this IP protocol."""


def compile_pattern(
    source: bytes,
    place: str,
    *,
    side: str = ANY,
    ignore_case: bool = False,
    name: str = "",
    protocol: int | None = None,
) -> Pattern:
    """Compile a pattern; ``place`` says where it stands, for PatternError."""
    shown = source.decode("utf-8", "backslashreplace")
    if len(source) > MAX_PATTERN_BYTES:
        raise PatternError(
            f"{place}: a pattern has at most {MAX_PATTERN_BYTES} bytes, this one {len(source)}; split it"
        )
    flags = re.IGNORECASE if ignore_case else 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regex = re.compile(source, flags)
            shape = shape_of(source, flags)
    except (re.error, OverflowError, RecursionError, MemoryError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise PatternError(f"{place}: bad pattern {shown!r}: {reason}; the syntax is that of Python's re") from None
    if regex.flags & re.LOCALE:
        raise PatternError(f"{place}: pattern {shown!r} asks for the locale's letters, bytes have none; leave L out")
    if shape.longest == 0:
        raise PatternError(f"{place}: pattern {shown!r} matches no byte; write . for any")
    return Pattern(name or shown, regex, shape, side, protocol)


def patterns_of_file(data: bytes, shown: str, *, side: str, ignore_case: bool = False) -> list[Pattern]:
    """Return the patterns of a file, one a line; empty lines are none."""
    found = []
    for number, line in enumerate(data.split(b"\n"), 1):
        source = line.removesuffix(b"\r")
        if source:
            found.append(compile_pattern(source, f"{shown} line {number}", side=side, ignore_case=ignore_case))
    if not found:
        raise PatternError(f"{shown} holds no pattern; write one a line")
    return found


def check_number(patterns: list[Pattern]) -> None:
    """Raise PatternError for more patterns than are taken."""
    if len(patterns) > MAX_PATTERNS:
        raise PatternError(f"{len(patterns)} patterns are too many, {MAX_PATTERNS} are taken; split the run")
