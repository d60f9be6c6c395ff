"""Several interfaces: lost and found again, their drops added up. The wires are in test_live_wire."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from packets import CLIENT, SERVER, SYN, T0, S, tcp_frame

from common.errors import UserError
from sensor.capture.device import CaptureError, Device, NotAllowedError, NotThereError
from sensor.capture.live import DropCounter, Drops, LiveSource
from sensor.config import CaptureConfig
from sensor.flow._table import FlowTable

FRAME = tcp_frame(CLIENT, SERVER, SYN)


class FakeDevice:
    """An interface whose packets and errors a test puts in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fd, self._other = os.pipe()
        self.waiting = 0
        self.gone = False
        self.drops = (0, 0)
        self.last_ns = 0
        self.closed = False

    def dispatch(self, table: FlowTable, packets: int) -> int:
        count = min(self.waiting, packets)
        if not count and self.gone:
            raise CaptureError(f"capture on {self.name} stopped: The interface disappeared")
        for _ in range(count):
            table.feed_frame(1, T0, FRAME)
        self.waiting -= count
        self.last_ns = T0 if count else self.last_ns
        return count

    def counters(self) -> tuple[int, int]:
        return self.drops

    def close(self) -> None:
        assert not self.closed
        self.closed = True
        os.close(self.fd)
        os.close(self._other)


class Interfaces:
    """What is there to be opened."""

    def __init__(self) -> None:
        self.opened: dict[str, FakeDevice] = {}
        self.refusal: CaptureError | None = None
        self.tries = 0

    def open(self, name: str, _expression: str, _config: CaptureConfig) -> Device:
        self.tries += 1
        if self.refusal is not None:
            raise self.refusal
        self.opened[name] = FakeDevice(name)
        return self.opened[name]  # type: ignore[return-value]


@pytest.fixture
def interfaces() -> Interfaces:
    return Interfaces()


@pytest.fixture
def live(interfaces: Interfaces) -> Iterator[LiveSource]:
    source = LiveSource(["tw0", "tw1"], "", CaptureConfig(), interfaces.open)
    yield source
    source.close()


def lose(live: LiveSource, interfaces: Interfaces, name: str, now_ns: int) -> None:
    interfaces.opened[name].gone = True
    live.turn(FlowTable(), 0)
    live.look_after(now_ns)
    live.look_after(now_ns + S)


def test_every_interface_has_its_share_of_a_turn(live: LiveSource, interfaces: Interfaces) -> None:
    table = FlowTable()
    interfaces.opened["tw0"].waiting, interfaces.opened["tw1"].waiting = 25_000, 3
    assert [live.turn(table, 0) for _ in range(4)] == [10_003, 10_000, 5_000, 0]
    assert table.packets == 25_003
    assert live.interface == "tw0, tw1"


