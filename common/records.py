"""The records that travel from sensor to correlator: their fields, units and defaults, and reading them.

Each record is a NamedTuple: a plain array on the wire, in the order written here, and typed
attributes in code.  The header frame of a flow log names the fields, so a reader maps an older or
newer log by name (``RecordReader``).  Names follow IPFIX / RFC 5103 and Zeek's conn.log where those
have one; ``_out`` is client to server, ``_in`` server to client.

Every field is annotated with the kind of value it may hold (``common.kinds``); its check refuses anything else,
which is what stands between a socket and the store.  A kind's ``wire_type`` says the same to msgspec, as far as
its types can: rows decoded by them (``good_flow_row``) need no second look at each value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar, get_type_hints

from common.errors import WireError
from common.kinds import (
    ADDRESS,
    BYTE,
    COUNT,
    COUNTS_BY_NAME,
    FACTS,
    HEADER_NAMES,
    HISTOGRAM,
    NAME,
    NAMES,
    OPTIONAL_COUNT,
    OPTIONAL_NAME,
    OPTIONAL_TEXT,
    PORT,
    SHARE,
    SPLT,
    UINT63_MAX,
    VLAN,
    Check,
    Kind,
    is_count,
    one_of,
    or_nil,
)

# IPFIX flowEndReason (RFC 5102, 5.11.3). None in a record means that the flow is still open.
END_REASONS: Final[Mapping[int, str]] = {
    1: "idle",
    2: "active",
    3: "end_of_flow",
    4: "forced",
    5: "lack_of_resources",
}
# How client and server were told apart, strongest evidence first.
ORIENTATIONS: Final[Mapping[int, str]] = {
    0: "given",  # the source of an imported record says so
    1: "syn",
    2: "syn_ack",
    3: "home_network",
    4: "known_port",
    5: "first_packet",
}
PROTOCOLS: Final[Mapping[int, str]] = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}

END_REASON: Final = or_nil(one_of("flowEndReason", END_REASONS))
OPTIONAL_PORT: Final = or_nil(PORT)
ORIENTATION: Final = one_of("orientation", ORIENTATIONS)


class FieldDoc(NamedTuple):
    """One field: its name, kind, default (``...`` when it must be given) and one line of meaning."""

    name: str
    kind: Kind
    default: object
    doc: str


class FlowRecord(NamedTuple):
    """One part of a flow (a biflow, RFC 5103).

    Counters are deltas since the flow's previous part, so parts add up; flags, state, history and
    the end reason describe the flow so far.  A part covers the time from the end of the part before
    it (``start_ns``) to its own last packet (``end_ns``), so the parts' durations add up as well.
    """

    # identity
    flow_id: Annotated[int, COUNT, "unique per sensor for ever; all parts of a flow share it"]
    part: Annotated[int, COUNT, "0 for the first record of a flow, then 1, 2, ..."]
    end_reason: Annotated[int | None, END_REASON, "IPFIX flowEndReason on the last part; nil while the flow is open"]
    protocol: Annotated[int, BYTE, "IP protocol number"]
    vlan: Annotated[int | None, VLAN, "outermost 802.1Q VLAN id, nil when untagged"]
    client_ip: Annotated[bytes, ADDRESS, "who opened the flow"]
    client_port: Annotated[int, PORT, "its port; for ICMP the type"]
    server_ip: Annotated[bytes, ADDRESS, "who answered"]
    server_port: Annotated[int, PORT, "its port; for ICMP the type of the answer, or the code"]
    oriented_by: Annotated[int, ORIENTATION, "the evidence that told client from server"]
    # time
    flow_start_ns: Annotated[int, COUNT, "first packet of the flow, ns since 1970 UTC"]
    start_ns: Annotated[int, COUNT, "start of this part: the flow's start, or the end of the part before"]
    end_ns: Annotated[int, COUNT, "last packet of this part"]
    # volume
    packets_out: Annotated[int, COUNT, "packets, client to server"] = 0
    packets_in: Annotated[int, COUNT, "packets, server to client"] = 0
    wire_bytes_out: Annotated[int, COUNT, "IP bytes, headers included"] = 0
    wire_bytes_in: Annotated[int, COUNT, "IP bytes, headers included"] = 0
    payload_bytes_out: Annotated[int, COUNT, "TCP: unique stream bytes by sequence number; else payload bytes"] = 0
    payload_bytes_in: Annotated[int, COUNT, "the same, server to client"] = 0
    retransmitted_bytes_out: Annotated[int, COUNT, "TCP payload bytes already seen"] = 0
    retransmitted_bytes_in: Annotated[int, COUNT, "the same, server to client"] = 0
    missed_bytes_out: Annotated[int, COUNT, "TCP stream bytes never seen, known when the flow ends"] = 0
    missed_bytes_in: Annotated[int, COUNT, "the same, server to client"] = 0
    # TCP
    tcp_flags_out: Annotated[int, BYTE, "union of the flags since the flow began (RFC 9293, 3.1)"] = 0
    tcp_flags_in: Annotated[int, BYTE, "the same, server to client"] = 0
    conn_state: Annotated[str | None, OPTIONAL_NAME, "Zeek's conn_state so far"] = None
    history: Annotated[str | None, OPTIONAL_NAME, "Zeek's history letters so far; x for those beyond 19"] = None
    handshake_rtt_ns: Annotated[int | None, OPTIONAL_COUNT, "SYN to the ACK that completes the handshake"] = None
    closed_ns: Annotated[
        int | None, OPTIONAL_COUNT, "when the second side closed, by FIN or RST; packets after it are stragglers"
    ] = None
    # shape
    data_packets_out: Annotated[int | None, OPTIONAL_COUNT, "packets with new payload; repeated ones are none"] = None
    data_packets_in: Annotated[int | None, OPTIONAL_COUNT, "the same, server to client"] = None
    payload_sizes_out: Annotated[tuple[int, ...] | None, HISTOGRAM, "<=20 64 128 256 512 1024 1400 more, bytes"] = None
    payload_sizes_in: Annotated[tuple[int, ...] | None, HISTOGRAM, "<=20 64 128 256 512 1024 1400 more, bytes"] = None
    gaps_out: Annotated[tuple[int, ...] | None, HISTOGRAM, "<=10ms 50ms 200ms 1s 2s 10s 60s more, data packets"] = None
    gaps_in: Annotated[tuple[int, ...] | None, HISTOGRAM, "<=10ms 50ms 200ms 1s 2s 10s 60s more, data packets"] = None
    max_idle_ns: Annotated[int | None, OPTIONAL_COUNT, "longest silence before a packet of this part"] = None
    # interaction
    keystroke_packets: Annotated[int | None, OPTIONAL_COUNT, "client data packets of <=20 bytes (Zhang, Paxson)"] = None
    keystroke_pairs: Annotated[int | None, OPTIONAL_COUNT, "keystroke packets that follow one directly"] = None
    keystroke_typed_pairs: Annotated[int | None, OPTIONAL_COUNT, "such pairs with a gap of 10 ms to 2 s"] = None
    echoes: Annotated[int | None, OPTIONAL_COUNT, "server echoes of keystrokes (Argus' rule)"] = None
    exchanges: Annotated[int | None, OPTIONAL_COUNT, "client bursts answered by a server burst"] = None
    exchange_gaps: Annotated[int | None, OPTIONAL_COUNT, "silences between an answer and the next exchange"] = None
    exchange_gap_mean_s: Annotated[float | None, SHARE, "mean of those gaps"] = None
    exchange_gap_m2_s2: Annotated[float | None, SHARE, "sum of squared deviations (Welford)"] = None
    exchange_gap_min_ns: Annotated[int | None, OPTIONAL_COUNT, "shortest of those gaps"] = None
    exchange_gap_max_ns: Annotated[int | None, OPTIONAL_COUNT, "longest of those gaps"] = None
    # first packets
    splt: Annotated[
        tuple[tuple[int, int], ...] | None,
        SPLT,
        "first data packets so far, if there are new ones: payload bytes (negative = in), gap ms (above 32 s: to 512)",
    ] = None
    # content
    app_out: Annotated[str | None, OPTIONAL_NAME, "what the client speaks, by its first bytes"] = None
    app_in: Annotated[str | None, OPTIONAL_NAME, "what the server speaks, by its first bytes"] = None
    first_popcount: Annotated[float | None, SHARE, "client's first 256 bytes: set bits per byte"] = None
    first_printable: Annotated[float | None, SHARE, "client's first 256 bytes: printable share"] = None
    first_printable_run: Annotated[int | None, OPTIONAL_COUNT, "client's first 256 bytes: longest printable run"] = None
    first_entropy: Annotated[float | None, SHARE, "client's first 256 bytes: Shannon entropy, bits per byte"] = None
    host: Annotated[str | None, OPTIONAL_NAME, "name the client asked for: SNI, HTTP Host, CONNECT target"] = None
    facts: Annotated[dict[str, str | int] | None, FACTS, "protocol facts, such as ALPN or SSH banner"] = None
    anomalies: Annotated[tuple[str, ...] | None, NAMES, "what was wrong with the protocol"] = None


class SensorStats(NamedTuple):
    """A sensor's account of itself; counters run from the start of the run."""

    time_ns: Annotated[int, COUNT, "when it was taken"]
    version: Annotated[str, NAME, "of the sensor program"]
    source: Annotated[str, NAME, "interface or file"]
    packets: Annotated[int, COUNT, "packets read, accepted or not"] = 0
    accepted: Annotated[int, COUNT, "packets that were counted in a flow"] = 0
    filtered: Annotated[int, COUNT, "packets that the filter expression left out (files; live it is the kernel's)"] = 0
    fragments: Annotated[int, COUNT, "IP fragments that count with others as one packet, or wait for them"] = 0
    wire_bytes: Annotated[int, COUNT, "IP bytes of the accepted packets"] = 0
    rejected: Annotated[dict[str, int], COUNTS_BY_NAME, "packets not counted in any flow, by reason"] = {}  # noqa: RUF012 - never mutated: a NamedTuple default
    kernel_drops: Annotated[int, COUNT, "packets the kernel dropped for want of room"] = 0
    interface_drops: Annotated[int, COUNT, "packets the interface dropped"] = 0
    flows_open: Annotated[int, COUNT, "in the table now"] = 0
    flows_started: Annotated[int, COUNT, "flows seen"] = 0
    flows_evicted: Annotated[int, COUNT, "ended early because the table was full"] = 0
    records: Annotated[int, COUNT, "flow records handed out"] = 0
    alarms: Annotated[int, COUNT, "sensor threshold alarms raised"] = 0
    alarms_dropped: Annotated[int, COUNT, "threshold alarms lost because their queue was full"] = 0
    frames_unacknowledged: Annotated[int, COUNT, "frames waiting for the correlator"] = 0
    frames_dropped: Annotated[int, COUNT, "frames that the spool had to drop, or lost"] = 0
    spool_bytes: Annotated[int, COUNT, "bytes on disk that wait for the correlator"] = 0
    heartbeat_s: Annotated[int, COUNT, "the next statistics come this soon; 0 when none need come, as after files"] = 0
    frames_lost: Annotated[
        dict[str, int], COUNTS_BY_NAME, "frames_dropped by reason: size, age, disk_full, unwritable, lost"
    ] = {}  # noqa: RUF012 - as above
    spool_lag_s: Annotated[int, COUNT, "for how long the oldest frame in the spool has waited"] = 0
    unclean_stops: Annotated[int, COUNT, "runs with this spool that ended without a stop, ever"] = 0
    exchanges: Annotated[int, COUNT, "HTTP exchanges handed out"] = 0
    exchanges_dropped: Annotated[int, COUNT, "HTTP exchanges, or whole connections of them, for want of room"] = 0


