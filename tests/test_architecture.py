"""The import contracts hold, and catch what they are for; every module has its users and its tests."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("sensor", "correlator", "common")
LINT_IMPORTS = Path(sys.prefix, "bin", "lint-imports")

# Modules of common that only one program imports, each with the reason why it is there nevertheless.
ONE_USER: dict[str, str] = {}

# Modules without a test file of their own yet: what uses them tests them so far. The list only shrinks, an entry
# whose test file exists fails.
UNTESTED: frozenset[str] = frozenset(
    (
        "correlator.cli.flows",
        "correlator.cli.summary",
        "correlator.detect.alarm",
        "correlator.ingest.formats.lines",
        "correlator.ingest.formats.textrows",
        "correlator.ingest.importer",
        "correlator.ingest.inputs",
        "correlator.ingest.pipeline",
        "correlator.ingest.receiver",
        "correlator.render.machine",
        "correlator.render.table",
        "correlator.rows",
        "correlator.service",
        "correlator.store.flows",
        "correlator.store.queries",
        "correlator.store.rollup",
        "correlator.store.schema",
        "correlator.store.sessions",
        "correlator.store.writer",
        "correlator.views.clients",
        "correlator.views.figures",
        "correlator.views.merge",
        "correlator.views.servers",
        "correlator.views.summary",
        "correlator.views.tree",
        "correlator.views.uptime",
        "sensor.cli.__init__",
        "sensor.stream.events",
    )
)


def _lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def _copy_sources(root: Path, target: Path) -> None:
    shutil.copy(root / "pyproject.toml", target)
    for package in PACKAGES:
        shutil.copytree(root / package, target / package, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))


def _modules(root: Path, package: str) -> dict[str, Path]:
    paths = [*(root / package).rglob("*.py"), *(root / package).rglob("*.pyx")]
    return {".".join(path.relative_to(root).with_suffix("").parts): path for path in paths}


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _is_trivial(path: Path) -> bool:
    """Whether the module defines nothing that could be wrong: a docstring, imports, a version."""
    if path.suffix != ".py" or path.name == "__main__.py":
        return path.name == "__main__.py"
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return not any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) for node in body)


def test_the_import_contracts_hold(repo_root: Path) -> None:
    result = _lint_imports(repo_root)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("sensor/config.py", "import correlator.config", "the two programs do not know each other"),
        ("correlator/config.py", "import sensor.config", "the two programs do not know each other"),
        ("common/link.py", "import sensor.config", "common knows neither program"),
        ("sensor/flow/__init__.py", "import zmq", "pure packages do no input or output and read no clock"),
        ("correlator/views/clients.py", "import time", "pure packages do no input or output and read no clock"),
        ("correlator/service.py", "import sqlite3", "SQL lives in the store alone"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    repo_root: Path, tmp_path: Path, module: str, line: str, contract: str
) -> None:
    _copy_sources(repo_root, tmp_path)
    with (tmp_path / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    result = _lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(rf"^{re.escape(contract)} BROKEN", result.stdout, re.MULTILINE), result.stdout


def test_every_module_of_common_serves_both_programs(repo_root: Path) -> None:
    common = _modules(repo_root, "common")
    for program in ("sensor", "correlator"):
        used: set[str] = set()
        waiting = [path for path in _modules(repo_root, program).values() if path.suffix == ".py"]
        while waiting:
            new = (_imports(waiting.pop()) & common.keys()) - used
            used |= new
            waiting.extend(common[name] for name in new)
        unused = {name for name in common if not name.endswith("__init__")} - used - ONE_USER.keys()
        assert not unused, f"{program} imports nothing of {sorted(unused)}: move them to their only user"


def test_there_is_no_package_under_tests(repo_root: Path) -> None:
    # With one, "import sensor" would mean tests/sensor.
    assert not list((repo_root / "tests").rglob("__init__.py"))


def test_every_module_has_a_test_file_named_after_it(repo_root: Path) -> None:
    missing = set()
    for package in PACKAGES:
        tests = [path.stem for path in (repo_root / "tests" / package).rglob("test_*.py")]
        for name, path in _modules(repo_root, package).items():
            subject = path.parent.name if path.name == "__init__.py" else path.stem.strip("_")
            tested = any(test == f"test_{subject}" or test.startswith(f"test_{subject}_") for test in tests)
            if not tested and not _is_trivial(path):
                missing.add(name)
    assert not missing - UNTESTED, "write tests for these, in a file named after each"
    assert not UNTESTED - missing, "these have their tests, or are gone: take them out of UNTESTED"


def test_relative_imports_are_not_used(repo_root: Path) -> None:
    for package in PACKAGES:
        for path in _modules(repo_root, package).values():
            assert not re.search(r"^\s*from\s+\.", path.read_text(encoding="utf-8"), re.MULTILINE), path
