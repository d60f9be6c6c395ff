#!/usr/bin/env python3
"""Write flow logs of a simulated network as a sensor would, a file a day and fifty users; and what each channel is.

    .venv/bin/python bench/simulate.py /tmp/office --users 30 --days 40
    .venv/bin/python bench/simulate.py /tmp/office --tunnels 20          twenty tunnels of every kind beside it

The same bytes for the same arguments.  ``labels.ndjson`` in the directory has a line for each channel (client, host
or address, port) with what it is; the model is described in bench/README.md, its parameters where they are
used, each with its reason: sim_world.py, sim_browsing.py, sim_machines.py, sim_tunnels.py.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from sim_browsing import browsing
from sim_machines import machines
from sim_tunnels import Tunnel, planned, played
from sim_web import Made
from sim_world import DAY, MINUTE, START_NS, User, World

from common.addresses import address_text
from common.flowlog import FILE_HEADER, Batch, encode_frame, header_batch

SENSOR: Final = "tap-1"
LABELS: Final = "labels.ndjson"
_FRAME_RECORDS = 500  # as the sensor's default
_FRAME_NS = 10 * MINUTE
_GROUP = 50  # users whose flows of a day are in memory at once
_GROUP_IDS = 1_000_000_000


class Plan(NamedTuple):
    """What is simulated."""

    users: int
    days: int
    tunnels: int
    """Of every kind; 0 for ordinary traffic alone."""
    seed: int
    ordinary: bool = True
    """Whether there is ordinary traffic; otherwise the tunnels alone, to be played beside it."""
    lost: float = 0.0
    """Share of packets that the sensor does not see."""
    busy: int = 1
    """How often each user's day is browsed: more flows, for measurements of speed."""


class Channel(NamedTuple):
    """Who talks to whom, as labels and alarms name it."""

    client: str
    peer: str
    port: int


def day_of(world: World, users: Sequence[User], tunnels: Sequence[Tunnel], plan: Plan, day: int) -> Iterator[Made]:
    """Yield the flows of some users that begin on a day, and those of tunnels, in no order."""
    for user in users if plan.ordinary else ():
        habits = world.day(user, day)
        for again in range(plan.busy):
            yield from browsing(_again(world, again) if again else world, user, habits)
        yield from machines(world, user, habits)
    for number, tunnel in enumerate(tunnels):
        yield from played(world, tunnel, number, day)


def _again(world: World, number: int) -> World:
    """Return a world with other dice and the same people and sites."""
    other = copy.copy(world)
    other.seed = f"{world.seed}, {number}"
    return other


def write_day(plan: Plan, day: int, group: int, directory: Path) -> None:
    """Write a day's flow log of a group of users, and its labels beside it; the first has the tunnels."""
    world = World(plan.seed, plan.users, plan.lost)
    users = world.users[group * _GROUP : (group + 1) * _GROUP]
    tunnels = [] if group else planned(world, plan.tunnels, plan.days)
    log = _log(directory, day, group)
    run = START_NS + day * DAY + 2 * group + (0 if plan.ordinary else 1)
    rows: list[tuple[int, int, Any]] = []
    labels: dict[tuple[Channel, Any], list[int]] = {}
    made = sorted(day_of(world, users, tunnels, plan, day), key=lambda one: one.records[0].start_ns)
    first_id = START_NS + day * DAY + group * _GROUP_IDS
    for number, (records, label) in enumerate(made):
        first = records[0]
        channel = Channel(address_text(first.client_ip), first.host or address_text(first.server_ip), first.server_port)
        known = labels.setdefault((channel, label), [first.start_ns, 0, 0, 0])
        known[1] = max(known[1], records[-1].end_ns)
        known[2] += 1
        known[3] += sum(record.payload_bytes_out for record in records)
        rows += [
            (record.end_ns, record.start_ns, record._replace(flow_id=record.flow_id or first_id + number))
            for record in records
        ]
    rows.sort(key=lambda row: row[0])
    partial = log.with_suffix(".partial")
    with partial.open("wb") as out:
        out.write(FILE_HEADER + encode_frame(header_batch(SENSOR, run, run)))
        for sequence, some in enumerate(_frames(rows), 1):
            first_ns = min(start_ns for _, start_ns, _ in some)
            records = [record for _, _, record in some]
            out.write(encode_frame(Batch("flow", SENSOR, run, sequence, first_ns, some[-1][0], records)))
    lines = [
        json.dumps(
            channel._asdict()
            | label._asdict()
            | dict(zip(("first_ns", "last_ns", "flows", "bytes_out"), known, strict=True))
        )
        for (channel, label), known in sorted(labels.items())
    ]
    log.with_suffix(".labels").write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.rename(log)