class SensorAlarm(NamedTuple):
    """A flow passed one of the sensor's own thresholds (tcpstatflow's -x, -y and -z)."""

    time_ns: Annotated[int, COUNT, "the packet that passed the limit"]
    rule: Annotated[str, NAME, "bytes, duration or packets"]
    value: Annotated[int, COUNT, "measured; a duration in ns"]
    limit: Annotated[int, COUNT, "configured; a duration in ns"]
    flow_id: Annotated[int, COUNT, "the flow"]
    protocol: Annotated[int, BYTE, "IP protocol number"]
    client_ip: Annotated[bytes, ADDRESS, "who opened the flow"]
    client_port: Annotated[int, PORT, "its port"]
    server_ip: Annotated[bytes, ADDRESS, "who answered"]
    server_port: Annotated[int, PORT, "its port"]
    packets_out: Annotated[int, COUNT, "so far, client to server"]
    packets_in: Annotated[int, COUNT, "so far, server to client"]
    payload_bytes_out: Annotated[int, COUNT, "so far, client to server"]
    payload_bytes_in: Annotated[int, COUNT, "so far, server to client"]
    duration_ns: Annotated[int, COUNT, "so far"]


class HttpExchange(NamedTuple):
    """A request and its response on an HTTP/1 connection, or what there was of the two.

    Bodies, cookies and credentials are in none.  What follows a CONNECT that succeeded, or a change of protocols, is
    the flow's payload and not in the exchange.
    """

    flow_id: Annotated[int, COUNT, "of the connection, as in its flow's records"]
    number: Annotated[int, COUNT, "0 for the first exchange of its connection, then 1, 2, ..."]
    client_ip: Annotated[bytes, ADDRESS, "who opened the connection"]
    client_port: Annotated[int, PORT, "its port"]
    server_ip: Annotated[bytes, ADDRESS, "who answered: the proxy, where there is one"]
    server_port: Annotated[int, PORT, "its port"]
    start_ns: Annotated[int, COUNT, "the request's first byte; the response's, when there is no request"]
    request_end_ns: Annotated[int | None, OPTIONAL_COUNT, "the request's last byte, of its body too; nil: not seen"]
    response_start_ns: Annotated[int | None, OPTIONAL_COUNT, "the final response's first byte"]
    end_ns: Annotated[int, COUNT, "the last byte of both"]
    method: Annotated[str | None, OPTIONAL_NAME, "as sent; nil: no request was seen"] = None
    host: Annotated[
        str | None, OPTIONAL_NAME, "where it goes, in lower case: CONNECT's target, the absolute URI's, or Host"
    ] = None
    host_port: Annotated[int | None, OPTIONAL_PORT, "the port named with it, or by the URI's scheme"] = None
    uri_bytes: Annotated[int | None, OPTIONAL_COUNT, "length of the request's target"] = None
    uri: Annotated[str | None, OPTIONAL_TEXT, "the target's beginning, if wanted; without what looks secret"] = None
    version: Annotated[str | None, OPTIONAL_NAME, "of the request: 1.1, 1.0, 0.9"] = None
    header_names: Annotated[tuple[str, ...] | None, HEADER_NAMES, "of the request, as sent, in order"] = None
    user_agent: Annotated[str | None, OPTIONAL_NAME, "User-Agent, its first 255 characters"] = None
    referer_host: Annotated[str | None, OPTIONAL_NAME, "the host in Referer: a page led here"] = None
    upgrade: Annotated[str | None, OPTIONAL_NAME, "the protocol asked for by Upgrade; status 101 grants it"] = None
    request_header_bytes: Annotated[int, COUNT, "request line, headers and the empty line"] = 0
    request_body_bytes: Annotated[int, COUNT, "of the body, without the framing of chunks"] = 0
    status: Annotated[int | None, OPTIONAL_COUNT, "of the final response; nil: there was none"] = None
    response_version: Annotated[str | None, OPTIONAL_NAME, "of the response"] = None
    response_header_bytes: Annotated[int, COUNT, "status line, headers and the empty line"] = 0
    response_body_bytes: Annotated[int, COUNT, "as it was sent, compressed or not; without the framing of chunks"] = 0
    content_type: Annotated[str | None, OPTIONAL_NAME, "of the response, without parameters, in lower case"] = None
    anomalies: Annotated[tuple[str, ...] | None, NAMES, "what was odd about it: see the words in http.md"] = None


