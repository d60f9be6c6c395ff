"""All tests for symptoms, and the catalogue of what they find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from common.records import FlowRecord
from correlator.detect.channel import Channel, Surroundings
from correlator.detect.settings import DetectSettings
from correlator.detect.symptom import Catalogue, Sight
from correlator.detect.symptoms import content, duration, http, interaction, protocol

CATALOGUE: Final = Catalogue.of(
    duration.SYMPTOMS,
    protocol.SYMPTOMS,
    content.SYMPTOMS,
    http.SYMPTOMS,
    interaction.SYMPTOMS,
)


def of_flow(record: FlowRecord, settings: DetectSettings) -> Iterator[Sight]:
    """Yield what the tests of single flows answer; the record is of the flow so far, its parts merged."""
    yield from protocol.of_flow(record, settings.protocol)
    yield from http.of_flow(record)
    yield from content.of_flow(record, settings.content)
    yield from interaction.of_flow(record, settings.interaction)


def of_channel(channel: Channel, around: Surroundings, settings: DetectSettings) -> Iterator[Sight]:
    """Yield what the tests of channels answer."""
    yield from duration.of_channel(channel, around, settings.duration)
