"""Records into channels: the same whatever batches they come in; alarms that add up."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any

import pytest
from corr_flows import NS, T0, flow, parts
from corr_strategies import traffic
from hypothesis import given, settings
from hypothesis import strategies as st

from common.records import FlowRecord
from correlator.detect.alarm import Severity
from correlator.detect.channel import Surroundings
from correlator.detect.fold import Memory, Taken, alarm_of, fold, judged
from correlator.detect.settings import DetectSettings

SETTINGS = DetectSettings()
GAP_NS = 300 * NS


def folded(records: Sequence[FlowRecord], size: int = 1000) -> Memory:
    memory = Memory({}, {})
    taken = sorted((Taken("tap", record) for record in records), key=lambda one: (one.record.end_ns, one.record.part))
    for start in range(0, len(taken), size):
        fold(taken[start : start + size], memory, SETTINGS, GAP_NS)
    return memory


@settings(max_examples=60)
@given(traffic(), st.integers(1, 7))
def test_batches_do_not_matter(records: list[FlowRecord], size: int) -> None:
    assert folded(records, size) == folded(records)


def test_an_open_flow_is_remembered_until_it_ends() -> None:
    begun = parts(9, [60, 60], closed=False)
    memory = folded(begun)
    (name,) = memory.flows
    assert name == ("tap", 9)
    assert memory.flows[name].record.payload_bytes_out == 1000
    last = flow(9, part=2, start_s=120)._replace(flow_start_ns=T0)
    assert fold([Taken("tap", last)], memory, SETTINGS, GAP_NS)
    assert not memory.flows
    (channel,) = memory.channels.values()
    assert (channel.flows, channel.bytes_out) == (1, 1500)


def around(now_ns: int) -> Surroundings:
    return Surroundings(now_ns, 1, 10, T0, now_ns - T0)


def _long_flow(hours: float) -> Any:
    (channel,) = folded([flow(1, length_s=int(hours * 3600))]).channels.values()
    return channel, judged(channel, around(channel.last_ns), SETTINGS)


def test_the_evidence_of_an_alarm_adds_up_to_its_probability() -> None:
    channel, (judgement, sightings) = _long_flow(13)
    alarm = alarm_of(channel, judgement, sightings, Severity.LOW, SETTINGS)
    total = sum(item.log10_lr or 0 for item in alarm.evidence)
    assert alarm.probability is not None
    assert total == pytest.approx(log10(alarm.probability / (1 - alarm.probability)), abs=1e-9)
    assert alarm.evidence[-1].symptom == "prior"
    assert "13 h" in alarm.message
    assert alarm.flows == ("1",)
    assert (alarm.client, alarm.server) == ("10.0.0.1", "192.0.2.1:443")


def test_symptoms_are_judged_while_the_connection_is_open() -> None:
    memory = folded(parts(9, [3600] * 5, closed=False))
    (channel,) = memory.channels.values()
    judgement, _ = judged(channel, around(channel.last_ns), SETTINGS)
    assert "long-connection" in {addend.symptom for addend in judgement.addends}


def test_judging_twice_gives_the_same() -> None:
    channel, first = _long_flow(5)
    assert judged(channel, around(channel.last_ns), SETTINGS) == first
