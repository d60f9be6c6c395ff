"""Alarms that are new or more severe, to every output that wants them; whoever tells of them never waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from common.metrics import COUNTER, GAUGE, Metric
from common.records import FlowRecord
from correlator.detect.alarm import Severity
from correlator.notify.collector import SyslogOutput
from correlator.notify.file import FileOutput
from correlator.notify.formats.eve import eve_line
from correlator.notify.formats.notice import NEW, RISEN, Notice, notice_line
from correlator.notify.formats.places import parse_address, parse_url
from correlator.notify.formats.syslog import FACILITIES
from correlator.notify.hook import HookOutput
from correlator.notify.lane import Lane
from correlator.notify.output import Output
from correlator.notify.settings import OutputSettings
from correlator.rows import AlarmRow
from correlator.store.alarmflows import alarm_flows
from correlator.store.alarms import News
from correlator.store.database import Store
from correlator.store.lists import ListBook
from correlator.views.alarms import alarm_record, hidden_by

_SAY_EVERY_S: Final = 60.0
_PREFIX: Final = "tunnelwatch_correlator_outputs_"


class Wanted(NamedTuple):
    """An output, and what it wants to be told."""

    lane: Lane
    severity: Severity
    with_flow: bool = False


class Dispatcher:
    """Every output that is configured; without any it does nothing. Used by the thread that has the store."""

    def __init__(self, store: Store, wanted: Sequence[Wanted]) -> None:
        self._store = store
        self._wanted = list(wanted)
        self._book = ListBook(store)
        self._said = {one.lane.name: (0, 0) for one in wanted}
        self._say_at = float("-inf")

    def start(self) -> None:
        """Begin to deliver."""
        for one in self._wanted:
            one.lane.start()

    def tell(self, news: Sequence[News]) -> None:
        """Hand alarms to the outputs that want them, without those that the lists hide."""
        if not self._wanted or not news:
            return
        lists, now_ns = self._book.now(), time.time_ns()
        for told in news:
            if hidden_by(told.row, lists, now_ns) is None:
                self._offer(told)

    def lines(self, monotonic_s: float) -> list[str]:
        """Return what is to be said about alarms that were not delivered: once a minute at the most."""
        if monotonic_s < self._say_at:
            return []
        found = [line for one in self._wanted if (line := self._line(one.lane))]
        if found:
            self._say_at = monotonic_s + _SAY_EVERY_S
        return found

    def metrics(self) -> Iterator[Metric]:
        """Yield the counters of the outputs; asked by other threads."""
        label = ("output",)
        lanes = [one.lane for one in self._wanted]
        for name, doc in (
            ("delivered", "Alarms delivered since the start"),
            ("failed", "Alarms that could not be delivered since the start"),
            ("dropped", "Alarms dropped because too many waited, since the start"),
        ):
            samples = [((lane.name,), getattr(lane, name)) for lane in lanes]
            yield Metric(COUNTER, _PREFIX + name, doc, label, samples)
        waiting = [((lane.name,), lane.waiting) for lane in lanes]
        yield Metric(GAUGE, f"{_PREFIX}waiting", "Alarms that wait to be delivered", label, waiting)

    def close(self, limit_s: float) -> list[str]:
        """Deliver what waits within the limit, all outputs together; return what is to be said."""
        end = time.monotonic() + limit_s
        for one in self._wanted:
            one.lane.finish()
        for one in self._wanted:
            one.lane.close(max(0.0, end - time.monotonic()))
        self._say_at = float("-inf")
        return self.lines(time.monotonic())

    def _offer(self, told: News) -> None:
        row = told.row
        notice = Notice(alarm_record(row), NEW if told.is_new else RISEN, row.time_ns)
        flow: FlowRecord | None = None
        looked = False
        for lane, severity, with_flow in self._wanted:
            if notice.severity.rank < severity.rank:
                continue
            if with_flow and not looked and not lane.is_full:
                flow, looked = self._flow(row), True
            lane.offer(notice._replace(flow=flow) if with_flow else notice)

    def _flow(self, row: AlarmRow) -> FlowRecord | None:
        found = alarm_flows(self._store, row, 1)
        return found[0].record if found else None

    def _line(self, lane: Lane) -> str:
        now = (lane.dropped, lane.failed)
        dropped, failed = (new - old for new, old in zip(now, self._said[lane.name], strict=True))
        self._said[lane.name] = now
        if not dropped and not failed:
            return ""
        facts = [f"{number} alarms {word}" for number, word in ((dropped, "dropped"), (failed, "failed")) if number]
        why = f": {lane.problem}" if lane.problem else ""
        return f"output {lane.name}: {' and '.join(facts)}{why}; 'tunnelwatch alarms' has them all"


def outputs(settings: OutputSettings) -> list[Wanted]:
    """Return the outputs that are switched on."""
    found: list[Wanted] = []

    def add(output: Output, severity: Severity, attempts: int, workers: int = 1, *, with_flow: bool = False) -> None:
        lane = Lane(output, room=settings.room, attempts=attempts, workers=workers)
        found.append(Wanted(lane, severity, with_flow))

    if (file := settings.file).path:
        add(FileOutput("file", Path(file.path), notice_line), file.severity, settings.attempts)
    if (eve := settings.eve).path:
        add(FileOutput("eve", Path(eve.path), eve_line), eve.severity, settings.attempts, with_flow=True)
    if (syslog := settings.syslog).address:
        collector = SyslogOutput(parse_address(syslog.address), FACILITIES[syslog.facility], syslog.timeout_s)
        add(collector, syslog.severity, settings.attempts)
    if (hook := settings.webhook).url:
        from correlator.notify.webhook import WebhookOutput  # noqa: PLC0415 - TLS takes its time to import

        token_file, ca_file = (Path(name) if name else None for name in (hook.token_file, hook.ca_file))
        webhook = WebhookOutput(parse_url(hook.url), token_file, ca_file, hook.timeout_s)
        add(webhook, hook.severity, settings.attempts)
    if (program := settings.hook).command:
        add(HookOutput(program.command, program.timeout_s), program.severity, 1, program.at_once)
    return found


@contextmanager
def delivering(store: Store, settings: OutputSettings, say: Callable[[str], None]) -> Iterator[Dispatcher]:
    """Give a dispatcher, and deliver what waits at the end within the time limit; ``say`` gets lines for people."""
    dispatcher = Dispatcher(store, outputs(settings))
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        for line in dispatcher.close(settings.finish_s):
            say(line)
