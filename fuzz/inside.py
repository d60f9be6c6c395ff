"""Rounds of frames through the sanitized sensor; runs in the process that fuzz/run starts.

    python -m fuzz.inside '{"seed": 1, "frames": 100000, ...}'     see Job

Prints the totals as one line of JSON.  What a sanitizer finds ends the process; a broken identity is a line
``finding: ...`` and exit code 3.
"""

from __future__ import annotations

import gc
import json
import mmap
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from packets import accounted

from common.errors import WireError
from common.records import FlowRecord, RecordReader, check_flow
from fuzz import _rounds, corpus
from fuzz._rounds import PLANTS, Round, allocated_bytes, exact, leaks
from fuzz.captures import Captured, damaged, pcap_file, pcapng_file
from fuzz.streams import Watched, limits
from sensor.capture import _walk
from sensor.capture._feed import FrameFeed
from sensor.capture._walk import CaptureDamaged, CaptureWalker, NotACapture
from sensor.flow._table import FlowTable
from sensor.inspect._content import Inspector

ROUND_FRAMES = 20_000
STATE_BYTES = 1 << 20
_S = 1_000_000_000
_LATEST_NS = 4_600_000_000 * _S
_BOTH_WAYS_FRAMES = 800  # few enough for no table to fill its hand-out buffer
_WARM_ROUNDS = 16  # one of each kind, after which memory stays level
_GROWTH_BYTES = 256 << 10
_READER = RecordReader(FlowRecord, FlowRecord._fields)
_AT = {name: FlowRecord._fields.index(name) for name in FlowRecord._fields}
_FILTERS = ("", "", "tcp", "udp port 53", "ip6", "vlan", "host 10.1.1.9", "len > 100", "not ip")


class Finding(Exception):  # noqa: N818 - what it is called
    """The sensor broke one of its promises."""


class Job(NamedTuple):
    """What to do: the frames and rounds to run, and what to plant."""

    seed: int
    frames: int
    state: str
    seconds: float = 0.0
    only_round: int | None = None
    shared: bool = True
    plant: str | None = None
    dump: str | None = None


class Ledger:
    """A table, and the sums of what it handed out."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        wanted = settings.get("streams")
        self.watched = None if wanted is None else Watched(wanted)
        bounds = settings.get("inspector")
        self.inspector = None if bounds is None else Inspector(**bounds)
        self.table = FlowTable(
            **settings
            | {"streams": None if self.watched is None else self.watched.streams, "inspector": self.inspector}
        )
        self.records = self.ended = self.packets = self.wire_bytes = 0

    def drain(self) -> list[tuple[Any, ...]]:
        """Take the records and events; a sample of them is checked field by field."""
        rows = self.table.drain()
        out, back = _AT["packets_out"], _AT["packets_in"]
        self.packets += sum([row[out] + row[back] for row in rows])
        out, back, reason = _AT["wire_bytes_out"], _AT["wire_bytes_in"], _AT["end_reason"]
        self.wire_bytes += sum([row[out] + row[back] for row in rows])
        self.ended += sum([row[reason] is not None for row in rows])
        self.records += len(rows)
        self.table.drain_events()
        if self.watched is not None:
            self.watched.drain()
        try:
            for row in rows[::16]:
                check_flow(_READER.read(row))
        except WireError as error:
            raise Finding(f"a record is wrong: {error}") from None
        return rows

    def check(self) -> None:
        """Raise Finding when the table's counters contradict each other."""
        table = self.table
        if not accounted(table):
            raise Finding(
                f"{table.packets} packets are not {table.accepted} accepted, {table.filtered} filtered "
                f"and {table.rejected_by_reason()}"
            )
        if self.watched is not None and self.watched.wrong:
            raise Finding(f"streams: {self.watched.wrong}")
        if self.inspector is not None and self.inspector.used_bytes > self.inspector.memory_bytes:
            raise Finding(f"{self.inspector.used_bytes} bytes of content, {self.inspector.memory_bytes} allowed")
        if self.inspector is not None and self.inspector.failed:
            raise Finding(f"{self.inspector.failed} of {self.inspector.told} questions for facts failed")
        if table.flows_open > self.settings["max_flows"]:
            raise Finding(f"{table.flows_open} flows open, {self.settings['max_flows']} allowed")

    def close(self) -> None:
        """End all flows; raise Finding unless the records add up to what the table accepted."""
        while self.table.flush():
            self.drain()
        self.drain()
        if self.watched is not None:
            self.watched.close()
        self.check()
        table = self.table
        sums = {
            "packets": (self.packets, table.accepted),
            "IP bytes": (self.wire_bytes, table.wire_bytes),
            "records": (self.records, table.records),
            "ended flows": (self.ended, table.flows_started),
            "open flows": (table.flows_open, 0),
            "dropped records": (table.records_dropped, 0),
            "bytes of content": (0 if self.inspector is None else self.inspector.used_bytes, 0),
        }
        for what, (found, wanted) in sums.items():
            if found != wanted:
                raise Finding(f"{what}: {found} handed out, {wanted} by the table's own count")


