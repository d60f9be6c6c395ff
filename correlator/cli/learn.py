"""``learn``: when learning begins and ends, and how much was learned."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import click

from common.console import say
from common.timespan import NS_PER_S, iso_time
from correlator.cli.options import Place, now_ns, open_store, time_ns, with_place
from correlator.detect.settings import DetectSettings
from correlator.learning import begin, end, phase
from correlator.render import machine
from correlator.render.table import print_fields
from correlator.store import profiles
from correlator.store.database import Store, changing

_LENGTH: Final = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
_UNITS_S: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def length_s(text: str) -> int:
    """Return the seconds of ``14d``, ``36h``, ``2w`` on the command line."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r:.40} is no length of time; write 14d, 36h or 2w")
    return int(match[1]) * _UNITS_S[match[2]]


@click.group(short_help="What is usual: start, stop, status")
def learn() -> None:
    r"""Learn what is usual of clients, services and channels, hour by hour.

    Every hour is learned from when it is over, by 'serve' and by 'import', also after learning has ended: then it is
    judged first. Learning begins with the first records and lasts as long as [detect.baseline] learning_days says.

    \b
    Example:
      tunnelwatch learn start --for 14d
      tunnelwatch learn status
    """


@learn.command(short_help="Begin to learn anew")
@click.option("--for", "for_s", type=length_s, metavar="14d", help="How long  [default: learning_days]")
@click.option("--since", "since_ns", type=time_ns, metavar="TIME", help="From recorded hours on  [default: now]")
@with_place
def start(for_s: int | None, since_ns: int | None, place: Place) -> None:
    r"""Forget what was learned and begin anew; the hours that are recorded since TIME count.

    Until learning is over nothing is judged by what is usual. Thresholds and symptoms alarm as ever.

    \b
    Example:
      tunnelwatch learn start --for 14d
      tunnelwatch learn start --since 2026-11-01 --for 2w
    """
    settings = place.settings().detect
    since_s = (now_ns() if since_ns is None else since_ns) // NS_PER_S
    with changing(place.db) as store:
        alarms = begin(store, settings, since_s, for_s)
        say(_state(_status(store, settings)) + (f"; {alarms} new alarms" if alarms else ""))


@learn.command(short_help="End learning now")
@with_place
def stop(place: Place) -> None:
    r"""End learning now: from here on hours are judged by what was learned. They are still learned from.

    \b
    Example:
      tunnelwatch learn stop
    """
    settings = place.settings().detect
    with changing(place.db) as store:
        end(store, now_ns() // NS_PER_S)
        say(_state(_status(store, settings)))


@learn.command(short_help="Whether learning goes on, and how much was learned")
@click.option("--json", "as_json", is_flag=True, help="Print JSON")
@with_place
def status(place: Place, *, as_json: bool) -> None:
    r"""Show whether learning goes on, and how much was learned.

    \b
    Example:
      tunnelwatch learn status
    """
    with open_store(place) as store:
        record = _status(store, place.settings().detect)
    if as_json:
        machine.write_json_object(record, sys.stdout)
        return
    print_fields({name: str(value) for name, value in record.items() if value is not None})


def _status(store: Store, settings: DetectSettings) -> dict[str, Any]:
    since_s, until_s = phase(store.conn, settings.baseline.learning_days)
    extent = profiles.extent(store.conn)
    reached_s = profiles.last_period(store.conn)
    ended = bool(until_s) and reached_s is not None and reached_s >= until_s
    return {
        "state": "running" if ended else "learning",
        "since": _time(since_s or profiles.first_period(store.conn)),
        "until": _time(until_s or None),
        "reached": _time(reached_s),
        "judging": ended and settings.enabled and settings.baseline.enabled,
        "periods": extent.periods,
        "clients": extent.clients,
        "services": extent.services,
        "channels": extent.channels,
        "hosts": extent.hosts,
        "cells": extent.cells,
    }


def _state(status: dict[str, Any]) -> str:
    if status["state"] == "running":
        return f"learning ended {status['until']}: what comes is judged by {status['periods']} learned periods"
    if status["until"] is None:
        return "learning begins with the first records"
    return f"learning from {status['since']} until {status['until']}; traffic has come to {status['reached']}"


def _time(time_s: int | None) -> str | None:
    return None if time_s is None else iso_time(time_s * NS_PER_S)
