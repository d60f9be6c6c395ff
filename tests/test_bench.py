"""The benchmark runs, whatever it measures: its tables are made, and its options mean something."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def bench(repo_root: Path, tmp_path: Path) -> Path:
    """A copy that makes its captures in a place of its own, beside the packages it reads."""
    shutil.copytree(repo_root / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("tmp", "__pycache__"))
    for package in ("sensor", "common"):
        (tmp_path / package).symlink_to(repo_root / package)
    return tmp_path / "bench"


def run(bench: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    programs = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    command = [sys.executable, str(bench / "run"), "--packets", "3000", "--rounds", "1", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=50, check=False, env={"PATH": programs, "LC_ALL": "C.UTF-8"}
    )


@pytest.mark.slow
def test_the_steady_state_of_every_shape_is_a_row_beside_the_bare_walk(bench: Path) -> None:
    done = run(bench, "--only", "steady")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (\w+) \| 3,000 \| ([\d,]+) \| [\d.]+ \| ([\d.]+|-) \|", done.stdout, re.MULTILINE)
    assert [row[:2] for row in rows][2:] == [("large", "64"), ("minimum", "64"), ("syn", "3,000")]
    assert all((limit == "-") == (shutil.which("cc") is None) for _, _, limit in rows)


def test_memory_is_measured_per_open_flow_and_over_a_flood(bench: Path) -> None:
    done = run(bench, "--only", "memory", "--flood", "625000")
    assert done.returncode == 0, done.stderr
    (row,) = re.findall(r"^\| 3,000 \| .* \| 800 \| (\S+) \|$", done.stdout, re.MULTILINE)
    assert row == "met"
    (default, small) = re.findall(r"^\| (1,000,000 \(default\)|50,000) \|.*\| (.+) \|$", done.stdout, re.MULTILINE)
    assert default[1] == "bound not reached"
    assert small == ("50,000", "met")


def test_the_flow_log_is_written_read_and_imported(bench: Path) -> None:
    done = run(bench, "--only", "flowlog")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\| .* \| [\d,]+ \| ", done.stdout, re.MULTILINE)) == 6


@pytest.mark.parametrize("arguments", [("--write", "--only", "steady"), ("--only", "nothing"), ("--flood", "0")])
def test_what_makes_no_sense_is_refused_before_anything_is_measured(bench: Path, arguments: tuple[str, ...]) -> None:
    done = run(bench, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert not (bench / "tmp").exists()