_ONLY_INT: Final = {int}

Record = FlowRecord | SensorStats | SensorAlarm | HttpExchange
R = TypeVar("R", FlowRecord, SensorStats, SensorAlarm, HttpExchange)

RECORD_TYPES: Final[Mapping[str, type[Record]]] = {
    "flow": FlowRecord,
    "stats": SensorStats,
    "alarm": SensorAlarm,
    "http": HttpExchange,
}


def fields_of(record_type: Any) -> tuple[FieldDoc, ...]:
    """Return the documented fields of a record type, in wire order."""
    return _fields_of(record_type)


@cache  # a header from outside asks for them again, and that costs a millisecond
def _fields_of(record_type: Any) -> tuple[FieldDoc, ...]:
    hints = get_type_hints(record_type, include_extras=True)
    defaults = record_type._field_defaults
    return tuple(
        FieldDoc(name, hints[name].__metadata__[0], defaults.get(name, ...), hints[name].__metadata__[1])
        for name in record_type._fields
    )


@cache
def good_flow_row() -> type[Any]:
    """Return the type of a flow's row in today's order whose every value is good; made when first asked for.

    It has no defaults, so that none stands in for a missing value.
    """
    fields = [(field.name, field.kind.wire_type) for field in fields_of(FlowRecord)]
    row: type[Any] = NamedTuple("GoodFlowRow", fields)  # type: ignore[misc]
    return row


