"""Fixtures and Hypothesis profiles for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The tests share two cores with whatever else runs, so no single example has a deadline.
settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile(
    "ci", deadline=None, max_examples=100, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", deadline=None, max_examples=5000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))

_ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the expected outputs in tests/data again instead of comparing",
    )


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The checkout that the tests belong to."""
    return _ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The captures and requirements kept beside the checkout; without them the test is skipped."""
    path = _ROOT.parent / "shared"
    if not path.is_dir():
        pytest.skip(f"needs the shared captures: {path} is not there")
    return path


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The small inputs and the expected outputs that the project keeps."""
    return _ROOT / "tests" / "data"


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether the expected outputs are to be written instead of compared."""
    return bool(request.config.getoption("--update-golden"))
