"""Live capture on several interfaces at once: polled together, lost and found again, their drops added up."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from common.errors import UserError
from sensor.capture.device import ANY, CaptureError, Device, NotAllowedError, NotThereError
from sensor.config import CaptureConfig
from sensor.flow._table import FlowTable

# One interface's share of a turn, so that a busy one holds up neither the others nor the outputs.
PACKETS_PER_TURN = 10_000
_NS = 1_000_000_000
_LOOK_NS = _NS
_LAST_BLOCK_NS = 3 * _NS // 10
_FIRST_RETRY_NS = _NS // 4
_LAST_RETRY_NS = 8 * _NS
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 1


class Drops(NamedTuple):
    """Packets lost before the sensor saw them."""

    kernel: int
    interface: int


class DropCounter:
    """Adds up libpcap's 32-bit counter of one interface, over wrap-around and over handles."""

    def __init__(self) -> None:
        self.total = 0
        self._last = 0

    def read(self, value: int) -> None:
        """Take the counter as it stands now."""
        step = (value - self._last) & 0xFFFFFFFF
        # libpcap takes the interface's own counter for zero when the interface is gone, and counts backwards.
        if step < 1 << 31:
            self.total += step
        self._last = value

    def restart(self) -> None:
        """A new handle counts from zero."""
        self._last = 0


class _Tap:
    """One interface that was asked for, open or lost."""

    def __init__(self, device: Device) -> None:
        self.name = device.name
        self.device: Device | None = device
        self.count = 0
        self.down = False
        self.error: CaptureError | None = None
        self.lost_ns = 0
        self.retry_ns = 0
        self.wait_ns = 0
        self.refusal = ""
        self.kernel = DropCounter()
        self.interface = DropCounter()

    def read_counters(self) -> None:
        if self.device is None:
            return
        try:
            kernel, interface = self.device.counters()
        except OSError:  # an interface that vanished has no more to say
            return
        self.kernel.read(kernel)
        self.interface.read(interface)


