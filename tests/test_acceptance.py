"""What the simulation's tables count is what happened: bounds, delays, false alarms, and stated probabilities."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from correlator.rows import AlarmRow

S = 1_000_000_000
CLIENT = "10.1.2.10"


@pytest.fixture(scope="session", autouse=True)
def bench(repo_root: Path) -> Path:
    """The place of the benchmark's modules, which can be imported from there."""
    path = repo_root / "bench"
    if str(path) not in sys.path:
        sys.path.append(str(path))
    return path


def module(name: str) -> Any:
    return importlib.import_module(name)


@pytest.mark.parametrize(
    ("found", "of", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (1, 100, 0.0003, 0.0545), (0, 0, 0.0, 1.0)],
)
def test_bounds_of_shares_are_those_of_clopper_and_pearson(found: int, of: int, low: float, high: float) -> None:
    assert module("bounds").binomial(found, of) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (10, 4.7954, 18.3904), (100, 81.364, 121.627)]
)
def test_bounds_of_rates_are_those_of_garwood(count: int, low: float, high: float) -> None:
    assert module("bounds").poisson(count) == pytest.approx((low, high), abs=1e-3)


def raised(host: str, *, severity: str = "medium", medium_s: int | None = None, symptoms: tuple[str, ...] = ()) -> Any:
    evidence = [["prior", "prior", -4.0, 0, 0, "prior"], *([name, "timing", 1.0, 1, 1, "why"] for name in symptoms)]
    row = AlarmRow(
        host, "channel", "tunnel", severity, 0, 0, 1, None, CLIENT, "10.1.1.1:3128", host, 0.5, "message",
        json.dumps(evidence), "[]", None,
    )  # fmt: skip
    return module("played").Raised(row, None if medium_s is None else medium_s * S)


def played(*alarms: Any) -> Any:
    return module("played").Played(list(alarms), [], 0, 0.0, 0.0)


def label(kind: str, *, benign: bool = False, first_s: int = 0) -> Any:
    return module("played").Label(kind, benign, "" if benign else f"{kind} of first_s {first_s}", first_s * S, 0)


def channel(host: str) -> tuple[str, str, int]:
    return CLIENT, host, 3128


def rows(lines: Any, beginning: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith(f"| {beginning}")]


def test_a_tunnel_is_found_when_an_alarm_of_at_least_medium_comes_within_the_limit() -> None:
    labels = {channel(f"{number}.example"): label("openvpn", first_s=number) for number in range(4)}
    alarms = [
        raised("0.example", medium_s=600, symptoms=("shape",)),
        raised("1.example", medium_s=9_000),
        raised("2.example", severity="low"),
    ]
    stated = [
        module("played").Stated(day, channel(f"{number}.example"), odds)
        for day, number, odds in ((0, 0, -3.0), (0, 9, 1.0), (1, 0, -2.0), (1, 9, -2.0), (1, 8, 0.0), (1, 1, -9.0))
    ]
    result = played(*alarms)._replace(stated=stated)
    (row,) = rows(module("acceptance_tables").rows_table(result, labels), "11 ")
    assert row[3:5] == ["4", "25%"]
    assert row[6:8] == ["1", "10 min"]
    assert row[9:] == ["90%", "**not met**", "2", "shape 1"]


def test_alarms_on_ordinary_traffic_are_false_ones_by_severity_and_kind() -> None:
    tables = module("acceptance_tables")
    alarms = played(raised("a.example", severity="low"), raised("b.example", severity="high", symptoms=("beacon",)))
    lines = list(tables.false_alarms(alarms, played(), 100, 10))
    assert [row[2:5] for row in rows(lines, "18")] == [
        ["2", "100", "0.0200"],
        ["1", "100", "0.0100"],
        ["1", "100", "0.0100"],
    ]
    assert rows(lines, "18 | medium")[0][-1] == "met"
    labels = {channel(f"{name}.example"): label("weather", benign=True) for name in "abc"}
    lines = list(tables.kinds_table(alarms, labels))
    assert rows(lines, "weather") == [["weather", "3", "1", "", "1", "", "beacon 1"]]
    assert "by one family of symptoms alone: 1 (**not met**)" in lines[-1]


def test_stated_probabilities_are_right_when_as_many_are_tunnels_as_stated() -> None:
    reliability = module("reliability")
    stated = [
        module("played").Stated(0, channel(f"{number}.example"), 4.0 if number < 50 else -6.0) for number in range(1000)
    ]
    for tunnels, agrees in ((50, True), (5, False)):
        labels = {
            channel(f"{number}.example"): label("openvpn", benign=number >= tunnels, first_s=number)
            for number in range(1000)
        }
        bins, rate = reliability.bins_of(stated, labels)
        assert rate == tunnels / 1000
        high = next(one for one in reversed(bins) if one.channels)
        assert (high.channels, high.tunnels, high.agrees) == (50, tunnels, agrees)
    assert reliability.bins_of(stated, {}) == ([], 0.0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_command_prints_every_table(bench: Path, tmp_path: Path) -> None:
    for path in bench.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for package in ("sensor", "common", "correlator"):
        (tmp_path.parent / package).unlink(missing_ok=True)
        (tmp_path.parent / package).symlink_to(bench.parent / package)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "acceptance.py"), "--users", "2", "--days", "2", "--tunnels", "1"],
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^## ", done.stdout, re.MULTILINE)) == 6
    assert {row[0] for row in rows(done.stdout.splitlines(), "")} >= {str(number) for number in range(1, 18)}
