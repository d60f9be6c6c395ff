"""Flow records folded into channels and their symptoms, and those into alarms; pure, its memory is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import log10
from typing import Final, NamedTuple

from msgspec import Struct

from common.addresses import endpoint_text
from common.records import FlowRecord
from common.timespan import NS_PER_S
from correlator.detect.alarm import MAX_FLOWS, Alarm, Evidence, Severity
from correlator.detect.catalogue import CATALOGUE, of_channel, of_flow
from correlator.detect.channel import Channel, Key, Sighting, Surroundings, key_of, new_channel
from correlator.detect.judge import Judgement, judge
from correlator.detect.settings import DetectSettings
from correlator.detect.symptom import Sight
from correlator.views.merge import merge_parts

KIND: Final = "channel"
RULE: Final = "tunnel"


class Taken(NamedTuple):
    """A record as it is in the store."""

    sensor: str
    record: FlowRecord


class OpenFlow(Struct):
    """A flow that goes on: its parts so far as one record, and what it was tested for and found to have."""

    record: FlowRecord
    tested: list[str] = []
    found: list[str] = []


class Memory(NamedTuple):
    """What is remembered between steps; whoever calls looks it up before and keeps it afterwards."""

    channels: dict[Key, Channel]
    flows: dict[tuple[str, int], OpenFlow]
    """By sensor and flow_id."""


def fold(records: Iterable[Taken], memory: Memory, settings: DetectSettings, gap_ns: int) -> set[Key]:
    """Take records in, in the order of their ends; return the channels that changed.

    Flows that have ended are taken out of the memory.
    """
    changed = set()
    for sensor, record in records:
        name = (sensor, record.flow_id)
        flow = memory.flows.pop(name, None)
        begins = flow is None
        goes_on = False
        if flow is None:
            flow = OpenFlow(record)
        else:
            before, flow.record = flow.record, merge_parts((flow.record, record))
            goes_on = _begins_alike(before, flow.record)
        key = key_of(flow.record)
        channel = memory.channels.get(key)
        if channel is None:
            channel = memory.channels[key] = new_channel(flow.record)
        channel.add(record, str(record.flow_id), begins=begins, gap_ns=gap_ns)
        for sight in of_flow(flow.record, settings, goes_on=goes_on):
            _count(sight, flow, channel)
        if goes_on:
            _see_again(flow, channel)
        if record.end_reason is None:
            memory.flows[name] = flow
        changed.add(key)
    return changed


def _begins_alike(before: FlowRecord, now: FlowRecord) -> bool:
    """Tell whether what a flow's beginning is told by is as it was before its last part."""
    return (
        now.splt is before.splt
        and now.app_out == before.app_out
        and now.app_in == before.app_in
        and now.facts == before.facts
        and bool(now.payload_bytes_in) == bool(before.payload_bytes_in)
    )


def _see_again(flow: OpenFlow, channel: Channel) -> None:
    """What was found of a flow that goes on is still there."""
    for name in flow.found:
        if name in channel.sightings:
            seen = channel.sightings[name]
            seen.last_ns = max(seen.last_ns, flow.record.end_ns)


def _count(sight: Sight, flow: OpenFlow, channel: Channel) -> None:
    """Count what a test of a flow answered; a flow counts once, however many parts it has."""
    name = sight.symptom
    tested, found = name not in flow.tested, sight.found and name not in flow.found
    if not tested and not sight.found:  # as before
        return
    if tested:
        flow.tested.append(name)
    if found:
        flow.found.append(name)
    record = flow.record
    seen = channel.sighting(name)
    seen.add(sight, record.end_ns, str(record.flow_id), tested=int(tested), found=int(found))


def judged(
    channel: Channel, around: Surroundings, settings: DetectSettings
) -> tuple[Judgement, Mapping[str, Sighting]]:
    """Return the judgement on a channel as it is now, and the symptoms that it rests on."""
    channel.forget_before(around.now_ns - settings.window_s * NS_PER_S)
    sightings = dict(channel.sightings)
    for sight in of_channel(channel, around, settings):
        seen = sightings[sight.symptom] = Sighting()
        seen.add(sight, channel.last_ns, None)
    return judge(CATALOGUE, sightings, settings.prior, settings.log10_lr), sightings


def alarm_of(
    channel: Channel,
    judgement: Judgement,
    sightings: Mapping[str, Sighting],
    severity: Severity,
    settings: DetectSettings,
) -> Alarm:
    """Return the alarm about a channel; its evidence adds up to the log-odds."""
    prior = settings.prior
    evidence = (
        *_evidence(judgement, sightings),
        Evidence(
            "prior", "prior", log10(prior / (1 - prior)), prior, prior, "how probable a tunnel is before any look"
        ),
    )
    server = endpoint_text(channel.server, channel.port)
    peer = f"{channel.host} ({server})" if channel.host else server
    why = "; ".join(item.explanation for item in evidence if (item.log10_lr or 0) > 0)
    flows = [flow for addend in judgement.addends if addend.log10_lr > 0 for flow in sightings[addend.symptom].flows]
    return Alarm(
        kind=KIND,
        rule=RULE,
        subject=f"{channel.protocol}|{channel.client}|{channel.peer}|{channel.port}",
        period_ns=channel.alarmed(settings.window_s * NS_PER_S),
        severity=severity,
        time_ns=channel.last_ns,
        sensor=None,
        client=channel.client,
        server=server,
        host=channel.host,
        probability=judgement.probability,
        message=f"{channel.client} -> {peer}: {why}",
        evidence=evidence,
        flows=tuple(dict.fromkeys([*flows, *reversed(channel.latest_flows)]))[:MAX_FLOWS],
    )


def _evidence(judgement: Judgement, sightings: Mapping[str, Sighting]) -> Iterator[Evidence]:
    for addend in judgement.addends:
        seen = sightings[addend.symptom]
        symptom = CATALOGUE.symptoms[addend.symptom]
        text = seen.explanation if addend.found else f"looked for and not found: {symptom.meaning}"
        if seen.tested > 1:
            text += f" ({seen.found} of {seen.tested} flows)"
        if not addend.counted:
            text += f" (does not count beside a stronger symptom of {addend.family})"
        log10_lr = addend.log10_lr if addend.counted else 0.0
        yield Evidence(addend.symptom, str(addend.family), log10_lr, seen.value, seen.threshold, text)
