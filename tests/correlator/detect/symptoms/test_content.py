"""Random first bytes, and what sizes tell of protocols inside TLS."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from corr_flows import flow

from common.records import FlowRecord
from correlator.detect.spoken import spoken_in
from correlator.detect.symptom import Sight
from correlator.detect.symptoms.content import SYMPTOMS, ContentLimits, of_flow

LIMITS = ContentLimits()
Sizes = tuple[int, ...]

# After the handshake: the sizes of trojan (TLS 1.2 inside), of a browser, of a page's chat, of ssh through stunnel.
TROJAN: Sizes = (517, -842, 80, 623, -158, -734, 115, -73, 141, -1448, -1448, -1448, -974)
INNER_13: Sizes = (517, -842, 80, 623, -158, -1448, -800, 86, 400, -1448, -1448, -974)
BROWSER: Sizes = (517, -698, 126, -274, 170, -1448, -1448, -1448, -332, 219, -337, 261, -1448)
CHAT: Sizes = (517, -785, 156, -51, 533, -317, -85, -73, -40, -78, 89, -100, -35, 39, 88)
TYPING: Sizes = (517, -721, 93, -274, 533, -317, 78, -66, 48, -45, 47, -45, 47, -45, 47, -45, 44)
SSH_IN_TLS: Sizes = (
    340, -830, 80, 63, -287, -287, -1175, 1448, 134, 1230, -1448, -138, 38, 66, -66, 90, -90, 162, -122, 330, -50,
    134, -714, -66, 398, -130, -114, -118, 58, -58, 58, -58,
)  # fmt: skip
OPENVPN: Sizes = (
    44, -56, 52, -305, 156, -144, 52, -144, 144, -144, 156, -144, 52, -144, 144, -144, 156, -144, 52, -144, 144, -144,
    156, -144, 52, -144, 144, -144, 156, -144, 52, 126,
)  # fmt: skip


def sights(**changes: Any) -> dict[str, Sight]:
    return {sight.symptom: sight for sight in answers(flow(**changes), LIMITS)}


def answers(record: FlowRecord, limits: ContentLimits) -> list[Sight]:
    return list(of_flow(record, spoken_in(record), limits))


def found(**changes: Any) -> set[str]:
    return {name for name, sight in sights(**changes).items() if sight.found}


def splt(sizes: Sizes) -> tuple[tuple[int, int], ...]:
    return tuple((size, 20) for size in sizes)


def tls(sizes: Sizes, **facts: str | int) -> set[str]:
    return found(app_out="tls", app_in="tls", splt=splt(sizes), facts=facts or None)


@pytest.mark.parametrize(
    ("bits", "printable", "run", "size", "told"),
    [
        (4.0, 0.37, 4, 300, True),
        (3.4, 0.37, 4, 300, False),
        (4.6, 0.37, 4, 300, False),
        (4.0, 0.51, 4, 300, False),
        (4.0, 0.37, 21, 300, False),
        (4.0, 0.37, 4, 49, False),
        (4.0, 0.37, 4, 50, True),
    ],
)
def test_first_bytes_are_random_unless_one_of_the_exemptions_holds(
    bits: float, printable: float, run: int, size: int, *, told: bool
) -> None:
    first = {"first_popcount": bits, "first_printable": printable, "first_printable_run": run}
    assert ("random-first-bytes" in found(app_out="random", splt=splt((size, -300)), **first)) == told


def test_uniform_bytes_are_random_and_text_is_not() -> None:
    random = Random(7)
    hits = 0
    for _ in range(1000):
        data = random.randbytes(100)
        text = [0x20 <= byte < 0x7F for byte in data]
        runs = "".join(" x"[is_text] for is_text in text).split()
        first = {
            "first_popcount": sum(byte.bit_count() for byte in data) / 100,
            "first_printable": sum(text) / 100,
            "first_printable_run": max(map(len, runs), default=0),
        }
        hits += "random-first-bytes" in found(splt=splt((100, -300)), **first)
    assert hits >= 980  # .994 of 100 bytes


@pytest.mark.parametrize(
    ("app_out", "app_in"), [("tls", "tls"), ("http", "http"), ("random", "ssh"), ("bittorrent", None)]
)
def test_a_protocol_that_is_known_is_not_random(app_out: str, app_in: str | None) -> None:
    first = {"first_popcount": 4.0, "first_printable": 0.37, "first_printable_run": 4}
    assert not sights(app_out=app_out, app_in=app_in, splt=splt((300, -300)), **first)["random-first-bytes"].found


def test_inside_a_connect_the_sensors_word_counts() -> None:
    facts = {"http_connect": "a.example:443", "inside_out": "random"}
    assert found(app_out="http", app_in="http", facts=facts) == {"random-first-bytes"}
    facts["inside_out"] = "tls"
    assert not sights(app_out="http", app_in="http", facts=facts)["random-first-bytes"].found


def test_without_an_answer_nothing_is_tested() -> None:
    first = {"first_popcount": 4.0, "first_printable": 0.37, "first_printable_run": 4}
    assert not sights(app_out="random", payload_bytes_in=0, splt=splt((300,)), **first)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (TROJAN, {"tls-in-tls"}),
        (INNER_13, {"tls-in-tls"}),
        (BROWSER, set()),
        (CHAT, set()),
        (TYPING, set()),
        (SSH_IN_TLS, {"ssh-shaped"}),
    ],
)
def test_what_sizes_tell_of_the_inside_of_tls(sizes: Sizes, expected: set[str]) -> None:
    assert tls(sizes) == expected


@pytest.mark.parametrize("sizes", [TROJAN, SSH_IN_TLS])
def test_through_a_connect_the_sizes_tell_the_same(sizes: Sizes) -> None:
    facts = {"http_connect": "a.example:443", "inside_out": "tls", "inside_in": "tls"}
    through = found(app_out="http", app_in="http", facts=facts, splt=splt((130, -39, *sizes)[:32]))
    assert through == tls(sizes)


def test_what_is_aligned_to_a_block_is_ssh_only_where_tls_pads_nothing() -> None:
    sizes = (340, -830, 80, *(sign * (16 * step + 26) for step in range(1, 11) for sign in (1, -1)))
    assert tls(sizes) == set()
    assert tls(sizes, tls="TLSv13") == {"ssh-shaped"}


def test_random_sizes_are_seldom_shaped_like_ssh() -> None:
    random = Random(11)
    shaped = 0
    for _ in range(2000):
        sizes = tuple(random.choice((1, -1)) * random.randint(30, 1100) for _ in range(29))
        shaped += "ssh-shaped" in tls((517, -842, 80, *sizes))
    assert shaped <= 3  # 2000 * 1e-4, with room for chance


def test_acknowledgements_of_openvpn_are_told_by_their_rhythm() -> None:
    assert found(app_out="unknown", app_in="unknown", splt=splt(OPENVPN)) >= {"openvpn-shaped"}
    assert "openvpn-shaped" not in found(app_out="unknown", app_in="unknown", splt=splt((500, -400) * 16))


def test_what_is_accumulated_over_flows_says_so_when_it_is_absent() -> None:
    rated = {symptom.name for symptom in SYMPTOMS if symptom.rates}
    answers = [
        sights(app_out="tls", app_in="tls", splt=splt(BROWSER)),
        sights(app_out="unknown", app_in="unknown", splt=splt((500, -400) * 16)),
        sights(app_out="tls", splt=splt(BROWSER), first_popcount=2.5, first_printable=0.3, first_printable_run=3),
    ]
    assert {name for answer in answers for name, sight in answer.items() if not sight.found} == rated
