"""Wires source, flow table and outputs together; the sensor's only owner of signals and clocks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from common.console import say
from common.errors import UserError
from common.flowlog import Block, rows_of
from common.metrics import Metric, MetricsServer
from common.notify import Notifier
from common.records import FlowRecord, SensorAlarm, SensorStats
from sensor.alarms import alarm_line, pair_text
from sensor.capture.live import Drops, LiveSource
from sensor.capture.pcapfile import CaptureFileError, Opener, read_capture
from sensor.config import SensorConfig, home_networks
from sensor.flow._table import FlowTable
from sensor.http.exchanges import Exchanges
from sensor.inspect._content import Inspector
from sensor.metrics import metrics
from sensor.output.fanout import Outputs
from sensor.stats import drops_line, stats_line, take_stats
from sensor.stream._streams import Streams

_NS = 1_000_000_000
_TURN_MS = 100
_END_REASON_AT = FlowRecord._fields.index("end_reason")
# Live packets reach us up to this much after their time stamp; idle flows end with that much delay.
_LIVE_LAG_NS = 2 * _NS
# How often the drop counters are looked at, and so the most that they are logged, but for statistics.
_DROPS_NS = 10 * _NS
# How old the counters may be that metrics give.
_METRICS_NS = _NS
# At a stop: the kernel hands a block over after this time at the latest; and when to give up on what waits in it.
_BLOCK_NS = 3 * _NS // 10
_GIVE_UP_NS = 10 * _NS
# Debug levels, as in tcpstatflow: 1 is normal, 10 (-v) traces every packet.
NORMAL, TRACE = 1, 10


def make_table(config: SensorConfig, run: int, *, trace: bool, streams: Streams | None = None) -> FlowTable:
    """Return an empty flow table with a fresh hash seed; flow ids count from the run's number."""
    flow = config.flow
    inspector = Inspector(memory_bytes=config.inspect.memory_bytes) if config.inspect.enabled else None
    return FlowTable(
        active_timeout_ns=int(flow.active_timeout_s * _NS),
        tcp_attempt_timeout_ns=int(flow.tcp_attempt_timeout_s * _NS),
        tcp_timeout_ns=int(flow.tcp_timeout_s * _NS),
        tcp_unestablished_timeout_ns=int(flow.tcp_unestablished_timeout_s * _NS),
        udp_timeout_ns=int(flow.udp_timeout_s * _NS),
        icmp_timeout_ns=int(flow.icmp_timeout_s * _NS),
        max_flows=flow.max_flows,
        memory_bytes=flow.memory_bytes,
        block_records=config.log.batch_records,
        alarm_bytes=config.alarm.bytes,
        alarm_duration_ns=int(config.alarm.duration_s * _NS),
        alarm_packets=config.alarm.packets,
        vlan_in_key=flow.vlan_in_key,
        trace=trace,
        home=home_networks(flow),
        first_flow_id=run,
        seed=os.urandom(32),
        inspector=inspector,
        streams=streams,
    )


