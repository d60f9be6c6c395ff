"""Chaos: sensors and correlator are killed, stopped and cut off at random; nothing may be lost or counted twice.

    make chaos                           220,000 flow records, 200 kills; minutes
    scripts/chaos --seed 7 --kills 20 --flows 10000
    scripts/chaos --write                also into docs/chaos.md

Compared are the records that the sensors wrote to their spools and those in the store, one by one, and what they add up
to in the roll-ups.  Records that a killed sensor held in memory are in neither.  The seed is printed; the order of
events follows from it, not their exact moments.  Exit code 0 when both are the same.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
from chaos_hosts import CONTINUE, STOP, CorrelatorHost, Disk, RelayHost, SensorHost, free_port
from chaos_truth import Compared, Truth, compare

PAGE = Path(__file__).resolve().parents[2] / "docs/chaos.md"
MARKS = "<!-- figures: begin -->", "<!-- figures: end -->"
_STEP_S = 0.02
_MIB = 1 << 20


class Chaos:
    """One run: hosts, disks, and the dice that decide what happens to them next."""

    def __init__(self, directory: Path, arguments: argparse.Namespace) -> None:
        self._dice = random.Random(arguments.seed)
        self._plan = arguments
        self._began = time.monotonic()
        self.counts: Counter[str] = Counter()
        self._disks: list[Disk] = []
        spools, store = directory / "spools", directory / "store"
        if arguments.fills:
            self._disks = [Disk(spools, 48 * _MIB), Disk(store, 128 * _MIB + 900 * arguments.flows)]
        else:
            spools.mkdir()
            store.mkdir()
        port = free_port()
        self._relay = RelayHost(port)
        self.correlator = CorrelatorHost(directory, store / "chaos.db", port)
        self.sensors = [
            SensorHost(number, directory, spools / f"spool-{number}", self._relay.port, random.Random(number))
            for number in range(arguments.sensors)
        ]
        self.truth = Truth([sensor.spool for sensor in self.sensors])
        self._undo: list[tuple[float, Callable[[], object]]] = []
        self._actions: list[tuple[int, Callable[[], object]]] = [
            (6, self._kill_sensor), (4, self._kill_correlator), (3, self._cut), (1, self._stall), (1, self._delay),
            (1, self._shut), (2, self._stop),
        ]  # fmt: skip
        if self._disks:
            self._actions.append((2, self._fill))

    def run(self) -> Compared:
        """Let everything happen, then let everything settle, and compare."""
        try:
            while not self._enough():
                self._supervise()
                (action,) = self._dice.choices(
                    [action for _, action in self._actions], [weight for weight, _ in self._actions]
                )
                action()
                self._wait(self._dice.uniform(0.1, 0.9))
            self._settle()
        finally:
            self._calm()
            for host in (*self.sensors, self.correlator):
                host.kill()
            self.truth.close()
            self._relay.close()
        found = compare(self.truth, self.correlator.db)
        self.counts["tracebacks"] = sum(
            host.log.read_text(errors="replace").count("Traceback") for host in (*self.sensors, self.correlator)
        )
        return found

    def close(self) -> None:
        """Give the disks back."""
        for disk in self._disks:
            disk.close()

    def _enough(self) -> bool:
        kills = self.counts["sensor kills"] + self.counts["correlator kills"]
        done = kills >= self._plan.kills and self.truth.flows_spooled >= self._plan.flows
        return bool(done or time.monotonic() - self._began > self._plan.seconds)

    def _supervise(self) -> None:
        for host in (*self.sensors, self.correlator):
            if not host.alive:
                host.start()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            due = [undo for at, undo in self._undo if at <= now]
            self._undo = [(at, undo) for at, undo in self._undo if at > now]
            for undo in due:
                undo()
            time.sleep(_STEP_S)

    def _later(self, undo: Callable[[], object], least_s: float = 0.2, most_s: float = 1.5) -> None:
        self._undo.append((time.monotonic() + self._dice.uniform(least_s, most_s), undo))

    def _calm(self) -> None:
        for _, undo in self._undo:
            undo()
        self._undo.clear()

    def _settle(self) -> None:
        """End the captures, let the sensors ship, and empty the spools."""
        self._calm()
        self._supervise()
        for sensor in self.sensors:
            sensor.feed_no_more()
        for sensor in self.sensors:
            assert sensor.process is not None
            sensor.process.wait(120)
        for _ in range(5):
            for sensor in self.sensors:
                sensor.empty_spool(120)
            if not self.truth.waiting():
                return

    def _kill_sensor(self) -> None:
        self.counts["sensor kills"] += self._dice.choice(self.sensors).kill()

    def _kill_correlator(self) -> None:
        """Kill it; often in the middle of a batch: let frames queue up first, or let a full disk hold up the commit."""
        way = self._dice.randrange(4)
        if way == 0 and self._disks:
            self._disks[1].fill(0)
            self._wait(self._dice.uniform(0.2, 1))
            self.counts["store disk fills"] += 1
        elif way != 1:
            self.correlator.signal(STOP)
            self._wait(self._dice.uniform(0.1, 0.4))
            self.correlator.signal(CONTINUE)
            time.sleep(self._dice.uniform(0, 0.05))
        self.counts["correlator kills"] += self.correlator.kill()
        if self._disks:
            self._disks[1].free()

    def _cut(self) -> None:
        self._relay.say("cut")
        self.counts["cuts"] += 1

    def _stall(self) -> None:
        self._relay.say("stall")
        self._later(lambda: self._relay.say("go"), most_s=2.5)
        self.counts["stalls"] += 1

    def _delay(self) -> None:
        self._relay.say(f"delay {self._dice.uniform(0.01, 0.2):.3f}")
        self._later(lambda: self._relay.say("go"), most_s=3)
        self.counts["delays"] += 1

    def _shut(self) -> None:
        self._relay.say("shut")
        self._relay.say("cut")
        self._later(lambda: self._relay.say("open"))
        self.counts["refused connections"] += 1

    def _stop(self) -> None:
        host = self._dice.choice([*self.sensors, self.correlator])
        process = host.process
        host.signal(STOP)
        self._later(lambda: host.signal(CONTINUE) if host.process is process else None)
        self.counts["stops"] += 1

    def _fill(self) -> None:
        number = self._dice.randrange(2)
        disk = self._disks[number]
        disk.fill(self._dice.choice((0, 0, 4096, 65536)))
        self._later(disk.free, 0.3, 2)
        self.counts[("spool", "store")[number] + " disk fills"] += 1


def table(chaos: Chaos, found: Compared, seconds: float) -> str:
    """The report."""
    counts = chaos.counts
    rows = [
        ("kills (sensor, correlator)", f"{counts['sensor kills']}, {counts['correlator kills']}"),
        ("runs of sensors, of the correlator", f"{sum(s.starts for s in chaos.sensors)}, {chaos.correlator.starts}"),
        ("ends of their own (full disk)", sum(h.ended_by_itself for h in (*chaos.sensors, chaos.correlator))),
        ("connections cut, refused", f"{counts['cuts']}, {counts['refused connections']}"),
        ("link stalled, delayed", f"{counts['stalls']}, {counts['delays']}"),
        ("programs stopped for a while", counts["stops"]),
        ("disk filled (spool, store)", f"{counts['spool disk fills']}, {counts['store disk fills']}"),
        ("frames spooled", chaos.truth.frames),
        ("frames sent again and not stored again", found.frames_duplicate),
        ("frames missing, refused", f"{found.frames_missing}, {found.frames_refused}"),
        ("flow records spooled", chaos.truth.flows_spooled),
        ("flow records stored", found.stored),
        ("**lost**", found.missing),
        ("**not from a spool**", found.extra),
        ("**in a spool twice**", found.spooled_twice),
        ("**difference of the roll-ups' sums**", found.sums_off),
        ("tracebacks", counts["tracebacks"]),
        ("seconds", round(seconds)),
    ]
    lines = [f"| {name} | {value:,} |" if isinstance(value, int) else f"| {name} | {value} |" for name, value in rows]
    return "\n".join(["| what | count |", "|---|---|", *lines, ""])


def write_page(text: str) -> None:
    """Put the table between the marks of the page."""
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    PAGE.write_text(f"{before}{MARKS[0]}\n{text}{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")


def why_no_fills(wanted: bool) -> str:
    """Return why no disk can be filled here, or nothing."""
    if not wanted:
        return "not asked for"
    if os.geteuid() != 0:
        return "needs root to mount small disks"
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return "needs the commands unshare and mount"
    tried = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True, text=True, timeout=10)
    return f"no mount namespace: {tried.stderr.strip()}" if tried.returncode else ""


def arguments_of(words: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--flows", type=int, default=220_000, help="flow records to spool (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=200, help="of either program (default: %(default)s)")
    parser.add_argument("--sensors", type=int, default=2, help="at one time (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=840, help="at most, before settling (default: %(default)s)")
    parser.add_argument("--no-fills", dest="fills", action="store_false", help="do not fill disks")
    parser.add_argument("--keep", action="store_true", help="keep the directory, with the logs")
    parser.add_argument("--write", action="store_true", help="put the table into docs/chaos.md")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main() -> int:
    """Run in a mount namespace of its own where disks can be filled."""
    arguments = arguments_of(sys.argv[1:])
    if not arguments.inside:
        reason = why_no_fills(arguments.fills)
        again = [sys.executable, __file__, *sys.argv[1:], "--seed", str(arguments.seed), "--inside"]
        if not reason:
            os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", *again])
        click.echo(f"no disk is filled: {reason}")
        arguments.fills = False
    click.echo(f"seed {arguments.seed}")
    directory = Path(tempfile.mkdtemp(prefix="tunnelwatch-chaos-"))
    began = time.monotonic()
    chaos = Chaos(directory, arguments)
    try:
        found = chaos.run()
        text = table(chaos, found, time.monotonic() - began)
        good = not any((found.missing, found.extra, found.spooled_twice, found.sums_off, chaos.counts["tracebacks"]))
        good = good and not chaos.truth.unlinked
        click.echo(f"{text}\n{'the same' if good else 'NOT the same'}: seed {arguments.seed}")
        if not good or arguments.keep:
            click.echo(f"kept: {_kept(directory)}")
    finally:
        chaos.close()
        shutil.rmtree(directory, ignore_errors=True)
    if arguments.write and good:
        write_page(text)
    return 0 if good else 1


def _kept(directory: Path) -> Path:
    """Copy what tells what happened out of the small disks."""
    return Path(shutil.copytree(directory, f"{directory}.kept", ignore=shutil.ignore_patterns("ballast")))


if __name__ == "__main__":
    sys.exit(main())
