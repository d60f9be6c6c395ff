"""Counters for Prometheus on a port of this host; its client library is imported only where that is switched on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, cast

from common.addresses import endpoint_text, parse_endpoint
from common.errors import UserError

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"
_EXAMPLE: Final = "127.0.0.1:9464"


class Buckets(NamedTuple):
    """A histogram's value: how many were at most each bound, all together, and their sum."""

    at_most: tuple[tuple[float, int], ...]
    total: int
    sum: float


class Metric(NamedTuple):
    """One metric; counters are named without ``_total``, which the exposition adds."""

    kind: str
    name: str
    doc: str
    labels: tuple[str, ...] = ()
    samples: Sequence[tuple[tuple[str, ...], float | Buckets]] = ()


Collect = Callable[[], Iterable[Metric]]


def single(kind: str, name: str, doc: str, value: float | Buckets) -> Metric:
    """Return a metric without labels."""
    return Metric(kind, name, doc, (), (((), value),))


class MetricsServer:
    """Answers scrapes on one address, in threads of its own; on an empty one it does nothing.

    The constructor refuses what cannot be, UserError in one line, and imports all that serving needs: ``start`` comes
    after root was given up, and then the library's files may be out of reach.
    """

    def __init__(self, bind: str) -> None:
        self._bind = bind
        self._stop: Callable[[], None] | None = None
        if bind:
            self._address = _address(bind)
            _library()

    def start(self, collect: Collect) -> str:
        """Listen, and ask ``collect`` at every scrape, from other threads; return where, empty for nowhere."""
        if not self._bind:
            return ""
        library = _library()
        registry = library.CollectorRegistry()
        registry.register(cast("Any", _Collector(collect)))
        address, port = self._address
        try:
            server, thread = library.start_http_server(port, address, registry)
        except (OSError, OverflowError) as error:
            raise UserError(
                f"cannot serve metrics on {self._bind}: {getattr(error, 'strerror', None) or error}; "
                "name another address or port with --metrics"
            ) from None

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._stop = stop
        return endpoint_text(address, server.server_port)

    def close(self) -> None:
        """Stop listening."""
        if self._stop is not None:
            self._stop()
            self._stop = None


class _Collector:
    """What the library asks at every scrape."""

    def __init__(self, collect: Collect) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Any]:
        """Yield the metrics as the library's families."""
        core = _library().core

        kinds = {
            COUNTER: core.CounterMetricFamily,
            GAUGE: core.GaugeMetricFamily,
            HISTOGRAM: core.HistogramMetricFamily,
        }
        for metric in self._collect():
            family = kinds[metric.kind](metric.name, metric.doc, labels=metric.labels)
            for labels, value in metric.samples:
                if isinstance(value, Buckets):
                    bounds = [(f"{bound:g}", count) for bound, count in value.at_most]
                    family.add_metric(labels, [*bounds, ("+Inf", value.total)], value.sum)
                else:
                    family.add_metric(labels, value)
            yield family

    def describe(self) -> list[Any]:
        """Return nothing: the names are known at a scrape."""
        return []


def _library() -> Any:
    try:
        import encodings.idna  # noqa: F401, PLC0415 - what looking up an address imports

        import prometheus_client.core  # noqa: PLC0415 - an extra, and only where it is switched on
    except ImportError:
        raise UserError(
            "metrics need the package prometheus_client: install the extra tunnelwatch[metrics], or leave --metrics out"
        ) from None
    return prometheus_client


def _address(bind: str) -> tuple[str, int]:
    try:
        address, port = parse_endpoint(bind)
    except ValueError as error:
        raise UserError(f"metrics cannot be served there: {error}; write {_EXAMPLE}") from None
    if port is None:
        raise UserError(f"metrics need a port, and {bind!r} has none; write {_EXAMPLE}")
    return address, port
