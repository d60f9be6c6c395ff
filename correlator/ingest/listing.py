"""Alarms of black and red entries: about records as they come, and about what is stored when the lists change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, Final

from common.addresses import address_text
from correlator.columns import AT
from correlator.detect.alarm import MAX_FLOWS, Alarm
from correlator.detect.listed import Contact, Figures, contact_alarm, limit_alarms, raising_entry
from correlator.detect.lists import Entry, Lists
from correlator.store.writer import Arrived

FiguresOf = Callable[[Contact], Iterable[Figures]]
_CHANNEL: Final = tuple(AT[name] for name in ("client_ip", "server_ip", "server_port", "protocol", "host"))


def listed_alarms(
    lists: Lists, contacts: Iterable[Contact], figures_of: FiguresOf, period_ns: int, now_ns: int
) -> Iterator[Alarm]:
    """Yield the alarms that black and red entries make of contacts; ``figures_of`` is asked where one has limits."""
    if not lists.raises:
        return
    seen: set[tuple[Any, ...]] = set()
    for contact in contacts:
        entry = raising_entry(lists, contact, now_ns)
        if entry is None:
            continue
        # An entry that names no host is about the service, whatever was asked for there.
        about = contact if entry.host is not None else contact._replace(host=None)
        key = (entry, *about[:5])
        if key not in seen:
            seen.add(key)
            yield from _alarms(entry, about, figures_of, period_ns)


def contacts_of(arrived: Arrived) -> Iterator[Contact]:
    """Yield the channels that records are of, each once for every host that was asked for, those used last first."""
    columns = arrived.columns
    if not arrived.records:
        return
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(zip(*(columns[at] for at in _CHANNEL), strict=True)):
        places.setdefault(key, []).append(place)
    starts, flows = columns[AT["start_ns"]], columns[AT["flow_id"]]
    found = [(max(starts[place] for place in where), key, where) for key, where in places.items()]
    for last_ns, (client, server, port, protocol, host), where in sorted(found, key=itemgetter(0), reverse=True):
        yield Contact(
            client=address_text(client),
            server=address_text(server),
            server_port=port,
            protocol=protocol,
            host=None if host is None else host.lower(),
            first_ns=min(starts[place] for place in where),
            last_ns=last_ns,
            flows=tuple(dict.fromkeys(str(flows[place]) for place in where[:MAX_FLOWS])),
            sensor=arrived.sensor,
        )


def _alarms(entry: Entry, contact: Contact, figures_of: FiguresOf, period_ns: int) -> Iterator[Alarm]:
    if not entry.limits:
        yield contact_alarm(entry, contact)
        return
    for figures in figures_of(contact):
        yield from limit_alarms(entry, contact, figures, period_ns)