class Run:
    """All rounds of a job, and their totals."""

    def __init__(self, job: Job, state: mmap.mmap) -> None:
        self.job = job
        self.words = memoryview(state)[: 8 * 8].cast("Q")
        self.corpus, self.corpus_digest = corpus.load(shared=job.shared)
        self.words[0], self.words[3] = job.seed, int(self.corpus_digest, 16)
        self.totals: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()

    def all(self) -> None:
        """Run the rounds that the job asks for."""
        if self.job.only_round is not None:
            if self.job.dump:
                self.dump(self.job.dump)
            self.one(self.job.only_round)
            return
        start, number, level = time.monotonic(), 0, 0
        while self.totals["frames"] < self.job.frames:
            if number == _WARM_ROUNDS:
                level = _level()
            self.one(number)
            number += 1
            if self.job.seconds and time.monotonic() - start > self.job.seconds:
                break
        grown = _level() - level if level else 0
        self.totals["grown_bytes"] = grown
        if grown > _GROWTH_BYTES:
            raise Finding(f"memory grew by {grown} bytes from round {_WARM_ROUNDS} to {number}")

    def one(self, number: int) -> None:
        """Run one round; what it does is by its number."""
        kind: Callable[[Round, random.Random], None] = {
            0: self.savefiles,
            8: self.savefiles,
            4: self.both_ways,
            12: self.live,
        }.get(number % 16, self.frames)
        dice = random.Random(f"{self.job.seed}:{number}")
        round_ = self.round(number, dice)
        kind(round_, dice)
        self.totals["rounds"] += 1
        self.totals["frames"] += round_.made

    def round(self, number: int, dice: random.Random) -> Round:
        """Return a round at its beginning."""
        plant = self.job.plant if self.job.plant in PLANTS else None
        return Round(self.corpus, self.job.seed, number, ROUND_FRAMES, self.words, dice.random() < 0.25, plant)

    def dump(self, path: str) -> None:
        """Write the round's frames, as they are before they are in any capture file, to a pcapng file."""
        assert self.job.only_round is not None
        dice = random.Random(f"{self.job.seed}:{self.job.only_round}")
        frames = _burst(self.round(self.job.only_round, dice), ROUND_FRAMES)
        Path(path).write_bytes(pcapng_file(frames, dice)[0])

    def frames(self, round_: Round, dice: random.Random) -> None:
        """The frames straight into a table."""
        ledger = Ledger(_settings(dice))
        more = True
        while more:
            more = round_.feed(ledger.table)
            ledger.drain()
            ledger.check()
            if dice.random() < 0.1:
                ledger.table.advance(dice.choice((0, 1_700_000_000 * _S, 1_700_050_000 * _S, 1 << 62, -1)))
        self.add(ledger)

    def savefiles(self, round_: Round, dice: random.Random) -> None:
        """The frames in capture files, most of them damaged, through the walker in pieces of any size."""
        while round_.made < round_.frames:
            ledger = Ledger(_settings(dice))
            for _ in range(20):
                frames = _burst(round_, dice.choice((1, 20, 200, 1000)))
                writer = dice.choice((pcap_file, pcapng_file))
                data, marks = writer(frames, dice)
                walk(ledger, damaged(data, marks, dice), dice)
            self.add(ledger)

    def live(self, round_: Round, dice: random.Random) -> None:
        """The frames as live capture gets them: some at a time, from several links, cut at the snap length."""
        ledger, feeds = Ledger(_settings(dice)), dict[int, FrameFeed]()
        snap_length = dice.choice((68, 1514, 262_144))
        while burst := round_.burst_frames():
            for link_type, time_ns, data, _ in burst:
                if link_type not in feeds:
                    feeds[link_type] = FrameFeed(ledger.table, link_type, snap_length)
                feeds[link_type](time_ns, bytes(bytearray(data[:snap_length])))  # a copy that nobody else holds
            for feed in feeds.values():
                feed.settle()
            ledger.drain()
            ledger.check()
        self.add(ledger)

    def both_ways(self, round_: Round, dice: random.Random) -> None:
        """The same frames one by one and through the walker: the same counts and records."""
        while round_.made < round_.frames:
            frames = [
                frame._replace(length=max(frame.length, len(frame.data)))
                for frame in _burst(round_, _BOTH_WAYS_FRAMES)
                if 0 <= frame.time_ns <= _LATEST_NS
            ]
            settings = _settings(dice)
            alone, walked = Ledger(settings), Ledger(settings)
            for frame in frames:
                alone.table.feed_frame(frame.link_type, frame.time_ns, exact(frame.data), frame.length)
            data, _ = pcapng_file(frames, dice)
            walk(walked, data, dice, expression="", gather=True)
            one, other = _account(alone), _account(walked)
            if one != other:
                raise Finding(f"frame by frame and through the walker differ: {_difference(one, other)}")
            self.add(alone)
            self.add(walked)

    def add(self, ledger: Ledger) -> None:
        """Close a ledger and add its counts to the totals."""
        ledger.close()
        table = ledger.table
        for name in (
            "packets",
            "accepted",
            "filtered",
            "fragments",
            "records",
            "flows_started",
            "flows_evicted",
            "clock_steps",
        ):
            self.totals[name] += getattr(table, name)
        self.totals["told"] += 0 if ledger.inspector is None else ledger.inspector.told
        self.rejected.update(table.rejected_by_reason())
        if self.job.plant == "miscount":
            raise Finding("planted: a miscount")


