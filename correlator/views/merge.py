"""The parts of one flow as one record."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
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


def merge_parts(parts: Sequence[FlowRecord]) -> FlowRecord:
    """Return one record for the parts of a flow, which are given in order; ValueError when none is."""
    if not parts:
        raise ValueError("a flow has at least one part")
    return reduce(_merge, parts)


def _merge(one: FlowRecord, other: FlowRecord) -> FlowRecord:
    values: dict[str, Any] = {name: getattr(one, name) + getattr(other, name) for name in _SUMMED}
    for names, choose in (
        (_SUMMED_IF_THERE, lambda a, b: a + b),
        (_HISTOGRAMS, lambda a, b: tuple(x + y for x, y in zip(a, b, strict=True))),
        (_LARGEST, max),
        (_SMALLEST, min),
        (_LATEST, lambda _, b: b),
        (_EARLIEST, lambda a, _: a),
        (("anomalies",), lambda a, b: tuple(dict.fromkeys((*a, *b)))[:32]),
    ):
        for name in names:
            values[name] = _either(getattr(one, name), getattr(other, name), choose)
    return one._replace(**values, **_gaps_together(one, other), end_reason=other.end_reason)


def _either(one: Any, other: Any, choose: Any) -> Any:
    if one is None or other is None:
        return one if other is None else other
    return choose(one, other)


def _gaps_together(one: FlowRecord, other: FlowRecord) -> dict[str, Any]:
    """Return count, mean and M2 of both sets of exchange gaps (Chan, Golub, LeVeque 1979)."""
    names = ("exchange_gaps", "exchange_gap_mean_s", "exchange_gap_m2_s2")
    mine, theirs = (_gap_values(record) for record in (one, other))
    if mine is None or theirs is None:
        kept = other if mine is None else one
        return {name: getattr(kept, name) for name in names}
    (n, mean, m2), (k, other_mean, other_m2) = mine, theirs
    together = n + k
    delta = other_mean - mean
    return {
        "exchange_gaps": together,
        "exchange_gap_mean_s": mean + delta * k / together,
        "exchange_gap_m2_s2": m2 + other_m2 + delta * delta * n * k / together,
    }


def _gap_values(record: FlowRecord) -> tuple[int, float, float] | None:
    count, mean, m2 = record.exchange_gaps, record.exchange_gap_mean_s, record.exchange_gap_m2_s2
    if not count or mean is None or m2 is None:
        return None
    return count, mean, m2
