"""Castro's rules say what his listings say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from correlator.detect.alarm import Severity
from correlator.detect.baseline import Subject
from correlator.detect.castro import (
    Broken,
    CastroRules,
    TimeOfDay,
    Visit,
    alarms,
    broken,
    events,
    is_time_of_events,
    may_have_events,
    percentages,
)
from correlator.detect.profile import History, Level, Values

AT_14 = 1_699_970_400
AT_2 = AT_14 - 12 * 3600
NS = 10**9


def past(*values: Values) -> History:
    return History((100,) * len(values), values)


def found(
    now: Values, learned: History, rules: CastroRules, counts: Sequence[int] = (), at: int = AT_14
) -> list[Broken]:
    return list(broken(at, now, learned, counts, rules))


@pytest.mark.parametrize(
    ("count", "severity"),
    [(100, None), (110, None), (111, Severity.MEDIUM), (130, Severity.MEDIUM), (131, Severity.HIGH)],
)
def test_ten_percent_more_than_learned_is_medium_and_thirty_high(count: int, severity: Severity | None) -> None:
    told = found(Values(count), past(Values(90), Values(110)), CastroRules(count=True))
    assert [one.severity for one in told] == ([] if severity is None else [severity])


def test_the_most_can_be_what_was_learned() -> None:
    learned = past(Values(90), Values(110))
    assert found(Values(120), learned, CastroRules(count=True, learned="most")) == []
    assert found(Values(122), learned, CastroRules(count=True, learned="most"))[0].limit == 110


def test_amounts_are_counted_both_ways() -> None:
    told = found(Values(1, 2_000_000, 50), past(Values(1, 1_000_000, 10)), CastroRules(amount=True))
    assert [(one.rule, one.severity) for one in told] == [
        ("learned-amount-out", Severity.HIGH),
        ("learned-amount-in", Severity.HIGH),
    ]
    assert told[0].text == "exceeded the learned outbound by 100 %, more than 30 %: 2.0 MB, learned 1.0 MB"


def test_an_hour_in_which_the_pair_never_spoke_is_exceeded_by_anything() -> None:
    (one,) = found(Values(1), past(Values(), Values()), CastroRules(count=True))
    assert one.text == "exceeded the learned connections: 1, learned 0"


def test_without_anything_learned_or_switched_on_nothing_is_said() -> None:
    everything = CastroRules(count=True, amount=True, guess=True, probability=True)
    assert found(Values(5, 5, 5), past(), everything) == []
    assert found(Values(5000, 5000, 5000), past(Values(1)), CastroRules(), [1]) == []
    assert everything.are_on
    assert not CastroRules().are_on


@pytest.mark.parametrize(
    ("count", "counts", "is_wrong"),
    [
        (9, [1, 2, 3, 4, 5, 6, 7, 8], True),
        (7, [1, 2, 3, 4, 5, 6, 7, 8], False),  # more than in exactly three quarters
        (8, [1, 2, 3, 4, 5, 6, 7, 8], True),
        (2, [1, 1, 1, 1, 1, 1, 1, 50], False),  # below the average
        (1, [1] * 8, False),
    ],
)
def test_a_guess_is_wrong_above_the_average_and_three_quarters(
    count: int, counts: list[int], *, is_wrong: bool
) -> None:
    assert bool(found(Values(count), past(Values(1)), CastroRules(guess=True), counts)) is is_wrong


def test_a_burst_is_one_event_and_counting_begins_anew() -> None:
    rules = CastroRules()
    burst = [Visit(second * NS, 200_000) for second in range(6)]
    assert events(burst, rules) == 1
    assert events(burst[:5], rules) == 0
    assert events([*burst, *[Visit((100 + second) * NS, 200_000) for second in range(5)]], rules) == 1
    assert events([*burst, *[Visit((100 + second) * NS, 200_000) for second in range(6)]], rules) == 2
    assert events([visit._replace(bytes_out=100_000) for visit in burst], rules) == 0
    assert events([Visit(minute * 60 * NS, 200_000) for minute in range(60)], rules) == 0


def test_more_bursts_per_connection_than_learned_are_more_probable() -> None:
    rules = CastroRules(probability=True)
    learned = past(Values(100, events=2), Values(100))
    assert found(Values(100, events=1), learned, rules, at=AT_2) == []
    (one,) = found(Values(50, events=1), learned, rules, at=AT_2)
    assert (one.rule, one.value, one.limit) == ("probability", 0.02, 0.01)
    assert found(Values(50, events=1), learned, rules, at=AT_14) == []


def test_the_night_may_go_over_midnight() -> None:
    night = CastroRules(event_from_hour=22, event_to_hour=3)
    assert is_time_of_events(AT_2, night)
    assert not is_time_of_events(AT_14, night)
    assert may_have_events(Values(6, 1_000_001), night)
    assert not may_have_events(Values(5, 10**9), night)


def test_percentages_depend_on_the_time_of_the_day() -> None:
    night = TimeOfDay(from_hour=22, to_hour=6, medium_percent=1, high_percent=2)
    rules = CastroRules(count=True, times=(night,))
    assert percentages(AT_2, rules) == (1, 2)
    assert percentages(AT_14, rules) == (10, 30)


def test_the_alarm_names_the_hour_the_pair_and_the_value() -> None:
    subject = Subject(Level.CHANNEL, "10.1.1.46", "192.0.2.1:443", None, 6)
    told = broken(AT_14, Values(60), past(Values(20)), (), CastroRules(count=True))
    (alarm,) = alarms(subject, AT_14, AT_14 * NS, told)
    assert alarm.message == (
        "at 14 h, 10.1.1.46 -> 192.0.2.1:443 exceeded the learned connections by 200 %, more than 30 %: 60, learned 20"
    )
    assert (alarm.kind, alarm.rule, alarm.severity) == ("castro", "learned-count", "high")
