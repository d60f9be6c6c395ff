"""The one path into the store: judge frames, write what is new, evaluate thresholds, all in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

from common.addresses import address_text
from common.flowlog import Batch
from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.config import SensorLimits, Thresholds
from correlator.detect.alarm import MAX_FLOWS, Alarm
from correlator.detect.sensors import account_alarms, account_of, frame_alarms
from correlator.detect.thresholds import (
    ChannelTotals,
    FlowTotals,
    channel_alarms,
    flow_alarms,
    flow_exceeds,
    sensor_alarm,
)
from correlator.ingest.receiver import FUTURE_NS, Accepted, Receiver, Refused, Verdict
from correlator.store.rollup import StoredRecord
from correlator.store.writer import Writer, Written


class Stored(NamedTuple):
    """What one transaction did."""

    verdicts: list[Verdict]
    records: int
    duplicates: int
    refused: Counter[str]
    """Records and frames that were refused, by reason."""
    new_alarms: int


class Pipeline:
    """Judges, writes and watches; the clock is the caller's.

    The sensors' own state raises alarms where there are ``sensor_limits``: on the link, and not over old files.
    """

    def __init__(self, writer: Writer, thresholds: Thresholds, sensor_limits: SensorLimits | None = None) -> None:
        self.receiver = Receiver()
        self._writer = writer
        self._thresholds = thresholds
        self._sensor_limits = sensor_limits

    def mark(self, sensor: str, run: int) -> int:
        """Return the sequence up to which every frame of a run is done with: stored, refused or given up."""
        return self._writer.mark(sensor, run)

    def store_frames(self, frames: Sequence[Batch | Refused], now_ns: int, steady: Container[str] = ()) -> Stored:
        """Store frames, in order; everything of them is committed when this returns, refusals too.

        ``steady`` are the sensors whose link has stood long enough for statistics to come without delay.
        """
        with self._writer.transaction():
            verdicts = list(self._judge(frames, now_ns + FUTURE_NS))
            accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
            arrived = [(frame.sensor, flow) for frame in accepted for flow in frame.flows]
            written = self._write(arrived)
            alarms = [*self._alarms(written), *self._sensor_alarms(accepted)]
            new_alarms = self._writer.add_alarms(alarms)
            refused = self._account(verdicts, arrived, written, now_ns)
            new_alarms += self._writer.add_alarms(self._self_alarms(verdicts, now_ns, steady))
        return Stored(verdicts, len(written.records), written.duplicates, refused, new_alarms)

    def store_records(self, arrived: Sequence[tuple[str, FlowRecord]], now_ns: int) -> Stored:
        """Store records that no frame carried: those of text files."""
        with self._writer.transaction():
            written = self._write(arrived)
            new_alarms = self._writer.add_alarms(self._alarms(written))
            refused = self._account([], arrived, written, now_ns)
        return Stored([], len(written.records), written.duplicates, refused, new_alarms)

    def _judge(self, frames: Sequence[Batch | Refused], latest_ns: int) -> Iterator[Verdict]:
        marks: dict[tuple[str, int], int] = {}
        raised: dict[tuple[str, int], int] = {}
        for frame in frames:
            key = (frame.sensor, frame.run)
            if key not in marks:
                marks[key] = self._writer.mark(*key)
            verdict = self.receiver.judge(frame, marks[key], latest_ns)
            if isinstance(verdict, Accepted) or (isinstance(verdict, Refused) and verdict.done):
                marks[key] = raised[key] = frame.sequence
            yield verdict
        self._writer.set_marks(raised)

    def _write(self, arrived: Sequence[tuple[str, FlowRecord]]) -> Written:
        return self._writer.add_records(arrived) if arrived else Written([], 0, set())

    def _account(
        self, verdicts: Sequence[Verdict], arrived: Sequence[tuple[str, FlowRecord]], written: Written, now_ns: int
    ) -> Counter[str]:
        """Add to the sensors' counters; return what was refused, by reason."""
        counts: dict[str, Counter[str]] = {}
        refused: Counter[str] = Counter()
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
        stored = Counter(record.sensor for record in written.records)
        for sensor, number in Counter(sensor for sensor, _ in arrived).items():
            counts.setdefault(sensor, Counter()).update(
                records_stored=stored[sensor], records_duplicate=number - stored[sensor]
            )
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
        yield from self._flow_alarms(written.records)
        yield from self._channel_alarms(written)

    def _flow_alarms(self, records: Sequence[StoredRecord]) -> Iterator[Alarm]:
        limits = self._thresholds.flow
        if not (limits.bytes or limits.packets or limits.duration_s):
            return
        # Of several parts of one flow in a batch only the last is asked about: the totals hold all.
        last: dict[tuple[str, int], FlowRecord] = {}
        for sensor, _, record in records:
            if record.part == 0 and record.end_reason is not None:
                payload = record.payload_bytes_out + record.payload_bytes_in
                packets = record.packets_out + record.packets_in
                if flow_exceeds(limits, payload, packets, record.end_ns - record.flow_start_ns):
                    yield from flow_alarms(limits, _totals_of(sensor, record, payload, packets))
                continue
            known = last.get((sensor, record.flow_id))
            if known is None or record.part > known.part:
                last[sensor, record.flow_id] = record
        for (sensor, _), record in last.items():
            packets, payload = self._writer.flow_so_far(sensor, record.flow_id)
            if flow_exceeds(limits, payload, packets, record.end_ns - record.flow_start_ns):
                yield from flow_alarms(limits, _totals_of(sensor, record, payload, packets))

    def _channel_alarms(self, written: Written) -> Iterator[Alarm]:
        limits = self._thresholds.channel_period
        if not (limits.bytes or limits.packets or limits.tcp_uptime_s):
            return
        period_ns = self._writer.built.period_ns
        over = self._writer.periods_over(
            written.periods,
            packets=limits.packets,
            payload_bytes=limits.bytes,
            tcp_uptime_ns=limits.tcp_uptime_s * NS_PER_S,
        )
        if not over:
            return
        members: dict[tuple[int, int], list[FlowRecord]] = {}
        for _, channel, record in written.records:
            key = (record.start_ns - record.start_ns % period_ns, channel)
            if key in over:
                members.setdefault(key, []).append(record)
        for (period, channel), so_far in over.items():
            records = members[period, channel]
            yield from channel_alarms(
                limits,
                ChannelTotals(
                    channel,
                    period,
                    address_text(records[0].client_ip),
                    address_text(records[0].server_ip),
                    records[0].server_port,
                    so_far.payload_bytes,
                    so_far.packets,
                    so_far.tcp_uptime_ns,
                    so_far.last_ns,
                    tuple(dict.fromkeys(str(record.flow_id) for record in records))[:MAX_FLOWS],
                ),
                period_ns,
            )


def _totals_of(sensor: str, record: FlowRecord, payload_bytes: int, packets: int) -> FlowTotals:
    return FlowTotals(
        sensor,
        record.flow_id,
        address_text(record.client_ip),
        record.client_port,
        address_text(record.server_ip),
        record.server_port,
        payload_bytes,
        packets,
        record.end_ns - record.flow_start_ns,
        record.end_ns,
        record.end_reason is None,
        record.host,
    )
