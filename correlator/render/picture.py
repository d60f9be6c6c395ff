"""A figure along time as a PNG or SVG file; its library is an extra, imported only where a file is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from common.errors import UserError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEEDED: Final = "pictures need the package matplotlib: install the extra tunnelwatch[plot], or leave {option} out"


class Picture(NamedTuple):
    """What a file shows: values at equal distances in time, and the words around them."""

    title: str
    label: str
    values: Sequence[int | float]
    start_s: float
    step_s: float
    write: Callable[[float], str]


def library(option: str) -> Any:
    """Return the drawing library; UserError that names the extra when it is missing."""
    try:
        import matplotlib.dates  # noqa: PLC0415 - an extra, and slow to import
        import matplotlib.figure  # noqa: PLC0415
        import matplotlib.ticker  # noqa: PLC0415
    except ImportError:
        raise UserError(_NEEDED.format(option=option)) from None
    return matplotlib


def save(picture: Picture, path: Path, form: str) -> None:
    """Write a file, ``png`` or ``svg``; the same picture gives the same bytes. UserError in one line."""
    drawing = library(f"--{form}")
    with drawing.rc_context({"svg.hashsalt": "tunnelwatch"}):
        figure = _drawn(picture, drawing)
        try:
            with path.open("wb") as out:
                figure.savefig(out, format=form, metadata={"Date": None} if form == "svg" else None)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; name another file with --{form}") from None


def _drawn(picture: Picture, drawing: Any) -> Any:
    figure = drawing.figure.Figure(figsize=(10, 4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    starts = [
        _EPOCH + timedelta(seconds=picture.start_s + index * picture.step_s) for index in range(len(picture.values) + 1)
    ]
    axes.stairs(picture.values, drawing.dates.date2num(starts), fill=True)
    axes.xaxis_date()
    locator = drawing.dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(drawing.dates.ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(drawing.ticker.FuncFormatter(lambda value, _place: picture.write(value)))
    axes.set_ylim(bottom=0, top=None if any(picture.values) else 1)
    axes.set_xlim(starts[0], starts[-1])
    # Names come from the wire: a dollar sign in one is no formula.
    axes.set_title(picture.title, parse_math=False)
    axes.set_ylabel(picture.label, parse_math=False)
    axes.set_xlabel("UTC")
    axes.grid(visible=True, alpha=0.3)
    return figure
