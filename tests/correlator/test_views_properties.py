"""What holds for the views of any records, asked through the command line.

Which records came in which batch, in which order and how often does not show. What stands below a line adds up to
it, in every value but one: the channel uptime of flows, which may overlap or follow each other inside a session, and
of minutes and periods in which a session went on but no record of it began, because these have no line.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corr_cli import Cli
from corr_flows import NS, batch, header
from corr_strategies import moments, traffic
from corr_truth import range_options
from hypothesis import given, settings
from hypothesis import strategies as st

from common.flowlog import Batch
from common.records import FlowRecord
from common.timespan import parse_time
from correlator.config import Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.store.database import Built, writing
from correlator.store.writer import Writer

ADDITIVE = ("connections", "packets_out", "packets_in", "bytes_out", "bytes_in", "tcp_uptime_s")
UPTIME = "channel_uptime_s"
VIEWS = (
    ("clients", "--depth", "3"),
    ("servers", "--depth", "3"),
    ("periods", "--depth", "3"),
    ("slots", "--depth", "3"),
    ("top", "servers", "--per", "client", "--by", "channel-uptime"),
    ("bottom", "hosts", "--by", "channel-uptime"),
    ("top", "channels", "--by", "inbound", "--average"),
    ("flows",),
    ("flows", "--parts"),
    ("summary",),
)
# Every example makes databases, so there are fewer than elsewhere.
FEW = settings(max_examples=settings().max_examples // 3)


@contextmanager
def database() -> Iterator[tuple[Pipeline, Cli]]:
    """Give a pipeline into an empty database, and the command line on it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.db"
        with writing(path, Built(3600, 300)) as store:
            store.conn.execute("PRAGMA synchronous = OFF")
            yield Pipeline(Writer(store), Thresholds()), Cli(path)


def views(cli: Cli, *options: str) -> list[Any]:
    return [cli.json(*view, "--protocol", "all", *options) for view in VIEWS]


def single_import(arrived: Sequence[tuple[str, FlowRecord]], *options: str) -> list[Any]:
    """Return the views after all records came at once, each once and sorted."""
    with database() as (pipeline, cli):
        pipeline.store_records(sorted(arrived, key=lambda pair: (pair[0], pair[1].flow_id, pair[1].part)), 0)
        return views(cli, *options)


@FEW
@given(traffic(), st.randoms(use_true_random=False), moments, st.integers(1, 5))
def test_any_order_and_repetition_of_batches_gives_the_views_of_one_sorted_import(
    records: list[FlowRecord], rng: random.Random, since: int | None, size: int
) -> None:
    options = range_options(since, None)
    arrived = [("tap", record) for record in records]
    batches = [arrived[begin : begin + size] for begin in range(0, len(arrived), size)]
    repeated = batches + rng.choices(batches, k=rng.randrange(4)) + [rng.sample(arrived, min(3, len(arrived)))]
    rng.shuffle(repeated)
    with database() as (pipeline, cli):
        for some in repeated:
            pipeline.store_records(some, 0)
        assert views(cli, *options) == single_import(arrived, *options)


