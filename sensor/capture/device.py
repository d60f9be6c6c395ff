"""One interface opened through pypcap, whose peculiarities end here.

pypcap opens a file of the interface's name before the interface, reports an error of dispatch by -1 alone, keeps
a frame's length on the wire to itself, takes libpcap's warnings for errors, and crashes when a closed handle is asked.
"""

from __future__ import annotations

import os
import socket
import stat
from typing import Any

from common.errors import UserError
from sensor.capture._bpf import FilterProgram
from sensor.capture._feed import FrameFeed
from sensor.config import CaptureConfig
from sensor.decode._frame import SUPPORTED_LINK_TYPES
from sensor.flow._table import FlowTable

ANY = "any"
# The kernel hands a block of its buffer over after this time, full or not.
_BLOCK_MS = 100
_WHOLE_FRAMES = CaptureConfig().snap_length_bytes


class CaptureError(UserError):
    """The interface cannot be captured on."""


class NotThereError(CaptureError):
    """The interface is not there, or down; that may change."""


class NotAllowedError(CaptureError):
    """The process has no privilege to capture."""


def interface_names() -> list[str]:
    """Return the interfaces that libpcap would capture on."""
    return list(_pcap().findalldevs())


class Device:
    """An open interface. ``dispatch`` counts the packets that wait into a table; it never waits itself."""

    def __init__(self, name: str, expression: str, config: CaptureConfig) -> None:
        self.name = name
        _check_name(name)
        try:
            self._handle = _pcap().pcap(
                name=name,
                snaplen=config.snap_length_bytes,
                # libpcap warns that "any" cannot be promiscuous.
                promisc=config.promiscuous and name != ANY,
                timeout_ms=_BLOCK_MS,
                timestamp_in_ns=True,
                buffer_size=config.buffer_bytes,
            )
        except OSError as error:
            raise _open_problem(name, _words(error)) from None
        if not stat.S_ISSOCK(os.fstat(self._handle.fd).st_mode):
            raise _file_problem(name)
        self.fd = int(self._handle.fd)
        self.link_type = int(self._handle.datalink())
        self._snap_length = int(self._handle.snaplen)
        self._feed: FrameFeed | None = None
        self._set_filter(expression)
        self._handle.setnonblock(nonblock=True)

    def dispatch(self, table: FlowTable, packets: int) -> int:
        """Count at most ``packets`` that wait; return how many. CaptureError when the interface is gone."""
        if self._feed is None:
            self._feed = FrameFeed(table, self.link_type, self._snap_length)
        try:
            count = int(self._handle.dispatch(packets, self._feed))
        except OSError as error:
            raise CaptureError(f"capture on {self.name} stopped: {_words(error)}") from None
        finally:
            self._feed.settle()
        if count < 0:
            raise CaptureError(f"capture on {self.name} stopped: {self._handle.geterr().decode(errors='replace')}")
        return count

    @property
    def last_ns(self) -> int:
        """Time of the latest packet; 0 before the first."""
        return self._feed.last_ns if self._feed is not None else 0

    def counters(self) -> tuple[int, int]:
        """Return libpcap's 32-bit counters: packets dropped by the kernel, and by the interface."""
        _, kernel, interface = self._handle.stats()
        return int(kernel), int(interface)

    def close(self) -> None:
        """Give the interface back; nothing may be asked of the device afterwards."""
        handle, self._handle = self._handle, None
        handle.close()

    def _set_filter(self, expression: str) -> None:
        if self.link_type not in SUPPORTED_LINK_TYPES:
            raise CaptureError(f"{self.name} has link type {self.link_type}, which is not supported")
        if not expression and self._snap_length >= _WHOLE_FRAMES:
            return
        try:
            FilterProgram(expression, self.link_type)  # its message is libpcap's own
            # Without a filter the kernel would cut nothing off, and the buffer would hold whole frames.
            self._handle.setfilter(expression)
        except (OSError, ValueError) as error:
            raise CaptureError(f"bad filter {expression!r}: {_words(error)}; see pcap-filter(7)") from None


def _check_name(name: str) -> None:
    if os.path.lexists(name):
        raise _file_problem(name)
    known = [known for _, known in socket.if_nameindex()]
    if name not in (*known, ANY):
        raise NotThereError(f"no interface {name!r}; there are {', '.join([*known, ANY])}")


def _file_problem(name: str) -> CaptureError:
    return CaptureError(
        f"a file named {name!r} is in the working directory and would be read "
        "instead of the interface; start from another directory"
    )


def _open_problem(name: str, words: str) -> CaptureError:
    lowered = words.lower()
    if "permi" in lowered:
        return NotAllowedError(f"no permission to capture on {name}; run as root, or give the process CAP_NET_RAW")
    if "not up" in lowered or "network is down" in lowered:
        return NotThereError(f"{name} is down; bring it up with: ip link set {name} up")
    if "no such device" in lowered:
        return NotThereError(f"{name} went away while it was opened; see ip link")
    return CaptureError(f"cannot capture on {name}: {words}")


def _pcap() -> Any:
    try:
        import pcap  # noqa: PLC0415 - reading files works where pypcap is not installed
    except ImportError as error:
        raise CaptureError(f"pypcap cannot be loaded ({error}); install the extra tunnelwatch[sensor]") from None
    return pcap


def _words(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
