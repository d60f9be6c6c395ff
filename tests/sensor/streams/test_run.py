"""A run over streams: everybody takes all events and is closed, whatever ends it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from assembled import Talk

from common.errors import UserError
from sensor.stream.events import Event
from sensor.streams.console import Console, Options, text_form
from sensor.streams.files import BUFFER_BYTES, OutputFiles
from sensor.streams.names import Template
from sensor.streams.recorder import Recorder
from sensor.streams.report import Index
from sensor.streams.run import Lists, Recording, Showing, Stop, account, run

BATCHES = [Talk(1).out(b"a").end(), Talk(2).out(b"b").end()]


class Taking:
    def __init__(self, error: Exception | None = None) -> None:
        self.taken: list[Event] = []
        self.closed = 0
        self.counts: dict[str, int] = {}
        self._error = error

    def take(self, events: Sequence[Event]) -> None:
        self.taken.extend(events)
        if self._error:
            raise self._error

    def close(self) -> None:
        self.closed += 1


def test_all_take_everything_and_are_closed_once() -> None:
    takers = [Taking(), Taking()]
    run(BATCHES, takers)
    assert [taker.taken for taker in takers] == [BATCHES[0] + BATCHES[1]] * 2
    assert [taker.closed for taker in takers] == [1, 1]


def test_when_one_fails_all_are_closed() -> None:
    takers = [Taking(), Taking(UserError("full")), Taking()]
    with pytest.raises(UserError, match="full"):
        run(BATCHES, takers)
    assert [taker.closed for taker in takers] == [1, 1, 1]


def test_when_the_events_fail_all_are_closed() -> None:
    def damaged() -> Iterator[list[Event]]:
        yield BATCHES[0]
        raise UserError("cut off")

    taker = Taking()
    with pytest.raises(UserError, match="cut off"):
        run(damaged(), [taker])
    assert (taker.taken, taker.closed) == (BATCHES[0], 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_events(number: signal.Signals) -> None:
    def silent() -> Iterator[list[Event]]:
        yield BATCHES[0]
        os.kill(os.getpid(), number)
        time.sleep(60)

    taker, stop = Taking(), Stop()
    before = time.monotonic()
    with stop.signals():
        run(stop.until_asked(silent()), [taker])
    assert time.monotonic() - before < 30
    assert stop.asked
    assert (taker.taken, taker.closed) == (BATCHES[0], 1)


def test_a_signal_while_events_are_taken_lets_them_be_taken() -> None:
    class Signalled(Taking):
        def take(self, events: Sequence[Event]) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            super().take(events)

    taker, stop = Signalled(), Stop()
    with stop.signals():
        run(stop.until_asked(BATCHES), [taker])
    assert (taker.taken, taker.closed) == (BATCHES[0], 1)


def test_the_second_signal_ends_everything() -> None:
    stop = Stop()
    with stop.signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_lists_are_closed_though_the_disk_is_not_there(tmp_path: Path) -> None:
    files, index = OutputFiles(tmp_path, 1), Index(tmp_path / "index")
    recorder = Recorder(files, Template("%a"), index.add)
    recording = Recording(recorder, files, Lists(None, index))
    much = 2 * BUFFER_BYTES  # so that it is on disk
    recording.take([*Talk(1).back(b"1").end(), *Talk(2).back(b"2" * much).out(b"3" * much).back(b"2").events])
    (tmp_path / "03128c1").unlink()  # it is closed, and cannot be opened again
    with pytest.raises(UserError, match="cannot write"):
        recording.close()
    assert (tmp_path / "index").read_text().count("\n") >= 1


def test_text_is_there_as_soon_as_its_events_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    showing = Showing(Console(text_form(Options(header=False)), Template()))
    showing.take(BATCHES[0])
    assert capfdbinary.readouterr().out == b"a\n"
    showing.close()


def test_the_account_names_drops_only_where_there_are_any() -> None:
    one, other = Taking(), Taking()
    one.counts = {"connections": 2, "bytes": 10, "gaps": 1, "gap_bytes": 5}
    other.counts = {"connections": 2, "bytes": 10, "files": 3, "bytes_beyond_limit": 4}
    assert account([one]) == "connections 2, files 0, bytes 10, gaps 1 (5 bytes)"
    assert account([one, other]) == ("connections 2, files 3, bytes 10, gaps 1 (5 bytes), 4 bytes beyond -b left out")
