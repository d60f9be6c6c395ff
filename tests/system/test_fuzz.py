"""The fuzz harness: a short run of it, and that it finds what it is there to find."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.captures import Captured, damaged, frames_of, pcap_file, pcapng_file
from fuzz.make_seeds import seed_files

Fuzz = Callable[..., subprocess.CompletedProcess[str]]

# The first of them compiles the extensions once more.
compiled = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def fuzz(repo_root: Path) -> Fuzz:
    """Run the harness from its own seeds; skip where there is no compiler with sanitizers."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, repo_root / "fuzz/run", "--no-shared", *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode == 77:
            pytest.skip(done.stdout.strip())
        return done

    return run


class TestRun:
    pytestmark = compiled

    def test_a_short_run_finds_nothing(self, fuzz: Fuzz) -> None:
        done = fuzz("--frames", "160000", "--seconds", "10", "--seed", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith("nothing found\n")

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            ("over-read", "heap-buffer-overflow"), ("stale-read", "heap-use-after-free"),
            ("overflow", "signed integer overflow"), ("leak", "leak of 40 byte"), ("miscount", "a miscount"),
            ("hang", "stood still"),
        ],
    )  # fmt: skip
    def test_a_planted_fault_is_found(self, fuzz: Fuzz, fault: str, words: str) -> None:
        done = fuzz("--frames", "40000", "--seed", "1", "--plant", fault, "--stall-seconds", "3")
        assert done.returncode == 1, done.stdout + done.stderr
        assert re.search(f"FOUND in inside: .*{words}", done.stdout), done.stdout

    def test_objects_that_are_kept_are_found_by_the_memory_growing(self, fuzz: Fuzz) -> None:
        done = fuzz("--frames", "380000", "--seed", "1", "--plant", "object-leak")
        assert (done.returncode, "memory grew by" in done.stdout) == (1, True), done.stdout + done.stderr

    def test_a_finding_is_seen_again_by_its_seed_and_number(self, fuzz: Fuzz) -> None:
        first = fuzz("--frames", "40000", "--seed", "3", "--plant", "over-read")
        assert "--replay 3:20500 --no-shared" in first.stdout, first.stdout + first.stderr
        again = fuzz("--replay", "3:20500", "--plant", "over-read")
        assert (again.returncode, "--replay 3:20500 --no-shared" in again.stdout) == (1, True), again.stdout

    def test_without_a_compiler_it_says_so_and_is_skipped(
        self, repo_root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CC", "/nonexistent/cc")
        done = subprocess.run([sys.executable, repo_root / "fuzz/run"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (
            77, "fuzz: skipped: there is no C compiler /nonexistent/cc: install gcc\n",
        )  # fmt: skip


FRAMES = [Captured(1, 1_700_000_000_000_001_000 + n, bytes([n]) * n, n + 7) for n in range(1, 30)]


@pytest.mark.parametrize("seed", range(8))
def test_frames_come_back_from_the_capture_files_that_are_made_of_them(seed: int) -> None:
    written, marks = pcap_file(FRAMES, random.Random(seed))
    back = list(frames_of(written))
    assert [frame.data for frame in back] == [frame.data for frame in FRAMES]
    assert {frame.length - len(frame.data) for frame in back} == {7}
    assert len(marks) == len(FRAMES) + 1
    written, marks = pcapng_file(FRAMES, random.Random(seed))
    assert [frame.data for frame in frames_of(written)] == [frame.data for frame in FRAMES]
    assert len(marks) == len(FRAMES) + 2


def test_damage_is_the_same_for_the_same_dice() -> None:
    written, marks = pcap_file(FRAMES, random.Random(1))
    tries = [damaged(written, marks, random.Random(seed)) for seed in range(40)]
    assert tries == [damaged(written, marks, random.Random(seed)) for seed in range(40)]
    assert len(set(tries)) > 25


def test_the_seeds_are_what_their_script_writes(repo_root: Path) -> None:
    there = {path.name: path.read_bytes() for path in (repo_root / "fuzz/seeds").iterdir()}
    assert there == seed_files(), "run python -m fuzz.make_seeds"
