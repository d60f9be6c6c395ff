"""The names of addresses from all that is configured: the user's own file first, then DNS."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from correlator.config import NamesSettings
from correlator.names.cache import Cache
from correlator.names.hosts import Hosts, read_hosts
from correlator.names.reverse import Answer, Limits, Reverse

_NOBODY: Final = ""
"""What stands for DNS itself in the cache."""


class Book:
    """Finds names; what is slow about it happens when it is asked, and within limits for all questions together."""

    def __init__(self, settings: NamesSettings, cache_file: Path, now_ns: int) -> None:
        self._settings = settings
        self._hosts = read_hosts(Path(settings.hosts_file)) if settings.hosts_file else Hosts({})
        self._reverse: Reverse | None = None
        self._cache: Cache | None = None
        if settings.reverse_dns:
            self._reverse = Reverse(settings.servers, Limits(settings.timeout_s, settings.max_lookups))
            self._cache = Cache(cache_file, now_ns)

    def names(self, addresses: Iterable[str]) -> dict[str, str]:
        """Return the names of those addresses that have one."""
        wanted = dict.fromkeys(addresses)
        found = {address: self._hosts.names[address] for address in wanted if address in self._hosts.names}
        if self._reverse is not None and self._cache is not None:
            rest = [address for address in wanted if address not in found]
            unknown = [address for address in rest if address not in self._cache]
            if unknown and _NOBODY not in self._cache:
                answers = self._reverse.ask(unknown)
                # A server that answered nothing at all is let alone for as long as one address would be.
                dead = [Answer(_NOBODY, None, failed=True)] if answers and all(a.failed for a in answers) else []
                self._cache.keep([*answers, *dead])
            found |= {address: name for address in rest if (name := self._cache.name(address)) is not None}
        return found

    def close(self) -> list[str]:
        """Keep what was learned; return what a person should know, a line each."""
        if self._cache is not None:
            self._cache.save()
        said = []
        if self._hosts.bad_lines:
            said.append(
                f"{self._settings.hosts_file}: lines that are no address and name: {self._hosts.bad_lines}, "
                f"the first is line {self._hosts.first_bad}; mend them"
            )
        if self._reverse is not None and self._reverse.unanswered:
            said.append(
                f"DNS gave no names for {self._reverse.unanswered} addresses in {self._settings.timeout_s:g} s and "
                f"{self._settings.max_lookups} lookups: give [names] more, or --no-names"
            )
        return said