def walk(
    ledger: Ledger, data: bytes, dice: random.Random, expression: str | None = None, *, gather: bool = False
) -> None:
    """Feed a capture to a walker in pieces, each in memory of exactly its size and gone before the next.

    With ``gather`` the records stay in the table.
    """
    expression = dice.choice(_FILTERS) if expression is None else expression
    walker = CaptureWalker(ledger.table, expression)
    start, end = 0, 0
    pieces = dice.choice((3, 40, 500, 5000, 1 << 20))
    while True:
        end = min(len(data), end + dice.randrange(1, pieces))
        try:
            used = walker.feed(exact(data[start:end]))
        except (CaptureDamaged, NotACapture) as error:
            if gather:
                raise Finding(f"a good capture is refused: {error}") from None
            return
        except ValueError:
            if expression:
                return  # a filter that means nothing on this link: libpcap says so in many ways
            raise
        if used > end - start:
            raise Finding(f"the walker took {used} of {end - start} bytes")
        start += used
        ledger.table.drain_events()
        if ledger.watched is not None:
            ledger.watched.drain()
        if not gather:
            ledger.drain()
            ledger.check()
        if end == len(data) and not used:
            return
        pieces = max(pieces, end - start)


def _account(ledger: Ledger) -> list[Any]:
    """Return what a table makes of its packets, all flows ended."""
    rows = ledger.drain()
    while ledger.table.flush():
        rows += ledger.drain()
    return [ledger.table.packets, ledger.table.rejected_by_reason(), rows + ledger.drain()]


def _difference(one: list[Any], other: list[Any]) -> str:
    for left, right in zip(one, other, strict=True):
        if left != right and isinstance(left, list):
            pairs = [(a, b) for a, b in zip(left, right, strict=False) if a != b]
            return f"{len(left)} and {len(right)} records, {pairs[:1]}"
        if left != right:
            return f"{left} and {right}"
    return "nothing"


def _burst(round_: Round, count: int) -> list[Captured]:
    """Return about ``count`` of the round's frames."""
    frames: list[Captured] = []
    while len(frames) < count and (burst := round_.burst_frames()):
        frames += map(Captured._make, burst)
    return frames


def _settings(dice: random.Random) -> dict[str, Any]:
    """Return settings for a table: small and large ones, timeouts short and long."""
    timeout_ns = [0, 1, _S, 60 * _S, 7200 * _S, (1 << 62) - 1]
    return {
        "max_flows": dice.choice((1, 2, 7, 100, 1023, 1024, 1025, 5000, 1_000_000)),
        "active_timeout_ns": dice.choice(timeout_ns[:5]),
        "tcp_timeout_ns": dice.choice(timeout_ns),
        "udp_timeout_ns": dice.choice(timeout_ns),
        "vlan_in_key": dice.random() < 0.5,
        "trace": dice.random() < 0.1,
        "alarm_bytes": dice.choice((0, 0, 1, 10_000)),
        "alarm_packets": dice.choice((0, 0, 1, 100)),
        "alarm_duration_ns": dice.choice((0, 0, 1, 60 * _S)),
        "home": dice.choice([(), [(b"\x0a\0\0\0", 8), (b"\xfe\x80" + bytes(14), 10)]]),
        "seed": dice.randbytes(32),
        "streams": limits(dice),
        "inspector": None if dice.random() < 0.25 else {"memory_bytes": dice.choice((0, 300, 5_000, 100_000, 1 << 26))},
    }


def _level() -> int:
    gc.collect()
    return allocated_bytes()


def main() -> int:
    """Run the job given as JSON."""
    job = Job(**json.loads(sys.argv[1]))
    if not _walk.__file__.startswith(str(Path(_rounds.__file__).parents[1])):
        raise SystemExit(f"fuzz: error: {_walk.__file__} is not the sanitized sensor")
    with Path(job.state).open("r+b") as file:
        state = mmap.mmap(file.fileno(), STATE_BYTES)
    run = Run(job, state)
    start = time.monotonic()
    try:
        run.all()
    except Finding as finding:
        print(f"finding: {finding}", file=sys.stderr)
        return 3
    except Exception:  # noqa: BLE001 - whatever the sensor raises that it did not declare
        traceback.print_exc()
        print("finding: an exception that nobody declared (above)", file=sys.stderr)
        return 3
    totals = dict(run.totals) | {
        "seconds": round(time.monotonic() - start, 1), "corpus": run.corpus_digest, "seeds": run.corpus.count,
        "rejected": dict(run.rejected),
    }  # fmt: skip
    del run
    gc.collect()
    print(json.dumps(totals), flush=True)
    return 4 if leaks() else 0


if __name__ == "__main__":
    sys.exit(main())
