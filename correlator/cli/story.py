"""``alarms show``: an alarm with its reasons, its flows and what to do next."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import click

from common.textrecords import flow_row
from correlator.cli.flows import COLUMNS, for_people
from correlator.cli.output import show_table
from correlator.detect.lists import Entry
from correlator.render import machine, plot
from correlator.render.story import baseline_line, command_lines, head_lines, reason_lines, timeline_lines
from correlator.rows import AlarmRow
from correlator.store.alarmflows import AlarmFlow, alarm_flows
from correlator.store.database import Store
from correlator.store.evolution import evolution, run
from correlator.views.alarms import alarm_record, flows_of
from correlator.views.story import (
    Bucket,
    Window,
    baseline_of,
    buckets_of,
    channel_of,
    next_commands,
    reasons,
    story_record,
    window_of,
)

MAX_SHOWN: Final = 10


class Story(NamedTuple):
    """What is known of an alarm."""

    row: AlarmRow
    hiding: Entry | None
    window: Window
    buckets: list[Bucket]
    flows: list[AlarmFlow]


def read_story(store: Store, row: AlarmRow, hiding: Entry | None) -> Story:
    """Return an alarm with what the store has about its channel."""
    recorded = run(store)
    window = window_of(row, store.built.period_ns, 0 if recorded is None else recorded.first_ns)
    channel = channel_of(row)
    buckets: list[Bucket] = []
    if channel is not None:
        chosen = channel._replace(since_ns=window.since_ns, until_ns=window.until_ns)
        moved: dict[int, int] = {}
        for measure in ("outbound", "inbound"):
            for start, value in evolution(store, chosen, measure, window.bucket_ns).items():
                moved[start] = moved.get(start, 0) + value
        buckets = buckets_of(row, window, moved)
    return Story(row, hiding, window, buckets, alarm_flows(store, row, MAX_SHOWN))


def write_json(story: Story) -> None:
    """Write a story as one JSON object."""
    record = alarm_record(story.row, story.hiding)
    commands = next_commands(story.row, story.window)
    record |= story_record(story.row, story.buckets, baseline_of(story.buckets), commands)
    record["flow_records"] = _rows(story.flows)
    machine.write_json_object(record, sys.stdout)


def write_text(story: Story) -> None:
    """Write a story for people."""
    row = story.row
    for line in head_lines(row, story.hiding):
        click.echo(line)
    _section("Why", list(reason_lines(reasons(row))))
    if any(bucket.bytes for bucket in story.buckets):
        ascii_only = not plot.can_show(sys.stdout.encoding)
        lines = list(timeline_lines(story.buckets, story.window, ascii_only=ascii_only))
        usual = baseline_line(baseline_of(story.buckets), story.window.bucket_ns)
        _section("Bytes of this channel along time", [*lines, f"  {usual}"])
    _flows(story)
    _section("Next", list(command_lines(next_commands(row, story.window))))


def _flows(story: Story) -> None:
    known = len(flows_of(story.row))
    if not known:
        return
    if not story.flows:
        _section("Flows", [f"  none of the {known} flows behind it is stored any more"])
        return
    shown = len(story.flows)
    more = f", {shown} of {known}" if shown < known else ""
    _section(f"Flows behind it, the latest first{more}", [])
    show_table(COLUMNS, map(for_people, _rows(story.flows)))


def _rows(flows: Sequence[AlarmFlow]) -> list[dict[str, Any]]:
    return [flow_row(flow.record, flow.sensor) for flow in flows]


def _section(title: str, lines: Sequence[str]) -> None:
    click.echo(f"\n{title}")
    for line in lines:
        click.echo(line)
