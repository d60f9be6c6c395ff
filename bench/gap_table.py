"""Write the table of the gap test: how regular the gaps of a memoryless client are by chance.

.venv/bin/python bench/gap_table.py            print the table
.venv/bin/python bench/gap_table.py --write    put it into correlator/detect/gap_table.py

For each number n of gaps, TRIALS times n exponential gaps are drawn, those longer than five times their median are
dropped as the test drops them, and the coefficient of variation of the rest is taken; the table has its quantiles.
They are kept by the number of gaps drawn: a test that asks with the number of gaps left asks for a little too much.
Memory stays below 300 MB; the seed is fixed, so the same numpy writes the same table. It takes three minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parent.parent / "correlator/detect/gap_table.py"
SEED = 20_030_512
TRIALS = 4_000_000
AT_ONCE = 100_000
COUNTS = (*range(8, 21), 25, 30, 35, 40, 50, 60, 70, 80, 90, 100)
PROBABILITIES = (0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5, 1e-5)
LONGEST_IN_MEDIANS = 5.0

_HEAD = '''"""How regular gaps are by chance: made by bench/gap_table.py, do not edit.

Quantiles of the coefficient of variation of exponential gaps, those above {longest:g} medians dropped, from {trials:,}
trials for each number of gaps.
"""

from __future__ import annotations

from typing import Final

LONGEST_IN_MEDIANS: Final = {longest!r}
"""Longer gaps than this many medians are dropped: sleep, and the night."""
PROBABILITIES: Final = {probabilities!r}
CV_BY_GAPS: Final[dict[int, tuple[float, ...]]] = {{
'''


def variations(rng: np.random.Generator, count: int, trials: int) -> np.ndarray:
    """Return the coefficients of variation of ``trials`` rows of exponential gaps, trimmed."""
    gaps = rng.standard_exponential((trials, count))
    kept = gaps <= LONGEST_IN_MEDIANS * np.median(gaps, axis=1, keepdims=True)
    number = kept.sum(axis=1)
    mean = np.where(kept, gaps, 0.0).sum(axis=1) / number
    squares = (np.where(kept, gaps - mean[:, None], 0.0) ** 2).sum(axis=1)
    return np.sqrt(squares / number) / mean


def row(count: int) -> tuple[float, ...]:
    """Return the quantiles for one number of gaps."""
    rng = np.random.default_rng((SEED, count))
    found = np.concatenate([variations(rng, count, AT_ONCE) for _ in range(TRIALS // AT_ONCE)])
    return tuple(round(float(value), 4) for value in np.quantile(found, PROBABILITIES))


def main() -> None:
    """Print the table, or write it."""
    head = _HEAD.format(longest=LONGEST_IN_MEDIANS, trials=TRIALS, probabilities=PROBABILITIES)
    lines = [f"    {count}: {row(count)},\n" for count in COUNTS]
    text = head + "".join(lines) + "}\n"
    if "--write" in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
