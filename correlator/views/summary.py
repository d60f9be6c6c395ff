"""The summary: what the whole selection amounts to, in one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.timespan import iso_time
from correlator.detect.alarm import Severity
from correlator.rows import ChannelRow, Overall
from correlator.views.averages import average, averages
from correlator.views.figures import total
from correlator.views.tree import figures_record


def overall_of(channels: Sequence[ChannelRow]) -> Overall:
    """Return what channels amount to together."""
    return Overall(
        len({row.client for row in channels}),
        len({(row.server, row.server_port, row.protocol) for row in channels}),
        len(channels),
        total(row.figures for row in channels) if channels else None,
    )


def summary(
    overall: Overall,
    *,
    periods: int,
    open_flows: int,
    alarms: Mapping[str, int],
    sensors: Sequence[str],
) -> dict[str, Any]:
    """Return the JSON object that the command line prints; times are absent when nothing is stored.

    ``first`` and ``last`` are the first and the last start of a connection, ``last_end`` the last end;
    ``per_client`` are the averages over all clients.
    """
    counts = {
        "clients": overall.clients,
        "services": overall.services,
        "channels": overall.channels,
        "periods": periods,
    }
    figures: dict[str, Any] = {"connections": 0}
    together = overall.figures
    if together is not None:
        figures = {
            **figures_record(together),
            "last": iso_time(together.last_start_ns),
            "last_end": iso_time(together.last_ns),
            "per_client": {
                "services": average(overall.channels, overall.clients),
                **averages(together, overall.clients),
            },
        }
    return {
        **counts,
        **figures,
        "open_flows": open_flows,
        "alarms": {severity.value: alarms.get(severity.value, 0) for severity in Severity},
        "sensors": list(sensors),
    }