def _frames(rows: Sequence[tuple[int, int, Any]]) -> Iterator[Sequence[tuple[int, int, Any]]]:
    """Yield what goes into each frame: a bounded number, and nothing waits for longer than ten minutes."""
    place = 0
    while place < len(rows):
        end = place + 1
        while end < min(len(rows), place + _FRAME_RECORDS) and rows[end][0] < rows[place][0] + _FRAME_NS:
            end += 1
        yield rows[place:end]
        place = end


def _log(directory: Path, day: int, group: int) -> Path:
    return directory / f"day-{day + 1:02}{f'-{group}' if group else ''}.flowlog"


def write(directory: Path, plan: Plan) -> list[Path]:
    """Write the flow logs of all days, one a core at a time, and the labels; what is there already is kept."""
    directory.mkdir(parents=True, exist_ok=True)
    stated = directory / "plan.json"
    text = json.dumps(plan._asdict())
    if stated.exists() and stated.read_text(encoding="utf-8") != text:
        other = stated.read_text(encoding="utf-8")
        raise SystemExit(f"{directory} holds another simulation: {other}; choose another place")
    stated.write_text(text, encoding="utf-8")
    parts = [(day, group) for day in range(plan.days) for group in range(-(-plan.users // _GROUP))]
    missing = [part for part in parts if not _log(directory, *part).exists()]
    cores = len(os.sched_getaffinity(0))
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=_write, args=(plan, missing[first::cores], directory)) for first in range(cores)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit("the flow logs were not written")
    logs = [_log(directory, *part) for part in parts]
    (directory / LABELS).write_text(
        "".join(log.with_suffix(".labels").read_text(encoding="utf-8") for log in logs), encoding="utf-8"
    )
    return logs


def _write(plan: Plan, parts: Sequence[tuple[int, int]], directory: Path) -> None:
    for day, group in parts:
        write_day(plan, day, group, directory)


def main() -> None:
    """Parse the arguments and write the flow logs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--users", type=int, default=30, help="(default: %(default)s)")
    parser.add_argument("--days", type=int, default=40, help="(default: %(default)s)")
    parser.add_argument("--tunnels", type=int, default=0, metavar="N", help="of every kind (default: none)")
    parser.add_argument(
        "--only-tunnels", action="store_true", help="without the ordinary traffic, to be played beside it"
    )
    parser.add_argument("--lost", type=float, default=0.0, metavar="SHARE", help="of packets that the sensor misses")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    arguments = parser.parse_args()
    if min(arguments.users, arguments.days) < 1 or arguments.tunnels < 0 or arguments.users > 10_000:
        parser.error("--users is 1 to 10000, --days 1 or more, --tunnels 0 or more")
    if not 0 <= arguments.lost < 1:
        parser.error("--lost is 0 or more and below 1")
    write(
        arguments.directory,
        Plan(
            arguments.users,
            arguments.days,
            arguments.tunnels,
            arguments.seed,
            not arguments.only_tunnels,
            arguments.lost,
        ),
    )


if __name__ == "__main__":
    main()
