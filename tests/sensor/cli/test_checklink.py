"""check-link from the command line: what is wrong is one line, also on networks that answer little or nothing."""

from __future__ import annotations

import time

import pytest
from click.testing import CliRunner
from corr_cli import Cli
from corr_link import serving
from netns import Wire, wire
from programs import CORRELATOR, SENSOR, error_line, run, running

from common.keys import write_key_file
from sensor.cli import main

CORRELATOR_AT, NEIGHBOUR_AT, ELSEWHERE = "198.51.100.2", "198.51.100.3", "203.0.113.9"
LIMIT_S = 3


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


class TestNetworks:
    """From the talker's end of a wire of two namespaces; the correlator would be at the other."""

    def wrong(self, pair: Wire, address: str, timeout_s: float = LIMIT_S) -> str:
        """The error without its endpoint. It came within the time limit, beside what the program takes to start."""
        correlator_key, endpoint = write_key_file(self.key).public, f"tcp://{address}:5690"
        how = ("--key", str(self.key), "--correlator-key", correlator_key, "--timeout", str(timeout_s))
        at = time.monotonic()
        code, out, err = run(*pair.on_talker(SENSOR, "check-link", "--ship", endpoint, *how))
        assert time.monotonic() - at < timeout_s + 10
        assert (code, out) == (1, b"")
        assert endpoint in err
        return error_line(err).replace(endpoint, "IT")

    @pytest.fixture(autouse=True)
    def place(self, tmp_path):
        self.key = tmp_path / "s.key"

    def test_without_a_route_it_says_no_route(self):
        with wire() as pair:
            pair.address()
            assert self.wrong(pair, ELSEWHERE) == (
                "error: no route to IT (Network is unreachable); check the address, this host's routes, and firewalls "
                "on the way"
            )

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("unreachable", "no route to IT (No route to host); check the address, this host's routes, and firewalls"),
            (
                "blackhole",
                "no route to IT (Invalid argument); check this host's routes",
            ),
            ("prohibit", "this host may not connect to IT (Permission denied); check its routes and its firewall"),
        ],
    )
    def test_a_route_that_leads_nowhere_is_said(self, kind, words):
        with wire() as pair:
            pair.address()
            pair.set_talker("route", "add", kind, ELSEWHERE)
            assert words in self.wrong(pair, ELSEWHERE)

    def test_a_neighbour_that_is_not_there_is_no_route(self):
        with wire() as pair:
            pair.address()
            # The kernel asks three times for its hardware address, a second apart.
            assert self.wrong(pair, NEIGHBOUR_AT, 20).startswith("error: no route to IT (No route to host)")

    def test_a_host_that_drops_the_first_packet_is_no_answer_within_the_limit(self):
        with wire() as pair:
            pair.address()
            # Frames to a hardware address that nobody has.
            pair.set_talker("neighbour", "add", NEIGHBOUR_AT, "lladdr", "02:00:00:00:00:99", "dev", pair.talker)
            assert self.wrong(pair, NEIGHBOUR_AT, 1) == (
                "error: no answer from IT within 1 s: the host is down, or a firewall drops it"
            )

    def test_a_correlator_whose_answers_get_lost_is_no_answer_within_the_limit(self, tmp_path):
        serve = (CORRELATOR, "--db", str(tmp_path / "a.db"), "serve", "--bind", f"tcp://{CORRELATOR_AT}:5690")
        write_key_file(tmp_path / "c.key")
        with wire() as pair:
            pair.address()
            pair.set("route", "add", "blackhole", "198.51.100.1")
            with running(*pair.on_tap(*serve, "--key", str(tmp_path / "c.key"))) as correlator:
                correlator.wait_for("listening on")
                assert "no answer from IT within 1 s" in self.wrong(pair, CORRELATOR_AT, 1)
                pair.set("route", "del", "blackhole", "198.51.100.1")
                # The way is open now, and the next thing that is wrong is the key.
                self.key = tmp_path / "another.key"
                assert "correlator_key is not its key" in self.wrong(pair, CORRELATOR_AT, 5)

    def test_a_port_that_is_closed_on_another_host_is_nothing_that_listens(self):
        with wire() as pair:
            pair.address()
            assert self.wrong(pair, CORRELATOR_AT).startswith("error: nothing listens at IT: start 'tunnelwatch serve'")
