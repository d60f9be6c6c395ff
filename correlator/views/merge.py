"""The parts of one flow as one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any, Final

from common.records import FlowRecord

_SUMMED: Final = (
    "packets_out",
    "packets_in",
    "wire_bytes_out",
    "wire_bytes_in",
    "payload_bytes_out",
    "payload_bytes_in",
    "retransmitted_bytes_out",
    "retransmitted_bytes_in",
    "missed_bytes_out",
    "missed_bytes_in",
)
_SUMMED_IF_THERE: Final = (
    "data_packets_out",
    "data_packets_in",
    "keystroke_packets",
    "keystroke_pairs",
    "keystroke_typed_pairs",
    "echoes",
    "exchanges",
)
_HISTOGRAMS: Final = ("payload_sizes_out", "payload_sizes_in", "gaps_out", "gaps_in")
_LARGEST: Final = ("end_ns", "max_idle_ns", "exchange_gap_max_ns")
_SMALLEST: Final = ("exchange_gap_min_ns",)
# These describe the flow so far: the last part that knows one is right.
_LATEST: Final = (
    "tcp_flags_out",
    "tcp_flags_in",
    "conn_state",
    "history",
    "closed_ns",
    "splt",
    "app_out",
    "app_in",
    "host",
    "facts",
)
_EARLIEST: Final = (
    "handshake_rtt_ns",
    "first_popcount",
    "first_printable",
    "first_printable_run",
    "first_entropy",
)


def _places(*names: str) -> tuple[int, ...]:
    return tuple(map(FlowRecord._fields.index, names))


# By places rather than names: detection merges the parts of every long flow.
_AT_SUMMED: Final = _places(*_SUMMED)
_AT_END_REASON: Final = FlowRecord._fields.index("end_reason")
_AT_GAPS: Final = slice(FlowRecord._fields.index("exchange_gaps"), FlowRecord._fields.index("exchange_gap_m2_s2") + 1)
_CHOICES: Final[tuple[tuple[tuple[int, ...], Callable[[Any, Any], Any]], ...]] = (
    (_places(*_SUMMED_IF_THERE), add),
    (_places(*_HISTOGRAMS), lambda a, b: tuple(map(add, a, b))),
    (_places(*_LARGEST), max),
    (_places(*_SMALLEST), min),
    (_places(*_LATEST), lambda _, b: b),
    (_places(*_EARLIEST), lambda a, _: a),
    (_places("anomalies"), lambda a, b: tuple(dict.fromkeys((*a, *b)))[:32]),
)


def merge_parts(parts: Sequence[FlowRecord]) -> FlowRecord:
    """Return one record for the parts of a flow, which are given in order; ValueError when none is."""
    if not parts:
        raise ValueError("a flow has at least one part")
    return reduce(_merge, parts)


def _merge(one: FlowRecord, other: FlowRecord) -> FlowRecord:
    values: list[Any] = list(one)
    for place in _AT_SUMMED:
        values[place] += other[place]
    for places, choose in _CHOICES:
        for place in places:
            value = other[place]
            if value is not None:
                values[place] = value if values[place] is None else choose(values[place], value)
    values[_AT_END_REASON] = other.end_reason
    values[_AT_GAPS] = _gaps_together(one, other)
    return FlowRecord._make(values)


def _gaps_together(one: FlowRecord, other: FlowRecord) -> Sequence[Any]:
    """Return count, mean and M2 of both sets of exchange gaps (Chan, Golub, LeVeque 1979)."""
    mine, theirs = _gap_values(one), _gap_values(other)
    if mine is None or theirs is None:
        return tuple(other if mine is None else one)[_AT_GAPS]
    (n, mean, m2), (k, other_mean, other_m2) = mine, theirs
    together = n + k
    delta = other_mean - mean
    return together, mean + delta * k / together, m2 + other_m2 + delta * delta * n * k / together


def _gap_values(record: FlowRecord) -> tuple[int, float, float] | None:
    count, mean, m2 = record.exchange_gaps, record.exchange_gap_mean_s, record.exchange_gap_m2_s2
    if not count or mean is None or m2 is None:
        return None
    return count, mean, m2
