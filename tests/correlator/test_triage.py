"""The budget over a real store: days are summed up, the rare is promoted, floods are lowered."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from corr_store import HOURS

from correlator.detect.alarm import Alarm, Evidence, Severity, alarm_id
from correlator.detect.budget import DAY_S, BudgetSettings
from correlator.detect.channel import Channel, Sighting
from correlator.detect.judge import Judgement, probability_of
from correlator.detect.settings import DetectSettings
from correlator.store import calibration
from correlator.store.alarms import acknowledge, alarms_with_id, store_alarms
from correlator.store.database import Store, writing
from correlator.triage import LOWERED, PROMOTED, Triage
from correlator.views.alarms import evidence_of

DAY = 19_675 * DAY_S
NS = 10**9


def settings(**budget: Any) -> DetectSettings:
    return DetectSettings(budget=BudgetSettings(**budget))


def channel(number: int, day: int, port: int = 443) -> Channel:
    return Channel("10.0.0.1", f"h{number}.example", port, 6, last_ns=(DAY + day * DAY_S + 5) * NS)


def judgement(log10_odds: float) -> Judgement:
    return Judgement(log10_odds, probability_of(log10_odds), ())


def play(store: Store, day: int, odds: list[float], chosen: DetectSettings) -> list[int]:
    """Judge channels of these odds on a day; return those that were promoted."""
    triage = Triage(store.conn, chosen)
    triage.close((DAY + day * DAY_S + 2 * 3600) * NS)
    promoted = []
    for number, one in enumerate(odds):
        which = channel(number, day)
        triage.note(which, judgement(one), {"long-channel": Sighting(tested=1, found=int(one > -3))})
        if triage.promoted(which, judgement(one)) is not None:
            promoted.append(number)
    triage.keep()
    return promoted


def ordinary(rng: random.Random, count: int = 50) -> list[float]:
    return [rng.gauss(-4, 0.4) for _ in range(count)]


def test_what_is_rarest_of_all_is_promoted(store: Store) -> None:
    rng, chosen = random.Random(1), settings(alarms_per_day=1)
    for day in range(8):
        assert play(store, day, ordinary(rng), chosen) == []
    assert play(store, 8, [*ordinary(rng), -1.2], chosen) == [50]


def test_nothing_is_promoted_below_the_floor_or_without_a_history(store: Store) -> None:
    chosen = settings(alarms_per_day=1)
    assert play(store, 0, [-1.2], chosen) == []
    for day in range(1, 9):
        play(store, day, [-6.0] * 50, chosen)
    assert play(store, 9, [*[-6.0] * 50, -2.5], chosen) == []  # the rarest, but hardly any evidence
    assert play(store, 10, [*[-6.0] * 50, -1.9], chosen) == [50]


def test_what_is_serious_by_itself_needs_no_promotion(store: Store) -> None:
    chosen = settings(alarms_per_day=1)
    for day in range(8):
        play(store, day, [-4.0] * 50, chosen)
    assert play(store, 8, [-0.5, 2.0], chosen) == []


def test_thirty_days_of_ordinary_odds_stay_within_the_budget(store: Store) -> None:
    rng, per_day = random.Random(7), 1.0
    chosen = settings(alarms_per_day=per_day, floor_log10_lr=0)
    promoted = [len(play(store, day, ordinary(rng), chosen)) for day in range(44)]
    allowed = 30 * per_day * 1.5
    assert sum(promoted[14:]) <= allowed + 1.645 * allowed**0.5
    assert sum(promoted[14:]) > 0


def test_on_a_day_on_which_all_is_different_few_are_promoted(store: Store) -> None:
    rng, chosen = random.Random(3), settings(alarms_per_day=1)
    for day in range(10):
        play(store, day, ordinary(rng), chosen)
    assert len(play(store, 10, [-1.5] * 50, chosen)) == 1


def test_a_restart_remembers_the_day(db: Path) -> None:
    rng, chosen = random.Random(5), settings(alarms_per_day=1)
    for day in range(9):
        with writing(db, HOURS) as store:
            assert play(store, day, ordinary(rng), chosen) == []
    with writing(db, HOURS) as store:
        assert play(store, 9, [-1.2], chosen) == [0]


def test_days_are_summed_up_without_those_that_alarmed(store: Store) -> None:
    chosen = settings()
    play(store, 0, [-4.0, -3.5, 1.0], chosen)
    play(store, 1, [], chosen)
    known = calibration.load(store.conn, calibration.CHANNELS, 0)
    assert [(one.tests, one.highest) for one in known["6-web"].buckets] == [(2, (-3.5, -4.0))]
    assert calibration.symptom_counts(store.conn, 0) == {"": (0, 2), "long-channel": (0, 2)}


def test_what_alarmed_and_was_acknowledged_is_ordinary(store: Store) -> None:
    play(store, 0, [-2.0, 1.0], settings())
    store_alarms(store.conn, [alarm(1, 1.0, 0)])
    acknowledge(store.conn, alarm_id(alarm(1, 1.0, 0)), 99)
    play(store, 1, [], settings())
    assert calibration.symptom_counts(store.conn, 0) == {"": (0, 2), "long-channel": (2, 2)}


def alarm(number: int, odds: float, day: int, severity: Severity = Severity.MEDIUM, *, sure: bool = False) -> Alarm:
    start_ns = (DAY + day * DAY_S) * NS
    evidence = [Evidence("a", "timing", 5.0 if sure else odds, 1, 1, "a")]
    if sure:
        evidence.append(Evidence("prior", "prior", odds - 5.0, 1, 1, "p"))
    return Alarm(
        "channel", "tunnel", f"6|{number}", start_ns, severity, start_ns + number * NS, None, "10.0.0.1",
        "192.0.2.1:443", f"h{number}.example", probability_of(odds), f"alarm {number}", tuple(evidence), (),
    )  # fmt: skip


def stored_severities(store: Store) -> dict[str, str]:
    return {row.message: row.severity for row in alarms_with_id(store.conn, "")}


def test_of_a_flood_the_weakest_are_low_with_a_note_whenever_they_came(store: Store) -> None:
    chosen = settings(most_per_day=2)
    for some in ([alarm(1, -0.8, 0), alarm(2, 0.1, 0)], [alarm(3, -0.1, 0)], [alarm(4, -9, 0, sure=True)]):
        store_alarms(store.conn, Triage(store.conn, chosen).flood(some))
    assert stored_severities(store) == {"alarm 1": "low", "alarm 2": "medium", "alarm 3": "low", "alarm 4": "medium"}
    lowered = next(row for row in alarms_with_id(store.conn, "") if row.message == "alarm 1")
    assert [item.symptom for item in evidence_of(lowered)] == ["a", LOWERED]


def test_an_alarm_that_goes_on_stays_low(store: Store) -> None:
    chosen = settings(most_per_day=1)
    for _ in range(3):
        for one in (alarm(1, -0.8, 0), alarm(2, 0.1, 0)):
            store_alarms(store.conn, Triage(store.conn, chosen).flood([one]))
    assert stored_severities(store) == {"alarm 1": "low", "alarm 2": "medium"}


def test_days_are_counted_apart_and_without_a_bound_nothing_is_lowered(store: Store) -> None:
    alarms = [alarm(1, -0.8, 0), alarm(2, 0.1, 1)]
    assert Triage(store.conn, settings(most_per_day=1)).flood(alarms) == alarms
    assert Triage(store.conn, settings(most_per_day=0)).flood([alarm(1, 0, 0), alarm(2, 0, 0)])[1].severity == "medium"


@pytest.mark.parametrize("odds", [-1.2])
def test_a_promotion_says_why(store: Store, odds: float) -> None:
    chosen = settings(alarms_per_day=1)
    for day in range(8):
        play(store, day, [-4.0] * 50, chosen)
    triage = Triage(store.conn, chosen)
    triage.close((DAY + 8 * DAY_S + 7200) * NS)
    why = triage.promoted(channel(1, 8), judgement(odds))
    assert why is not None
    assert (why.symptom, why.log10_lr) == (PROMOTED, 0.0)
    assert why.value <= why.threshold
    assert "the budget of 1 alarms a day has room for it" in why.explanation
