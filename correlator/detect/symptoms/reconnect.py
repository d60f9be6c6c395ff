"""A tunnel that reconnects before it is long: connections of about one length that follow each other at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import Annotated, Final

from msgspec import Meta, Struct

from common.timespan import NS_PER_S
from correlator.detect.channel import Channel, Surroundings, Visit
from correlator.detect.symptom import Family, Sight, Symptom, absent, present

RECONNECTING: Final = "reconnecting"
_OVERLAP_NS: Final = 2 * NS_PER_S


class ReconnectLimits(Struct, frozen=True, kw_only=True):
    """[detect.reconnect]: which connections are taken for one that is cut in pieces."""

    least_flows: Annotated[int, Meta(ge=3, le=100)] = 4
    least_length_s: Annotated[float, Meta(gt=0)] = 10.0
    most_pause_s: Annotated[float, Meta(ge=0)] = 10.0
    length_tolerance: Annotated[float, Meta(gt=0, lt=1)] = 0.25
    alike_share: Annotated[float, Meta(gt=0.5, le=1)] = 0.75


SYMPTOMS: Final = (
    Symptom(
        RECONNECTING,
        Family.DURATION,
        0.6,
        "connections of about the same length follow each other without a break",
        "flows of least_length_s at least, each beginning within most_pause_s after the end of the one before (at most "
        "2 s earlier), least_flows or more in a row; alike_share of their lengths within length_tolerance of the "
        "median, the last one, which may go on, left out",
        "Castro 2003, channel uptime far above the uptime of each connection; thresholds and LR expert",
        "long polling, whose server ends each request after the same time; video players; chats behind a proxy's limit",
        "lengths drawn at random; pauses; two connections at a time",
    ),
)


def of_channel(channel: Channel, _around: Surroundings, limits: ReconnectLimits) -> Iterator[Sight]:
    """Yield what the longest row of the latest connections says that followed each other at once."""
    least_ns = limits.least_length_s * NS_PER_S
    visits = [visit for visit in channel.visits if visit.end_ns - visit.start_ns >= least_ns]
    if len(visits) <= limits.least_flows:
        return
    row = max(_rows(visits, int(limits.most_pause_s * NS_PER_S)), key=len)
    lengths = [visit.end_ns - visit.start_ns for visit in row[:-1]]
    if len(lengths) < limits.least_flows:
        yield absent(RECONNECTING)
        return
    usual = median(lengths)
    alike = sum(abs(length - usual) <= limits.length_tolerance * usual for length in lengths)
    if alike < limits.alike_share * len(lengths):
        yield absent(RECONNECTING)
        return
    whole_s = (row[-1].end_ns - row[0].start_ns) / NS_PER_S
    text = (
        f"{len(row)} connections followed each other without a break for {whole_s:,.0f} s, "
        f"{alike} of them about {usual / NS_PER_S:,.0f} s long"
    )
    yield present(RECONNECTING, len(row), limits.least_flows, text)


def _rows(visits: Sequence[Visit], pause_ns: int) -> list[list[Visit]]:
    """Return the visits in rows, in each of which one begins about when the one before ends."""
    rows = [[visits[0]]]
    for before, visit in pairwise(visits):
        if -_OVERLAP_NS <= visit.start_ns - before.end_ns <= pause_ns:
            rows[-1].append(visit)
        else:
            rows.append([visit])
    return rows
