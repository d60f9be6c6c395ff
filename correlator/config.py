"""The correlator's settings: one frozen record per section, defaults here and nowhere else."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from common.link import DEFAULT_PORT
from correlator.detect.alarm import Severity
from correlator.detect.settings import DetectSettings
from correlator.notify.settings import OutputSettings

Limit = Annotated[int, Meta(ge=0, le=1 << 62)]
DAY_S: Final = 86_400
MOST_PERIODS_IN_GAP: Final = 168


class StoreSettings(Struct, frozen=True, kw_only=True):
    """[store]: what the roll-ups are computed with; a database keeps what it was made with."""

    period_s: Annotated[int, Meta(ge=60, le=DAY_S)] = 3600
    channel_gap_s: Annotated[int, Meta(ge=0, le=7 * DAY_S)] = 300

    def __post_init__(self) -> None:
        """Refuse periods that do not fill a day or hold whole minutes, and gaps that reach over very many of them."""
        if DAY_S % self.period_s or self.period_s % 60:
            raise ValueError(f"period_s is {self.period_s}; whole minutes that divide a day, such as 900 or 3600")
        if self.channel_gap_s > MOST_PERIODS_IN_GAP * self.period_s:
            raise ValueError(
                f"channel_gap_s is {self.channel_gap_s}; at most {MOST_PERIODS_IN_GAP} periods of {self.period_s} s, "
                "for one flow would be written to all of them"
            )


class RetentionSettings(Struct, frozen=True, kw_only=True):
    """[retention]: how long what is kept; 0 keeps it for ever."""

    flows_days: Annotated[int, Meta(ge=0, le=36_500)] = 30
    hours_days: Annotated[int, Meta(ge=0, le=36_500)] = 730
    max_bytes: Limit = 0

    def __post_init__(self) -> None:
        """Refuse flows that outlast what they are summed up in."""
        if self.hours_days and not 0 < self.flows_days <= self.hours_days:
            raise ValueError(
                f"flows_days is {self.flows_days} and hours_days {self.hours_days}; flows cannot be kept for longer "
                "than the hours they are summed up in (0 is for ever)"
            )


class FlowThresholds(Struct, frozen=True, kw_only=True):
    """[thresholds.flow]: limits for one flow, both directions together; 0 turns a rule off."""

    severity: Severity = Severity.LOW
    bytes: Limit = 100_000_000
    packets: Limit = 1_000_000
    duration_s: Limit = 14_400


class ChannelThresholds(Struct, frozen=True, kw_only=True):
    """[thresholds.channel_period]: limits for one channel in one period; 0 turns a rule off."""

    severity: Severity = Severity.LOW
    bytes: Limit = 500_000_000
    packets: Limit = 5_000_000
    tcp_uptime_s: Limit = 0


class Thresholds(Struct, frozen=True, kw_only=True):
    """[thresholds]: static limits, in force whatever has been learned."""

    flow: FlowThresholds = FlowThresholds()
    channel_period: ChannelThresholds = ChannelThresholds()


class SensorLimits(Struct, frozen=True, kw_only=True):
    """[sensors]: when a sensor's own state is an alarm; 0 turns a rule off."""

    severity: Severity = Severity.HIGH
    silent_after_s: Limit = 300
    drop_percent: Annotated[float, Meta(ge=0, le=100)] = 0.1
    spool_bytes: Limit = 256 << 20
    spool_frames: Limit = 10_000
    no_traffic_after_s: Limit = 900
    clock_off_s: Limit = 60


class ServeSettings(Struct, frozen=True, kw_only=True):
    """[serve]: the service that sensors ship to."""

    bind: str = f"tcp://127.0.0.1:{DEFAULT_PORT}"
    key: str = ""
    max_sensors: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    frames_per_commit: Annotated[int, Meta(ge=1, le=1000)] = 64


class MetricsSettings(Struct, frozen=True, kw_only=True):
    """[metrics]: counters for Prometheus."""

    bind: str = ""


class NamesSettings(Struct, frozen=True, kw_only=True):
    """[names]: names beside addresses in what commands print."""

    hosts_file: str = ""
    reverse_dns: bool = False
    servers: tuple[str, ...] = ()
    timeout_s: Annotated[float, Meta(ge=0.1, le=60)] = 2.0
    max_lookups: Annotated[int, Meta(ge=1, le=10_000)] = 256


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that a configuration file may say."""

    store: StoreSettings = StoreSettings()
    retention: RetentionSettings = RetentionSettings()
    thresholds: Thresholds = Thresholds()
    detect: DetectSettings = DetectSettings()
    sensors: SensorLimits = SensorLimits()
    serve: ServeSettings = ServeSettings()
    outputs: OutputSettings = OutputSettings()
    metrics: MetricsSettings = MetricsSettings()
    names: NamesSettings = NamesSettings()
