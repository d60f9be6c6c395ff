"""The wire's fuzz harness: a short run of it, and that it finds what it is there to find."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common import flowlog
from common.flowlog import (
    FILE_HEADER,
    MAX_FRAME_BYTES,
    Batch,
    Frame,
    decode_frame,
    encode_frame,
    scan_frames,
)
from common.link import unpack_frame
from common.records import RecordReader
from fuzz import wire, wire_seeds
from fuzz.msgpack_mutate import VALUES, tokens
from fuzz.wire_checks import Checks, Finding
from fuzz.wire_inputs import ROUND_INPUTS, Corpus, Input, Inputs, load

Fuzz = Callable[..., subprocess.CompletedProcess[str]]
SEED = 1


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load(shared=False)


@pytest.fixture
def fuzz(repo_root: Path) -> Fuzz:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fuzz.wire", "--no-shared", "--jobs", "2", *arguments],
            cwd=repo_root, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[wire.Found]]:
    """Run two rounds in this process; return what they found."""
    monkeypatch.setattr(wire, "FINDINGS", tmp_path)

    def run() -> list[wire.Found]:
        return wire.Run(wire.Job(SEED, 2 * ROUND_INPUTS, shared=False), lambda _number: None).all().found

    return run


class TestRun:
    def test_a_short_run_finds_nothing(self, fuzz: Fuzz) -> None:
        done = fuzz("--inputs", "100000", "--seconds", "8", "--seed", str(SEED))
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith("nothing found\n")

    @pytest.mark.parametrize(
        ("fault", "words"),
        [("error", "KeyError: 'planted'"), ("hang", "stands still for 2 s"), ("crash", "the process ended with -6")],
    )
    def test_a_planted_fault_is_found_and_seen_again_by_its_seed_and_number(
        self, fuzz: Fuzz, fault: str, words: str
    ) -> None:
        done = fuzz("--inputs", "4000", "--seed", "3", "--plant", fault, "--stall-seconds", "2")
        assert done.returncode == 1, done.stdout + done.stderr
        found = re.search(f"FOUND at ([0-9]+): {re.escape(words)}", done.stdout)
        assert found, done.stdout
        assert f"--replay 3:{found.group(1)} --no-shared" in done.stdout
        if fault == "error":
            again = fuzz("--replay", f"3:{found.group(1)}", "--plant", fault)
            assert (again.returncode, "KeyError: 'planted'" in again.stdout) == (1, True), again.stdout


class TestWhatIsFound:
    def test_an_error_that_a_record_lets_out(
        self, findings: Callable[[], list[wire.Found]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = RecordReader.read

        def faulty(self: RecordReader[Any], row: Any) -> Any:
            if isinstance(row, tuple) and any(value is True for value in row):
                raise KeyError(7)
            return read(self, row)

        monkeypatch.setattr(RecordReader, "read", faulty)
        assert {found.what for found in findings()} == {"KeyError: 7"}

    def test_two_ways_of_decoding_that_disagree(
        self, findings: Callable[[], list[wire.Found]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        general = flowlog._any_batch

        def other(payload: bytes | memoryview) -> flowlog.Batch:
            batch = general(payload)
            return batch._replace(first_ns=batch.first_ns + 1)

        monkeypatch.setattr(flowlog, "_any_batch", other)
        assert any("the two ways of decoding differ" in found.what for found in findings())

    def test_a_whole_frame_that_is_passed_over(
        self, findings: Callable[[], list[wire.Found]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(flowlog, "_resynchronise", lambda _data, _offset, budget: (None, budget))
        assert any("were not found" in found.what for found in findings())

    def test_an_error_that_a_message_lets_out(
        self, findings: Callable[[], list[wire.Found]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def faulty(parts: list[bytes]) -> Any:
            if len(parts) != 3:
                raise IndexError(len(parts))
            return unpack_frame(parts)

        monkeypatch.setattr("correlator.ingest.peers.unpack_frame", faulty)
        assert {found.what.split(":")[0] for found in findings()} == {"IndexError"}

    def test_an_input_that_takes_too_long(
        self, findings: Callable[[], list[wire.Found]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wire, "LIMIT_S", 0.0)
        assert any("of processor time" in found.what for found in findings())

    def test_the_report_holds_the_traceback_and_the_input_as_hex(
        self, tmp_path: Path, findings: Callable[[], list[wire.Found]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Checks, "answer", lambda _checks, parts, _intact: 1 / 0 if any(parts) else None)
        found = findings()
        monkeypatch.setattr(wire, "HERE", tmp_path / "fuzz")
        wire.FINDINGS.mkdir(exist_ok=True)
        assert wire.report(SEED, wire.Outcome(found=found), shared=False) == 1
        (kept,) = tmp_path.glob("wire-*.txt")
        assert re.search(r"ZeroDivisionError(.|\n)*input: answer\n0 \(", kept.read_text())


class TestInputs:
    def test_are_the_same_for_the_same_seed_and_number(self, corpus: Corpus) -> None:
        assert list(Inputs(corpus, 5, 39)) == list(Inputs(corpus, 5, 39))
        assert list(Inputs(corpus, 5, 39)) != list(Inputs(corpus, 6, 39))

    def test_reach_records_both_ways_of_decoding_and_every_other_check(self, corpus: Corpus, tmp_path: Path) -> None:
        counts: Counter[str] = Counter()
        for number in range(4):
            inputs = Inputs(corpus, SEED, number)
            checks = Checks(corpus, inputs.good_frames, tmp_path)
            for given in inputs:
                checks.run(given)
            checks.store()
            counts += checks.counts
        for name in (
            "inputs: file", "frames decoded", "frames decoded at once", "frames refused: crc", "headers accepted",
            "frames refused: msgpack", "records refused: record_value", "records refused: record_shape",
            "logs: damaged", "logs: torn", "logs: frames found again", "files: records stored", "answers accepted",
            "answers given", "records stored",
        ):  # fmt: skip
            assert counts[name] > 0, (name, counts)

    def test_seeds_are_good_frames(self, corpus: Corpus) -> None:
        for frame in Inputs(corpus, SEED, 0).good_frames:
            assert decode_frame(frame).sensor == "tap-1"

    def test_a_big_one_is_at_most_a_whole_frame(self, corpus: Corpus) -> None:
        for number in range(39, 40 * 20, 40):
            *_, last = Inputs(corpus, SEED, number)
            assert isinstance(last, Input)
            for item in scan_frames(memoryview(last.data), 0) if last.kind == "frame" else ():
                assert isinstance(item, Frame)
                assert len(item.payload) <= MAX_FRAME_BYTES

    def test_a_frame_made_whole_by_the_next_ones_first_byte_hides_that(self, corpus: Corpus, tmp_path: Path) -> None:
        header = corpus.header_frames[wire_seeds.NOW]
        ends_in_zero = encode_frame(Batch("beacon", "tap-1", wire_seeds.NOW, 1, 1, 1, [0]))
        checks = Checks(corpus, [header, ends_in_zero, header], tmp_path)
        log = FILE_HEADER + ends_in_zero[:-1] + header
        checks.log(log, (len(FILE_HEADER) + len(ends_in_zero) - 1,))
        with pytest.raises(Finding, match="were not found"):
            checks.log(log, (len(log) - 20,))


def test_tokens_fill_what_they_were_found_in() -> None:
    for value in VALUES:
        places = tokens(value)
        assert [place.start for place in places] == [0, *(place.end for place in places[:-1])]
        assert places[-1].end == len(value)
