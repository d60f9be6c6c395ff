"""How well known a peer is: new and used by one client speaks for a tunnel, used by everybody against one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct

from correlator.detect.channel import DAY_NS, Channel, Surroundings
from correlator.detect.symptom import Family, Sight, Symptom, absent, present

NEW_AND_ALONE: Final = "new-peer-of-one-client"
NEW: Final = "new-peer"
RARE: Final = "rare-peer"
KNOWN: Final = "known-peer"
OLD: Final = "old-peer"
POPULAR: Final = "popular-peer"

Share = Annotated[float, Meta(gt=0, le=1)]


class NoveltyLimits(Struct, frozen=True, kw_only=True):
    """[detect.novelty]: what new, rare and popular mean; relays carry what is meant for others."""

    history_days: Annotated[float, Meta(ge=0)] = 14
    new_days: Annotated[float, Meta(gt=0)] = 7
    old_days: Annotated[float, Meta(gt=0)] = 30
    rare_share: Share = 0.02
    rare_least_clients: Annotated[int, Meta(ge=1)] = 50
    popular_share: Share = 0.5
    popular_least_clients: Annotated[int, Meta(ge=1)] = 5
    relay_ports: tuple[Annotated[int, Meta(ge=0, le=65_535)], ...] = (1080, 3128, 8080, 8118, 8888)


_HISTORY: Final = (
    "only when records go back history_days; not for relay_ports without a name, where the peer is a proxy"
)

SYMPTOMS: Final = (
    Symptom(
        NEW_AND_ALONE,
        Family.NOVELTY,
        0.6,
        "only this client uses the peer, and since a few days only",
        f"clients of the peer = 1 and first contact at most new_days ago; {_HISTORY}",
        "prevalence and first contact as RITA's modifiers; LR expert",
        "anybody's new favourite; names made up for each day by content networks",
        "a peer that others use too: clouds, content networks, domain fronting",
    ),
    Symptom(
        NEW,
        Family.NOVELTY,
        0.3,
        "nobody here used the peer until a few days ago",
        f"first contact at most new_days ago; {_HISTORY}",
        "RITA's modifier of +0.15 for peers first seen in the last 7 days; LR expert",
        "new services that everybody tries",
        "waiting for a week before use",
    ),
    Symptom(
        RARE,
        Family.NOVELTY,
        0.3,
        "hardly anybody here uses the peer",
        "clients of the peer / clients <= rare_share, of rare_least_clients at least; not for proxies as above",
        "RITA's modifier of +0.15 for peers of 2 % of the hosts; LR expert",
        "special interests",
        "a peer that others use too",
    ),
    Symptom(
        KNOWN,
        Family.NOVELTY,
        -0.52,
        "the peer is not new, or others use it too",
        f"first contact more than new_days ago, or clients of the peer > 1; {_HISTORY}",
        "the likelihood ratio of 0.3 for a peer that is not both new and used by one client alone; expert",
        "does not apply: it speaks against a tunnel",
        "waiting for a week before use; using a peer from two clients",
    ),
    Symptom(
        OLD,
        Family.NOVELTY,
        -0.6,
        "the peer has been used for a month",
        f"first contact at least old_days ago; {_HISTORY}",
        "RITA's modifier of -0.15 for peers first seen 30 days ago; LR expert",
        "does not apply: it speaks against a tunnel",
        "waiting for a month before use",
    ),
    Symptom(
        POPULAR,
        Family.NOVELTY,
        -1.3,
        "half of all clients use the peer",
        "clients of the peer / clients >= popular_share, of popular_least_clients at least; not for proxies as above",
        "RITA's modifier of -0.15 for peers of 50 % of the hosts; LR of 0.05 expert",
        "does not apply: it speaks against a tunnel",
        "domain fronting; a tunnel's end in a popular cloud, where names are not seen",
    ),
)


def of_channel(channel: Channel, around: Surroundings, limits: NoveltyLimits) -> Iterator[Sight]:
    """Yield how well known the channel's peer is; nothing about a proxy, which is everybody's peer."""
    if channel.host is None and channel.port in limits.relay_ports:
        return
    yield from _prevalence(around, limits)
    if around.history_ns >= limits.history_days * DAY_NS:
        yield from _age(around, limits)


def _prevalence(around: Surroundings, limits: NoveltyLimits) -> Iterator[Sight]:
    if not around.clients:
        return
    share = around.peer_clients / around.clients
    text = f"{around.peer_clients} of {around.clients} clients use the peer"
    if around.clients >= limits.rare_least_clients:
        yield present(RARE, share, limits.rare_share, text) if share <= limits.rare_share else absent(RARE)
    if around.clients >= limits.popular_least_clients and share >= limits.popular_share:
        yield present(POPULAR, share, limits.popular_share, text)


def _age(around: Surroundings, limits: NoveltyLimits) -> Iterator[Sight]:
    days = max(around.now_ns - around.peer_first_ns, 0) / DAY_NS
    since = f"first used {days:.1f} days ago"
    if days > limits.new_days:
        yield present(KNOWN, days, limits.new_days, f"the peer was {since}")
        if days >= limits.old_days:
            yield present(OLD, days, limits.old_days, f"the peer was {since}")
        yield absent(NEW)
        yield absent(NEW_AND_ALONE)
        return
    yield present(NEW, days, limits.new_days, f"the peer was {since}")
    if around.peer_clients > 1:
        yield present(KNOWN, around.peer_clients, 1, f"{around.peer_clients} clients use the peer")
        yield absent(NEW_AND_ALONE)
    else:
        yield present(NEW_AND_ALONE, days, limits.new_days, f"only this client uses the peer, {since}")
