"""Plots in the terminal: their size, their axes, and what a column stands for."""

from __future__ import annotations

import pytest

from correlator.render.plot import Series, can_show, drawn, folded

HOUR_S = 3600


def plotted(values: list[float], columns: int = 80, lines: int = 24, step_s: float = HOUR_S) -> list[str]:
    return drawn(Series(values, 0, step_s, lambda value: f"{value:.0f}"), columns, lines).splitlines()


def dots(line: str) -> str:
    return line.partition("|")[2].strip().strip("\u2800")


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (60, 12), (200, 60)])
def test_a_plot_fits_the_screen(columns: int, lines: int) -> None:
    found = plotted([1, 5, 3] * 30, columns, lines)
    assert max(map(len, found)) <= columns
    assert len(found) <= lines - 3


def test_a_very_small_screen_gets_the_smallest_plot() -> None:
    assert len(plotted([1, 2], 5, 2)) == 8


def test_a_value_for_each_dot_fills_what_is_below_it() -> None:
    width = 58
    found = plotted([1.0] * (width * 2))
    assert set(dots(found[5])) == {"\u28ff"}
    assert len(dots(found[5])) == width


def test_more_values_than_dots_show_the_largest_of_each() -> None:
    values = [0.0] * 10_000
    values[5000] = 7.0
    assert max(folded(values, 100)) == 7.0
    assert folded([1, 2, 3, 4, 5, 6], 3) == [2, 4, 6]


def test_fewer_values_than_dots_are_as_wide_as_there_is_room() -> None:
    assert folded([1, 2], 6) == [1, 1, 1, 2, 2, 2]
    assert folded([4], 3) == [4, 4, 4]


def test_nothing_but_zeros_is_a_flat_line() -> None:
    assert {dots(line) for line in plotted([0.0] * 5)[:-3]} == {""}


@pytest.mark.parametrize(
    ("hours", "label"), [(12, " 00:00 "), (60, " 01 00:00 "), (24 * 30, " 01-01 "), (24 * 400, " 1970-01 ")]
)
def test_the_times_below_are_as_fine_as_the_run_is_long(hours: int, label: str) -> None:
    assert label in plotted([1.0] * hours)[-1] + " "


def test_an_output_without_braille_is_known() -> None:
    assert can_show("utf-8")
    assert not can_show("iso-8859-1")
    assert not can_show(None)
    assert not can_show("no such thing")