@FEW
@given(traffic(), traffic(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_interleaved_and_repeated_frames_of_two_sensors_give_the_views_of_one_sorted_import(
    one: list[FlowRecord], other: list[FlowRecord], rng: random.Random, size: int
) -> None:
    waiting = {"tap": frames("tap", one, size), "attic": frames("attic", other, size)}
    with database() as (pipeline, cli):
        for sensor in waiting:
            pipeline.receiver.open_run(header(sensor))
        sent: list[Batch] = []
        while any(waiting.values()):
            sensor = rng.choice([name for name, left in waiting.items() if left])
            frame = waiting[sensor].pop(0)
            sent.append(frame)
            # What the sensor got no answer to comes again, and with it what was stored long ago.
            pipeline.store_frames([*rng.choices(sent, k=rng.randrange(3)), frame], now_ns=2**62)
        arrived = [("tap", record) for record in one] + [("attic", record) for record in other]
        assert views(cli) == single_import(arrived)


def frames(sensor: str, records: Sequence[FlowRecord], size: int) -> list[Batch]:
    chunks = [records[begin : begin + size] for begin in range(0, len(records), size)]
    return [batch(chunk, number, sensor=sensor) for number, chunk in enumerate(chunks, 1)]


def in_order(since: int | None, until: int | None) -> tuple[int | None, int | None]:
    return (since, until) if since is None or until is None else (min(since, until), max(since, until))


def in_ns(value: float) -> int:
    return round(value * NS)


def check_sums(node: dict[str, Any], with_uptime: tuple[bool, ...]) -> None:
    """Check that a line is what stands below it; ``with_uptime`` says for each level if its channel uptime is."""
    below = node.get("children")
    if not below:
        return
    for name in (*ADDITIVE, *((UPTIME,) if with_uptime[0] else ())):
        assert in_ns(node[name]) == sum(in_ns(child[name]) for child in below), name
    assert parse_time(node["first"]) == min(parse_time(child["first"]) for child in below)
    assert parse_time(node["last"]) == max(parse_time(child["last"]) for child in below)
    for child in below:
        check_sums(child, with_uptime[1:])


SUMS = (
    (("clients", "--depth", "3"), (True, False)),  # services are apart, flows of a channel are not
    (("servers", "--depth", "3"), (True, False)),
    (("periods", "--depth", "3"), (False, False)),
    (("slots", "--depth", "3"), (True, True)),
    (("clients", "10.0.0.1", "--by-period"), (True, False)),
)


@FEW
@given(traffic(), moments, moments, st.booleans())
def test_what_stands_below_a_line_adds_up_to_it(
    records: list[FlowRecord], since: int | None, until: int | None, wire: bool
) -> None:
    options = ["--protocol", "all", *(("--wire",) if wire else ()), *range_options(*in_order(since, until))]
    with database() as (pipeline, cli):
        pipeline.store_records([("tap", record) for record in records], 0)
        for view, with_uptime in SUMS:
            for node in cli.json(*view, *options):
                check_sums(node, with_uptime)


@FEW
@given(traffic(), moments, moments)
def test_the_first_levels_of_all_views_add_up_to_the_summary(
    records: list[FlowRecord], since: int | None, until: int | None
) -> None:
    options = ["--protocol", "all", *range_options(*in_order(since, until))]
    with database() as (pipeline, cli):
        pipeline.store_records([("tap", record) for record in records], 0)
        summary = cli.json("summary", *options)
        for view in ("clients", "servers", "periods", "slots"):
            nodes = cli.json(view, *options)
            for name in (*ADDITIVE, *((UPTIME,) if view in ("clients", "servers") else ())):
                assert in_ns(summary.get(name, 0)) == sum(in_ns(node[name]) for node in nodes), (view, name)


FIELDS = ("connections", "bytes_out", "packets_in", "channel_uptime_s", "first", "last", "none")


@FEW
@given(
    traffic(),
    st.sampled_from([("clients", "client"), ("clients", "bytes_out_per_service"), ("servers", "port")]),
    st.sampled_from(FIELDS),
    st.sampled_from(["1", "2", "3"]),
    st.integers(1, 3),
    st.sampled_from([(), ("--ascending",), ("--protocol", "udp"), ("--port", "443"), ("--client", "10.0.0.0/31")]),
)
def test_the_first_lines_of_a_view_are_the_beginning_of_all(
    records: list[FlowRecord], view: tuple[str, str], field: str, depth: str, count: int, options: tuple[str, ...]
) -> None:
    with database() as (pipeline, cli):
        pipeline.store_records([("tap", record) for record in records], 0)
        for name in (field, view[1]):
            asked = (view[0], "--depth", depth, "--sort", name, *options)
            assert cli.json(*asked, "-n", str(count)) == cli.json(*asked)[:count]
