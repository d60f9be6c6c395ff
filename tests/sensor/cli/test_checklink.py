from __future__ import annotations

from click.testing import CliRunner
from corr_cli import Cli
from corr_link import serving

from common.keys import write_key_file
from sensor.cli import main


def check_link(*arguments):
    return CliRunner().invoke(main, ["check-link", *map(str, arguments)], catch_exceptions=False)


def test_a_good_link_is_one_line_and_zero(tmp_path):
    correlator_key = write_key_file(tmp_path / "c.key").public
    Cli(tmp_path / "a.db")("sensors", "add", "tap", write_key_file(tmp_path / "s.key").public)
    with serving(tmp_path / "a.db", key=tmp_path / "c.key") as correlator:
        how = ("--ship", correlator.endpoint, "--key", tmp_path / "s.key", "--correlator-key", correlator_key)
        result = check_link(*how, "--sensor", "tap")
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(f"{correlator.endpoint} takes records of tap: round trip ")
        assert result.stdout.endswith("mark of this run 0\n")
        assert result.stderr == ""
        other = check_link(*how, "--sensor", "roof")
        assert (other.exit_code, other.stdout) == (1, "")
        assert "its key is that of 'tap', not of 'roof'" in other.stderr


def test_the_settings_in_effect_are_used(tmp_path):
    config = tmp_path / "s.toml"
    config.write_text(f'[ship]\nendpoint = "ipc://{tmp_path}/s"\nplaintext = true\n')
    result = check_link("--config", config)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: no socket at ipc://{tmp_path}/s: start 'tunnelwatch serve' with that --bind, or mend the path\n"
    )


def test_without_a_correlator_there_is_nothing_to_check():
    result = check_link()
    assert result.exit_code == 1
    assert "no correlator is set" in result.stderr
