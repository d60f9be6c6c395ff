"""Learning from a store: each closed period is judged by what was learned before it, and then learned from itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any, Final, NamedTuple

from common.timespan import NS_PER_S
from correlator.detect import baseline, castro
from correlator.detect.alarm import Alarm, Evidence, Severity, alarm_id
from correlator.detect.baseline import FIGURES, Excess, Learned, Usual
from correlator.detect.budget import Bucket, Budget, Calibration, bucket
from correlator.detect.channel import HOUR_NS, Channel
from correlator.detect.profile import DAY_S, HISTORY_S, Calendar, Cell, Entry, Level, Slots, Values, active, history
from correlator.detect.robust import ORDINARY
from correlator.detect.settings import DetectSettings
from correlator.store import calibration, profiles
from correlator.store.alarms import store_alarms
from correlator.store.database import Built, Store
from correlator.store.detection import transaction
from correlator.store.meta import note, noted
from correlator.store.profiles import Id, Row

SETTLE_S: Final = 600
"""How long after its end a period is closed: records of its flows may still come."""
MOST_ROWS: Final = 200_000
"""Figures that are learned in one transaction; what is left waits for the next."""
_HIGH_SHARE: Final = 0.1
_MOST_OF_BUDGET: Final = 4
_MOST_LOOKED_UP: Final = 50_000
_ALONE: Final = (Level.CLIENT, Level.SERVICE)
_OF_CHANNELS: Final = {"connections": "connections", "bytes_out": "out", "bytes_in": "in"}


class Phase(NamedTuple):
    """From when on is learned, and until when nothing is judged by it; 0 where there are no records yet."""

    since_s: int
    until_s: int


def phase(conn: Any, learning_days: int) -> Phase:
    """Return when learning began and when it ends."""
    since_s, until_s = noted(conn, profiles.SINCE), noted(conn, profiles.UNTIL)
    if not until_s and (first_s := since_s or profiles.first_period(conn)):
        until_s = first_s + learning_days * DAY_S
    return Phase(since_s, until_s)


def begin(store: Store, settings: DetectSettings, since_s: int, for_s: int | None) -> int:
    """Forget what was learned, and learn the recorded periods from a time on; return the new alarms of later ones."""
    length_s = settings.baseline.learning_days * DAY_S if for_s is None else for_s
    first_s = since_s // store.built.period_s * store.built.period_s
    with transaction(store) as conn:
        profiles.forget_profiles(conn)
        note(conn, profiles.SINCE, first_s)
        note(conn, profiles.UNTIL, first_s + length_s)
    reached_s = profiles.last_period(store.conn)
    alarms = 0
    while reached_s is not None:  # until all that is recorded is learned, some in each transaction
        with transaction(store) as conn:
            learner = Learner(conn, store.built, settings)
            found = learner.close((reached_s + store.built.period_s + SETTLE_S) * NS_PER_S)
            alarms += sum(told.is_new for told in store_alarms(conn, found))
            if learner.is_done:
                break
    return alarms


def end(store: Store, now_s: int) -> None:
    """End learning now, or with the latest traffic where that is earlier; UserError in one line."""
    with transaction(store) as conn:
        reached_s = profiles.last_period(conn)
        note(conn, profiles.UNTIL, max(1, now_s if reached_s is None else min(now_s, reached_s)))


class Profiled(NamedTuple):
    """What is usual in one slot, by figure."""

    slot: str
    figures: dict[str, Usual]


def profile(store: Store, subject: Id, settings: DetectSettings) -> Iterator[Profiled]:
    """Yield what was learned of a subject, slot by slot."""
    slots = Slots(store.built.period_s)
    calendar = Calendar(slots, profiles.learned_periods(store.conn))
    since_s = profiles.since_of(store.conn, subject, store.built.period_s)
    if since_s is None:
        return
    since_s = max(since_s, phase(store.conn, settings.baseline.learning_days).since_s)
    cells = profiles.cells(store.conn, subject)
    for slot in range(2 * slots.of_a_day):
        past = history(cells.get(slot, Cell()), calendar.window(slot, 1 << 62, since_s))
        figures = {figure.rule: baseline.usual(past.of(figure.name)) for figure in FIGURES}
        known = {rule: usual for rule, usual in figures.items() if usual is not None}
        if known:
            yield Profiled(slots.title(slot), known)


class Learner:
    """What was learned up to now, inside one transaction of a store; made anew for the next."""

    def __init__(self, conn: Any, built: Built, settings: DetectSettings) -> None:
        self._conn = conn
        self._period_s = built.period_s
        self._settings = settings
        self._limits = settings.baseline
        self._slots = Slots(built.period_s)
        self._calendar = Calendar(self._slots, profiles.learned_periods(conn))
        self._phase = phase(conn, settings.baseline.learning_days)
        self._names = profiles.Names(conn)
        self._closed_s: int | None = None
        self._rows = 0
        self._budget: Budget | None = None
        self._looked_up: dict[tuple[Any, ...], Learned | None] = {}

    @property
    def is_done(self) -> bool:
        """Whether nothing that was to be closed is left for the next transaction."""
        return self._closed_s is not None

    def close(self, now_ns: int) -> list[Alarm]:
        """Judge and learn the periods that have ended when traffic has come to a time; return alarms."""
        closed_s = self._period_of(now_ns - SETTLE_S * NS_PER_S) - self._period_s
        if closed_s == self._closed_s:
            return []
        if self._closed_s is None:
            profiles.unlearn_acknowledged(self._conn, self._period_s)
        self._closed_s = closed_s
        since_s = max(self._phase.since_s, closed_s - HISTORY_S)
        alarms: list[Alarm] = []
        for period_s in profiles.changed_periods(self._conn, since_s, closed_s):
            if self._rows >= MOST_ROWS:
                self._closed_s = None
                break
            alarms += self._learn(period_s)
        profiles.forget_old(self._conn, closed_s)
        return alarms

    def running(self, now_ns: int) -> list[Alarm]:
        """Return alarms about the period that has not ended: what exceeds already will not come to less."""
        period_s = self._period_of(now_ns)
        if not self._is_over(period_s):
            return []
        return self._alarms(period_s, {level: self._rows_of(level, period_s) for level in _ALONE})

    def learned(self, channel: Channel) -> Learned | None:
        """Return a channel's busiest hours against what was learned of it; None where too little was.

        Only where periods are hours, for those are what is remembered of a channel.
        """
        if self._period_s * NS_PER_S != HOUR_NS or not self._is_over(channel.last_ns // NS_PER_S):
            return None
        subject: Id | None = None
        found: list[Learned] = []
        oldest = channel.last_ns // HOUR_NS - self._settings.window_s // 3600
        for hour, figures in channel.hours.items():
            values = Values(figures.connections, figures.bytes_out, figures.bytes_in)
            if hour < oldest or not self._is_enough(values):
                continue
            subject = subject or self._subject(channel)
            if subject is None:
                return None
            asked = (subject, hour, values)
            if asked not in self._looked_up:
                if len(self._looked_up) >= _MOST_LOOKED_UP:
                    self._looked_up.clear()
                self._looked_up[asked] = self._channel_hour(subject, hour * 3600, values)
            if (one := self._looked_up[asked]) is not None:
                found.append(one)
        return Learned.together(found) if found else None

    def _learn(self, period_s: int) -> list[Alarm]:
        rows = {level: self._rows_of(level, period_s) for level in Level}
        alarms = self._alarms(period_s, rows, keep=True)
        if self._settings.castro.are_on:
            rows[Level.CHANNEL] = [self._with_events(row, period_s) for row in rows[Level.CHANNEL]]
            alarms += self._castro(rows[Level.CHANNEL], period_s)
        start_ns, end_ns = period_s * NS_PER_S, (period_s + self._period_s) * NS_PER_S
        marks = profiles.alarmed(self._conn, start_ns, end_ns)
        marks |= {
            (alarm.client, alarm.server, alarm.host)
            for alarm in alarms
            if not profiles.is_acknowledged(self._conn, alarm_id(alarm))
        }
        by_client: dict[int, set[tuple[str | None, str | None]]] = {}
        for client, server, host in marks:
            number = self._names.client(client) if client is not None else 0
            by_client.setdefault(number or 0, set()).add((server, host))
        for some in rows.values():
            entries = ((row.id, Entry(period_s, self._weight(row.id, by_client), row.values)) for row in some)
            profiles.put(self._conn, entries, self._slots.slot(period_s))
            self._rows += len(some)
        profiles.note_learned(self._conn, period_s)
        if not self._calendar.add(period_s):
            self._calendar = Calendar(self._slots, profiles.learned_periods(self._conn))
            self._looked_up.clear()
        return alarms

    def _with_events(self, row: Row, period_s: int) -> Row:
        rules = self._settings.castro
        if not (rules.probability and castro.is_time_of_events(period_s, rules)):
            return row
        if not castro.may_have_events(row.values, rules):
            return row
        count = castro.events(profiles.visits(self._conn, row.id, period_s), rules)
        return row._replace(values=row.values._replace(events=count))

    def _castro(self, rows: list[Row], period_s: int) -> list[Alarm]:
        """Return what Castro's rules say of the pairs of a period."""
        if not self._is_over(period_s):
            return []
        found: list[Alarm] = []
        slot = self._slots.slot(period_s)
        for row in rows:
            window = self._window(row.id, period_s)
            if not window:
                continue
            cells = profiles.cells(self._conn, row.id)
            since_s = max(self._phase.since_s, profiles.since_of(self._conn, row.id, self._period_s) or 0)
            counts = [value.connections for value in active(cells.values(), period_s).values]
            silent = self._calendar.count(period_s, since_s) - len(counts)
            same_hour = history(cells.get(slot, Cell()), window)
            told = castro.broken(period_s, row.values, same_hour, [*counts, *[0] * silent], self._settings.castro)
            found += castro.alarms(self._names.subject(row.id), period_s, row.last_ns, told)
        return found

    def _weight(self, subject: Id, marks: dict[int, set[tuple[str | None, str | None]]]) -> int:
        """Return what an hour is worth: less for whoever alarmed in it, and for all channels of a client that did."""
        mine = marks.get(subject.client, set())
        if not mine:
            return ORDINARY
        if subject.level is Level.CLIENT or (subject.client and (None, None) in mine):
            return self._limits.alarmed_weight_percent
        named = self._names.subject(subject)
        hit = any(host == named.host if named.host else server == named.server for server, host in mine)
        return self._limits.alarmed_weight_percent if hit else ORDINARY

    def _alarms(self, period_s: int, rows: dict[Level, list[Row]], *, keep: bool = False) -> list[Alarm]:
        """Return alarms about clients and services; ``keep`` their scores as those of ordinary traffic."""
        if not self._limits.enabled:
            return []
        found: list[tuple[float, Alarm]] = []
        for level in _ALONE:
            tests: dict[str, int] = {}
            scores: dict[str, list[float]] = {}
            for row in rows[level]:
                if not keep and not self._is_enough(row.values):
                    continue
                overs = list(self._overs(row.id, row.values, period_s, tests))
                for over in overs:
                    scores.setdefault(over.figure.rule, []).append(over.z)
                if overs and self._is_over(period_s) and (raised := self._alarm(row, overs, period_s)):
                    found.append((max(over.z for over in overs), raised))
            if keep:
                for rule, count in tests.items():
                    self._keep(f"{level.name.lower()}-{rule}", bucket(period_s, count, scores.get(rule, [])))
        return self._with_room([alarm for _, alarm in sorted(found, key=lambda one: -one[0])], period_s)

    def _with_room(self, alarms: list[Alarm], period_s: int) -> list[Alarm]:
        """Return alarms, the most unusual first; what is far more than the day's budget is low.

        When everybody does more than ever (a flash crowd, the first day of term), it is not the clients' doing.
        """
        if not alarms:
            return []
        day_s = period_s // DAY_S * DAY_S
        room = max(1, ceil(_MOST_OF_BUDGET * self.budget.per_day))
        told: dict[Severity, set[str]] = {severity: set() for severity in Severity}
        for one, _ in calibration.alarms_of_day(self._conn, baseline.KIND, day_s):
            told[one.severity].add(one.id)
        found = []
        for alarm in alarms:
            alike = told[alarm.severity]
            if len(alike | {alarm_id(alarm)}) <= room:
                alike.add(alarm_id(alarm))
            else:
                text = f"more than {room} baselines are exceeded on this day: it was made low"
                note = Evidence("alarm-flood", "budget", None, len(alarms), room, text)
                alarm = alarm._replace(severity=Severity.LOW, evidence=(*alarm.evidence, note))  # noqa: PLW2901
            found.append(alarm)
        return found

    def _alarm(self, row: Row, overs: list[Excess], period_s: int) -> Alarm | None:
        told: list[Excess] = []
        worst = Severity.MEDIUM
        for over in overs:
            kind = f"{row.id.level.name.lower()}-{over.figure.rule}"
            severity = over.severity(self._limits)
            if severity is None or self.budget.allows(kind, over.z, period_s) is None:
                continue
            told.append(over)
            if severity is Severity.HIGH and self.budget.allows(kind, over.z, period_s, _HIGH_SHARE) is not None:
                worst = Severity.HIGH
        if not told:
            return None
        return baseline.alarm(self._names.subject(row.id), told, worst, period_s, row.last_ns)

    @property
    def budget(self) -> Budget:
        """What baselines may raise: half of the alarms a day, the other half is for channels."""
        if self._budget is None:
            oldest_s = (self._closed_s or 0) - self._settings.budget.window_days * DAY_S
            kinds = calibration.load(self._conn, calibration.BASELINE, oldest_s)
            self._budget = Budget(kinds, self._settings.budget.alarms_per_day / 2)
        return self._budget

    def _keep(self, kind: str, scores: Bucket) -> None:
        calibration.keep(self._conn, f"{calibration.BASELINE}{kind}", scores)
        known = self.budget.kinds.get(kind, Calibration(()))
        oldest_s = scores.start_s - self._settings.budget.window_days * DAY_S
        others = tuple(one for one in known.buckets if scores.start_s != one.start_s >= oldest_s)
        self._budget = self.budget._replace(kinds={**self.budget.kinds, kind: Calibration((*others, scores))})

    def _overs(self, subject: Id, values: Values, period_s: int, tests: dict[str, int]) -> Iterator[Excess]:
        """Yield the figures of a subject that exceed what was learned; count those that could be tested."""
        window = self._window(subject, period_s)
        if len(window) < self._limits.least_values:
            return
        for figure in FIGURES:
            tests[figure.rule] = tests.get(figure.rule, 0) + 1
        if not self._is_enough(values):
            return
        past = history(profiles.cell(self._conn, subject, self._slots.slot(period_s)), window)
        for figure in FIGURES:
            over = baseline.excess(
                figure,
                getattr(values, figure.name),
                past.of(figure.name),
                lambda name=figure.name: self._other_hours(subject, period_s, name),  # type: ignore[misc] # bound now
                self._limits,
            )
            if over is not None:
                yield over

    def _channel_hour(self, subject: Id, period_s: int, values: Values) -> Learned | None:
        tests: dict[str, int] = {}
        overs = [over for over in self._overs(subject, values, period_s, tests) if over.figure.name in _OF_CHANNELS]
        return Learned(tuple(_OF_CHANNELS.values()), tuple((period_s, over) for over in overs)) if tests else None

    def _window(self, subject: Id, period_s: int) -> Sequence[int]:
        """Return the earlier periods of the slot in which the subject was known."""
        since_s = profiles.since_of(self._conn, subject, self._period_s)
        if since_s is None:
            return ()
        return self._calendar.window(self._slots.slot(period_s), period_s, max(since_s, self._phase.since_s))

    def _other_hours(self, subject: Id, period_s: int, figure: str) -> Usual | None:
        return baseline.usual(active(profiles.cells(self._conn, subject).values(), period_s).of(figure))

    def _subject(self, channel: Channel) -> Id | None:
        client = self._names.client(channel.client)
        if channel.host is not None:
            level, thing = Level.NAMED, self._names.host(channel.host, channel.protocol)
        else:
            level, thing = Level.CHANNEL, self._names.service(channel.server, channel.port, channel.protocol)
        return None if client is None or thing is None else Id(level, client, thing, channel.protocol)

    def _rows_of(self, level: Level, period_s: int) -> list[Row]:
        return list(profiles.rows_of(self._conn, level, period_s, self._settings.protocols))

    def _is_enough(self, values: Values) -> bool:
        return any(getattr(values, figure.name) >= self._limits.least(figure) for figure in FIGURES)

    def _is_over(self, period_s: int) -> bool:
        """Whether learning is over, so that a period is judged."""
        return 0 < self._phase.until_s <= period_s

    def _period_of(self, time_ns: int) -> int:
        return time_ns // NS_PER_S // self._period_s * self._period_s
