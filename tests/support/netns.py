"""Two network namespaces joined by a veth pair, made and removed by the test that needs them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

# Sends the frames of a pcap file on an interface as they are, a pause after every 64.
_SEND = """
import socket, struct, sys, time
data = open(sys.argv[2], "rb").read()
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[1], 0))
at, sent = 24, 0
while at < len(data):
    size = struct.unpack_from("<I", data, at + 8)[0]
    out.send(data[at + 16 : at + 16 + size])
    at, sent = at + 16 + size, sent + 1
    if sent % 64 == 0:
        time.sleep(0.002)
"""

_QUIET = "'for all in all default; do echo 1 > /proc/sys/net/ipv6/conf/$all/disable_ipv6; done'"


class Wire(NamedTuple):
    """A veth pair: frames sent on ``talker`` arrive on ``tap``."""

    talker_namespace: str
    talker: str
    tap_namespace: str
    tap: str

    def on_tap(self, *command: str) -> list[str]:
        """The command line that runs a command where the tap is."""
        return ["ip", "netns", "exec", self.tap_namespace, *command]

    def on_talker(self, *command: str) -> list[str]:
        """The command line that runs a command at the other end."""
        return ["ip", "netns", "exec", self.talker_namespace, *command]

    def address(self) -> None:
        """Give both ends an address of 198.51.100.0/24: the talker 1, the tap 2; and the talker its loopback."""
        for step in (
            self.on_tap(*f"ip address add 198.51.100.2/24 dev {self.tap}".split()),
            self.on_talker(*f"ip address add 198.51.100.1/24 dev {self.talker}".split()),
            self.on_talker("ip", "link", "set", "lo", "up"),
        ):
            subprocess.run(step, check=True, timeout=10)

    def send(self, capture: Path) -> None:
        """Send a pcap file's frames, and wait until the tap's interface has seen them all."""
        before = self._received()
        frames = _frames(capture)
        command = self.on_talker(sys.executable, "-c", _SEND, self.talker, str(capture))
        subprocess.run(command, check=True, timeout=30)
        deadline = time.monotonic() + 10
        while self._received() < before + frames:
            assert time.monotonic() < deadline, "the frames did not arrive"
            time.sleep(0.01)

    def replay(self, capture: Path, packets_per_s: int) -> int:
        """Play a capture with tcpreplay, as fast as it can with 0; return how many packets went out, which is all."""
        pace = ["--topspeed"] if packets_per_s == 0 else [f"--pps={packets_per_s}"]
        command = self.on_talker("tcpreplay", *pace, "-i", self.talker, str(capture))
        before = self._received()
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=40)
        counts = dict(re.findall(r"^\s*(Successful|Failed|Truncated) packets:\s+(\d+)", done.stdout, re.MULTILINE))
        assert (counts["Failed"], counts["Truncated"]) == ("0", "0"), done.stdout
        sent = int(counts["Successful"])
        assert self._received() == before + sent
        return sent

    def join(self) -> None:
        """Make the pair again, after one end of it was deleted."""
        for step in self._joining():
            subprocess.run(step.split(), check=True, timeout=10)

    def _joining(self) -> list[str]:
        return [
            f"ip -n {self.talker_namespace} link add {self.talker} type veth peer name {self.tap}",
            f"ip -n {self.talker_namespace} link set {self.tap} netns {self.tap_namespace}",
            f"ip -n {self.talker_namespace} link set {self.talker} mtu 9000 up",
            f"ip -n {self.tap_namespace} link set {self.tap} mtu 9000 up",
        ]

    def set(self, *words: str) -> None:
        """Run ``ip`` where the tap is."""
        subprocess.run(self.on_tap("ip", *words), check=True, timeout=10)

    def set_talker(self, *words: str) -> None:
        """Run ``ip`` at the other end."""
        subprocess.run(self.on_talker("ip", *words), check=True, timeout=10)

    def _received(self) -> int:
        path = f"/sys/class/net/{self.tap}/statistics/rx_packets"
        shown = subprocess.run(self.on_tap("cat", path), check=True, capture_output=True, text=True, timeout=10)
        return int(shown.stdout)


def _frames(capture: Path) -> int:
    data, at, frames = capture.read_bytes(), 24, 0
    while at < len(data):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        frames += 1
    return frames


@contextmanager
def wire() -> Iterator[Wire]:
    """Make a Wire, or skip the test with the reason why it cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make network namespaces")
    if shutil.which("ip") is None:
        pytest.skip("needs the ip command (iproute2) to make network namespaces")
    tag = f"tw{os.getpid() % 100_000}"
    pair = Wire(f"{tag}a", f"{tag}x", f"{tag}b", f"{tag}y")
    steps = [
        f"ip netns add {pair.talker_namespace}",
        f"ip netns add {pair.tap_namespace}",
        # Nothing is on the wire but what a test sends.
        f"ip netns exec {pair.talker_namespace} sh -c {_QUIET}",
        f"ip netns exec {pair.tap_namespace} sh -c {_QUIET}",
        f"ip -n {pair.tap_namespace} link set lo up",
        *pair._joining(),
    ]
    try:
        for step in steps:
            done = subprocess.run(shlex.split(step), capture_output=True, text=True, check=False, timeout=10)
            if done.returncode:
                pytest.skip(f"cannot make network namespaces here: {step}: {done.stderr.strip()}")
        yield pair
    finally:
        for namespace in (pair.talker_namespace, pair.tap_namespace):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False, timeout=10)
