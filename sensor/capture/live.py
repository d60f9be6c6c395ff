"""Live capture on one interface through pypcap, with the kernel's filter and its drop counters."""

from __future__ import annotations

import select
import socket
from pathlib import Path
from typing import Any

from common.errors import UserError
from sensor.capture._bpf import FilterProgram
from sensor.capture._feed import FrameFeed
from sensor.config import CaptureConfig
from sensor.decode._frame import SUPPORTED_LINK_TYPES
from sensor.flow._table import FlowTable

_READ_TIMEOUT_MS = 100
PACKETS_PER_TURN = 10_000


class CaptureError(UserError):
    """The interface cannot be captured on."""


def interface_names() -> list[str]:
    """Return the interfaces that libpcap would capture on."""
    return list(_pcap().findalldevs())


class LiveSource:
    """An open interface. ``turn`` waits a little for packets and counts them into a table."""

    def __init__(self, interface: str, expression: str, config: CaptureConfig) -> None:
        self.interface = interface
        self._check_name()
        try:
            self._handle = _pcap().pcap(
                name=interface,
                snaplen=config.snap_length_bytes,
                promisc=config.promiscuous,
                timeout_ms=_READ_TIMEOUT_MS,
                timestamp_in_ns=True,
                buffer_size=config.buffer_bytes,
            )
        except OSError as error:
            raise CaptureError(_open_problem(interface, _words(error))) from None
        self.link_type = int(self._handle.datalink())
        self._snap_length = int(self._handle.snaplen)
        self._set_filter(expression)
        self._handle.setnonblock(nonblock=True)
        self._poll = select.poll()
        self._poll.register(self._handle.fd, select.POLLIN)

    def turn(self, table: FlowTable, wait_ms: int) -> int:
        """Wait up to ``wait_ms`` for packets, count those that came; return how many."""
        self._poll.poll(wait_ms)
        try:
            count = int(self._handle.dispatch(PACKETS_PER_TURN, FrameFeed(table, self.link_type, self._snap_length)))
        except OSError as error:
            raise CaptureError(f"capture on {self.interface} stopped: {_words(error)}") from None
        if count < 0:
            reason = self._handle.geterr().decode(errors="replace")
            raise CaptureError(f"capture on {self.interface} stopped: {reason}; start again when it is back")
        return count

    def drops(self) -> tuple[int, int]:
        """Return (packets dropped by the kernel, packets dropped by the interface) so far."""
        _, kernel, interface = self._handle.stats()
        return int(kernel), int(interface)

    def close(self) -> None:
        """Give the interface back."""
        self._handle.close()

    def _check_name(self) -> None:
        if Path(self.interface).exists():
            # pypcap opens a file of that name instead of the interface.
            raise CaptureError(
                f"a file named {self.interface!r} is in the working directory and would be read "
                "instead of the interface; start from another directory"
            )
        if self.interface == "any":
            return
        known = [name for _, name in socket.if_nameindex()]
        if self.interface not in known:
            raise CaptureError(f"no interface {self.interface!r}; there are {', '.join([*known, 'any'])}")

    def _set_filter(self, expression: str) -> None:
        if self.link_type not in SUPPORTED_LINK_TYPES:
            raise CaptureError(f"{self.interface} has link type {self.link_type}, which is not supported")
        if not expression:
            return
        try:
            FilterProgram(expression, self.link_type)  # its message is libpcap's own
            self._handle.setfilter(expression)
        except (OSError, ValueError) as error:
            raise CaptureError(f"bad filter {expression!r}: {_words(error)}; see pcap-filter(7)") from None


def _pcap() -> Any:
    try:
        import pcap  # noqa: PLC0415 - reading files works where pypcap is not installed
    except ImportError as error:
        raise CaptureError(f"pypcap cannot be loaded ({error}); install the extra tunnelwatch[sensor]") from None
    return pcap


def _words(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)


def _open_problem(interface: str, words: str) -> str:
    lowered = words.lower()
    if "permi" in lowered or "not permitted" in lowered:
        return f"no permission to capture on {interface}; run as root, or give the process CAP_NET_RAW"
    if "not up" in lowered or "network is down" in lowered:
        return f"{interface} is down; bring it up with: ip link set {interface} up"
    return f"cannot capture on {interface}: {words}"
