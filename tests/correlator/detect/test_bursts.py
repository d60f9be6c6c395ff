"""First packets as bursts, and the remainders of their sizes."""

from __future__ import annotations

from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.detect.bursts import FULL_BYTES, Burst, after_tls_handshake, binomial_tail, bursts_of, remainders

splts = st.lists(st.tuples(st.integers(-1460, 1460), st.integers(0, 9999)), max_size=32)


def packets(*sizes: int) -> list[tuple[int, int]]:
    return [(size, 0) for size in sizes]


def test_packets_of_one_direction_that_follow_each_other_are_a_burst() -> None:
    assert bursts_of(packets(517, -1448, -400, 80, 20)) == [
        Burst(outward=True, payload_bytes=517, packets=1),
        Burst(outward=False, payload_bytes=1848, packets=2),
        Burst(outward=True, payload_bytes=100, packets=2),
    ]


@given(splts)
def test_bursts_lose_no_byte_and_alternate(splt: list[tuple[int, int]]) -> None:
    bursts = bursts_of(splt)
    assert sum(burst.payload_bytes for burst in bursts) == sum(abs(size) for size, _ in splt)
    assert sum(burst.packets for burst in bursts) == len(splt)
    assert all(one.outward != other.outward for one, other in pairwise(bursts))


@pytest.mark.parametrize(
    ("sizes", "through_connect", "after"),
    [
        ((517, -1448, -900, 80, 623, -734), False, (623, -734)),
        ((130, -39, 517, -713, 93, -51, 162), True, (-51, 162)),
        ((517, -842), False, None),
        ((517, -842, 80), False, ()),
        ((-20, 517, -842, 80, 99), False, None),
        ((), False, None),
    ],
)
def test_a_tls_handshake_ends_with_the_clients_first_packet_after_the_servers_flight(
    sizes: tuple[int, ...], after: tuple[int, ...] | None, *, through_connect: bool
) -> None:
    found = after_tls_handshake(packets(*sizes), through_connect=through_connect)
    assert found == (None if after is None else tuple(packets(*after)))


def test_sizes_of_ssh_are_alike_by_four_whatever_is_around_them() -> None:
    sizes = (16, 44, -44, 68, -68, 140, -100, 308, -28, 112, -692)
    plain, wrapped = packets(*sizes), packets(*(size + (22 if size > 0 else -25) for size in sizes))
    assert remainders(plain, 4)[:2] == remainders(wrapped, 4)[:2] == (11, 11)
    assert isclose(remainders(plain, 4).chance, 16 / 4**11)


def test_sizes_that_repeat_count_once_and_full_segments_with_what_ends_them_not_at_all() -> None:
    assert remainders(packets(*[48, -45] * 10), 4).sizes == 2
    assert remainders(packets(FULL_BYTES, 333, 48), 4).sizes == 1


@given(splts, st.sampled_from([4, 8, 16]))
def test_a_chance_is_a_probability(splt: list[tuple[int, int]], modulus: int) -> None:
    found = remainders(splt, modulus)
    assert 0 < found.chance <= 1
    assert 0 <= found.alike <= found.sizes <= 32


@pytest.mark.parametrize(("least", "tail"), [(0, 1.0), (1, 1 - 0.75**4), (4, 0.25**4), (5, 0.0)])
def test_the_tail_of_the_binomial_distribution(least: int, tail: float) -> None:
    assert isclose(binomial_tail(least, 4, 0.25), tail, abs_tol=1e-15)
