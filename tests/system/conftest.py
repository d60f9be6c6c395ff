"""The databases that the paper's figures are checked on, each made once."""

from __future__ import annotations

from pathlib import Path

import corr_castro
import corr_truth
import pytest
from corr_cli import Cli
from corr_truth import Case, Truth
from programs import SENSOR, run

# The paper's own records, the capture that the project keeps, and captures kept beside it.
CAPTURES = {
    "demo": "demo.pcap",
    "ssh": "data/b_benign/zeek__ssh.pcap",
    "camera": "data/b_benign/ndpi__nest_log_sink.pcap",
    "mixed": "data/lab/mixed.pcap",
}


@pytest.fixture(scope="session", params=["paper", *CAPTURES])
def case(request: pytest.FixtureRequest, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The paper's records, and those of real captures, each imported once."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    log = folder / "records.ndjson"
    if name == "paper":
        log.write_text(corr_castro.ndjson())
        truth = Truth(corr_truth.of_paper(corr_castro.RECORDS))
    else:
        path = data_dir if name == "demo" else request.getfixturevalue("shared_dir")
        capture = path / CAPTURES[name]
        if not capture.exists():
            pytest.skip(f"needs the capture {capture}")
        code, out, err = run(SENSOR, "read", str(capture), "--format", "ndjson")
        assert code == 0, err
        log.write_bytes(out)
        truth = Truth(corr_truth.of_sensor(out.decode()))
    cli = Cli(folder / "castro.db")
    cli.imported(log)
    return Case(name, cli, truth)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line on an empty database."""
    return Cli(tmp_path / "test.db")