class _Looks(NamedTuple):
    """What takes from a flow's row the values that its wire types do not check whole."""

    addresses: Callable[[Sequence[Any]], tuple[bytes, ...]]
    texts: Callable[[Sequence[Any]], tuple[str | None, ...]]
    holding_texts: tuple[tuple[Callable[[Sequence[Any]], Any], Check], ...]


@cache
def _looks() -> _Looks:
    kinds = [field.kind for field in fields_of(FlowRecord)]

    def places(*wanted: Kind) -> list[int]:
        return [index for index, kind in enumerate(kinds) if kind in wanted]

    return _Looks(
        itemgetter(*places(ADDRESS)),
        itemgetter(*places(NAME, OPTIONAL_NAME)),
        tuple((itemgetter(place), kind.check) for kind in (FACTS, NAMES) for place in places(kind)),
    )


def are_good(rows: Sequence[Sequence[Any]]) -> bool:
    """Tell whether rows whose values have their fields' wire types hold what the checks take."""
    looks = _looks()
    return (
        "".join(filter(None, chain.from_iterable(map(looks.texts, rows)))).isprintable()
        and {4, 16}.issuperset(map(len, chain.from_iterable(map(looks.addresses, rows))))
        and all(check(value) for take, check in looks.holding_texts for value in filter(None, map(take, rows)))
    )


