"""A sensor's side of the link, and a correlator process to talk to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import zmq

from common.flowlog import Batch, encode_frame
from common.keys import KeyPair
from common.link import PING, Answer, pack_frame, pack_hello, unpack_answer
from common.sockets import encrypt

ROOT = Path(__file__).resolve().parents[2]
WAIT_MS = 20_000


class Sensor:
    """A DEALER that speaks common.link; with its own pair and the correlator's public key, under CURVE."""

    def __init__(self, endpoint: str, own: KeyPair | None = None, correlator: str = "") -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        if own is not None:
            encrypt(self._socket, own)
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, correlator.encode())
        self._socket.connect(endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._context.term()

    def hello(self, header: Batch) -> Answer:
        self.say(pack_hello(encode_frame(header)))
        return self.answer()

    def say_hello(self, header: Batch) -> None:
        """Say hello, and not mind when the connection was refused already."""
        with suppress(zmq.Again):
            self._socket.send_multipart(pack_hello(encode_frame(header)), zmq.DONTWAIT)

    def hears_nothing(self, wait_ms: int = 1500) -> bool:
        return not self._socket.poll(wait_ms)

    def send(self, batch: Batch) -> None:
        self.send_raw(batch.sequence, encode_frame(batch), batch.run)

    def send_raw(self, sequence: int, frame: bytes, run: int = 7) -> None:
        self.say(pack_frame(run, sequence, frame))

    def say(self, parts: list[bytes]) -> None:
        self._socket.send_multipart(parts)

    def ping(self) -> Answer:
        self.say([PING])
        return self.answer()

    def answer(self) -> Answer:
        return unpack_answer(self.raw_answer())

    def raw_answer(self) -> list[bytes]:
        """The parts of a message as they came."""
        if not self._socket.poll(WAIT_MS):
            raise TimeoutError("the correlator does not answer")
        return self._socket.recv_multipart()

    def answered_up_to(self, sequence: int) -> list[Answer]:
        answers = [self.answer()]
        while answers[-1].sequence < sequence:
            answers.append(self.answer())
        return answers


class Correlator:
    """A ``tunnelwatch serve`` process that listens."""

    def __init__(self, process: subprocess.Popen[str], endpoint: str) -> None:
        self.process = process
        self.endpoint = endpoint

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=20)

    def line_with(self, words: str) -> str:
        """The next line on standard error that holds these words; pytest's own limit ends the wait."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if words in line:
                return line.rstrip("\n")
        raise AssertionError(f"it ended without a line with {words!r}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=20)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "correlator", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@contextmanager
def serving(
    db: Path, *arguments: str, bind: str = "tcp://127.0.0.1:*", key: Path | None = None
) -> Iterator[Correlator]:
    """Start a correlator, with a key file or on plain text, and give it when it listens; it is gone afterwards."""
    how = ("--plaintext",) if key is None else ("--key", key)
    process = subprocess.Popen(
        command("--db", db, "serve", *how, "--bind", bind, *arguments),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line.startswith("listening on "), line + process.stderr.read()
        yield Correlator(process, line.removeprefix("listening on ").strip())
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=20)
        process.stderr.close()
