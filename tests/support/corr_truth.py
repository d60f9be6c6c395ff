"""What raw records amount to, in plain Python that shares nothing with the correlator.

Records come from the paper's table or from ``tunnelwatch-sensor read --format ndjson``; everything is computed by
going through all of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from io import StringIO
from typing import Any, NamedTuple

from corr_cli import Cli

NS = 10**9
MINUTE, HOUR, DAY = 60 * NS, 3600 * NS, 86400 * NS
GAP = 300 * NS

# The five values of the paper, as `top --by` calls them and as JSON does.
FIVE = {
    "connections": "connections",
    "outbound": "bytes_out",
    "inbound": "bytes_in",
    "channel-uptime": "channel_uptime_s",
    "tcp-uptime": "tcp_uptime_s",
}


class Record(NamedTuple):
    """One record of a TCP flow."""

    flow: str
    part: int
    client: str
    client_port: int
    server: str
    start: int
    end: int
    packets_out: int
    packets_in: int
    bytes_out: int
    bytes_in: int
    ended: bool

    @property
    def channel(self) -> tuple[str, str]:
        return self.client, self.server

    @property
    def hour(self) -> int:
        return self.start // HOUR * HOUR

    @property
    def minute(self) -> int:
        return self.start // MINUTE * MINUTE


def of_paper(table: str) -> list[Record]:
    """Read the paper's records; every line is a flow of its own."""
    return [
        Record(
            flow=str(number),
            part=0,
            client=row["src"],
            client_port=int(row["sport"]),
            server=f"{row['dst']}:{row['dport']}",
            start=int(row["start"]) * NS,
            end=int(row["end"]) * NS,
            packets_out=int(row["pkts_tx"]),
            packets_in=int(row["pkts_rx"]),
            bytes_out=int(row["bytes_tx"]),
            bytes_in=int(row["bytes_rx"]),
            ended=True,
        )
        for number, row in enumerate(csv.DictReader(StringIO(table)))
    ]


def of_sensor(ndjson: str) -> list[Record]:
    """Read the TCP records that a sensor printed."""
    return [
        Record(
            flow=row["flow_id"],
            part=row["part"],
            client=row["client_ip"],
            client_port=row["client_port"],
            server=f"[{row['server_ip']}]:{row['server_port']}"
            if ":" in row["server_ip"]
            else f"{row['server_ip']}:{row['server_port']}",
            start=row["start_ns"],
            end=row["end_ns"],
            packets_out=row["packets_out"],
            packets_in=row["packets_in"],
            bytes_out=row["payload_bytes_out"],
            bytes_in=row["payload_bytes_in"],
            ended=row["end_reason"] is not None,
        )
        for row in map(json.loads, ndjson.splitlines())
        if row["protocol"] == "tcp"
    ]


class Truth:
    """All records, and what any of them amount to; a range counts records by their start, and clips channels."""

    def __init__(self, records: list[Record]) -> None:
        self.all = records

    def chosen(self, since: int | None = None, until: int | None = None, **names: str) -> list[Record]:
        """Return the records of a time range with some names (client, server)."""
        return [
            record
            for record in self.all
            if (since is None or record.start >= since)
            and (until is None or record.start < until)
            and all(getattr(record, name) == value for name, value in names.items())
        ]

    def five(self, records: Iterable[Record], since: int | None = None, until: int | None = None) -> dict[str, float]:
        """Return the five values of records under their JSON names."""
        many = list(records)
        channels = {record.channel for record in many}
        return {
            "connections": sum(record.part == 0 for record in many),
            "bytes_out": sum(record.bytes_out for record in many),
            "bytes_in": sum(record.bytes_in for record in many),
            "channel_uptime_s": sum(self.channel_uptime(channel, since, until) for channel in channels) / NS,
            "tcp_uptime_s": sum(record.end - record.start for record in many) / NS,
        }

    def figures(self, records: Iterable[Record], since: int | None = None, until: int | None = None) -> dict[str, Any]:
        """Return the five values, the packets and the span (nanoseconds) of records."""
        many = list(records)
        return {
            **self.five(many, since, until),
            "packets_out": sum(record.packets_out for record in many),
            "packets_in": sum(record.packets_in for record in many),
            "first": min(record.start for record in many),
            "last": max(record.end for record in many),
        }

    def channel_uptime(self, channel: tuple[str, str], since: int | None = None, until: int | None = None) -> int:
        """Return how long a channel stood up inside a range: gaps up to GAP belong to it."""
        low, high = since if since is not None else -(2**63), until if until is not None else 2**63
        return sum(max(0, min(end, high) - max(start, low)) for start, end in self._sessions(channel))

    def _sessions(self, channel: tuple[str, str]) -> list[tuple[int, int]]:
        times = sorted((record.start, record.end) for record in self.all if record.channel == channel)
        found: list[tuple[int, int]] = []
        for start, end in times:
            if found and start <= found[-1][1] + GAP:
                found[-1] = (found[-1][0], max(found[-1][1], end))
            else:
                found.append((start, end))
        return found

    def services(self, client: str, since: int | None = None, until: int | None = None) -> set[str]:
        """Return the services that a client used."""
        return {record.server for record in self.chosen(since, until, client=client)}

    def clients(self) -> list[str]:
        """Return every client."""
        return sorted({record.client for record in self.all})

    def hours(self) -> list[int]:
        """Return the start of every hour with records."""
        return sorted({record.hour for record in self.all})

    def ranges(self) -> list[tuple[int | None, int | None]]:
        """Return time ranges to try: all, each of some hours, one that cuts hours, one without an end."""
        starts = sorted(record.start for record in self.all)
        middle, late = starts[len(starts) // 3], starts[2 * len(starts) // 3] + 1
        hours = self.hours()
        return [(None, None), *((hour, hour + HOUR) for hour in hours[:3]), (middle, late), (late, None)]


class Case(NamedTuple):
    """A database, and the records in it as the test sees them."""

    name: str
    cli: Cli
    truth: Truth


def groups(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    """Return records by key."""
    found: dict[Any, list[Record]] = {}
    for record in records:
        found.setdefault(key(record), []).append(record)
    return found


def range_options(since: int | None, until: int | None) -> tuple[str, ...]:
    """Return a range as options of the command line, to the nanosecond."""
    options = (("--since", since), ("--until", until))
    return tuple(text for name, time in options if time is not None for text in (name, f"{time // NS}.{time % NS:09d}"))
