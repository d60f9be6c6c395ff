"""Fuzz what bytes from a socket or a flow log reach: frames, records, whole logs, the link's messages; plain Python.

    scripts/fuzz --wire                         10 million inputs, minutes
    scripts/fuzz --wire --inputs 200000 --seed 7
    scripts/fuzz --wire --replay SEED:NUMBER    once more what a finding names

Ends with 0 when nothing was found, with 1 and the findings' reports in fuzz/tmp/findings otherwise.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import resource
import secrets
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

from common import flowlog
from fuzz.wire_checks import Checks
from fuzz.wire_inputs import ROUND_INPUTS, Corpus, Input, Inputs, load

HERE: Final = Path(__file__).resolve().parent
README: Final = HERE / "README.md"
MARKS: Final = "<!-- wire figures: begin -->", "<!-- wire figures: end -->"
FINDINGS: Final = HERE / "tmp/findings"
LIMIT_S: Final = 1.0
"""Processor time that one input may take."""
ADDRESS_SPACE_BYTES: Final = 2 << 30
GROWTH_BYTES: Final = 64 << 20
_WARM_ROUNDS: Final = 20  # per process, after which memory stays level
_STORED_ROUNDS: Final = 40  # every so many rounds' records are committed to a database
_MAX_FINDINGS: Final = 10  # of one process, each of another place


class Job(NamedTuple):
    """What one process does: every ``step``-th round from ``first`` on."""

    seed: int
    inputs: int
    first: int = 0
    step: int = 1
    seconds: float = 0.0
    shared: bool = True
    plant: str | None = None


class Found(NamedTuple):
    """A finding: the input's number, what it broke in one line, and the whole report."""

    number: int
    what: str
    report: str


@dataclass
class Outcome:
    """What a process came to."""

    counts: Counter[str] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)
    digest: str = ""
    slowest_s: float = 0.0
    slowest: int = 0
    level_bytes: int = 0
    grown_bytes: int = 0
    peak_bytes: int = 0


Beat = Callable[[int], None]
"""Told the number of each input before it runs."""


