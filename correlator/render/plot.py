"""A figure along time as a plot in the terminal; its library is imported only when one is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MARGIN: Final = 13
"""Columns for the labels of the upright axis."""
_TICK: Final = 10
_LABEL: Final = 8
"""Columns from one tick of the lying axis to the next, and of the longest label below one."""
_LEAST_WIDTH: Final = 18
_LEAST_HEIGHT: Final = 5
_DOTS: Final = 2
"""Dots beside each other in one character of braille."""
_DAY_S: Final = 86_400


class Series(NamedTuple):
    """Values at equal distances in time, and how to write one."""

    values: Sequence[int | float]
    start_s: float
    step_s: float
    write: Callable[[float], str]


def can_show(encoding: str | None) -> bool:
    """Whether an output of this encoding has the characters that plots are made of."""
    try:
        "\u28ff".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def drawn(series: Series, columns: int, lines: int) -> str:
    """Return the plot as lines of text for a screen of this size."""
    from plotille import Figure  # noqa: PLC0415 - other commands do without it

    # The last tick has room for its label.
    width = max((columns - _MARGIN - _LABEL) // _TICK * _TICK + _LABEL, _LEAST_WIDTH)
    tops = folded(series.values, width * _DOTS)
    figure = Figure()
    figure.width = width
    figure.height = max(min(lines - 8, 20), _LEAST_HEIGHT)
    figure.color_mode = "names"
    figure.with_colors = False
    figure.origin = False
    figure.x_label = ""
    figure.y_label = ""
    figure.set_x_limits(min_=0.0, max_=float(len(tops)))
    figure.set_y_limits(min_=0.0, max_=float(max(tops)) or 1.0)
    length_s = len(series.values) * series.step_s
    figure.x_ticks_fkt = lambda place, _next: _time_label(series.start_s + place / len(tops) * length_s, length_s)
    figure.y_ticks_fkt = lambda value, _next: f"{series.write(value):>10}"
    # Each dot's column goes up from the base line and back: a filled shape.
    figure.plot(
        [index + 0.25 for index in range(len(tops)) for _ in range(3)],
        [float(value) for top in tops for value in (0.0, top, 0.0)],
    )
    _axis_name, *rows = figure.show().splitlines()
    # The axes' names would go beyond the screen: the caller writes them above the plot.
    return "\n".join(row.removesuffix(" ()").rstrip() for row in rows)


def folded(values: Sequence[int | float], columns: int) -> list[int | float]:
    """Return one value per column: the largest of those that fall on it, and each more than once when there is room."""
    count = len(values)
    return [
        max(values[column * count // columns : max((column + 1) * count // columns, column * count // columns + 1)])
        for column in range(columns)
    ]


def _time_label(at_s: float, length_s: float) -> str:
    at = _EPOCH + timedelta(seconds=round(at_s))
    if length_s <= _DAY_S:
        return f"{at:%H:%M}"
    if length_s <= 7 * _DAY_S:
        return f"{at:%d %H:%M}"
    return f"{at:%m-%d}" if length_s <= 300 * _DAY_S else f"{at:%Y-%m}"
