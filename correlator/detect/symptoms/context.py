"""Symptoms of what is odd for this client: an hour, a port, a server that it does not use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct

from correlator.detect.channel import Channel, Surroundings
from correlator.detect.habits import Habits
from correlator.detect.symptom import Family, Sight, Symptom, absent, present

ODD_HOUR: Final = "odd-hour"
ODD_PORT: Final = "odd-port"
ODD_SERVER: Final = "odd-server"


class ContextLimits(Struct, frozen=True, kw_only=True):
    """[detect.context]: how long a client is learned before anything is odd for it, and how rare odd is."""

    learn_days: Annotated[int, Meta(ge=1, le=365)] = 14
    least_such_days: Annotated[float, Meta(gt=0)] = 2.0
    hour_share: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    port_flows: Annotated[int, Meta(ge=1)] = 600
    server_flows: Annotated[int, Meta(ge=1)] = 566
    most_rarity: Annotated[float, Meta(gt=0, lt=1)] = 0.002
    predictable_bits: Annotated[float, Meta(ge=0)] = 2.5


_COUNTS: Final = "decayed counts, half-life 7 days, without the client's last two active days"

SYMPTOMS: Final = (
    Symptom(
        ODD_HOUR,
        Family.CONTEXT,
        0.7,
        "connections begin in an hour in which this client is never active",
        "an hour of the latest 24 in which a connection of the channel began, and in which the client was active on at "
        "most hour_share of its weekdays, or days of the weekend; least_such_days of these learned, learn_days since "
        f"the client was first learned; {_COUNTS}",
        "Castro 2003, odd hours; Web Tap (CCS 2004), time of day: 72 % of its alerts were true",
        "working late; updates that a new program makes at night; the change to summer time",
        "calling in the hours of the user",
    ),
    Symptom(
        ODD_PORT,
        Family.CONTEXT,
        0.5,
        "this client does not use such a port",
        "1 + connections to ports as rare as this one or rarer, over 1 + all <= most_rarity, of port_flows at least; "
        f"{_COUNTS}",
        "SPADE's odd-dport with its minimum of 600 observations, as a conformal p-value; LR expert",
        "a new program; ports that servers choose, as of FTP",
        "the ports of the web",
    ),
    Symptom(
        ODD_SERVER,
        Family.CONTEXT,
        0.5,
        "on this port this client always uses a few servers, and not this one",
        "entropy of the client's servers on the port <= predictable_bits, and 1 + connections to servers as rare as "
        f"this one or rarer, over 1 + all to the port <= most_rarity, of server_flows at least; {_COUNTS}",
        "SPADE's odd-port-dest with its 566 observations and 2.5 bits, as a conformal p-value; LR expert",
        "a server that moved; a new account",
        "ports on which many servers are used, such as 443",
    ),
)


def of_channel(channel: Channel, around: Surroundings, limits: ContextLimits) -> Iterator[Sight]:
    """Yield what is odd for the channel's client; nothing while too little is known of it."""
    habits = around.habits
    if habits is None or habits.known_days(around.now_ns) < limits.learn_days:
        return
    yield from _odd_hour(channel, habits, limits)
    if habits.flows >= limits.port_flows:
        rarity = habits.port_rarity(channel.port)
        yield _odd(ODD_PORT, rarity, f"to ports as rare for it as {channel.port}, or rarer", limits)
    yield from _odd_server(channel, habits, limits)


def _odd_hour(channel: Channel, habits: Habits, limits: ContextLimits) -> Iterator[Sight]:
    latest = max(channel.hours, default=0)
    began = [hour for hour, kept in channel.hours.items() if hour > latest - 24 and kept.connections]
    shares = {hour: habits.active_share(hour) for hour in sorted(began)}
    told = {hour: share for hour, (share, weight) in shares.items() if weight >= limits.least_such_days}
    if not told:
        return
    oddest = min(told, key=lambda hour: (told[hour], -hour))
    if told[oddest] > limits.hour_share:
        yield absent(ODD_HOUR)
        return
    text = (
        f"connections began at {oddest % 24:02}h UTC; "
        f"this client was active in that hour on {told[oddest]:.0%} of such days"
    )
    yield present(ODD_HOUR, told[oddest], limits.hour_share, text)


def _odd_server(channel: Channel, habits: Habits, limits: ContextLimits) -> Iterator[Sight]:
    entropy = habits.server_entropy(channel.port)
    if entropy is None or entropy > limits.predictable_bits:
        return
    if habits.ports.get(channel.port, 0.0) >= limits.server_flows:
        rarity = habits.server_rarity(channel.port, channel.peer)
        yield _odd(
            ODD_SERVER, rarity, f"on port {channel.port} to servers as rare for it as this one, or rarer", limits
        )


def _odd(symptom: str, rarity: float, what: str, limits: ContextLimits) -> Sight:
    if rarity > limits.most_rarity:
        return absent(symptom)
    text = f"{rarity:.2%} of this client's connections go {what}"
    return present(symptom, rarity, limits.most_rarity, text)
