"""Pictures in files: PNG and SVG of an evolution, and one line where they cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from corr_cli import Cli

from common.errors import UserError
from correlator.render.picture import Picture, library, save


def a_picture(title: str = "outbound per period, all", values: tuple[float, ...] = (1, 0, 3)) -> Picture:
    return Picture(title, "outbound", values, 1_700_000_000, 3600, lambda value: f"{value:.0f} B")


def test_png_and_svg_are_written(castro: Cli, tmp_path: Path) -> None:
    png, svg = tmp_path / "a.png", tmp_path / "a.svg"
    result = castro("evolution", "--by", "outbound", "--png", png, "--svg", svg)
    assert result.code == 0
    assert result.out == ""
    assert result.err == f"wrote {png}\nwrote {svg}\n"
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    assert "</svg>" in svg.read_text()


def test_data_asked_for_beside_a_picture_is_printed_too(castro: Cli, tmp_path: Path) -> None:
    assert len(castro.json("evolution", "--svg", tmp_path / "a.svg")) == 24
    assert (tmp_path / "a.svg").exists()


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    for form in ("png", "svg"):
        for name in ("one", "two"):
            save(a_picture(), tmp_path / name, form)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("values", [(0,), (0, 0), (5,), tuple(range(5000))])
def test_any_number_of_values_is_drawn(tmp_path: Path, values: tuple[float, ...]) -> None:
    save(a_picture(values=values), tmp_path / "a.svg", "svg")


def test_a_name_from_the_wire_is_no_formula(tmp_path: Path) -> None:
    save(a_picture("per period, $\\frac{$ <x>&"), tmp_path / "a.svg", "svg")


def test_a_file_that_cannot_be_written_is_one_line(castro: Cli, tmp_path: Path) -> None:
    result = castro("evolution", "--png", tmp_path / "nowhere" / "a.png")
    assert result.code == 1
    assert result.err.startswith("error: cannot write ")
    assert "name another file with --png" in result.err
    assert result.err.count("\n") == 1


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r"install the extra tunnelwatch\[plot\], or leave --png out"):
        library("--png")


def test_nothing_that_draws_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, correlator.cli; print([n for n in ('matplotlib', 'plotille') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