def test_one_that_vanishes_is_said_once_and_the_others_go_on(live: LiveSource, interfaces: Interfaces) -> None:
    table = FlowTable()
    lost, other = interfaces.opened["tw0"], interfaces.opened["tw1"]
    interfaces.refusal = NotThereError("no interface 'tw0'")
    lost.gone = True
    for tenths in range(600):
        other.waiting = 1
        assert live.turn(table, 0) == 1
        live.look_after(S + tenths * S // 10)
    assert lost.closed
    assert live.news == [
        "capture on tw0 stopped: The interface disappeared; trying again until it is back; 1 of 2 interfaces go on"
    ]


def test_what_the_kernel_hands_over_after_the_end_is_counted(live: LiveSource, interfaces: Interfaces) -> None:
    table = FlowTable()
    interfaces.opened["tw0"].gone = True
    live.turn(table, 0)
    live.look_after(S)
    interfaces.opened["tw0"].waiting = 5
    assert live.turn(table, 0) == 5
    assert not interfaces.opened["tw0"].closed


def test_tries_to_find_it_again_come_ever_more_seldom_but_not_too_seldom(
    live: LiveSource, interfaces: Interfaces
) -> None:
    interfaces.refusal = NotThereError("no interface 'tw0'")
    lose(live, interfaces, "tw0", S)
    tries = []
    for tenths in range(600):
        before = interfaces.tries
        live.look_after(3 * S + tenths * S // 10)
        if interfaces.tries > before:
            tries.append(tenths / 10)
    assert tries[:6] == [0.0, 0.3, 0.8, 1.8, 3.8, 7.8]
    assert {round(later - earlier, 1) for earlier, later in pairwise(tries[5:])} == {8.0}


def test_one_that_is_back_is_said_and_counted_again(live: LiveSource, interfaces: Interfaces) -> None:
    lose(live, interfaces, "tw0", S)
    assert live.lost == "tw0"
    live.news.clear()
    live.look_after(5 * S)
    interfaces.opened["tw0"].waiting = 2
    assert live.turn(FlowTable(), 0) == 2
    assert live.news == ["tw0 is back, after 4.0 s"]
    assert live.lost == ""


def test_what_keeps_it_from_being_opened_is_said_once(live: LiveSource, interfaces: Interfaces) -> None:
    lose(live, interfaces, "tw0", S)
    live.news.clear()
    interfaces.refusal = CaptureError("tw0 has link type 147, which is not supported")
    for seconds in range(60):
        live.look_after((5 + seconds) * S)
    assert live.news == ["tw0 has link type 147, which is not supported; trying again"]


def test_one_that_may_not_be_opened_again_ends_the_capture(live: LiveSource, interfaces: Interfaces) -> None:
    lose(live, interfaces, "tw0", S)
    interfaces.refusal = NotAllowedError("no permission to capture on tw0")
    with pytest.raises(CaptureError, match="tw0 is back, but: no permission to capture on tw0"):
        live.look_after(5 * S)


def test_the_drops_of_all_interfaces_add_up_also_of_those_lost(live: LiveSource, interfaces: Interfaces) -> None:
    interfaces.opened["tw0"].drops, interfaces.opened["tw1"].drops = (5, 1), (10, 2)
    assert live.drops() == Drops(15, 3)
    interfaces.opened["tw0"].drops = (7, 0xFFFFFFFF)  # libpcap counts backwards when the interface is gone
    lose(live, interfaces, "tw0", S)
    live.look_after(5 * S)
    assert live.drops() == Drops(17, 3)
    interfaces.opened["tw0"].drops = (100, 0)
    assert live.drops() == Drops(117, 3)


def test_a_drop_counter_goes_on_where_libpcaps_starts_over() -> None:
    counter = DropCounter()
    for value in (2**31 - 1, 2**32 - 10, 5, 5, 2**31):
        counter.read(value)
    assert counter.total == 2**32 + 2**31


def test_all_is_drained_when_nothing_came_or_it_came_later(live: LiveSource, interfaces: Interfaces) -> None:
    interfaces.opened["tw0"].waiting = 1
    live.turn(FlowTable(), 0)
    assert not live.drained(T0)
    assert live.drained(T0 - 1)
    live.turn(FlowTable(), 0)
    assert live.drained(T0)


@pytest.mark.parametrize(("names", "words"), [
    (["tw0", "tw1", "tw0"], "tw0 is named twice"), (["tw0", "any"], "any holds the other interfaces too"),
])  # fmt: skip
def test_no_packet_is_counted_twice(interfaces: Interfaces, names: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        LiveSource(names, "", CaptureConfig(), interfaces.open)
    assert interfaces.tries == 0


def test_one_that_cannot_be_opened_at_the_start_closes_the_others(interfaces: Interfaces) -> None:
    def first_only(name: str, expression: str, config: CaptureConfig) -> Device:
        if interfaces.opened:
            raise NotThereError("no interface 'tw1'")
        return interfaces.open(name, expression, config)

    opener: Callable[[str, str, CaptureConfig], Device] = first_only
    with pytest.raises(NotThereError):
        LiveSource(["tw0", "tw1"], "", CaptureConfig(), opener)
    assert interfaces.opened["tw0"].closed


def test_nobody_may_open_an_interface_again_and_nothing_else(tmp_path: object) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give it up")
    script = (
        "import os\nfrom sensor.capture.privileges import drop_privileges\nfrom sensor.capture.device import Device\n"
        "from sensor.config import CaptureConfig\nDevice('lo', '', CaptureConfig()).close()\n"
        "drop_privileges('nobody', keep_capturing=True)\nDevice('lo', 'tcp', CaptureConfig()).close()\n"
        f"print(os.getuid(), os.access({str(tmp_path)!r}, os.X_OK))\n"
        "try:\n    open('/etc/shadow')\nexcept PermissionError:\n    print('closed')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "65534 False\nclosed\n"
