"""A view is of one moment: its levels add up while another thread stores as fast as it can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import flow
from corr_store import HOURS, add

from correlator.store.database import writing

SUMS = ("connections", "packets_out", "bytes_in", "tcp_uptime_s")


@contextmanager
def ingest(db: Path) -> Iterator[list[int]]:
    """Store batches until the end; give how many records there are."""
    stored, begun, over, failed = [0], Event(), Event(), []

    def work() -> None:
        try:
            with writing(db, HOURS) as store:
                while not over.is_set():
                    first = stored[0]
                    ids = range(first, first + 50)
                    add(
                        store, [flow(n, start_s=n * 7, client_ip=f"10.0.0.{n % 9}", server_port=n % 5) for n in ids], 50
                    )
                    stored[0] += 50
                    begun.set()
        except Exception as error:  # noqa: BLE001 - for the test to raise
            failed.append(error)
            begun.set()

    thread = Thread(target=work)
    thread.start()
    try:
        begun.wait(30)
        yield stored
    finally:
        over.set()
        thread.join(30)
    assert not failed


def adds_up(node: dict[str, Any]) -> None:
    children = node.get("children", [])
    for name in SUMS if children else ():
        assert round(sum(child[name] for child in children), 6) == round(node[name], 6), name
    for child in children:
        adds_up(child)


@pytest.mark.parametrize(
    "view", [("clients", "--depth", "3"), ("servers", "--depth", "3"), ("periods", "--depth", "3")]
)
def test_levels_add_up_during_heavy_ingest(db: Path, view: tuple[str, ...]) -> None:
    cli = Cli(db)
    with ingest(db) as stored:
        seen: list[int] = []
        while len(seen) < 5 or stored[0] == seen[0]:
            nodes = cli.json(*view)
            for node in nodes:
                adds_up(node)
            seen.append(sum(node["connections"] for node in nodes))
    assert seen == sorted(seen)
    assert all(count % 50 == 0 for count in seen)
    assert seen[-1] > seen[0]
