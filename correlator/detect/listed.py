"""What black and red entries make an alarm of by themselves: contact, and figures over the entry's own limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from common.addresses import endpoint_text
from common.timespan import NS_PER_S, iso_time, seconds
from correlator.detect.alarm import MAX_FLOWS, Alarm, Evidence, Severity
from correlator.detect.lists import Entry, ListKind, Lists, Subject, subject_text

FAMILY: Final = "reputation"
_DAY_NS: Final = 86_400 * NS_PER_S
_KINDS: Final = {ListKind.BLACK: "black-list", ListKind.RED: "red-list"}
_SEVERITIES: Final = {ListKind.BLACK: Severity.HIGH, ListKind.RED: Severity.MEDIUM}
_UNITS: Final = {"bytes": "bytes", "packets": "packets", "tcp-uptime": "s of TCP uptime"}


class Contact(NamedTuple):
    """A channel that was used, to a host where one was asked for."""

    client: str
    server: str
    server_port: int
    protocol: int
    host: str | None
    first_ns: int
    last_ns: int
    """Start of the latest record."""
    flows: tuple[str, ...] = ()
    sensor: str | None = None

    @property
    def subject(self) -> Subject:
        """What the lists are asked for."""
        return Subject(self.client, self.server, self.server_port, self.host)


class Figures(NamedTuple):
    """A channel's figures in one period, both directions together."""

    period_start_ns: int
    bytes: int
    packets: int
    tcp_uptime_ns: int
    last_ns: int


def raising_entry(lists: Lists, contact: Contact, now_ns: int) -> Entry | None:
    """Return the most specific black or red entry that can make an alarm of a contact.

    A white entry that is more specific hides the alarm when it is shown, and not here: it may be taken back.
    """
    return next((entry for entry in lists.find(contact.subject, now_ns) if entry.raises), None)


def contact_alarm(entry: Entry, contact: Contact) -> Alarm:
    """Return the alarm that a channel on the black list was used; one a channel and day (UTC)."""
    day_ns = contact.last_ns - contact.last_ns % _DAY_NS
    fact = f"on the black list ({_named(entry)})"
    return _alarm(entry, contact, "contact", day_ns, (fact, 1, 0))


def limit_alarms(entry: Entry, contact: Contact, figures: Figures, period_ns: int) -> Iterator[Alarm]:
    """Yield an alarm for every limit of the entry that the channel is over in the period."""
    span = f"in the {period_ns // NS_PER_S} s from {iso_time(figures.period_start_ns)}"
    measured = {
        "bytes": figures.bytes,
        "packets": figures.packets,
        "tcp-uptime": seconds(figures.tcp_uptime_ns),
    }
    for rule, limit in entry.limits.measured():
        value = measured[rule]
        if limit is not None and value > limit:
            fact = f"{value:g} {_UNITS[rule]}" if isinstance(value, float) else f"{value} {_UNITS[rule]}"
            fact = f"{fact} {span}, limit {limit} of the {entry.kind} list ({_named(entry)})"
            latest = contact._replace(last_ns=figures.last_ns)
            yield _alarm(entry, latest, rule, figures.period_start_ns, (fact, value, limit))


def _named(entry: Entry) -> str:
    return subject_text(entry) + (f": {entry.comment}" if entry.comment else "")


def _alarm(entry: Entry, contact: Contact, rule: str, period_ns: int, measured: tuple[str, int | float, int]) -> Alarm:
    server = endpoint_text(contact.server, contact.server_port)
    target = server if contact.host is None else f"{contact.host} ({server})"
    fact, value, limit = measured
    return Alarm(
        kind=_KINDS[entry.kind],
        rule=rule,
        subject=f"{contact.protocol}|{contact.client}|{server}|{contact.host or ''}|{subject_text(entry)}",
        period_ns=period_ns,
        severity=entry.severity or _SEVERITIES[entry.kind],
        time_ns=contact.last_ns,
        sensor=contact.sensor,
        client=contact.client,
        server=server,
        host=contact.host,
        probability=None,
        message=f"{contact.client} -> {target}: {fact}",
        evidence=(Evidence(f"{entry.kind}-{rule}", FAMILY, None, value, limit, fact),),
        flows=contact.flows[:MAX_FLOWS],
    )