class LiveSource:
    """Open interfaces. ``turn`` waits a little for packets and counts them into a table.

    An interface that vanishes is opened again when it is back, while the others go on; ``look_after``
    sees to that.  What happened waits in ``news``, a line each.
    """

    def __init__(
        self,
        interfaces: Sequence[str],
        expression: str,
        config: CaptureConfig,
        open_device: Callable[[str, str, CaptureConfig], Device] = Device,
    ) -> None:
        _check_names(interfaces)
        self.news: list[str] = []
        self._expression = expression
        self._config = config
        self._open_device = open_device
        self._poll = select.poll()
        self._look_ns = 0
        self._taps: list[_Tap] = []
        self._asking = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            for name in interfaces:
                tap = _Tap(open_device(name, expression, config))
                self._taps.append(tap)
                self._poll.register(tap.device.fd, select.POLLIN)  # type: ignore[union-attr]
        except CaptureError:
            self.close()
            raise

    @property
    def interface(self) -> str:
        """The interfaces' names."""
        return ", ".join(tap.name for tap in self._taps)

    @property
    def lost(self) -> str:
        """The names of those that vanished and are not back."""
        return ", ".join(tap.name for tap in self._taps if tap.device is None or tap.error is not None)

    def turn(self, table: FlowTable, wait_ms: int) -> int:
        """Wait up to ``wait_ms`` for packets, count those that came; return how many."""
        if any(event & ~select.POLLIN for _, event in self._poll.poll(wait_ms)):
            self._look_ns = 0  # something happened to an interface
        count = 0
        for tap in self._taps:
            if tap.device is None:
                continue
            try:
                tap.count = tap.device.dispatch(table, PACKETS_PER_TURN)
            except CaptureError as error:
                tap.count = 0
                tap.error = error
            count += tap.count
        return count

    def drained(self, time_ns: int) -> bool:
        """Return whether every open interface had nothing more, or something later than this, in the last turn."""
        return all(tap.device is None or not tap.count or tap.device.last_ns > time_ns for tap in self._taps)

    def look_after(self, now_ns: int) -> None:
        """Open again what was lost, when its time has come; notice what went down or came up.

        CaptureError when that is not allowed any more: starting anew is all that helps.
        """
        for tap in self._taps:
            if tap.error is not None:
                self._lose(tap, now_ns)
            elif tap.device is None and now_ns >= tap.retry_ns:
                self._reopen(tap, now_ns)
        if now_ns >= self._look_ns:
            self._look_ns = now_ns + _LOOK_NS
            for tap in self._taps:
                if tap.device is not None and tap.name != ANY:
                    self._look(tap)

    def drops(self) -> Drops:
        """Return what was lost so far, on all interfaces together."""
        for tap in self._taps:
            tap.read_counters()
        return Drops(sum(tap.kernel.total for tap in self._taps), sum(tap.interface.total for tap in self._taps))

    def close(self) -> None:
        """Give the interfaces back."""
        self._asking.close()
        for tap in self._taps:
            if tap.device is not None:
                tap.read_counters()
                tap.device.close()
                tap.device = None

    def _lose(self, tap: _Tap, now_ns: int) -> None:
        """Close a vanished interface, a little later: the kernel still hands over the block it was filling."""
        assert tap.device is not None
        if not tap.lost_ns:
            tap.lost_ns = now_ns
            rest = sum(other.error is None and other.device is not None for other in self._taps)
            others = f"; {rest} of {len(self._taps)} interfaces go on" if len(self._taps) > 1 else ""
            self.news.append(f"{tap.error}; trying again until it is back{others}")
        if now_ns - tap.lost_ns < _LAST_BLOCK_NS:
            return
        tap.read_counters()
        self._poll.unregister(tap.device.fd)
        tap.device.close()
        tap.device = tap.error = None
        tap.down = False
        tap.retry_ns = now_ns
        tap.wait_ns = _FIRST_RETRY_NS
        tap.refusal = ""

    def _reopen(self, tap: _Tap, now_ns: int) -> None:
        try:
            device = self._open_device(tap.name, self._expression, self._config)
        except NotAllowedError as error:
            raise CaptureError(f"{tap.name} is back, but: {error}") from None
        except CaptureError as error:
            tap.retry_ns = now_ns + tap.wait_ns
            tap.wait_ns = min(2 * tap.wait_ns, _LAST_RETRY_NS)
            if not isinstance(error, NotThereError) and str(error) != tap.refusal:
                tap.refusal = str(error)
                self.news.append(f"{error}; trying again")
            return
        tap.device = device
        tap.kernel.restart()
        tap.interface.restart()
        self._poll.register(device.fd, select.POLLIN)
        self.news.append(f"{tap.name} is back, after {(now_ns - tap.lost_ns) / _NS:.1f} s")
        tap.lost_ns = 0

    def _look(self, tap: _Tap) -> None:
        """Notice that an interface went down or came up. Its handle stays good meanwhile."""
        try:
            request = struct.pack("16sH14x", tap.name.encode(), 0)
            (flags,) = struct.unpack_from("H", fcntl.ioctl(self._asking, _SIOCGIFFLAGS, request), 16)
        except OSError:  # gone: the next turn will say so
            return
        down = not flags & _IFF_UP
        if down != tap.down:
            tap.down = down
            self.news.append(
                f"{tap.name} is down: nothing comes from it until it is up" if down else f"{tap.name} is up again"
            )


def _check_names(interfaces: Sequence[str]) -> None:
    for place, name in enumerate(interfaces):
        if name in interfaces[:place]:
            raise UserError(f"{name} is named twice and would be counted twice; give -i {name} once")
    if ANY in interfaces and len(interfaces) > 1:
        raise UserError("any holds the other interfaces too, which would be counted twice; give -i any alone")
