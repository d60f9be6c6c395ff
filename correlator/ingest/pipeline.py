"""The one path into the store: judge frames, write what is new, evaluate thresholds, all in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from itertools import chain, compress
from typing import Final, NamedTuple

from common.flowlog import Batch
from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.columns import AT, columns_of
from correlator.config import SensorLimits, Thresholds
from correlator.detect.alarm import Alarm
from correlator.detect.sensors import account_alarms, account_of, frame_alarms
from correlator.detect.thresholds import channel_alarms, flow_alarms, sensor_alarm
from correlator.ingest.listing import contacts_of, listed_alarms
from correlator.ingest.receiver import FUTURE_NS, Accepted, Receiver, Refused, Verdict
from correlator.ingest.spread import Spread
from correlator.store.alarms import News, Tell, untold
from correlator.store.writer import Arrived, Writer, Written

# How long a sensor's records may last on average: nearly all last for minutes, but a file may hold a choice of long
# ones.
_FILE_SHARE_NS: Final = 48 * 3_600 * NS_PER_S
_LINK_SHARE_PERIODS: Final = 8


class Stored(NamedTuple):
    """What one transaction did."""

    verdicts: list[Verdict]
    records: int
    duplicates: int
    refused: Counter[str]
    """Records and frames that were refused, by reason."""
    new_alarms: int
    exchanges: int = 0
    """HTTP exchanges that were new."""


class Pipeline:
    """Judges, writes and watches; the clock is the caller's.

    The sensors' own state raises alarms where there are ``sensor_limits``: on the link, and not over old files.
    ``tell`` gets the alarms that are new or more severe once they are committed.
    """

    def __init__(
        self,
        writer: Writer,
        thresholds: Thresholds,
        sensor_limits: SensorLimits | None = None,
        tell: Tell = untold,
    ) -> None:
        self.receiver = Receiver()
        self._writer = writer
        self._thresholds = thresholds
        self._sensor_limits = sensor_limits
        self._tell = tell
        self.spread = Spread(_FILE_SHARE_NS)

    def mark(self, sensor: str, run: int) -> int:
        """Return the sequence up to which every frame of a run is done with: stored, refused or given up."""
        return self._writer.mark(sensor, run)

    def store_frames(self, frames: Sequence[Batch | Refused], now_ns: int, steady: Container[str] = ()) -> Stored:
        """Store frames, in order; everything of them is committed when this returns, refusals too.

        ``steady`` are the sensors whose link has stood long enough for statistics to come without delay.
        """
        with self._writer.transaction(), self.spread.transaction():
            if self._sensor_limits is not None:  # others wait meanwhile; db rebuild may have changed the period
                self.spread.share_ns = _LINK_SHARE_PERIODS * self._writer.built.period_ns
            verdicts = list(self._judge(frames, now_ns + FUTURE_NS))
            accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
            arrived, too_old = self._kept([Arrived(frame.sensor, frame.flows) for frame in accepted])
            written = self._writer.add_records(arrived, now_ns, self._thresholds)
            exchanges = self._add_exchanges(accepted, too_old, now_ns)
            alarms = [*self._alarms(written), *self._listed(arrived, written, now_ns), *self._sensor_alarms(accepted)]
            news = self._writer.add_alarms(alarms)
            refused = self._account(verdicts, written, too_old, now_ns)
            news += self._writer.add_alarms(self._self_alarms(verdicts, now_ns, steady))
        self._tell(news)
        return _stored(verdicts, written, refused, news)._replace(exchanges=exchanges)

    def store_records(self, arrived: Sequence[tuple[str, FlowRecord]], now_ns: int) -> Stored:
        """Store records that no frame carried: those of text files."""
        by_sensor: dict[str, list[FlowRecord]] = {}
        for sensor, record in arrived:
            by_sensor.setdefault(sensor, []).append(record)
        batch = [Arrived(sensor, columns_of(records)) for sensor, records in by_sensor.items()]
        with self._writer.transaction():
            kept, too_old = self._kept(batch)
            written = self._writer.add_records(kept, now_ns, self._thresholds)
            alarms = [*self._alarms(written), *self._listed(kept, written, now_ns)]
            news = self._writer.add_alarms(alarms)
            refused = self._account([], written, too_old, now_ns)
        self._tell(news)
        return _stored([], written, refused, news)

    def _judge(self, frames: Sequence[Batch | Refused], latest_ns: int) -> Iterator[Verdict]:
        marks: dict[tuple[str, int], int] = {}
        raised: dict[tuple[str, int], int] = {}
        for frame in frames:
            key = (frame.sensor, frame.run)
            if key not in marks:
                marks[key] = self._writer.mark(*key)
            verdict = self.receiver.judge(frame, marks[key], latest_ns, self.spread)
            if isinstance(verdict, Accepted) or (isinstance(verdict, Refused) and verdict.done):
                marks[key] = raised[key] = frame.sequence
            yield verdict
        self._writer.set_marks(raised)

    def _kept(self, batch: list[Arrived]) -> tuple[list[Arrived], Counter[str]]:
        """Leave out what is from before the flows that are kept, and count it by sensor.

        A file may come again, and records whose flows were removed cannot be told from those that were counted then.
        On the link no frame is stored twice.
        """
        removed_ns = self._removed_ns()
        kept: list[Arrived] = []
        too_old: Counter[str] = Counter()
        for arrived in batch:
            starts = arrived.columns[AT["start_ns"]] if removed_ns and arrived.columns else ()
            recent = [start_ns >= removed_ns for start_ns in starts]
            if all(recent):
                kept.append(arrived)
                continue
            columns = tuple(tuple(compress(column, recent)) for column in arrived.columns)
            kept.append(Arrived(arrived.sensor, columns))
            too_old[arrived.sensor] += recent.count(False)
        return kept, too_old

    def _add_exchanges(self, accepted: Sequence[Accepted], too_old: Counter[str], now_ns: int) -> int:
        """Store HTTP exchanges, but none from before the flows that are kept; return how many are new."""
        removed_ns = self._removed_ns() if any(frame.exchanges for frame in accepted) else 0
        stored = 0
        for frame in accepted:
            kept = [exchange for exchange in frame.exchanges if exchange.start_ns >= removed_ns]
            if len(kept) < len(frame.exchanges):
                too_old[frame.sensor] += len(frame.exchanges) - len(kept)
            if kept:
                stored += self._writer.add_exchanges(frame.sensor, kept, now_ns)
        return stored

    def _removed_ns(self) -> int:
        """Return the time before which records of files are left out."""
        return 0 if self._sensor_limits is not None else self._writer.removed_ns()

    def _account(
        self, verdicts: Sequence[Verdict], written: Written, too_old: Counter[str], now_ns: int
    ) -> Counter[str]:
        """Add to the sensors' counters; return what was refused, by reason."""
        counts: dict[str, Counter[str]] = {}
        refused: Counter[str] = Counter(too_old=too_old.total()) if too_old else Counter()
        for sensor, count in too_old.items():
            counts[sensor] = Counter(records_refused=count)
        for verdict in verdicts:
            mine = counts.setdefault(verdict.sensor, Counter())
            if isinstance(verdict, Accepted):
                mine["records_refused"] += verdict.refused.total()
                mine["frames_missing"] += verdict.missing
                refused += verdict.refused
            elif isinstance(verdict, Refused):
                mine["frames_refused"] += 1
                mine["frames_missing"] += verdict.missing
                refused[verdict.reason] += 1
            else:
                mine["frames_duplicate"] += 1
        for sensor, arrived in written.arrived.items():
            stored = written.stored[sensor]
            counts.setdefault(sensor, Counter()).update(records_stored=stored, records_duplicate=arrived - stored)
        for sensor, mine in counts.items():
            self._writer.count(sensor, now_ns, mine)
        return refused

    def _self_alarms(self, verdicts: Sequence[Verdict], now_ns: int, steady: Container[str]) -> Iterator[Alarm]:
        """Keep the sensors' statistics; yield what they, gaps and refusals say of the sensors themselves."""
        limits = self._sensor_limits
        missing: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        for verdict in verdicts:
            sensor = verdict.sensor
            if isinstance(verdict, Refused):
                refused[sensor] += 1
                missing[sensor] += verdict.missing
            elif isinstance(verdict, Accepted):
                missing[sensor] += verdict.missing
                for stats in verdict.stats:
                    if limits is None:
                        self._writer.set_stats(sensor, stats)
                        continue
                    known = self._writer.accounted(sensor)
                    before = None if known is None else known.stats
                    account = known and known.account
                    account = account_of(stats, verdict.run, before, account, now_ns, steady=sensor in steady)
                    self._writer.set_stats(sensor, stats, account)
                    yield from account_alarms(limits, sensor, account)
        if limits is not None:
            for sensor in sorted(missing.keys() | refused.keys()):
                counts = {"missing": missing[sensor], "refused": refused[sensor]}
                yield from frame_alarms(limits, sensor, **counts, now_ns=now_ns)

    def _sensor_alarms(self, accepted: Sequence[Accepted]) -> Iterator[Alarm]:
        severity = self._thresholds.flow.severity
        for frame in accepted:
            for raised in frame.alarms:
                yield sensor_alarm(raised, frame.sensor, severity)

    def _alarms(self, written: Written) -> Iterator[Alarm]:
        for flow in written.flows_over:
            yield from flow_alarms(self._thresholds.flow, flow)
        for channel in written.channels_over:
            yield from channel_alarms(self._thresholds.channel_period, channel, self._writer.built.period_ns)

    def _listed(self, batch: Sequence[Arrived], written: Written, now_ns: int) -> Iterator[Alarm]:
        """Yield the alarms of black and red entries about records of which any is new."""
        lists = self._writer.lists()
        if lists.raises:
            new = [arrived for arrived in batch if written.stored[arrived.sensor]]
            contacts = chain.from_iterable(map(contacts_of, new))
            yield from listed_alarms(lists, contacts, self._writer.figures_of, self._writer.built.period_ns, now_ns)


def _stored(verdicts: list[Verdict], written: Written, refused: Counter[str], news: list[News]) -> Stored:
    stored = written.stored.total()
    new_alarms = sum(told.is_new for told in news)
    return Stored(verdicts, stored, written.arrived.total() - stored, refused, new_alarms)