class SensorService:
    """One run of the sensor, over files or on interfaces."""

    def __init__(
        self,
        config: SensorConfig,
        table: FlowTable,
        outputs: Outputs,
        level: int,
        notifier: Notifier | None = None,
        exchanges: Exchanges | None = None,
    ) -> None:
        self._config = config
        self._table = table
        self._outputs = outputs
        self._level = level
        self._notifier = notifier or Notifier({})
        self._exchanges = exchanges
        self._stopping = False
        self._statistics_asked = False
        self._live: LiveSource | None = None
        self._source = ""
        self._drops = Drops(0, 0)
        self._drops_told = Drops(0, 0)
        self._packets_told = 0
        self._next_drops_ns = 0
        self._code = 0
        self._statistics_ns = int(config.statistics.interval_s * _NS)
        self._next_statistics_ns = time.monotonic_ns() + self._statistics_ns
        self._heartbeat_ns = config.ship.heartbeat_s * _NS if outputs.shipper is not None else 0
        self._next_heartbeat_ns = time.monotonic_ns() + self._heartbeat_ns
        self._metrics_ns = _METRICS_NS if config.metrics.bind else 0
        self._next_metrics_ns = 0
        self._latest = self._take_stats()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Signals stop the run or ask for its statistics: in here, and so from before its inputs are open."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            if self._stopping:
                # The second signal in one stage is meant: stop waiting for anything.
                raise KeyboardInterrupt
            self._stopping = True

        def account(_number: int, _frame: FrameType | None) -> None:
            self._statistics_asked = True

        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's is left as it is
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, stop) for number in numbers}
        before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, account)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def read(self, names: Sequence[str], expression: str, opener: Opener | None = None) -> int:
        """Count capture files one after another; return the exit code."""
        with self._problems():
            self._begin(f"reading {', '.join(names)}")
            for name in names:
                self._source = name
                try:
                    read_capture(name, self._table, expression, self._collect, opener)
                except CaptureFileError as error:
                    self._collect()
                    self._failed(error)
                if self._stopping:
                    self._say(f"stopped by a signal in {name}; what was read until then counts")
                    self._code = 1
                    break
        self._finish()
        if not self._ship_rest():
            self._failed(self._left_in_spool())
        shipper = self._outputs.shipper
        if shipper is not None and shipper.refused:
            self._failed(
                f"{shipper.refused} frames were refused by the correlator and are not stored; "
                f"the first because: {shipper.refusal}"
            )
        return self._code

    def capture(self, live: LiveSource) -> int:
        """Count the packets of interfaces until a signal ends it; return the exit code."""
        self._live = live
        self._source = live.interface
        with self._problems():
            self._say(f"listening on {live.interface}")
            self._begin(f"listening on {live.interface}")
            while not self._stopping:
                if not live.turn(self._table, _TURN_MS):
                    self._table.advance(time.time_ns() - _LIVE_LAG_NS)
                live.look_after(time.monotonic_ns())
                self._collect()
            self._take_what_the_kernel_holds(live)
        self._finish()
        if not self._ship_rest():
            # No failure: a sensor that stops leaves to the next run what it could not send.
            self._say(self._left_in_spool())
        return self._code

    def _begin(self, status: str) -> None:
        """Tell what the start found, and the service manager that it is over."""
        if self._notifier.problem:
            self._say(self._notifier.problem)
        self._tell_news()
        self._notifier.ready()
        self._notifier.status(status)

    def _take_what_the_kernel_holds(self, live: LiveSource) -> None:
        """Count what arrived before the stop: the kernel hands a block over after a time-out of its own."""
        stop_ns, began_ns = time.time_ns(), time.monotonic_ns()
        while True:
            live.turn(self._table, _TURN_MS)
            self._collect()
            passed_ns = time.monotonic_ns() - began_ns
            if (passed_ns > _BLOCK_NS and live.drained(stop_ns)) or passed_ns > _GIVE_UP_NS:
                return

    def _collect(self, *, everything: bool = False) -> bool:
        """Take what the table has ready, also what could wait for more if asked to; return whether to go on."""
        now_ns = time.monotonic_ns()
        everything = everything or self._outputs.take_all(now_ns, waiting=self._table.waiting)
        blocks = self._table.drain_blocks(partial=everything)
        self._outputs.flows(blocks)
        self._take_exchanges(now_ns, everything=everything)
        self._take_events()
        if self._level >= TRACE:
            self._trace_ends(blocks)
        self._account(now_ns)
        self._outputs.turn(now_ns)
        self._tell_news()
        return not self._stopping

    def _take_exchanges(self, now_ns: int, *, everything: bool) -> None:
        """Take the HTTP exchanges that are over; the table is told what of their streams nobody wants."""
        streams, exchanges = self._table.streams, self._exchanges
        if streams is None or exchanges is None:
            return
        self._outputs.exchanges(exchanges.take(streams.drain()), now_ns, everything=everything)
        for skip in exchanges.skips:
            streams.leave_out(*skip)
        exchanges.skips.clear()

    def _trace_ends(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            for row in rows_of(block):
                if row[_END_REASON_AT] is not None:
                    self._say(f"flow {row[0]}: clearing flow")

    def _account(self, now_ns: int) -> None:
        """Give the statistics that are due or asked for, and say when packets were lost; say that the loop turns."""
        due = self._statistics_ns and now_ns >= self._next_statistics_ns
        if due:
            self._next_statistics_ns = now_ns + self._statistics_ns
        if due or self._statistics_asked:
            self._statistics_asked = False
            self._statistics()
        elif self._heartbeat_ns and now_ns >= self._next_heartbeat_ns:
            self._next_heartbeat_ns = now_ns + self._heartbeat_ns
            self._look_at_drops()
            self._outputs.statistics(self._take_stats())
        elif now_ns >= self._next_drops_ns:
            self._next_drops_ns = now_ns + _DROPS_NS
            self._look_at_drops()
        self._keep_for_metrics(now_ns)
        self._notifier.alive(now_ns)

    def serve_metrics(self, server: MetricsServer) -> None:
        """Let the counters be asked for, where that is switched on."""
        if where := server.start(self.metrics):
            self._say(f"metrics on http://{where}/metrics")

    def metrics(self) -> Iterator[Metric]:
        """Yield the counters as they stood within the last second; asked by other threads."""
        return metrics(self._latest)

    def _keep_for_metrics(self, now_ns: int) -> None:
        # What other threads are given is a record that does not change: the counters themselves are this thread's.
        if self._metrics_ns and now_ns >= self._next_metrics_ns:
            self._next_metrics_ns = now_ns + self._metrics_ns
            self._latest = self._take_stats()

    def _look_at_drops(self) -> None:
        if self._live is None:
            return
        self._drops = self._live.drops()
        told = self._drops_told
        lost = Drops(self._drops.kernel - told.kernel, self._drops.interface - told.interface)
        if not any(lost):
            return
        packets = self._table.packets - self._packets_told
        self._say(drops_line(lost, packets, self._config.capture.buffer_bytes))
        self._drops_told, self._packets_told = self._drops, self._table.packets

    def _take_events(self) -> None:
        alarms = []
        for kind, from_client, fields in self._table.drain_events():
            alarm = SensorAlarm._make(fields)
            if kind == "new_flow":
                self._say(f"{pair_text(alarm)}: new flow {alarm.flow_id}")
            elif kind == "packet":
                self._say(f"{pair_text(alarm)}: flow {'TX' if from_client else 'RX'}")
            else:
                alarms.append(alarm)
                self._say(alarm_line(alarm))
        self._outputs.alarms(alarms)

    def _statistics(self) -> None:
        self._look_at_drops()
        stats = self._take_stats()
        line = stats_line(stats, self._outputs.shipper, self._table.inspector)
        if self._live is not None and self._live.lost:
            line += f", without {self._live.lost}"
        self._say(line)
        self._notifier.status(line)
        self._outputs.statistics(stats)

    def _take_stats(self) -> SensorStats:
        # Nobody is to wait for more statistics of files: those end.
        heartbeat_s = self._heartbeat_ns // _NS if self._live is not None else 0
        return take_stats(
            self._table, self._source, time.time_ns(), self._drops, self._outputs.shipper, heartbeat_s, self._exchanges
        )

    def _finish(self) -> None:
        """End every flow, and close the run's account with a last statistics record, whatever failed before."""
        # From here on a signal ends the wait for the correlator.
        self._stopping = False
        self._notifier.stopping()
        more = True
        while more:
            more = self._table.flush()
            with self._problems():
                self._collect(everything=not more)
        with self._problems():
            self._outputs.finish()
        with self._problems():
            self._statistics()
        self._tell_news()

    def _ship_rest(self) -> bool:
        """Wait for the correlator's last acknowledgements, but not for ever; return whether all came."""
        give_up_ns = int(self._config.ship.give_up_s * _NS)
        progress_ns = time.monotonic_ns()
        while (shipper := self._outputs.shipper) is not None and shipper.waiting:
            now_ns = time.monotonic_ns()
            if self._stopping or now_ns - progress_ns > give_up_ns:
                return False
            waiting = shipper.waiting
            self._notifier.alive(now_ns)
            self._keep_for_metrics(now_ns)
            if self._statistics_asked:
                # In a line only: one more record would be one more to wait for.
                self._statistics_asked = False
                self._say(stats_line(self._take_stats(), shipper, self._table.inspector))
            with self._problems():
                self._outputs.turn(now_ns, _TURN_MS)
            self._tell_news()
            if shipper.waiting < waiting:
                progress_ns = now_ns
        return True

    def _left_in_spool(self) -> str:
        shipper = self._outputs.shipper
        assert shipper is not None  # only asked when something was to be shipped
        return (
            f"{shipper.waiting} frames are not acknowledged by {self._config.ship.endpoint}; "
            f"they stay in {shipper.spool.directory} and the next run with this spool sends them"
        )

    def _tell_news(self) -> None:
        """Tell what happened to the outputs since the last time."""
        for error in self._outputs.failures:
            self._failed(error)
        self._outputs.failures.clear()
        if self._outputs.shipper is not None:
            self._say_all(self._outputs.shipper.news)
        if self._live is not None:
            self._say_all(self._live.news)

    def _say_all(self, news: list[str]) -> None:
        for line in news:
            self._say(line)
        news.clear()

    @contextmanager
    def _problems(self) -> Iterator[None]:
        """Tell an error that ends a step of the run, so that the steps after it are not left out."""
        try:
            yield
        except UserError as error:
            self._tell_news()
            self._failed(error)
        except BrokenPipeError:
            # The reader of the last output went away: nothing is left to do, and nothing to say but earlier failures.
            self._tell_news()
            if not self._code:
                raise

    def _failed(self, problem: UserError | str) -> None:
        say(f"error: {problem}")
        self._code = 1

    def _say(self, line: str) -> None:
        if self._level >= NORMAL:
            say(line)
