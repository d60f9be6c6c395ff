"""[detect] in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from common.settings import load_settings
from correlator.config import Settings


def test_likelihood_ratios_and_limits_are_set_by_name(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        "[detect]\nprior = 0.001\n[detect.log10_lr]\nlong-connection = 0.3\n[detect.duration]\nlong_s = 60\n"
    )
    found = load_settings(path, Settings).detect
    assert (found.prior, found.log10_lr, found.duration.long_s) == (0.001, {"long-connection": 0.3}, 60)


@pytest.mark.parametrize("line", ["prior = 0", "prior = 1", "window_s = 1", "[detect.log10_lr]\nx = 9"])
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"[detect]\n{line}\n")
    with pytest.raises(UserError, match="detect"):
        load_settings(path, Settings)
