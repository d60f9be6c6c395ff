"""Answers of DNS in a small file beside the database, until they are too old."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from common.timespan import NS_PER_S
from correlator.names.reverse import MAX_NAME, Answer, clean

MAX_NAMES: Final = 10_000
NAMED_S: Final = 86_400
NAMELESS_S: Final = 3600
FAILED_S: Final = 60
_MAX_BYTES: Final = MAX_NAMES * (MAX_NAME + 100)

_Entry = tuple[str | None, int]
_decoder: Final = msgspec.json.Decoder(dict[str, _Entry])


class Cache:
    """The names of addresses with the times that they expire at; a file that cannot be used is done without."""

    def __init__(self, path: Path, now_ns: int) -> None:
        self._path = path
        self._now_ns = now_ns
        self._changed = False
        self._entries: dict[str, _Entry] = {}
        with suppress(OSError, msgspec.MsgspecError):
            if path.stat().st_size <= _MAX_BYTES:
                found = _decoder.decode(path.read_bytes())
                longest_ns = now_ns + NAMED_S * NS_PER_S
                self._entries = {
                    address: (None if name is None else clean(name), expires_ns)
                    for address, (name, expires_ns) in found.items()
                    if now_ns < expires_ns <= longest_ns
                }

    def __contains__(self, address: str) -> bool:
        """Whether it is known which name an address has, or that it has none."""
        return address in self._entries

    def name(self, address: str) -> str | None:
        """Return the name of an address, None when it has none that is known."""
        return self._entries.get(address, (None, 0))[0]

    def keep(self, answers: Iterable[Answer]) -> None:
        """Take in what DNS said."""
        for address, name, failed in answers:
            length_s = FAILED_S if failed else NAMELESS_S if name is None else NAMED_S
            self._entries[address] = (name, self._now_ns + length_s * NS_PER_S)
            self._changed = True

    def save(self) -> None:
        """Write the file again when something is new; where that cannot be, the next command asks again."""
        if not self._changed:
            return
        # The youngest stay.
        kept = dict(sorted(self._entries.items(), key=lambda item: item[1][1])[-MAX_NAMES:])
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(kept))
            new.replace(self._path)
        except OSError:
            with suppress(OSError):
                new.unlink()
