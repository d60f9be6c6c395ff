"""The flows behind an alarm, found again in the store."""

from __future__ import annotations

from corr_flows import T0, flow, parts
from corr_store import add, stored
from notices import alarm

from correlator.store.alarmflows import alarm_flows
from correlator.store.alarms import fresh

HOUR_S = 3600


def test_flows_are_found_whole_the_latest_first() -> None:
    records = [flow(1), *parts(2, [60, 60, 60], start_s=30), flow(3), flow(4, server_port=80)]
    row = fresh(alarm(flows=("1", "2", "4", "99"), time_ns=T0 + 200 * 10**9))
    with stored(records) as store:
        found = alarm_flows(store, row, 10)
        assert [(one.sensor, one.record.flow_id, one.record.packets_out) for one in found] == [
            ("tap", 2, 15),
            ("tap", 1, 5),
        ]
        assert [one.record.flow_id for one in alarm_flows(store, row, 1)] == [2]


def test_another_sensors_flow_of_the_same_number_is_another_flow() -> None:
    with stored([flow(1)]) as store:
        assert alarm_flows(store, fresh(alarm(flows=("1",), sensor="roof")), 5) == []
        assert len(alarm_flows(store, fresh(alarm(flows=("1",), sensor="tap")), 5)) == 1


def test_a_flow_that_began_days_before_its_alarm_is_found_and_one_after_it_is_not() -> None:
    long = flow(1, length_s=72 * HOUR_S)
    with stored([long, flow(2, start_s=100 * HOUR_S)]) as store:
        add(store, [flow(3, start_s=hour * HOUR_S) for hour in range(1, 90)], 50)
        row = fresh(alarm(flows=("1", "2"), time_ns=long.end_ns))
        assert [one.record.flow_id for one in alarm_flows(store, row, 5)] == [1]


def test_alarms_without_a_client_or_flows_have_none() -> None:
    with stored([flow(1)]) as store:
        assert alarm_flows(store, fresh(alarm(client=None, server=None, flows=("1",))), 5) == []
        assert alarm_flows(store, fresh(alarm(flows=())), 5) == []
        assert alarm_flows(store, fresh(alarm(flows=("x", "-1", "9" * 30))), 5) == []
