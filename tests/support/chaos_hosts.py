"""The hosts of a chaos run: sensors fed through a pipe, a correlator, a relay between them, and disks that fill up."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from packets import ethernet, ipv4, udp
from programs import AS_ROOT, CORRELATOR, SENSOR

_SENSOR_CONFIG = """
[flow]
udp_timeout_s = 0.1
active_timeout_s = 1
[log]
batch_records = 20
flush_s = 0.1
[ship]
window_frames = 32
window_bytes = 65536
resend_s = 0.5
resend_max_s = 2
give_up_s = 20
segment_bytes = 65536
"""
_T0_S = 1_700_000_000
_PACKETS_PER_CHUNK = 40
_CHUNK_S = 0.05
_CAPTURE_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)


class Traffic:
    """Packets of short flows that never end, and of one long flow in parts, a millisecond apart."""

    def __init__(self, network: int, dice: random.Random) -> None:
        self._network = network
        self._dice = dice
        self._count = 0
        there = ethernet(ipv4("10.0.0.1", "192.0.2.1", 17, udp(1024, 53, b"a known stream")))
        back = ethernet(ipv4("192.0.2.1", "10.0.0.1", 17, udp(53, 1024, b"an answer")))
        self._there, self._back = there, back

    def chunk(self) -> bytes:
        """Return the next packets as a capture file holds them."""
        return b"".join(self._some(self._dice.choice((1, 1, 1, 3)) * _PACKETS_PER_CHUNK))

    def _some(self, count: int) -> Iterator[bytes]:
        for _ in range(count):
            self._count += 1
            number = self._count
            # The long flow is client 0's.
            client = 0 if number % 50 == 0 else number % 200 + 1
            address = bytes((10, self._network, client >> 8, client & 255))
            port = struct.pack(">H", 9 if client == 0 else 1024 + number // 200 % 60_000)
            frames = [self._there[:26] + address + self._there[30:34] + port + self._there[36:]]
            if number % 3 == 0:
                frames.append(self._back[:30] + address + self._back[34:36] + port + self._back[38:])
            for frame in frames:
                seconds, millis = divmod(number, 1000)
                yield struct.pack("<IIII", _T0_S + seconds, millis * 1_000_000, len(frame), len(frame)) + frame


class Host:
    """One program that is killed, stopped and started again; what it says is appended to a log."""

    def __init__(self, command: Sequence[str], log: Path, *, fed: bool = False) -> None:
        self.command = command
        self.log = log
        self.starts = 0
        self.ended_by_itself = 0
        self._fed = fed
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it, whatever it was doing before."""
        if self.process is not None and self.process.poll() is not None:
            self.ended_by_itself += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE if self._fed else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.starts += 1

    def kill(self) -> bool:
        """Kill it as nothing can be killed harder; False when it was not running."""
        if self.process is None or not self.alive:
            return False
        self.process.kill()
        self.process.wait(20)
        self.process = None
        return True

    def signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.alive:
            self.process.send_signal(number)


class SensorHost(Host):
    """A sensor that reads a capture from a pipe for as long as it lives."""

    def __init__(self, number: int, directory: Path, spool: Path, port: int, dice: random.Random) -> None:
        config = directory / "sensor.toml"
        config.write_text(_SENSOR_CONFIG)
        self.spool = spool
        spool.mkdir()
        endpoint = ("--ship", f"tcp://127.0.0.1:{port}", "--plaintext", "--spool", str(spool))
        self.name = f"chaos-{number}"
        command = (SENSOR, "read", "-", *endpoint, "--sensor", self.name, "--config", str(config), *AS_ROOT)
        super().__init__(command, directory / f"{self.name}.log", fed=True)
        self._traffic = Traffic(number, dice)
        self._feeder: threading.Thread | None = None
        self._enough = threading.Event()

    def start(self) -> None:
        """Start it and feed it."""
        super().start()
        assert self.process is not None
        assert self.process.stdin is not None
        self._enough = threading.Event()
        self._feeder = threading.Thread(target=self._feed, args=(self.process.stdin, self._enough), daemon=True)
        self._feeder.start()

    def kill(self) -> bool:
        """Kill it, and end its feeder."""
        killed = super().kill()
        self.feed_no_more()
        return killed

    def feed_no_more(self) -> None:
        """Let its capture end."""
        self._enough.set()
        if self._feeder is not None:
            self._feeder.join(30)

    def empty_spool(self, timeout_s: float) -> int:
        """Run it once on an empty capture, which ships what its spool holds; return its exit code."""
        with self.log.open("ab") as log:
            done = subprocess.run(
                self.command, input=_CAPTURE_HEADER, stdout=subprocess.DEVNULL, stderr=log, check=False,
                timeout=timeout_s,
            )  # fmt: skip
        return done.returncode

    def _feed(self, pipe: object, enough: threading.Event) -> None:
        descriptor = pipe.fileno()  # type: ignore[attr-defined]
        with suppress(OSError):
            os.write(descriptor, _CAPTURE_HEADER)
            while not enough.wait(_CHUNK_S):
                view = memoryview(self._traffic.chunk())
                while view:
                    view = view[os.write(descriptor, view) :]
        with suppress(OSError):
            pipe.close()  # type: ignore[attr-defined]


class CorrelatorHost(Host):
    """The correlator, on a port of its own."""

    def __init__(self, directory: Path, db: Path, port: int) -> None:
        bind = ("--plaintext", "--bind", f"tcp://127.0.0.1:{port}")
        super().__init__((CORRELATOR, "--db", str(db), "serve", *bind), directory / "correlator.log")
        self.db = db


class RelayHost:
    """The relay's process."""

    def __init__(self, target_port: int) -> None:
        command = [sys.executable, str(Path(__file__).with_name("relay.py")), "0", "127.0.0.1", str(target_port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split()[1])

    def say(self, word: str) -> None:
        """Tell it what to do."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


class Disk:
    """A small file system that can be filled up with a ballast file."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        path.mkdir()
        self.path = path
        self._ballast = path / "ballast"
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path)],
            check=True, capture_output=True, text=True, timeout=10,
        )  # fmt: skip

    def fill(self, leave_bytes: int) -> None:
        """Leave so much room and no more."""
        room = os.statvfs(self.path)
        size = room.f_bavail * room.f_frsize - leave_bytes
        if size > 0:
            with self._ballast.open("ab") as file, suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, size)

    def free(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it, once nobody uses it."""
        subprocess.run(["umount", "-l", str(self.path)], check=False, capture_output=True, timeout=10)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


STOP, CONTINUE = signal.SIGSTOP, signal.SIGCONT
