"""What is carried out is told; what is fetched is not."""

from __future__ import annotations

from typing import Any

import pytest
from detect_channels import AROUND, any_channels, any_surroundings, channel, every, found, told
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.channel import Channel, Surroundings
from correlator.detect.symptoms.volume import (
    DOWNLOAD,
    OUTBOUND,
    SLOW,
    UPLOAD,
    UPLOAD_AT_ONCE,
    VolumeLimits,
    of_channel,
    pcr,
    size_text,
)

LIMITS = VolumeLimits()


def carried(out: int, into: int) -> dict[str, int]:
    return {"payload_bytes_out": out, "payload_bytes_in": into}


@pytest.mark.parametrize(
    ("flows", "names"),
    [
        ([carried(20_000_000, 300)], {UPLOAD_AT_ONCE, OUTBOUND}),
        ([carried(120_000_000, 120_000_000)], {UPLOAD}),
        ([carried(120_000_000, 1000)], {UPLOAD, UPLOAD_AT_ONCE, OUTBOUND}),
        ([carried(300, 900_000_000)], set()),
        ([carried(300, 1_000_000_000)], {DOWNLOAD}),
        (every(20, 3600, **carried(300, 500_000_000)), {DOWNLOAD}),
        (every(17, 12, **carried(41_000, 1000)), {SLOW, OUTBOUND}),
        (every(17, 12, **carried(41_000, 41_000)), set()),
        (every(9, 12, **carried(41_000, 1000)), {OUTBOUND}),
        (every(50, 12, **carried(700, 100)), set()),
        ([*every(10, 12, **carried(9_000, 100)), *every(12, 12, **carried(100, 90_000))], set()),
        (every(20, 3600, **carried(60_000_000, 5_000)), {UPLOAD, UPLOAD_AT_ONCE, OUTBOUND}),
        (every(4, 3600, **carried(2_000_000, 5_000)), {OUTBOUND}),
    ],
    ids=[
        "one large post", "much both ways", "all at once", "a download", "a large one", "ten in a day",
        "little by little", "both ways", "few of them", "next to nothing", "most bring in", "a gigabyte a day",
        "some each hour",
    ],
)  # fmt: skip
def test_what_goes_out(flows: list[dict[str, Any]], names: set[str]) -> None:
    assert found(of_channel(channel(*flows), AROUND, LIMITS)) == names


def test_hours_more_than_a_day_old_do_not_count() -> None:
    made = channel({**carried(500_000, 10)}, {"start_s": 25 * 3600, **carried(1000, 10)})
    assert OUTBOUND not in found(of_channel(made, AROUND, LIMITS))


def test_the_explanation_has_the_figures() -> None:
    sights = told(of_channel(channel(carried(20_000_000, 300)), AROUND, LIMITS))
    assert sights[UPLOAD_AT_ONCE].explanation == "one connection sent 20 MB and got 300 bytes; 10 MB are much"
    assert sights[OUTBOUND].explanation.startswith("20 MB went out within 24 h and 300 bytes came in")


@given(st.integers(0, 1 << 62), st.integers(0, 1 << 62))
def test_the_ratio_is_between_all_in_and_all_out(out: int, into: int) -> None:
    assert -1 <= pcr(out, into) <= 1
    assert pcr(out, into) == -pcr(into, out)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 KB"), (1_500_000, "1.5 MB"), (10**12, "1e+03 GB")]
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert size_text(count) == text


@given(any_channels(), any_surroundings)
def test_anything_that_may_be_remembered_is_taken(made: Channel, around: Surroundings) -> None:
    names = {sight.symptom for sight in of_channel(made, around, LIMITS)}
    assert names <= {UPLOAD, DOWNLOAD, UPLOAD_AT_ONCE, OUTBOUND, SLOW}


@given(st.permutations(range(12)))
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    flows = [{"start_s": n * 700, **carried(9_000 + n, 10 * n)} for n in range(12)]
    one, other = channel(*flows), channel(*(flows[n] for n in order))
    assert list(of_channel(one, AROUND, LIMITS)) == list(of_channel(other, AROUND, LIMITS))
