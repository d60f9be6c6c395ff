"""One run over streams: events to all who take them, until there are no more or a signal ends it."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Protocol

from sensor.stream.events import Event
from sensor.streams.console import Console
from sensor.streams.files import OutputFiles
from sensor.streams.httpbody import Bodies
from sensor.streams.recorder import Recorded, Recorder
from sensor.streams.report import DfxmlReport, Index


class Taker(Protocol):
    """Who takes events."""

    def take(self, events: Sequence[Event]) -> None:
        """Do with them what there is to do."""

    def close(self) -> None:
        """Finish what is not finished; called once, whatever happened."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What was done and what was dropped, by name."""


class Lists:
    """The report and the index, where they are wanted, and the bodies that they list below files."""

    def __init__(self, report: DfxmlReport | None, index: Index | None, bodies: Bodies | None = None) -> None:
        self.bodies = bodies
        self._report = report
        self._index = index

    def add(self, one: Recorded) -> None:
        """List a file."""
        bodies = self.bodies.of(one.name) if self.bodies is not None else ()
        if self._report is not None:
            self._report.add(one, bodies)
        if self._index is not None:
            self._index.add(one, bodies)

    def close(self, counts: Mapping[str, int]) -> None:
        """Write what waits, and the totals."""
        with ExitStack() as rest:
            if self._index is not None:
                rest.callback(self._index.close)
            if self._report is not None:
                totals = {"total_flows": counts.get("connections", 0), "total_files": counts.get("files", 0)}
                others = {name: value for name, value in counts.items() if name not in ("connections", "files")}
                self._report.close(totals | others)


class Recording:
    """Files and the lists of them, each closed whatever becomes of the others."""

    def __init__(self, recorder: Recorder, files: OutputFiles | None, lists: Lists) -> None:
        self._recorder = recorder
        self._files = files
        self._lists = lists

    @property
    def counts(self) -> Mapping[str, int]:
        """What was done and what was dropped, by name."""
        bodies = self._lists.bodies
        return {**self._recorder.counts, **(bodies.counts if bodies is not None else {})}

    def take(self, events: Sequence[Event]) -> None:
        """Write them."""
        self._recorder.take(events)

    def close(self) -> None:
        """Finish the files, then the lists of them."""
        with ExitStack() as rest:
            if self._files is not None:
                rest.callback(self._files.close)
            rest.callback(lambda: self._lists.close(self.counts))
            self._recorder.close()


class Showing:
    """Text on standard output, there as soon as its events are."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @property
    def counts(self) -> Mapping[str, int]:
        """What was shown and what was not, by name."""
        return self._console.counts

    def take(self, events: Sequence[Event]) -> None:
        """Write them."""
        out = sys.stdout.buffer
        for data in self._console.show(events):
            out.write(data)
        out.flush()

    def close(self) -> None:
        """Nothing is left open."""


class Stop:
    """Signals that end a run between two lists of events, or while the next one is waited for."""

    def __init__(self) -> None:
        self.asked = False
        self._waiting = False

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGHUP; the second one is meant and ends everything."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's is left as it is
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._ask) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def until_asked(self, batches: Iterable[list[Event]]) -> Iterator[list[Event]]:
        """Yield the lists of events until there are no more or a signal came."""
        waiting = iter(batches)
        while not self.asked:
            try:
                self._waiting = True
                events = next(waiting, None)
            except _Stopped:
                return
            finally:
                self._waiting = False
            if events is None:
                return
            yield events

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._waiting:
            # Whoever waits for a pipe would go on waiting.
            raise _Stopped


class _Stopped(BaseException):
    """Leaves the wait for events; nobody on the way is to take it for an error."""


def run(batches: Iterable[list[Event]], takers: Sequence[Taker]) -> None:
    """Hand events to all takers and close them, whatever happens."""
    with ExitStack() as rest:
        for taker in reversed(takers):
            rest.callback(taker.close)
        for events in batches:
            for taker in takers:
                taker.take(events)


def account(takers: Sequence[Taker]) -> str:
    """Return what was done in a line; drops only where there were any."""
    counts: Counter[str] = Counter()
    for taker in takers:
        for name, value in taker.counts.items():
            counts[name] = max(counts[name], value)  # several takers see the same events
    parts = [f"connections {counts['connections']}", f"files {counts['files']}", f"bytes {counts['bytes']}"]
    if counts["bodies"]:
        parts.append(f"HTTP bodies {counts['bodies']}")
    if counts["gaps"]:
        parts.append(f"gaps {counts['gaps']} ({counts['gap_bytes']} bytes)")
    words: Sequence[tuple[str, Callable[[int], str]]] = (
        ("gap_bytes_not_written", lambda number: f"{number} bytes of gaps not filled"),
        ("bytes_beyond_limit", lambda number: f"{number} bytes beyond -b left out"),
        ("flows_not_tcp", lambda number: f"{number} flows of other protocols than TCP left out"),
        ("flows_cut_off", lambda number: f"{number} connections cut off, too many at once"),
        ("bytes_of_no_flow", lambda number: f"{number} bytes of no connection left out"),
        ("bodies_cut_short", lambda number: f"{number} HTTP bodies cut short"),
        ("bodies_damaged", lambda number: f"{number} HTTP bodies not decoded"),
        ("bodies_dropped", lambda number: f"{number} streams with too many HTTP bodies"),
    )
    parts.extend(word(counts[name]) for name, word in words if counts[name])
    return ", ".join(parts)
