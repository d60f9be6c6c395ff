"""All tests for symptoms, and the catalogue of what they find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from common.records import FlowRecord
from correlator.detect.channel import Channel, Surroundings
from correlator.detect.settings import DetectSettings
from correlator.detect.spoken import spoken_in
from correlator.detect.symptom import Catalogue, Sight
from correlator.detect.symptoms import (
    baseline,
    content,
    context,
    duration,
    frequency,
    http,
    interaction,
    novelty,
    protocol,
    reconnect,
    timing,
    volume,
)

CATALOGUE: Final = Catalogue.of(
    baseline.SYMPTOMS,
    content.SYMPTOMS,
    context.SYMPTOMS,
    duration.SYMPTOMS,
    frequency.SYMPTOMS,
    http.SYMPTOMS,
    interaction.SYMPTOMS,
    novelty.SYMPTOMS,
    protocol.SYMPTOMS,
    reconnect.SYMPTOMS,
    timing.SYMPTOMS,
    volume.SYMPTOMS,
)


def of_flow(record: FlowRecord, settings: DetectSettings, *, goes_on: bool = False) -> Iterator[Sight]:
    """Yield what the tests of single flows answer; the record is of the flow so far, its parts merged.

    Where the flow only ``goes_on``, nothing new came of what its beginning is told by, and that is not asked again.
    """
    spoken = spoken_in(record)
    yield from protocol.of_flow(record, spoken, settings.protocol)
    yield from http.of_flow(record)
    if not goes_on:
        yield from content.of_flow(record, spoken, settings.content)
    yield from interaction.of_flow(record, spoken, settings.interaction)
    yield from timing.of_flow(record, settings.timing)


def of_channel(channel: Channel, around: Surroundings, settings: DetectSettings) -> Iterator[Sight]:
    """Yield what the tests of channels answer."""
    yield from context.of_channel(channel, around, settings.context)
    yield from duration.of_channel(channel, around, settings.duration)
    yield from frequency.of_channel(channel, around, settings.frequency)
    yield from novelty.of_channel(channel, around, settings.novelty)
    yield from reconnect.of_channel(channel, around, settings.reconnect)
    yield from timing.of_channel(channel, around, settings.timing)
    yield from volume.of_channel(channel, around, settings.volume)
    yield from baseline.of_channel(channel, around, settings.baseline)
