"""Fixtures of the correlator's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import corr_castro
import pytest
from corr_cli import Cli

from correlator.config import Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.store.database import Built, Store, writing
from correlator.store.writer import Writer


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
def cli(db: Path) -> Cli:
    return Cli(db)


@pytest.fixture
def castro(cli: Cli, tmp_path: Path) -> Cli:
    """The command line on a database that holds the paper's 21 records."""
    path = tmp_path / "castro.ndjson"
    path.write_text(corr_castro.ndjson())
    cli.imported(path)
    return cli


@pytest.fixture
def store(db: Path) -> Iterator[Store]:
    with writing(db, Built(3600, 300)) as opened:
        yield opened


@pytest.fixture
def pipeline(store: Store) -> Pipeline:
    return Pipeline(Writer(store), Thresholds())
