"""The service behind ``serve``: the only place with signals, the clock and sockets; it wires, it does not decide."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import FrameType
from typing import Final

import zmq

from common.errors import UserError
from common.keys import KeyPair
from common.metrics import Metric, MetricsServer
from common.notify import Notifier
from correlator.config import Settings
from correlator.detection import MANY, Detection
from correlator.ingest.gate import Gate
from correlator.ingest.peers import Delivery, Message, Peers
from correlator.ingest.pipeline import Pipeline
from correlator.ingest.receiver import Verdict
from correlator.ingest.zmqlink import Link
from correlator.metrics import Tally, metrics
from correlator.notify.dispatcher import Dispatcher, outputs
from correlator.store.database import Store, StoreUnavailableError, file_bytes, reading
from correlator.store.keys import KeyRing
from correlator.store.sensors import sensors
from correlator.store.writer import Writer, uncollected
from correlator.upkeep import Upkeep
from correlator.watch import Watch

_POLL_MS: Final = 250
_RETRY_S: Final = 0.5
_COMPLAIN_EVERY_S: Final = 60.0
_DETECT_EVERY_S: Final = 60.0
# A fifth of a second, for which sensors wait.
_DETECT_AT_ONCE: Final = 4000

Say = Callable[[str], None]


class Service:
    """Receives frames until it is told to stop; ``say`` gets lines for people. Without a key it speaks plain text."""

    def __init__(self, store: Store, settings: Settings, endpoint: str, say: Say, key: KeyPair | None = None) -> None:
        self._settings = settings
        self._key = key
        self._ring = KeyRing(store)
        self._gate: Gate | None = None
        self._endpoint = endpoint
        self._say = say
        writer = Writer(store)
        self._dispatcher = Dispatcher(store, outputs(settings.outputs))
        tell = self._dispatcher.tell
        self._pipeline = Pipeline(writer, settings.thresholds, settings.sensors, tell)
        self._watch = Watch(writer, settings.sensors, time.time_ns(), time.monotonic_ns(), tell)
        self._upkeep = Upkeep(store, settings.retention, time.monotonic_ns())
        self._detection = Detection(store, settings.detect, tell) if settings.detect.enabled else None
        self._detect_at = time.monotonic() + _DETECT_EVERY_S
        receiver = self._pipeline.receiver
        self._peers = Peers(settings.serve.max_sensors, receiver.open_run, self._pipeline.mark, receiver.knows)
        self._notifier = Notifier()
        self._tally = Tally()
        self._database = store.path
        self._stopping = False
        self._stored_records = 0
        self._refused = 0
        self._complained_at = float("-inf")

    def run(self) -> None:
        """Bind and serve; SIGINT and SIGTERM end it after the batch in hand."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._gate = Gate(context, self._key, self._ring) if self._key is not None else None
        link = Link(context, self._endpoint, self._gate)
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._stop)
            endpoint = link.bind()
            self._dispatcher.start()
            self._say(f"listening on {endpoint}")
            self._begin(f"listening on {endpoint}")
            self._say_keys()
            while not self._stopping:
                self._turn(link)
            self._notifier.stopping()
            for line in self._dispatcher.close(self._settings.outputs.finish_s):
                self._say(line)
            self._say(f"stopped: {self._account()}")
        finally:
            link.close()
            if self._gate is not None:
                self._gate.close()
            context.term()
            self._notifier.close()

    def serve_metrics(self, server: MetricsServer) -> None:
        """Let the counters be asked for, where that is switched on."""
        if where := server.start(self.metrics):
            self._say(f"metrics on http://{where}/metrics")

    def metrics(self) -> Iterator[Metric]:
        """Yield the counters; asked by other threads, which read the database for themselves."""
        rows = None
        with suppress(UserError), reading(self._database) as store:
            rows = sensors(store.conn)
        yield from metrics(self._tally, rows, file_bytes(self._database))
        yield from self._dispatcher.metrics()

    def _begin(self, status: str) -> None:
        """Tell the service manager that the start is over."""
        if self._notifier.problem:
            self._say(self._notifier.problem)
        self._notifier.ready()
        self._notifier.status(status)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _turn(self, link: Link) -> None:
        self._notifier.alive(time.monotonic_ns())
        messages = link.receive(_POLL_MS, self._settings.serve.frames_per_commit)
        if self._gate is not None and (line := self._gate.strangers.news(time.monotonic())):
            self._say(line)
        if messages:
            with uncollected():  # decoding makes as many objects as storing
                self._take(link, messages)
        self._look_after_sensors()
        self._detect()
        self._look_after_store(quiet=not messages)
        for line in self._dispatcher.lines(time.monotonic()):
            self._say(line)

    def _take(self, link: Link, messages: Sequence[Message]) -> None:
        deliveries, answers = self._peers.handle(messages)
        link.send(answers)
        for line in self._peers.news:
            self._complain(line)
        self._peers.news.clear()
        self._watch.heard(self._peers.heard, time.time_ns())
        self._peers.heard.clear()
        self._store(link, deliveries)

    def _look_after_sensors(self) -> None:
        """Note who spoke, and say who does not."""
        try:
            alarms = self._watch.turn(time.time_ns(), time.monotonic_ns())
        except StoreUnavailableError as error:
            self._complain(f"waiting: {error}")
            return
        for alarm in alarms:
            self._say(f"alarm: {alarm.message}")

    def _detect(self) -> None:
        """Look at what is new once a minute, or for a quarter of the time while more waits than one look takes."""
        began = time.monotonic()
        if self._detection is None or began < self._detect_at:
            return
        try:
            done = self._detection.step(_DETECT_AT_ONCE)
        except StoreUnavailableError as error:
            self._complain(f"waiting: {error}")
            return
        now = time.monotonic()
        if done.records == _DETECT_AT_ONCE and (behind := self._detection.behind()) > MANY:
            self._complain(f"detection is {behind} records behind: it catches up when sensors send less")
        self._detect_at = now + (_DETECT_EVERY_S if done.records < _DETECT_AT_ONCE else 3 * (now - began))
        if done.alarms:
            self._say(f"{done.alarms} new alarms: 'tunnelwatch alarms' shows them")

    def _look_after_store(self, *, quiet: bool) -> None:
        try:
            lines = self._upkeep.turn(time.time_ns(), time.monotonic_ns(), quiet=quiet)
        except StoreUnavailableError as error:
            self._complain(f"waiting: {error}")
            return
        for line in lines:
            self._say(line)

    def _store(self, link: Link, deliveries: list[Delivery]) -> None:
        """Store a batch and acknowledge it; while the database is not to be had, keep trying."""
        while True:
            try:
                verdicts = self._stored(deliveries)
            except StoreUnavailableError as error:
                if self._stopping:
                    raise UserError(f"stopped with {len(deliveries)} frames unstored: {error}") from None
                self._complain(f"waiting: {error}")
                self._notifier.alive(time.monotonic_ns())
                time.sleep(_RETRY_S)
                continue
            link.send(self._peers.answers(deliveries, verdicts))
            return

    def _stored(self, deliveries: list[Delivery]) -> list[Verdict]:
        if not deliveries:
            return []
        now_ns = time.time_ns()
        steady = self._watch.steady({batch.sensor for _, batch in deliveries}, now_ns)
        began_ns = time.monotonic_ns()
        stored = self._pipeline.store_frames([batch for _, batch in deliveries], now_ns, steady)
        self._tally.committed(time.monotonic_ns() - began_ns)
        self._tally.refused.update(stored.refused)
        self._stored_records += stored.records
        self._refused += stored.refused.total()
        if stored.refused:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(stored.refused.items()))
            self._complain(f"refused: {reasons}")
        return stored.verdicts

    def _account(self) -> str:
        counts = self._peers.counts + (self._gate.strangers.counts if self._gate is not None else Counter())
        oddities = "".join(f", {count} {reason}" for reason, count in sorted(counts.items()))
        return f"{self._stored_records} records stored, {self._refused} refused{oddities}"

    def _say_keys(self) -> None:
        if self._key is None:
            return
        self._ring.refresh()
        self._say(f"this correlator's public key is {self._key.public}; {len(self._ring)} keys of sensors may speak")

    def _complain(self, line: str) -> None:
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAIN_EVERY_S:
            self._complained_at = now
            self._say(line)
