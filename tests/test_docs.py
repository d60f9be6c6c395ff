"""The documentation says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_reference_pages_are_what_the_code_says(repo_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(repo_root / "docs/generate.py"), "--check"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["common", "sensor", "correlator"])
def test_the_architecture_page_names_every_module_and_only_those(repo_root: Path, package: str) -> None:
    page = (repo_root / "docs/architecture.md").read_text()
    named = set(re.findall(rf"^\| `({package}/[\w/.]+)`", page, re.MULTILINE))
    modules = {
        str(path.relative_to(repo_root))
        for suffix in ("py", "pyx")
        for path in (repo_root / package).rglob(f"*.{suffix}")
        if path.name not in ("__init__.py", "__main__.py")
    }
    assert named == modules


def test_every_local_link_of_the_pages_leads_somewhere(repo_root: Path) -> None:
    pages = [
        *repo_root.glob("*.md"),
        *(repo_root / "docs").rglob("*.md"),
        *repo_root.glob("bench/*.md"),
        *repo_root.glob("fuzz/*.md"),
    ]
    assert len(pages) >= 6
    for page in pages:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_test_that_the_threat_model_names_exists(repo_root: Path) -> None:
    page = (repo_root / "docs/threat-model.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 20
    for path, name in named:
        assert re.search(rf"^\s*def {name}\(", (repo_root / path).read_text(), re.MULTILINE), f"no {name} in {path}"


def test_every_line_of_the_threat_model_names_a_test_or_says_not_yet(repo_root: Path) -> None:
    rows = re.findall(r"^\| (.+) \| (.+) \|$", (repo_root / "docs/threat-model.md").read_text(), re.MULTILINE)
    rows = [row for row in rows if row[1] != "test"]
    assert len(rows) > 20
    for line, test in rows:
        assert test == "not yet" or re.fullmatch(r"`tests/\S+::\w+`(, `tests/\S+::\w+`)*", test), line
