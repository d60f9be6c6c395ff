"""Names of stream files: tcpflow's template letters filled in; text in, text out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from common.addresses import address_text
from common.errors import UserError
from common.timespan import iso_time

DEFAULT_TEMPLATE: Final = "%A.%a-%B.%b%V%v%C%c"
NAME_BYTES: Final = 255
"""What file systems take for one part of a path."""
_NS = 1_000_000_000
# What -F says about names; M and X are about something else.
_PREFIXES = {"t": "%tT", "T": "%T"}
_BINS = {"k": "%K/", "m": "%M000-%M999/%M%K/", "g": "%G000000-%G999999/%G%M000-%G%M999/%G%M%K/"}


class Facts(NamedTuple):
    """What a name may be made of; the source is who sent the bytes."""

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    vlan: int | None
    start_ns: int
    number: int = 0
    """Of the direction, counted from 0 over all of them."""
    session: int = 0
    """Of the connection, which both directions share."""


@lru_cache(maxsize=65536)
def _address(packed: bytes) -> str:
    """IPv4 in groups of three digits; IPv6 as RFC 5952 has it, which is how tcpflow writes it too."""
    return ".".join(f"{byte:03}" for byte in packed) if len(packed) == 4 else address_text(packed)


_LETTERS: Final[dict[str, Callable[[Facts, int], str]]] = {
    "A": lambda facts, _: _address(facts.source),
    "a": lambda facts, _: f"{facts.source_port:05}",
    "B": lambda facts, _: _address(facts.destination),
    "b": lambda facts, _: f"{facts.destination_port:05}",
    "T": lambda facts, _: iso_time(facts.start_ns // _NS * _NS),
    "t": lambda facts, _: str(facts.start_ns // _NS),
    "V": lambda facts, _: "--" if facts.vlan is not None else "",
    "v": lambda facts, _: str(facts.vlan) if facts.vlan is not None else "",
    "C": lambda _, count: "c" if count else "",
    "c": lambda _, count: str(count) if count else "",
    "#": lambda _, count: str(count),
    "N": lambda facts, _: f"{facts.number % 1000:03}",
    "K": lambda facts, _: f"{facts.number // 1000 % 1000:03}",
    "M": lambda facts, _: f"{facts.number // 1000**2 % 1000:03}",
    "G": lambda facts, _: f"{facts.number // 1000**3 % 1000:03}",
    "S": lambda facts, _: f"{facts.session:020}",
    "%": lambda _facts, _count: "%",
}


class Template:
    """A template that was checked: no name from it leaves the directory that it is put into."""

    def __init__(self, text: str = DEFAULT_TEMPLATE) -> None:
        self._parts = list(_parsed(text))
        self._counts = any(letter in ("c", "#") for letter, _ in self._parts)
        _check(self, text)

    def name(self, facts: Facts, count: int = 0) -> str:
        """Return the name with this counter; one that the template has no place for goes to the end."""
        text = "".join([fill(facts, count) for _, fill in self._parts])
        return text if self._counts or not count else f"{text}c{count}"


def template_for(flags: str, text: str | None) -> Template:
    """Return the template that ``-F`` and ``-T`` ask for together; as in tcpflow, ``-T`` makes no bins."""
    template = DEFAULT_TEMPLATE if text is None else text
    if "c" in flags:
        template = template.replace("%C%c", "c%#") if "%C%c" in template else f"{template}c%#"
    bins = ""
    for flag in flags:
        if flag in _PREFIXES:
            template = _PREFIXES[flag] + template
        elif flag in _BINS:
            bins = _BINS[flag] if text is None else ""
    return Template(bins + template)


def _parsed(text: str) -> Iterator[tuple[str, Callable[[Facts, int], str]]]:
    """Yield (letter, filler) of every part; literal text has no letter."""
    letters = iter(text)
    for letter in letters:
        if letter != "%":
            yield "", _literal(letter)
            continue
        code = next(letters, None)
        if code is None:
            raise UserError(f"the template {text!r} ends with a single %; write %% for the sign itself")
        if code in ("E", "e"):
            raise UserError(f"the template {text!r} has %{code}, and Ethernet addresses are not kept; leave it out")
        if code not in _LETTERS:
            raise UserError(f"the template {text!r} has %{code}, which means nothing; known are {' '.join(_LETTERS)}")
        yield code, _LETTERS[code]


def _literal(letter: str) -> Callable[[Facts, int], str]:
    return lambda _facts, _count: letter


def _check(template: Template, text: str) -> None:
    """Raise UserError when any name could be no file of the directory: with a VLAN or not, a counter or not."""
    for address, vlan, count in itertools.product((bytes(4), bytes(range(16, 32))), (None, 4095), (0, 10**9)):
        facts = Facts(address, 65535, address, 65535, vlan, 253_402_300_799 * _NS, 10**12 - 1, 2**63 - 1)
        name = template.name(facts, count)
        parts = name.split("/")
        if name.startswith("/"):
            raise UserError(f"the template {text!r} is a path from the root; name the directory with -o")
        if "" in parts or "." in parts or ".." in parts or "\0" in name:
            raise UserError(f"the template {text!r} makes the name {name!r}: no file below -o; change it")
        if any(len(part.encode(errors="surrogateescape")) > NAME_BYTES for part in parts):
            raise UserError(f"the template {text!r} makes a name longer than {NAME_BYTES} bytes; make it shorter")
