"""Wires source, flow table and outputs together; the sensor's only owner of signals and clocks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network
from types import FrameType

import click

from common.errors import UserError
from common.records import SensorAlarm
from sensor.alarms import alarm_line, pair_text
from sensor.capture.live import LiveSource
from sensor.capture.pcapfile import CaptureFileError, read_capture
from sensor.capture.privileges import drop_privileges
from sensor.config import FlowConfig, SensorConfig
from sensor.flow._table import FlowTable
from sensor.output.fanout import Outputs
from sensor.stats import stats_line, take_stats

_NS = 1_000_000_000
_TURN_MS = 100
# Live packets reach us up to this much after their time stamp; idle flows end with that much delay.
_LIVE_LAG_NS = 2 * _NS
# Debug levels, as in tcpstatflow: 1 is normal, 10 (-v) traces every packet.
NORMAL, TRACE = 1, 10


def make_table(config: SensorConfig, run: int, *, trace: bool) -> FlowTable:
    """Return an empty flow table with a fresh hash seed; flow ids count from the run's number."""
    flow = config.flow
    return FlowTable(
        active_timeout_ns=int(flow.active_timeout_s * _NS),
        tcp_timeout_ns=int(flow.tcp_timeout_s * _NS),
        tcp_unestablished_timeout_ns=int(flow.tcp_unestablished_timeout_s * _NS),
        udp_timeout_ns=int(flow.udp_timeout_s * _NS),
        icmp_timeout_ns=int(flow.icmp_timeout_s * _NS),
        max_flows=flow.max_flows,
        alarm_bytes=config.alarm.bytes,
        alarm_duration_ns=int(config.alarm.duration_s * _NS),
        alarm_packets=config.alarm.packets,
        vlan_in_key=flow.vlan_in_key,
        trace=trace,
        home=_home(flow),
        first_flow_id=run,
        seed=os.urandom(32),
    )


def _home(flow: FlowConfig) -> list[tuple[bytes, int]]:
    networks = []
    for text in flow.home:
        try:
            network = ip_network(text, strict=False)
        except ValueError as error:
            raise UserError(f"bad home network: {error}; write 10.0.0.0/8 or fd00::/8") from None
        networks.append((network.network_address.packed, network.prefixlen))
    return networks


class SensorService:
    """One run of the sensor, over files or on an interface."""

    def __init__(self, config: SensorConfig, table: FlowTable, outputs: Outputs, level: int) -> None:
        self._config = config
        self._table = table
        self._outputs = outputs
        self._level = level
        self._stopping = False
        self._live: LiveSource | None = None
        self._source = ""
        self._drops = (0, 0)
        self._statistics_ns = int(config.statistics.interval_s * _NS)
        self._next_statistics_ns = time.time_ns() + self._statistics_ns

    def read(self, names: Sequence[str], expression: str) -> int:
        """Count capture files one after another; return the exit code."""
        code = 0
        with self._signals():
            for name in names:
                self._source = name
                try:
                    read_capture(name, self._table, expression, self._collect)
                except CaptureFileError as error:
                    self._collect()
                    click.echo(f"error: {error}", err=True)
                    code = 1
                if self._stopping:
                    self._say(f"stopped by a signal in {name}; what was read until then counts")
                    code = 1
                    break
            self._finish()
            if self._ship_rest():
                return code
            click.echo(f"error: {self._left_in_spool()}", err=True)
            return 1

    def capture(self, interface: str, expression: str, user: str | None) -> int:
        """Count an interface's packets until a signal ends it; return the exit code."""
        self._live = LiveSource(interface, expression, self._config.capture)
        self._source = interface
        try:
            with self._signals():
                if user:
                    drop_privileges(user, self._outputs.spool_paths())
                self._say(f"listening on {interface}")
                while not self._stopping:
                    if not self._live.turn(self._table, _TURN_MS):
                        self._table.advance(time.time_ns() - _LIVE_LAG_NS)
                    self._collect()
                self._take_what_the_kernel_holds()
                self._drops = self._live.drops()
                self._finish()
                if not self._ship_rest():
                    # No failure: a sensor that stops leaves to the next run what it could not send.
                    self._say(self._left_in_spool())
                return 0
        finally:
            self._live.close()

    def _take_what_the_kernel_holds(self) -> None:
        """Count what arrived before the stop: the kernel hands a block over after a time-out of its own."""
        assert self._live is not None
        until_ns = time.monotonic_ns() + _NS
        while self._live.turn(self._table, 3 * _TURN_MS) and time.monotonic_ns() < until_ns:
            self._collect()

    def _collect(self) -> bool:
        """Take what the table has ready; return whether to go on."""
        now_ns = time.time_ns()
        rows = self._table.drain()
        self._outputs.flows(rows, now_ns)
        self._take_events()
        if self._level >= TRACE:
            for row in rows:
                if row[2] is not None:
                    self._say(f"flow {row[0]}: clearing flow")
        if self._statistics_ns and now_ns >= self._next_statistics_ns:
            self._next_statistics_ns = now_ns + self._statistics_ns
            self._statistics(now_ns)
        self._outputs.turn(now_ns)
        return not self._stopping

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

    def _statistics(self, now_ns: int) -> None:
        if self._live is not None:
            self._drops = self._live.drops()
        stats = take_stats(self._table, self._source, now_ns, self._drops, self._outputs.shipper)
        self._outputs.statistics(stats)
        self._say(stats_line(stats))

    def _finish(self) -> None:
        """End every flow, and close the run's account with a last statistics record."""
        stopping, self._stopping = self._stopping, False
        while self._table.flush():
            self._collect()
        self._collect()
        self._outputs.finish()
        self._statistics(time.time_ns())
        self._stopping = stopping

    def _ship_rest(self) -> bool:
        """Wait for the correlator's last acknowledgements, but not for ever; return whether all came."""
        shipper = self._outputs.shipper
        if shipper is None:
            return True
        give_up_ns = int(self._config.ship.give_up_s * _NS)
        progress_ns = time.time_ns()
        while shipper.waiting:
            now_ns = time.time_ns()
            if shipper.turn(now_ns, _TURN_MS):
                progress_ns = now_ns
            elif now_ns - progress_ns > give_up_ns:
                return False
        return True

    def _left_in_spool(self) -> str:
        shipper = self._outputs.shipper
        assert shipper is not None  # only asked when something was to be shipped
        return (
            f"{shipper.waiting} frames are not acknowledged by {self._config.ship.endpoint}; "
            f"they stay in {shipper.spool.directory} and the next run with this spool sends them"
        )

    def _say(self, line: str) -> None:
        if self._level >= NORMAL:
            click.echo(line, err=True)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            if self._stopping:
                # The second signal is meant: stop waiting for anything.
                raise KeyboardInterrupt
            self._stopping = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
