from __future__ import annotations

import pytest
from rec_records import RUN, T0, frame, header, stats

from common import __version__
from common.records import RecordReader, SensorStats
from sensor.batching import NumberedFrame
from sensor.capture.live import Drops
from sensor.config import ShipConfig
from sensor.flow._table import FlowTable
from sensor.ship.link import Shipper
from sensor.ship.spool import Spool
from sensor.stats import drops_line, stats_line, take_stats

ETHERNET = 1


@pytest.fixture
def table():
    made = FlowTable()
    made.feed_frame(ETHERNET, T0, b"short")
    return made


def test_the_counters_are_the_tables_and_the_interfaces(table):
    taken = take_stats(table, "eth0", T0, Drops(7, 2), None)
    assert taken == SensorStats(
        T0, __version__, "eth0", packets=1, rejected=table.rejected_by_reason(), kernel_drops=7, interface_drops=2
    )
    assert sum(taken.rejected.values()) == 1


def test_the_link_and_the_spool_are_counted(table, tmp_path):
    spool = Spool(tmp_path / "spool", RUN, header(), 1 << 20, 1 << 16)
    shipper = Shipper(ShipConfig(endpoint=f"ipc://{tmp_path}/link", plaintext=True), spool)
    shipper.take([NumberedFrame(1, frame(1)), NumberedFrame(2, frame(2))])
    spool.losses.lose("size", 3)
    spool.losses.lose("lost", 2)
    shipper.turn(T0)
    shipper.turn(T0 + 3_999_999_999)
    taken = take_stats(table, "eth0", T0, Drops(0, 0), shipper)
    assert (taken.frames_unacknowledged, taken.frames_dropped) == (2, 5)
    assert (taken.frames_lost, taken.spool_lag_s, taken.unclean_stops) == ({"size": 3, "lost": 2}, 3, 0)
    assert taken.spool_bytes == sum(path.stat().st_size for path in (tmp_path / "spool").glob("*.flowlog"))
    shipper.bad_answers, spool.damaged, shipper._sender.refused, shipper._sender.resends = 1, 2, 3, 4
    assert stats_line(taken, shipper).endswith(
        "spool lag s 3, frames dropped 5 (size 3, lost 2), frames refused 3, frames resent 4, bad answers 1, "
        "spool damage 2"
    )
    shipper.close()


@pytest.mark.parametrize("source", ["a\nb.pcap", "x" * 300, "\udcff.pcap", "\n" * 300, ""])
def test_any_file_name_makes_a_record_that_the_correlator_takes(table, source):
    taken = take_stats(table, source, T0, Drops(0, 0), None)
    assert RecordReader(SensorStats, SensorStats._fields).read(tuple(taken)) == taken


def test_a_quiet_run_is_a_short_line():
    assert stats_line(stats()) == "packets 0, drops 0 (0%), flows 0 (0 open), records 0"


def test_what_went_wrong_is_in_the_line():
    line = stats_line(
        stats(
            packets=75, kernel_drops=25, rejected={"short": 2, "fragment": 1}, flows_started=4, flows_open=3, records=9,
            filtered=1, fragments=12, interface_drops=6, flows_evicted=5, alarms=7, alarms_dropped=8,
            frames_unacknowledged=10, frames_dropped=11,
        )
    )  # fmt: skip
    assert line == (
        "packets 75, drops 25 (25%), rejected 3 (short 2, fragment 1), flows 4 (3 open), records 9, filtered 1, "
        "fragments 12, interface drops 6, evicted 5, alarms 7, alarms dropped 8, frames waiting 10, frames dropped 11"
    )


def test_drops_are_said_with_how_many_of_how_many_and_what_helps():
    assert drops_line(Drops(25, 0), 75, 65536) == (
        "the kernel dropped 25 of 100 packets (25.0%): raise --buffer-bytes (now 65536), or let less through with a "
        "filter or a shorter --snap-length"
    )
    assert drops_line(Drops(0, 1), 9_999, 65536) == (
        "the interface dropped 1 of 10000 packets (less than 0.1%) before the kernel had them: raise its ring, "
        "see ethtool -g"
    )
    assert drops_line(Drops(1, 1), 0, 65536).count("of 2 packets (50.0%)") == 2