class RecordReader(Generic[R]):
    """Turns wire rows whose columns have the given names into checked records of one type.

    Names this program does not know are ignored; fields the writer did not know get their default.
    Construction raises WireError when a required field is missing.
    """

    def __init__(self, record_type: type[R], names: Sequence[str]) -> None:
        self._type: type[R] = record_type
        self._fields = fields_of(record_type)
        self._width = len(names)
        self._direct = tuple(names) == record_type._fields
        self._good_row = good_flow_row() if self._direct and tuple(names) == FlowRecord._fields else None
        position = {name: index for index, name in enumerate(names)}
        self._positions = [position.get(field.name) for field in self._fields]
        # Most of a record is plain counts, checked all at once, and absent groups, passed over.
        checks = [(index, field.kind) for index, field in enumerate(self._fields)]
        self._counts = [index for index, kind in checks if kind is COUNT]
        self._take_counts = itemgetter(*self._counts)
        self._optional = [(index, kind.check) for index, kind in checks if kind.check(None)]
        self._others = [(index, kind.check) for index, kind in checks if kind is not COUNT and not kind.check(None)]
        missing = [field.name for field in self._fields if field.default is ... and field.name not in position]
        if missing:
            raise WireError("schema", f"the header names no {', '.join(missing)}")

    def takes_as_they_are(self, rows: Sequence[object]) -> bool:
        """Tell whether rows are of ``good_flow_row``, in the order of the record's fields."""
        return self._good_row is not None and set(map(type, rows)) == {self._good_row}

    def read(self, row: object) -> R:
        """Return the record of one wire row, or raise WireError saying which field is wrong."""
        if self._good_row is not None and isinstance(row, self._good_row):
            return self._type._make(row[:])  # a plain tuple is copied at once, any other item by item
        if not isinstance(row, tuple) or len(row) != self._width:
            raise WireError("record_shape", f"a record is an array of {self._width} values")
        values = row if self._direct else self._mapped(row)
        counts = self._take_counts(values)
        if set(map(type, counts)) != _ONLY_INT or min(counts) < 0 or max(counts) > UINT63_MAX:
            raise next(self._wrong(index, values[index]) for index in self._counts if not is_count(values[index]))
        for index, check in self._optional:
            value = values[index]
            if value is not None and not check(value):
                raise self._wrong(index, value)
        for index, check in self._others:
            if not check(values[index]):
                raise self._wrong(index, values[index])
        return self._type._make(values)

    def _wrong(self, index: int, value: object) -> WireError:
        return WireError("record_value", f"{self._fields[index].name} is {shown(value)}")

    def _mapped(self, row: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(
            field.default if position is None else row[position]
            for field, position in zip(self._fields, self._positions, strict=True)
        )


def shown(value: object) -> str:
    """Return a value from the wire for an error's text; arrays and maps, of any size and depth, by their size only."""
    if isinstance(value, tuple | dict):
        return f"{'a map' if isinstance(value, dict) else 'an array'} of {len(value)}"
    start = value[:80] if isinstance(value, str | bytes) else value
    return f"{start!r:.80}"


def check_exchange(record: HttpExchange) -> None:
    """Raise WireError when an exchange's fields contradict each other."""
    if record.end_ns < record.start_ns:
        raise WireError("record_time", f"exchange {record.number} of flow {record.flow_id} ends before it starts")
    if len(record.client_ip) != len(record.server_ip):
        raise WireError("record_value", f"flow {record.flow_id} mixes IPv4 and IPv6")


def check_flow(record: FlowRecord) -> None:
    """Raise WireError when a flow record's fields contradict each other."""
    if record.end_ns < record.start_ns or record.start_ns < record.flow_start_ns:
        raise WireError("record_time", f"flow {record.flow_id} ends or goes on before it starts")
    if len(record.client_ip) != len(record.server_ip):
        raise WireError("record_value", f"flow {record.flow_id} mixes IPv4 and IPv6")
