"""Channels for tests of symptoms: a connection a line, and anything at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from corr_flows import NS, T0, flow
from hypothesis import strategies as st

from correlator.detect.channel import Channel, Hour, Surroundings, Visit, new_channel
from correlator.detect.symptom import Sight

AROUND = Surroundings(T0, 1, 10, T0, 0)


def channel(*flows: dict[str, Any], **common: Any) -> Channel:
    """Return a channel of these flows, each given by what ``corr_flows.flow`` takes."""
    made = new_channel(flow(**common))
    for number, changes in enumerate(flows):
        made.add(flow(number, **(common | changes)), str(number), begins=True, gap_ns=300 * NS)
    return made


def told(sights: Iterable[Sight]) -> dict[str, Sight]:
    """Return sights by their symptom."""
    return {sight.symptom: sight for sight in sights}


def found(sights: Iterable[Sight]) -> set[str]:
    """Return the symptoms that were found."""
    return {sight.symptom for sight in sights if sight.found}


def every(count: int, interval_s: float, **changes: Any) -> Iterator[dict[str, Any]]:
    """Yield flows that start at a regular interval."""
    for number in range(count):
        yield {"start_s": number * interval_s, **changes}


_amounts = st.integers(0, 1 << 62)
any_visits = st.lists(st.builds(Visit, _amounts, _amounts, _amounts, _amounts), max_size=101).map(sorted)


@st.composite
def any_channels(draw: Any) -> Channel:
    """Return a channel whose parts need not even fit one another."""
    made = new_channel(flow(host=draw(st.none() | st.just("a.example"))))
    made.visits = draw(any_visits)
    hours = st.dictionaries(st.integers(0, 1 << 40), st.builds(Hour, _amounts, _amounts, _amounts), max_size=48)
    made.hours = draw(hours)
    made.slots = draw(st.dictionaries(st.integers(0, 1 << 40), _amounts, max_size=60))
    made.first_ns, made.last_ns = sorted((draw(_amounts), draw(_amounts)))
    made.session_start_ns, made.session_flows = draw(st.integers(0, made.last_ns)), draw(st.integers(0, 1000))
    return made


any_surroundings = st.builds(Surroundings, _amounts, st.integers(0, 10_000), st.integers(0, 10_000), _amounts, _amounts)
