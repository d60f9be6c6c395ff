"""Every anomaly is documented, and all that is named is one of them."""

from __future__ import annotations

import re
from pathlib import Path

from sensor.http.browsers import FAMILIES
from sensor.http.words import ABSENCES, ANOMALIES


def test_the_page_lists_every_anomaly_with_its_meaning(repo_root: Path) -> None:
    page = (repo_root / "docs/http.md").read_text(encoding="utf-8")
    for word, meaning in ANOMALIES.items():
        assert f"| `{word}` | {meaning} |" in page


def test_the_page_lists_every_family_of_programs(repo_root: Path) -> None:
    page = (repo_root / "docs/http.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    assert sorted(listed) == sorted(family.name for family in FAMILIES)


def test_words_are_short_and_in_small_letters() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]{3,24}", word) for word in ANOMALIES)
    assert ANOMALIES.keys() >= ABSENCES
