"""Judges frames: which records are accepted, what is a duplicate, what is refused and why.  No I/O."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter, eq, le, sub
from typing import Any, Final, NamedTuple

from common.errors import WireError
from common.flowlog import Batch, read_schema
from common.records import (
    RECORD_TYPES,
    FlowRecord,
    HttpExchange,
    RecordReader,
    SensorAlarm,
    SensorStats,
    check_exchange,
    check_flow,
)
from correlator.columns import AT, Columns, columns_of
from correlator.ingest.spread import MAX_DURATION_NS, Spread

# A record beyond these (70 TB, 13 months, the year 2116) is refused: no part of a flow is that large, and
# sums of such would overflow.
MAX_COUNTER: Final = 1 << 46
MAX_TIME_NS: Final = 1 << 62
# A sensor's clock may be wrong by this much; a record from later would stand at the end of every view for ever.
FUTURE_NS: Final = 86_400 * 10**9
# A sensor counts its frames one by one: a century of them at one a second lies below this.
MAX_JUMP: Final = 1 << 32
_MAX_RUNS: Final = 4096
_VOLUME: Final = slice(AT["packets_out"], AT["missed_bytes_in"] + 1)
_exchange_volume: Final = attrgetter(
    "uri_bytes", "request_header_bytes", "request_body_bytes", "response_header_bytes", "response_body_bytes"
)
_volume: Final = attrgetter(*FlowRecord._fields[_VOLUME])


class Accepted(NamedTuple):
    """A frame whose good records are to be stored."""

    sensor: str
    run: int
    sequence: int
    missing: int
    """Frames between the mark and this one that never came."""
    flows: Columns
    """The good flow records, in columns."""
    stats: list[SensorStats]
    alarms: list[SensorAlarm]
    exchanges: list[HttpExchange]
    refused: Counter[str]
    """Records of it that were refused, by reason."""

    @property
    def taken(self) -> int:
        """How many records of it are good."""
        return (len(self.flows[0]) if self.flows else 0) + len(self.stats) + len(self.alarms) + len(self.exchanges)


class Duplicate(NamedTuple):
    """A frame that is stored already."""

    sensor: str
    run: int
    sequence: int


class Refused(NamedTuple):
    """A frame that will never be stored; ``done`` says that the mark passes it."""

    sensor: str
    run: int
    sequence: int
    reason: str
    detail: str
    missing: int = 0
    """As in Accepted."""
    done: bool = False


Verdict = Accepted | Duplicate | Refused
Readers = dict[str, RecordReader[Any]]


class Receiver:
    """Knows the fields that each run's header named; the run silent for longest is forgotten first."""

    def __init__(self, max_runs: int = _MAX_RUNS) -> None:
        self._max_runs = max_runs
        self._runs: OrderedDict[tuple[str, int], Readers] = OrderedDict()

    def open_run(self, header: Batch) -> None:
        """Take a run's header; WireError when it is none, or names too few fields."""
        if header.kind != "header":
            raise WireError("schema", f"a run begins with its header, not with {header.kind!r:.40}")
        readers: Readers = {
            kind: _reader(kind, names) for kind, names in read_schema(header).items() if kind in RECORD_TYPES
        }
        key = (header.sensor, header.run)
        self._runs[key] = readers
        self._runs.move_to_end(key)
        while len(self._runs) > self._max_runs:
            self._runs.popitem(last=False)

    def knows(self, sensor: str, run: int) -> bool:
        """Tell whether a run's header was seen; being asked for keeps it from being forgotten."""
        if (sensor, run) not in self._runs:
            return False
        self._runs.move_to_end((sensor, run))
        return True

    def judge(
        self, batch: Batch | Refused, mark: int, latest_ns: int = MAX_TIME_NS, spread: Spread | None = None
    ) -> Verdict:
        """Return the verdict on a frame when everything up to ``mark`` is done with.

        Records from after ``latest_ns``, and those for which ``spread`` has no room, are refused.  A frame that could
        not be read comes refused, and is done with unless it is a repetition.
        """
        place = (batch.sensor, batch.run, batch.sequence)
        readers = self._runs.get((batch.sensor, batch.run))
        if readers is None:
            return Refused(*place, "no_header", "no header of its run came before it")
        if batch.sequence <= mark:
            return Duplicate(*place)
        missing = batch.sequence - mark - 1
        if missing > MAX_JUMP:
            return Refused(*place, "sequence", f"{missing} frames are missing before it: no sensor counts that far")
        if isinstance(batch, Refused):
            return batch._replace(missing=missing, done=True)
        self._runs.move_to_end((batch.sensor, batch.run))
        refused: Counter[str] = Counter()
        accepted = Accepted(*place, missing, (), [], [], [], refused)
        reader = readers.get(batch.kind)
        if reader is None:
            refused["unknown_kind"] += len(batch.records)
        elif batch.kind == "flow":
            accepted = accepted._replace(flows=_flows(reader, batch, latest_ns, refused, spread))
        else:
            lists: dict[str, list[Any]] = {
                "stats": accepted.stats, "alarm": accepted.alarms, "http": accepted.exchanges
            }  # fmt: skip
            _take(reader, batch.records, lists[batch.kind], latest_ns, refused)
        return accepted


