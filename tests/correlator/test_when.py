"""Times in words: what they mean, and that what may mean two things is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.timespan import NS_PER_S, iso_time, parse_time
from correlator.cli.when import checked_range, moment, span

NOW = parse_time("2026-11-21T20:13:57Z")  # a Saturday
HOUR_NS = 3600 * NS_PER_S


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-11-21T20:13:57Z"),
        ("2h", "2026-11-21T18:13:57Z"),
        ("30m", "2026-11-21T19:43:57Z"),
        ("90 seconds", "2026-11-21T20:12:27Z"),
        ("1h30m", "2026-11-21T18:43:57Z"),
        ("2 Hours Ago", "2026-11-21T18:13:57Z"),
        ("-2h", "2026-11-21T18:13:57Z"),
        ("7d", "2026-11-14T20:13:57Z"),
        ("1w 1d", "2026-11-13T20:13:57Z"),
        ("today", "2026-11-21T00:00:00Z"),
        ("yesterday", "2026-11-20T00:00:00Z"),
        ("saturday", "2026-11-21T00:00:00Z"),
        ("Monday", "2026-11-16T00:00:00Z"),
        ("sun", "2026-11-15T00:00:00Z"),
        ("yesterday 14:00", "2026-11-20T14:00:00Z"),
        ("monday at 9:30", "2026-11-16T09:30:00Z"),
        ("14:00", "2026-11-21T14:00:00Z"),
        ("20:13:57", "2026-11-21T20:13:57Z"),
        ("14:00+01:00", "2026-11-21T13:00:00Z"),
        ("2026-11-20", "2026-11-20T00:00:00Z"),
        ("2026-11-20 14:00", "2026-11-20T14:00:00Z"),
        ("2026-11-20 14:00 +0200", "2026-11-20T12:00:00Z"),
        ("2026-11-20 14:00 UTC", "2026-11-20T14:00:00Z"),
        ("2026-11-20t14:00:00.5z", "2026-11-20T14:00:00.5Z"),
        ("1069766914", "2003-11-25T13:28:34Z"),
        ("1705192016.281275", "2024-01-14T00:26:56.281275Z"),
        ("0", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_time_in_words_is_counted_from_now(text: str, meant: str) -> None:
    assert iso_time(moment(text, NOW)) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("22:00", "2026-11-20T22:00:00Z"),
        ("20:13:58", "2026-11-20T20:13:58Z"),
        ("saturday 22:00", "2026-11-14T22:00:00Z"),
        ("00:30+05:00", "2026-11-21T19:30:00Z"),
    ],
)
def test_a_time_of_day_is_the_last_one_that_is_not_in_the_future(text: str, meant: str) -> None:
    assert iso_time(moment(text, NOW)) == meant


def test_the_day_that_is_named_counts_even_when_the_time_is_to_come() -> None:
    assert iso_time(moment("today 22:00", NOW)) == "2026-11-21T22:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "tomorrow", "midnight", "last monday", "10/11/2026", "20.11.2026", "2026-11", "1mo", "2y", "2h30",
        "30m1h", "1h1h", "25:00", "14:60", "monday 25:00", "someday 14:00", "14:00 CET", "7", "-7", "m", "\u0661h",
        "nan", "2026-02-30", "9" * 30, "999999999w", "0001-01-01",
    ],
)  # fmt: skip
def test_what_is_no_time_or_may_mean_two_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        moment(text, NOW)
    assert "\n" not in str(caught.value)
    assert repr(text.lower())[:40] in str(caught.value).lower() or "not a day: 'someday'" in str(caught.value)


def test_a_number_without_a_unit_is_asked_for_its_unit() -> None:
    with pytest.raises(ValueError, match="'7' has no unit; write 7h, 7d"):
        moment("7", NOW)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("14:00", "2026-11-21T14:00:00Z", "2026-11-21T15:00:00Z"),
        ("14:20", "2026-11-21T14:00:00Z", "2026-11-21T15:00:00Z"),
        ("2026-11-20T14:00", "2026-11-20T14:00:00Z", "2026-11-20T15:00:00Z"),
        ("now", "2026-11-21T20:00:00Z", "2026-11-21T21:00:00Z"),
        ("2h", "2026-11-21T18:00:00Z", "2026-11-21T19:00:00Z"),
        ("2026-11-20", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"),
        ("yesterday", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"),
        ("Monday", "2026-11-16T00:00:00Z", "2026-11-17T00:00:00Z"),
    ],
)
def test_a_period_holds_the_time_and_a_day_is_whole(text: str, since: str, until: str) -> None:
    assert tuple(map(iso_time, span(text, NOW, HOUR_NS))) == (since, until)


@pytest.mark.parametrize("text", ["soon", "0001-01-01", "9999-12-31"])
def test_a_period_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        span(text, NOW, HOUR_NS)


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    checked_range(NOW, NOW)
    checked_range(None, NOW)
    with pytest.raises(ValueError, match="ends at 2026-11-21T18:13:57Z, before it begins at 2026-11-21T20:13:57Z"):
        checked_range(NOW, moment("2h", NOW))


_WORDS = st.sampled_from(
    [
        "2",
        "9" * 9,
        "h",
        "m",
        "d",
        "w",
        " ",
        ":",
        "-",
        "+",
        "14:00",
        "ago",
        "today",
        "monday",
        "z",
        "utc",
        "2026-11-20",
        "t",
    ]
)


@given(st.one_of(st.text(max_size=30), st.lists(_WORDS, max_size=6).map("".join)))
@example("9223372036.854775807")
def test_any_text_is_a_time_that_64_bits_hold_or_is_refused(text: str) -> None:
    for read in (lambda: [moment(text, NOW)], lambda: span(text, NOW, HOUR_NS)):
        try:
            assert all(abs(time_ns) < 1 << 63 for time_ns in read())
        except ValueError:
            continue


def test_every_time_in_the_documentation_means_what_it_says_there(repo_root: Path) -> None:
    page = (repo_root / "docs" / "asking.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| (2\S+Z) \|$", page, re.MULTILINE)
    assert len(rows) > 10
    assert {text: iso_time(moment(text, NOW)) for text, _ in rows} == dict(rows)
