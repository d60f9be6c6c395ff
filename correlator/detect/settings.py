"""[detect]: the settings of detection; each kind of symptom has its own section."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from correlator.detect.baseline import BaselineLimits
from correlator.detect.budget import BudgetSettings
from correlator.detect.castro import CastroRules
from correlator.detect.symptoms.content import ContentLimits
from correlator.detect.symptoms.context import ContextLimits
from correlator.detect.symptoms.duration import DurationLimits
from correlator.detect.symptoms.frequency import FrequencyLimits
from correlator.detect.symptoms.interaction import InteractionLimits
from correlator.detect.symptoms.novelty import NoveltyLimits
from correlator.detect.symptoms.protocol import ProtocolLimits
from correlator.detect.symptoms.reconnect import ReconnectLimits
from correlator.detect.symptoms.timing import TimingLimits
from correlator.detect.symptoms.volume import VolumeLimits


class DetectSettings(Struct, frozen=True, kw_only=True):
    """[detect]: how symptoms become alarms."""

    enabled: bool = True
    protocols: tuple[Annotated[int, Meta(ge=0, le=255)], ...] = (6,)
    prior: Annotated[float, Meta(gt=0, lt=1)] = 1e-4
    window_s: Annotated[int, Meta(ge=3600, le=30 * 86_400)] = 86_400
    log10_lr: dict[str, Annotated[float, Meta(ge=-3, le=5)]] = {}
    context: ContextLimits = ContextLimits()
    duration: DurationLimits = DurationLimits()
    frequency: FrequencyLimits = FrequencyLimits()
    novelty: NoveltyLimits = NoveltyLimits()
    reconnect: ReconnectLimits = ReconnectLimits()
    timing: TimingLimits = TimingLimits()
    volume: VolumeLimits = VolumeLimits()
    protocol: ProtocolLimits = ProtocolLimits()
    content: ContentLimits = ContentLimits()
    interaction: InteractionLimits = InteractionLimits()
    baseline: BaselineLimits = BaselineLimits()
    budget: BudgetSettings = BudgetSettings()
    castro: CastroRules = CastroRules()