def _take(
    reader: RecordReader[Any], rows: Sequence[Any], target: list[Any], latest_ns: int, refused: Counter[str]
) -> None:
    for row in rows:
        try:
            record = reader.read(row)
            if isinstance(record, HttpExchange):
                _check_past(record.end_ns, latest_ns)
                check_plausible_exchange(record)
            else:
                _check_past(record.time_ns, latest_ns)
            target.append(record)
        except WireError as error:
            refused[error.reason] += 1


def _flows(
    reader: RecordReader[Any], batch: Batch, latest_ns: int, refused: Counter[str], spread: Spread | None
) -> Columns:
    """Return the good ones of a frame's flow records; all of them are nearly always, and looked at together."""
    if reader.takes_as_they_are(batch.records):
        columns = columns_of(batch.records)
        if _are_plausible(columns, latest_ns) and (spread is None or _fit(spread, batch.sensor, columns)):
            return columns
    good: list[FlowRecord] = []
    for row in batch.records:
        try:
            record: FlowRecord = reader.read(row)
            _check_past(record.end_ns, latest_ns)
            check_plausible(record)
            if spread is not None:
                check_room(spread, batch.sensor, record)
            good.append(record)
        except WireError as error:
            refused[error.reason] += 1
    return columns_of(good)


def _fit(spread: Spread, sensor: str, columns: Columns) -> bool:
    if not columns:
        return True
    starts, ends = columns[AT["start_ns"]], columns[AT["end_ns"]]
    return spread.takes_all(sensor, len(starts), sum(ends) - sum(starts))


def check_room(spread: Spread, sensor: str, record: FlowRecord) -> None:
    """Raise WireError when a sensor's records last for too long with this one."""
    if not spread.takes(sensor, record.end_ns - record.start_ns):
        raise WireError("record_spread", f"flow {record.flow_id} lasts for very long, as too many others do")


def _are_plausible(columns: Columns, latest_ns: int) -> bool:
    """Tell whether none of many records would be refused, in a fraction of the time that asking each takes."""
    if not columns:
        return True
    starts, ends = columns[AT["start_ns"]], columns[AT["end_ns"]]
    return (
        all(map(le, columns[AT["flow_start_ns"]], starts))
        and all(map(le, starts, ends))
        and max(ends) <= min(latest_ns, MAX_TIME_NS)
        and max(map(sub, ends, starts)) <= MAX_DURATION_NS
        and max(map(max, columns[_VOLUME])) <= MAX_COUNTER
        and all(map(eq, map(len, columns[AT["client_ip"]]), map(len, columns[AT["server_ip"]])))
    )


def _check_past(time_ns: int, latest_ns: int) -> None:
    if time_ns > latest_ns:
        raise WireError("record_future", "the record is from more than a day after now")


def check_plausible(record: FlowRecord) -> None:
    """Raise WireError when a flow record contradicts itself or is beyond what a flow can be."""
    check_flow(record)
    if record.end_ns > MAX_TIME_NS or record.end_ns - record.start_ns > MAX_DURATION_NS:
        raise WireError("record_time", f"flow {record.flow_id} ends after the year 2116 or lasts for over a year")
    if max(_volume(record)) > MAX_COUNTER:
        raise WireError("record_value", f"flow {record.flow_id} counts more than {MAX_COUNTER}")


def check_plausible_exchange(record: HttpExchange) -> None:
    """Raise WireError when an exchange contradicts itself or is beyond what one can be."""
    check_exchange(record)
    if record.end_ns > MAX_TIME_NS or record.end_ns - record.start_ns > MAX_DURATION_NS:
        raise WireError("record_time", f"an exchange of flow {record.flow_id} ends after 2116 or lasts for over a year")
    if max(count or 0 for count in _exchange_volume(record)) > MAX_COUNTER:
        raise WireError("record_value", f"an exchange of flow {record.flow_id} counts more than {MAX_COUNTER}")


@lru_cache(maxsize=64)
def _reader(kind: str, names: Sequence[str]) -> RecordReader[Any]:
    return RecordReader(RECORD_TYPES[kind], names)
