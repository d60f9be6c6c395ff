"""Detection over a store: new records in traffic time's order, a slice at a time, each slice one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from common.timespan import NS_PER_S
from correlator.detect.alarm import Alarm, Severity
from correlator.detect.channel import Key, key_of
from correlator.detect.fold import Taken, alarm_of, fold, judged
from correlator.detect.settings import DetectSettings
from correlator.learning import Learner
from correlator.store import detection
from correlator.store.alarms import News, Tell, store_alarms, untold
from correlator.store.database import Store
from correlator.store.profiles import forget_profiles
from correlator.store.writer import uncollected
from correlator.triage import Triage

AT_ONCE: Final = 20_000
"""Records that are in memory at once."""
MANY: Final = 200_000
"""More than that take a while."""
_SLICE_NS: Final = 60 * NS_PER_S
_LONGEST_SLICE_NS: Final = 3600 * NS_PER_S
_FORGET_AFTER_NS: Final = 30 * 86_400 * NS_PER_S
_end: Final = attrgetter("record.end_ns")


class Progress(NamedTuple):
    """What detection did."""

    records: int
    alarms: int
    """Alarms that are new."""


class Detection:
    """Looks at the records of a store that is open for writing, those that came since the last time.

    ``tell`` gets the alarms that are new or more severe once they are committed.
    """

    def __init__(self, store: Store, settings: DetectSettings, tell: Tell = untold) -> None:
        self._store = store
        self._settings = settings
        self._tell = tell

    def begin_anew(self) -> None:
        """Forget what was seen, so that the next steps look at all that is stored; UserError in one line."""
        with detection.transaction(self._store) as conn:
            detection.forget_all(conn)
            forget_profiles(conn)

    def behind(self) -> int:
        """Return how many stored records have not been looked at."""
        seen, last = detection.waiting(self._store.conn)
        return last - seen

    def run(self, say: Callable[[str], None]) -> Progress:
        """Look at everything that is new; ``say`` is told when that takes a while. UserError in one line."""
        if (behind := self.behind()) > MANY:
            say(f"looking for tunnels in {behind} records; what an interruption leaves is looked at the next time")
        total = Progress(0, 0)
        while (done := self.step()).records:
            total = Progress(total.records + done.records, total.alarms + done.alarms)
        return total

    def step(self, most: int = AT_ONCE) -> Progress:
        """Look at so many records of what is new, or at nothing when there is nothing; UserError in one line."""
        with uncollected(), detection.transaction(self._store) as conn:
            if not detection.is_current(conn):
                detection.forget_all(conn)
            seen, last = detection.waiting(conn)
            until = min(last, seen + most)
            if until <= seen:
                return Progress(0, 0)
            records = [
                taken
                for taken in detection.new_records(conn, seen, until)
                if taken.record.protocol in self._settings.protocols
            ]
            news = self._look(conn, records) if records else []
            detection.note_seen(conn, until)
        self._tell(news)
        return Progress(until - seen, sum(told.is_new for told in news))

    def _look(self, conn: Any, records: list[Taken]) -> list[News]:
        """Fold records, judge the channels that change, slice by slice, and keep all of it; return what is new."""
        flows = {(taken.sensor, taken.record.flow_id) for taken in records if taken.record.part}
        memory = detection.remembered(conn, {key_of(taken.record) for taken in records}, flows)
        clients = detection.Clients(conn)
        around = detection.Neighbourhood(conn, clients)
        learner = Learner(conn, self._store.built, self._settings)
        triage = Triage(conn, self._settings)
        odds: dict[Key, float] = {}
        news: list[News] = []
        for some in _slices(records):
            now_ns = some[-1].record.end_ns
            clients.note(some)
            triage.close(now_ns)
            news += store_alarms(conn, learner.close(now_ns))
            alarms: list[Alarm] = []
            for key in sorted(fold(some, memory, self._settings, self._store.built.channel_gap_ns)):
                channel = memory.channels[key]
                surroundings = around.of(channel, now_ns)._replace(learned=learner.learned(channel))
                judgement, sightings = judged(channel, surroundings, self._settings)
                odds[key] = judgement.log10_odds
                triage.note(channel, judgement, sightings)
                severity, why = judgement.severity, triage.promoted(channel, judgement)
                if why is not None:
                    severity = Severity.MEDIUM
                if severity is not None:
                    alarm = alarm_of(channel, judgement, sightings, severity, self._settings)
                    alarms.append(alarm if why is None else alarm._replace(evidence=(*alarm.evidence, why)))
            # before the next period is learned from: hours that alarm count less
            news += store_alarms(conn, triage.flood(alarms))
        detection.keep_channels(conn, [(memory.channels[key], log10_odds) for key, log10_odds in odds.items()])
        detection.keep_flows(conn, memory, flows)
        clients.keep()
        triage.keep()
        detection.forget_before(conn, _end(records[-1]) - _FORGET_AFTER_NS)
        return news + store_alarms(conn, learner.running(_end(records[-1])))


def _slices(records: list[Taken]) -> Iterator[list[Taken]]:
    """Yield records in the order of their ends: of a minute of traffic's time, or of more where many came."""
    if not records:
        return
    records.sort(key=_end)
    first, last = _end(records[0]), _end(records[-1])
    length = max(_SLICE_NS, min(_LONGEST_SLICE_NS, (last - first) * len(records) // (2 * AT_ONCE)))
    for _, some in groupby(records, key=lambda taken: (_end(taken) - first) // length):
        yield list(some)
