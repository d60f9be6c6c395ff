"""Learning over a real store: what is learned, when it is judged by, and that neither order nor restarts matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from corr_days import DAY_S, MONDAY, days, upload
from corr_store import add, stored

from common.records import FlowRecord
from correlator.detect.baseline import BaselineLimits
from correlator.detect.budget import BudgetSettings
from correlator.detect.castro import CastroRules
from correlator.detect.profile import Level
from correlator.detect.settings import DetectSettings
from correlator.detection import Detection
from correlator.learning import begin, phase
from correlator.rows import AlarmRow, Selection
from correlator.store import profiles
from correlator.store.alarms import acknowledge, select_alarms
from correlator.store.database import Store
from correlator.store.meta import note
from correlator.views.alarms import evidence_of

SETTINGS = DetectSettings()
GENEROUS = DetectSettings(budget=BudgetSettings(alarms_per_day=100))


def baselines(store: Store) -> list[AlarmRow]:
    return [row for row in select_alarms(store.conn, Selection()) if row.kind == "baseline"]


def learned(store: Store) -> list[list[Any]]:
    return [
        store.conn.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
        for table in ("profile_cells", "learned_periods", "calibration_scores WHERE scores_of LIKE 'baseline/%'")
    ]


def at(day: int, hour: int, size: int, flow_id: int = 7, **changes: Any) -> FlowRecord:
    return upload(flow_id, MONDAY + day * DAY_S + hour * 3600 + 60, size, **{"client_ip": "10.0.0.2", **changes})


def in_order(*groups: Sequence[FlowRecord]) -> list[FlowRecord]:
    return sorted((record for group in groups for record in group), key=lambda record: record.end_ns)


def test_an_hour_far_beyond_what_was_learned_is_told_with_hour_and_value() -> None:
    records = in_order(days(29, clients=3), [at(28, 14, 80_000_000)], [at(29, 0, 1000, 8)])
    with stored(records, 500) as store:
        Detection(store, SETTINGS).run(print)
        told = {row.client or row.server: row for row in baselines(store) if row.severity == "high"}
        assert set(told) == {"10.0.0.2", "192.0.2.1:443"}
        assert "10.0.0.2: Monday 14:00 usually <= " in told["10.0.0.2"].message
        assert "now 80." in told["10.0.0.2"].message


def test_while_it_is_learned_nothing_is_judged() -> None:
    records = in_order(days(13, clients=2), [at(12, 14, 80_000_000)])
    with stored(records, 500) as store:
        Detection(store, GENEROUS).run(print)
        assert baselines(store) == []
        assert phase(store.conn, 14) == (0, MONDAY + 14 * DAY_S)


def test_a_hour_that_goes_on_is_judged_before_it_has_ended() -> None:
    with stored(in_order(days(28, clients=2), [at(28, 14, 80_000_000)]), 500) as store:
        Detection(store, SETTINGS).run(print)
        assert [row.client for row in baselines(store) if row.severity == "high" and row.client] == ["10.0.0.2"]


def test_learning_in_the_middle_of_a_restart_is_learning_at_once() -> None:
    records = in_order(days(24, clients=2), [at(22, 14, 80_000_000)])
    with stored(records, 400) as store:
        Detection(store, SETTINGS).run(print)
        expected, alarms = learned(store), {row.alarm_id for row in baselines(store)}
    with stored([], 400) as store:
        for start in range(0, len(records), 333):
            add(store, records[start : start + 333], 400)
            Detection(store, SETTINGS).run(print)
        assert learned(store) == expected
        assert {row.alarm_id for row in baselines(store)} == alarms


def test_records_that_come_late_are_learned_from_too() -> None:
    records = days(10, clients=2)
    late = [record for record in records if record.start_ns // 10**9 // DAY_S % 3 == 0]
    early = [record for record in records if record not in late]
    last = [at(11, 3, 1000, 9)]
    with stored([*records, *last], 400) as store:
        Detection(store, SETTINGS).run(print)
        expected = store.conn.execute("SELECT * FROM learned_periods").fetchall()
        cells = profiles.extent(store.conn)
    with stored(early, 400) as store:
        Detection(store, SETTINGS).run(print)
        add(store, [*late, *last], 400)
        Detection(store, SETTINGS).run(print)
        assert store.conn.execute("SELECT * FROM learned_periods").fetchall() == expected
        assert profiles.extent(store.conn) == cells


def test_an_hour_that_alarmed_counts_little_until_it_is_acknowledged() -> None:
    with stored(in_order(days(29, clients=3), [at(28, 14, 80_000_000)], [at(29, 0, 1000, 8)]), 500) as store:
        Detection(store, SETTINGS).run(print)
        client = profiles.Names(store.conn).client("10.0.0.2")
        assert client is not None
        subject = profiles.Id(Level.CLIENT, client, 0, 6)

        def newest() -> Any:
            return profiles.cell(store.conn, subject, 14).entries[-1]

        assert (newest().period_s, newest().weight) == (MONDAY + 28 * DAY_S + 14 * 3600, 5)
        for row in select_alarms(store.conn, Selection()):
            acknowledge(store.conn, row.alarm_id, 1)
        add(store, [at(29, 1, 1000, 10)])
        Detection(store, SETTINGS).run(print)
        assert newest().weight == 100


def test_the_same_attack_every_day_is_told_every_day() -> None:
    """Poisoning: what alarmed yesterday is not usual today."""
    attacks = [at(day, 14, 80_000_000 + day, flow_id=900 + day) for day in range(28, 33)]
    with stored(in_order(days(33, clients=2), attacks), 500) as store:
        Detection(store, GENEROUS).run(print)
        told = [row for row in baselines(store) if row.client == "10.0.0.2" and "now 8" in row.message]
        assert len(told) == 5


@pytest.mark.parametrize("seed", [1, 2])
def test_thirty_days_without_attacks_stay_within_the_budget(seed: int) -> None:
    per_day = 1.0
    with stored(days(50, clients=6, seed=seed), 1000) as store:
        # Half of the budget is for baselines.
        begin(store, DetectSettings(budget=BudgetSettings(alarms_per_day=2 * per_day)), MONDAY, 20 * DAY_S)
        observed = [row for row in baselines(store) if row.severity != "low"]
    # The binomial (here Poisson) 95 % bound of one and a half times the budget over 30 days
    assert len(observed) <= 30 * per_day * 1.5 + 1.645 * (30 * per_day * 1.5) ** 0.5
    assert observed  # or nothing was judged


def test_a_channel_gets_the_symptom_with_its_own_hours() -> None:
    attack = at(28, 14, 80_000_000, server_ip="192.0.2.2")
    with stored(in_order(days(29, clients=2), [attack]), 500) as store:
        Detection(store, DetectSettings(prior=0.005, log10_lr={"above-baseline-out": 2.0})).run(print)
        told = [row for row in select_alarms(store.conn, Selection()) if row.server == "192.0.2.2:443"]
        items = [item for row in told if row.kind == "channel" for item in evidence_of(row)]
        assert any(
            item.symptom == "above-baseline-out" and item.explanation.startswith("Monday 14:00 usually <= ")
            for item in items
        )


def test_nothing_is_judged_when_that_is_switched_off() -> None:
    off = DetectSettings(baseline=BaselineLimits(enabled=False))
    with stored(in_order(days(29, clients=2), [at(28, 14, 80_000_000)]), 500) as store:
        Detection(store, off).run(print)
        assert baselines(store) == []
        assert profiles.extent(store.conn).cells > 100


def test_learning_that_begins_later_leaves_out_what_was_before() -> None:
    with stored(days(8, clients=2), 500) as store:
        note(store.conn, profiles.SINCE, MONDAY + 4 * DAY_S)
        Detection(store, SETTINGS).run(print)
        assert profiles.extent(store.conn).first_s == MONDAY + 4 * DAY_S
        assert phase(store.conn, 14) == (MONDAY + 4 * DAY_S, MONDAY + 18 * DAY_S)


CASTRO = DetectSettings(castro=CastroRules(count=True, amount=True, guess=True, probability=True))


def test_castros_rules_raise_alarms_about_pairs_when_they_are_on() -> None:
    burst = [at(15, 2, 300_000, flow_id=900 + number) for number in range(8)]
    with stored(in_order(days(16, clients=2), burst), 500) as store:
        begin(store, SETTINGS, MONDAY, 14 * DAY_S)
        assert not [row for row in select_alarms(store.conn, Selection()) if row.kind == "castro"]
        begin(store, CASTRO, MONDAY, 14 * DAY_S)
        told = [row for row in select_alarms(store.conn, Selection()) if row.kind == "castro"]
        assert {row.rule for row in told} == {
            "learned-count", "learned-amount-out", "learned-amount-in", "guess", "probability",
        }  # fmt: skip
        (rare,) = [row for row in told if row.rule == "probability"]
        assert rare.message.startswith("at 2 h, 10.0.0.2 -> 192.0.2.1:443 had 1 bursts in ")