class Run:
    """The rounds of one job."""

    def __init__(self, job: Job, beat: Beat) -> None:
        self._job = job
        self._beat = beat
        self._corpus: Corpus = load(shared=job.shared)
        _plant(job.plant)
        self._places: set[str] = set()
        self.outcome = Outcome(digest=self._corpus.digest)

    def all(self) -> Outcome:
        """Run the job's rounds."""
        job, out, number, started = self._job, self.outcome, self._job.first, time.monotonic()
        memory = Path("/dev/shm")
        with tempfile.TemporaryDirectory(prefix="fuzz-wire-", dir=memory if memory.is_dir() else None) as scratch:
            for turn, number in enumerate(range(job.first, -(-job.inputs // ROUND_INPUTS), job.step)):
                if turn == _WARM_ROUNDS:
                    out.level_bytes = _resident_bytes()
                self.round(number, Path(scratch), job.inputs)
                if len(out.found) >= _MAX_FINDINGS or (job.seconds and time.monotonic() - started > job.seconds):
                    break
        self._account(number)
        return out

    def round(self, number: int, scratch: Path, end: int) -> None:
        """Run one round, up to the input ``end``."""
        inputs = Inputs(self._corpus, self._job.seed, number)
        checks = Checks(self._corpus, inputs.good_frames, scratch)
        start = number * ROUND_INPUTS
        for at, given in zip(range(start, min(end, start + ROUND_INPUTS)), inputs, strict=False):
            self._beat(at)
            self._timed(at, checks, given)
        if number % _STORED_ROUNDS == 0:
            try:
                checks.store()
            except Exception as error:  # noqa: BLE001 - whatever was not declared is the finding
                self._keep(start + ROUND_INPUTS - 1, error, Input("store", b""))
        self.outcome.counts += checks.counts

    def _timed(self, number: int, checks: Checks, given: Input) -> None:
        begin = time.perf_counter()
        try:
            checks.run(given)
        except Exception as error:  # noqa: BLE001 - as above
            self._keep(number, error, given)
            return
        took = time.perf_counter() - begin
        if took > self.outcome.slowest_s:
            self.outcome.slowest_s, self.outcome.slowest = took, number
        if took > LIMIT_S:  # perhaps of others, who share the machine: the processor's time counts
            begin = time.process_time()
            checks.run(given)
            took = time.process_time() - begin
            if took > LIMIT_S:
                self._keep(number, TimeoutError(f"it takes {took:.1f} s of processor time"), given)

    def _keep(self, number: int, error: Exception, given: Input) -> None:
        """Keep a finding, unless the same place was found already."""
        at = traceback.extract_tb(error.__traceback__)[-1:]
        place = f"{type(error).__name__} {[(step.filename, step.lineno) for step in at]}"
        if place not in self._places:
            self._places.add(place)
            text = "".join(traceback.format_exception(error))
            what = f"{type(error).__name__}: {str(error)[:200]}"
            self.outcome.found.append(Found(number, what, f"{text}\n{described(given)}"))

    def _account(self, number: int) -> None:
        out = self.outcome
        out.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        if out.level_bytes:
            out.grown_bytes = _resident_bytes() - out.level_bytes
            if out.grown_bytes > GROWTH_BYTES:
                self._keep(number * ROUND_INPUTS, MemoryError(f"grown by {out.grown_bytes} bytes"), Input("all", b""))


def described(given: Input) -> str:
    """Return an input as text: what it is, and its bytes as hex, those of several parts one by one."""
    lines = [f"input: {given.kind}"]

    def add(data: Any, name: str) -> None:
        if isinstance(data, bytes):
            lines.append(f"{name or 'bytes'} ({len(data)}): {data.hex()}")
        else:
            for index, part in enumerate(data):
                add(part, f"{name}{'.' if name else ''}{index}")

    add(given.data, "")
    return "\n".join(lines) + "\n"


def _resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# ---- processes ---------------------------------------------------------------------------------------------
def _plant(name: str | None) -> None:
    """Put in a fault that has to be found: one payload in some hundred meets it."""
    whole = flowlog._any_batch  # noqa: SLF001 - it stands for any place

    def faulty(payload: bytes | memoryview) -> flowlog.Batch:
        if sum(payload[-4:]) % 512 == 0:
            if name == "hang":
                time.sleep(3600)
            if name == "crash":
                os.abort()
            raise KeyError("planted")
        return whole(payload)

    if name is not None:
        flowlog._any_batch = faulty  # noqa: SLF001 - as above


def work(job: Job, progress: Any, results: Connection) -> None:
    """Be one of the processes."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))

    def beat(number: int) -> None:
        progress.value = number

    results.send(Run(job, beat).all())


class _Worker:
    """A process, seen from outside: where it is, and whether it still moves."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self._progress = context.Value("Q", 0, lock=False)
        self._results, child = context.Pipe(duplex=False)
        self._job = job
        self._process = context.Process(target=work, args=(job, self._progress, child), daemon=True)
        self._process.start()
        child.close()

    def wait(self, stall_s: int) -> Outcome:
        """Return what it came to; a process that died or stands still is a finding."""
        last, since = -1, time.monotonic()
        while not self._results.poll(0.5):
            if self._progress.value != last:
                last, since = self._progress.value, time.monotonic()
            elif time.monotonic() - since > stall_s:
                self._process.kill()
                return self._lost(f"stands still for {stall_s} s")
        try:
            outcome: Outcome = self._results.recv()
        except EOFError:
            self._process.join()
            return self._lost(f"the process ended with {self._process.exitcode}")
        self._process.join()
        return outcome

    def _lost(self, what: str) -> Outcome:
        number = int(self._progress.value)
        corpus = load(shared=self._job.shared)
        inputs = list(Inputs(corpus, self._job.seed, number // ROUND_INPUTS))
        report = f"{what}\n{described(inputs[number % ROUND_INPUTS])}"
        return Outcome(found=[Found(number, what, report)], digest=corpus.digest)


def run(arguments: argparse.Namespace) -> tuple[Outcome, float]:
    """Run all processes; return their outcomes together, and the seconds."""
    begin = time.monotonic()
    jobs = [
        Job(
            arguments.seed,
            arguments.inputs,
            first,
            arguments.jobs,
            arguments.seconds,
            arguments.shared,
            arguments.plant,
        )
        for first in range(arguments.jobs)
    ]
    total = Outcome()
    for worker in [_Worker(job) for job in jobs]:
        one = worker.wait(arguments.stall_seconds)
        total.counts += one.counts
        total.found += one.found
        total.digest = one.digest
        total.grown_bytes = max(total.grown_bytes, one.grown_bytes)
        total.peak_bytes = max(total.peak_bytes, one.peak_bytes)
        if one.slowest_s > total.slowest_s:
            total.slowest_s, total.slowest = one.slowest_s, one.slowest
    return total, time.monotonic() - begin


def replay(seed: int, number: int, *, shared: bool, plant: str | None) -> Outcome:
    """Run the round of one input up to it, and say what the input is."""
    job = Job(seed, number + 1, number // ROUND_INPUTS, shared=shared, plant=plant)
    given = list(Inputs(load(shared=shared), seed, number // ROUND_INPUTS))[number % ROUND_INPUTS]
    print(described(given), end="")
    return Run(job, lambda _number: None).all()


# ---- the command -------------------------------------------------------------------------------------------
def parse(words: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz --wire", description="Fuzz the wire's readers.")
    parser.add_argument("--inputs", type=int, default=10_000_000, help="how many (default 10 million)")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so long (default: none)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="default: a new one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--replay", metavar="SEED:NUMBER", help="run the round of this input up to it once more")
    parser.add_argument("--no-shared", dest="shared", action="store_false", help="begin with the project's own files")
    parser.add_argument("--write", action="store_true", help="put the figures into fuzz/README.md")
    parser.add_argument("--plant", choices=("error", "hang", "crash"), help="make this fault: it has to be found")
    parser.add_argument("--stall-seconds", type=int, default=60, help="standing still so long is a finding")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run the command."""
    arguments = parse(words)
    if arguments.replay:
        seed, number = map(int, arguments.replay.split(":"))
        outcome = replay(seed, number, shared=arguments.shared, plant=arguments.plant)
        return report(seed, outcome, shared=arguments.shared)
    print(f"fuzz: wire: seed {arguments.seed}", flush=True)
    outcome, seconds = run(arguments)
    done = sum(count for name, count in outcome.counts.items() if name.startswith("inputs: "))
    print(
        f"fuzz: wire: {done:,} inputs in {seconds:.0f} s, {done / seconds:,.0f} a second in {arguments.jobs} processes "
        f"(seeds {outcome.digest})\n"
        f"fuzz: wire: slowest input {outcome.slowest_s:.2f} s (number {outcome.slowest}); "
        f"memory {outcome.peak_bytes >> 20} MiB at most, grown by {outcome.grown_bytes >> 20} MiB"
    )
    for name, count in sorted(outcome.counts.items()):
        print(f"fuzz: wire: {name} {count:,}")
    if arguments.write and not outcome.found:
        write_figures(arguments, outcome, done, seconds)
    return report(arguments.seed, outcome, shared=arguments.shared)


def report(seed: int, outcome: Outcome, *, shared: bool) -> int:
    """Say what was found and how to see it again; keep the reports."""
    FINDINGS.mkdir(parents=True, exist_ok=True)
    for number, what, text in outcome.found:
        kept = FINDINGS / f"wire-{seed}-{number}.txt"
        kept.write_text(text)
        print(f"fuzz: wire: FOUND at {number}: {what}\nfuzz: wire: the whole report: {kept.relative_to(HERE.parent)}")
        print(f"fuzz: wire: again: scripts/fuzz --wire --replay {seed}:{number}{'' if shared else ' --no-shared'}")
    if not outcome.found:
        print("fuzz: wire: nothing found")
    return 1 if outcome.found else 0


def write_figures(arguments: argparse.Namespace, outcome: Outcome, done: int, seconds: float) -> None:
    """Put the last run's figures into README.md."""
    command = f"scripts/fuzz --wire --inputs {arguments.inputs} --seed {arguments.seed} --jobs {arguments.jobs}"
    if arguments.seconds:
        command += f" --seconds {arguments.seconds:.0f}"
    rows = [
        f"`{command}`: nothing found. {done:,} inputs in {seconds:.0f} s, {done / seconds:,.0f} a second.",
        f"The slowest took {outcome.slowest_s:.2f} s. A process had {outcome.peak_bytes >> 20} MiB at most.",
        "",
        "| what | count |",
        "|---|--:|",
        *(f"| {name} | {count:,} |" for name, count in sorted(outcome.counts.items())),
    ]
    text = README.read_text()
    before, after = text[: text.index(MARKS[0]) + len(MARKS[0])], text[text.index(MARKS[1]) :]
    README.write_text(f"{before}\n" + "\n".join(rows) + f"\n{after}")


if __name__ == "__main__":
    sys.exit(main())
