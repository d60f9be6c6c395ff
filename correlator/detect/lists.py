"""White, red and black lists: which entries speak of a channel, and whether an alarm about it is shown.

Entries are looked up by tuple space search (Srinivasan, Suri, Varghese 1999): one dict for every combination of fields
and prefix lengths that the entries have, so that an answer costs one look per combination, however many entries
there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from common.addresses import address_packed
from correlator.detect.alarm import Evidence, Severity

DECISIVE_LOG10_LR: Final = 2.0
"""Ordinary symptoms are capped at a likelihood ratio of 100; what counts for more was positively identified."""
_ADDRESS_BITS: Final = 128


class ListKind(StrEnum):
    """What an entry asks for; where two are as specific, the first of these decides."""

    BLACK = "black"
    RED = "red"
    WHITE = "white"


class Limits(NamedTuple):
    """An entry's own limits for one channel in one period, both directions together; None sets none."""

    bytes: int | None = None
    packets: int | None = None
    tcp_uptime_s: int | None = None

    def measured(self) -> tuple[tuple[str, int | None], ...]:
        """Return (rule, limit) as channel thresholds call them."""
        return ("bytes", self.bytes), ("packets", self.packets), ("tcp-uptime", self.tcp_uptime_s)

    def __bool__(self) -> bool:
        """Whether any is set."""
        return any(limit is not None for limit in self)


class Entry(NamedTuple):
    """One line of a list: every field that is set must match; addresses, names and ports in their one spelling."""

    kind: ListKind
    client: str | None = None
    """An address, or a network in CIDR."""
    server: str | None = None
    """An address, or a network in CIDR."""
    ports: tuple[int, int] | None = None
    """The first and the last port of the server."""
    host: str | None = None
    """A name in lower case, or ``*.example.com`` for all names below one."""
    everything: bool = False
    """White: hide what was positively identified, too."""
    over_percent: float | None = None
    """Red: hide what is over its limit by no more than this."""
    limits: Limits = Limits()
    severity: Severity | None = None
    """Black and red: that of the alarms it raises; None is its kind's own."""
    expires_ns: int | None = None
    comment: str = ""
    source: str = ""
    entry_id: int = 0

    @property
    def raises(self) -> bool:
        """Whether contact with what it names can be an alarm by itself."""
        return self.kind is ListKind.BLACK or (self.kind is ListKind.RED and bool(self.limits))

    def is_over(self, now_ns: int) -> bool:
        """Whether it counts no more."""
        return self.expires_ns is not None and now_ns >= self.expires_ns


class Subject(NamedTuple):
    """What is looked for: a channel, by service and by name as far as they are known."""

    client: str | None
    server: str | None
    port: int | None
    host: str | None = None


def subject_text(entry: Entry) -> str:
    """Return whom an entry speaks of, as a line of a list file says it."""
    first, last = entry.ports or (None, None)
    fields = (
        ("client", entry.client),
        ("server", entry.server),
        ("port", first if first == last else f"{first}-{last}"),
        ("host", entry.host),
    )
    return " ".join(f"{name}={value}" for name, value in fields if value is not None)


