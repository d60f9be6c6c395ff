from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.timespan import NS_PER_S, iso_time, parse_time, seconds, seconds_to_ns

times = st.integers(0, (1 << 63) - 1)


@given(time_ns=times)
def test_a_time_is_the_same_nanosecond_after_printing_and_parsing(time_ns):
    assert parse_time(iso_time(time_ns)) == time_ns


@given(earlier=times, later=times)
def test_whole_seconds_print_in_the_order_of_time(earlier, later):
    texts = [iso_time(time_ns - time_ns % NS_PER_S) for time_ns in sorted((earlier, later))]
    assert texts == sorted(texts)


@given(duration_ns=st.integers(-(1 << 63), 1 << 63))
def test_seconds_in_text_are_exact(duration_ns):
    sign = "-" if duration_ns < 0 else ""
    whole, rest = divmod(abs(duration_ns), NS_PER_S)
    assert seconds_to_ns(f"{sign}{whole}.{rest:09d}") == duration_ns


@given(duration_ns=st.integers(-(1 << 63), 1 << 63))
def test_seconds_have_nine_decimals_and_are_whole_where_they_can_be(duration_ns):
    found = seconds(duration_ns)
    assert found == round(duration_ns / NS_PER_S, 9)
    assert isinstance(found, int) == (duration_ns % NS_PER_S == 0)


@given(time_ns=st.integers(0, 253_402_300_799 * NS_PER_S))
def test_iso_time_is_what_datetime_says(time_ns):
    moment = datetime.fromtimestamp(time_ns // NS_PER_S, UTC)
    fraction = f".{time_ns % NS_PER_S:09d}".rstrip("0") if time_ns % NS_PER_S else ""
    assert iso_time(time_ns) == f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1069684217 * NS_PER_S, "2003-11-24T14:30:17Z"),
        (1069684217_500_000_000, "2003-11-24T14:30:17.5Z"),
        (-1, "1970-01-01T00:00:00Z"),
        (1 << 63, "2262-04-11T23:47:16.854775808Z"),
        (1 << 64, "2554-07-21T23:34:33.709551616Z"),
        (253_402_300_800 * NS_PER_S, "9999-12-31T23:59:59Z"),
        (10**40, "9999-12-31T23:59:59Z"),
    ],
)
def test_iso_time_prints_any_number(time_ns, text):
    assert iso_time(time_ns) == text


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2026-11-21", 1795219200 * NS_PER_S),
        ("2026-11-21T14:30:17Z", 1795271417 * NS_PER_S),
        ("2026-11-21 14:30:17", 1795271417 * NS_PER_S),
        ("2026-11-21T14:30", 1795271400 * NS_PER_S),
        ("2026-11-21T14:30:17+01:00", 1795267817 * NS_PER_S),
        ("2026-11-21T14:30:17.123456789+01:00", 1795267817_123_456_789),
        ("2026-11-21T14:30:17,5", 1795271417_500_000_000),
        ("20261121T143017.5Z", 1795271417_500_000_000),
        ("2026-11-21T14:30:17.1234567899", 1795271417_123_456_789),
        ("1705192016", 1705192016 * NS_PER_S),
        ("1705192016.281275", 1705192016_281_275_000),
        (" 1705192016 ", 1705192016 * NS_PER_S),
        ("0", 0),
        (".5", 500_000_000),
        ("5.", 5 * NS_PER_S),
        ("-0.5", -500_000_000),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
        ("2262-04-11T23:47:16.854775807Z", (1 << 63) - 1),
    ],
)
def test_times_are_written_in_several_ways(text, expected_ns):
    assert parse_time(text) == expected_ns


@pytest.mark.parametrize(
    "text",
    ["", ".", "-", "+-5", "--5", "5.5.5", "1e9", "nan", "inf", "٣", "1_000", "0x10", "2026-13-01", "9" * 5000, "noon"],
)
def test_what_is_no_time_is_refused_in_one_line_with_the_remedy(text):
    with pytest.raises(ValueError, match=r"^not a time: .*; write 2026-11-21") as caught:
        parse_time(text)
    assert len(str(caught.value)) < 250
    with pytest.raises(ValueError, match="not a number of seconds"):
        seconds_to_ns(text)


@pytest.mark.parametrize(
    "text", ["9999-12-31", "2262-04-12", "1677-01-01", "9223372037", "-9223372037", "999999999999"]
)
def test_a_time_that_64_bits_do_not_hold_is_refused(text):
    """A database would refuse it too, with a traceback."""
    with pytest.raises(ValueError, match=f"a time between 1678 and 2262 is wanted, not '{text}'"):
        parse_time(text)


@given(text=st.text(st.sampled_from("0123456789-:.,TZ+ W"), max_size=32) | st.text(max_size=16))
def test_any_text_is_a_time_or_a_value_error(text):
    try:
        assert isinstance(parse_time(text), int)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("duration_ns", "expected"),
    [(64 * NS_PER_S, "64"), (500_000_000, "0.5"), (0, "0"), (1, "1e-09"), (-NS_PER_S, "-1")],
)
def test_whole_seconds_print_without_a_fraction(duration_ns, expected):
    assert str(seconds(duration_ns)) == expected
