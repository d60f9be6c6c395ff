"""A file of names, written like ``/etc/hosts``."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from common.addresses import address_packed, address_text
from common.errors import UserError

MAX_BYTES: Final = 16 << 20


class Hosts(NamedTuple):
    """The first name of every address, and what could not be read."""

    names: dict[str, str]
    bad_lines: int = 0
    first_bad: int = 0


def read_hosts(path: Path) -> Hosts:
    """Return the names in a file; UserError in one line when it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read the names in {path}: {error.strerror}; mend hosts_file in [names]") from None
    if len(content) > MAX_BYTES:
        raise UserError(f"{path} has more than {MAX_BYTES:,} bytes of names: leave out those that are not needed")
    return parse_hosts(content.decode("utf-8", "replace"))


def parse_hosts(text: str) -> Hosts:
    """Return the names in the text of a file; of several for one address the first stands."""
    names: dict[str, str] = {}
    bad: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            address = address_text(address_packed(words[0]))
            names.setdefault(address, words[1])
        except (ValueError, IndexError):
            bad.append(number)
    return Hosts(names, len(bad), bad[0] if bad else 0)