class Lists:
    """Entries, ready to be asked."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._spaces: dict[_Shape, dict[_Key, list[Entry]]] = {}
        self.count = 0
        for entry in entries:
            shape, key = _placed(entry)
            self._spaces.setdefault(shape, {}).setdefault(key, []).append(entry)
            self.count += 1

    @cached_property
    def raises(self) -> bool:
        """Whether any entry can be an alarm by itself."""
        return any(entry.raises for space in self._spaces.values() for some in space.values() for entry in some)

    def find(self, subject: Subject, now_ns: int) -> list[Entry]:
        """Return the entries that match, the most specific first."""
        client = None if subject.client is None else _number(subject.client)
        server = None if subject.server is None else _number(subject.server)
        port = subject.port
        names = _Names(subject.host)
        found: list[Entry] = []
        for (client_shift, server_shift, labels, has_port), space in self._spaces.items():
            if (client_shift is not None and client is None) or (server_shift is not None and server is None):
                continue
            name = None if labels is None else names.last(labels)
            if labels is not None and name is None:
                continue
            key = (
                None if client_shift is None or client is None else client >> client_shift,
                None if server_shift is None or server is None else server >> server_shift,
                name,
                port if has_port else None,
            )
            if (some := space.get(key)) is not None:
                found += [entry for entry in some if _takes(entry.ports, port) and not entry.is_over(now_ns)]
        if len(found) > 1:
            found.sort(key=_specific, reverse=True)
        return found


def hiding_entry(found: Iterable[Entry], evidence: Iterable[Evidence]) -> Entry | None:
    """Return the entry that hides an alarm, of those ``found`` for its subject; None when it is shown.

    The most specific entry decides alone.
    """
    entry = next(iter(found), None)
    if entry is None or entry.kind is ListKind.BLACK:
        return None
    items = [item for item in evidence if item.log10_lr is None or item.log10_lr > 0]  # what speaks for an alarm
    if entry.kind is ListKind.WHITE:
        hidden = entry.everything or not any(map(is_decisive, items))
    else:
        hidden = bool(items) and all(_within(entry, item) for item in items)
    return entry if hidden else None


# Shifts that leave an address's network, labels of a name (0: the whole name), whether the port is one.
_Shape = tuple[int | None, int | None, int | None, bool]
_Key = tuple[int | None, int | None, str | None, int | None]


class _Names:
    """A host name, and the ends of it as they are asked for."""

    def __init__(self, host: str | None) -> None:
        self._name = None if host is None else host.lower().removesuffix(".")
        self._labels: list[str] | None = None

    def last(self, labels: int) -> str | None:
        """Return so many last labels of the name, None when it has no more than these; 0 is the whole name."""
        if self._name is None or labels == 0:
            return self._name
        if self._labels is None:
            self._labels = self._name.split(".")
        return ".".join(self._labels[-labels:]) if len(self._labels) > labels else None


def _placed(entry: Entry) -> tuple[_Shape, _Key]:
    client_shift, client = _network(entry.client)
    server_shift, server = _network(entry.server)
    name = entry.host
    labels = None if name is None else 0
    if name is not None and name.startswith("*."):
        name = name[2:]
        labels = name.count(".") + 1
    has_port = entry.ports is not None and entry.ports[0] == entry.ports[1]
    port = entry.ports[0] if has_port and entry.ports is not None else None
    return (client_shift, server_shift, labels, has_port), (client, server, name, port)


def _network(text: str | None) -> tuple[int | None, int | None]:
    """Return how far an address is shifted, and what is left of it, for it to be in the network."""
    if text is None:
        return None, None
    address, _, length = text.partition("/")
    number = _number(address)
    own_bits = 128 if ":" in address else 32
    shift = _ADDRESS_BITS - (int(length) if length else own_bits)
    return shift, number >> shift


@lru_cache(maxsize=65536)
def _number(address: str) -> int:
    """Return an address as a number of 136 bits, its length in front: IPv4 in none of IPv6's networks."""
    packed = address_packed(address)
    return int.from_bytes(bytes((len(packed),)) + packed.ljust(16, b"\0"))


def _takes(ports: tuple[int, int] | None, port: int | None) -> bool:
    return ports is None or (port is not None and ports[0] <= port <= ports[1])


def _specific(entry: Entry) -> tuple[int, ...]:
    """Return how specific an entry is: more fields, a whole name, longer names and prefixes, fewer ports."""
    fields = sum(field is not None for field in (entry.client, entry.server, entry.ports, entry.host))
    name = entry.host or ""
    shifts = [_network(text)[0] for text in (entry.client, entry.server)]
    width = 0 if entry.ports is None else entry.ports[1] - entry.ports[0]
    return (
        fields,
        int(bool(name) and not name.startswith("*")),
        name.count("."),
        -sum(shift or 0 for shift in shifts),
        -width,
        -list(ListKind).index(entry.kind),
        entry.entry_id,
    )


def is_decisive(item: Evidence) -> bool:
    """Whether a symptom positively identified something."""
    return item.log10_lr is not None and item.log10_lr > DECISIVE_LOG10_LR


def _within(entry: Entry, item: Evidence) -> bool:
    """Whether a red entry lets a symptom pass: within the entry's own limit, or not far enough over its own."""
    if is_decisive(item):
        return False
    for rule, limit in entry.limits.measured():
        if limit is not None and item.symptom.endswith(f"-{rule}") and item.value <= limit:
            return True
    if entry.over_percent is None or item.threshold <= 0:
        return False
    return item.value <= item.threshold * (1 + entry.over_percent / 100)
