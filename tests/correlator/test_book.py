"""Names from all that is configured, as commands print them."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

import pytest
from corr_cli import Cli
from dns_server import DnsServer, serving

from correlator.config import NamesSettings
from correlator.names.book import Book

ANSWERS = {"10.1.1.9": (b"dns-laptop",), "10.1.2.2": (b"dns-proxy",)}


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text("10.1.1.9 laptop\n")
    return path


def config(tmp_path: Path, **settings: object) -> Path:
    path = tmp_path / "c.toml"
    lines = [
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in settings.items()
    ]
    path.write_text("[names]\n" + "\n".join(lines) + "\n")
    return path


def test_the_users_file_stands_before_dns(hosts: Path, tmp_path: Path) -> None:
    with serving(DnsServer(ANSWERS)) as server:
        settings = NamesSettings(hosts_file=str(hosts), reverse_dns=True, servers=(server.endpoint,))
        book = Book(settings, tmp_path / "cache", 0)
        assert book.names(["10.1.1.9", "10.1.2.2", "10.9.9.9"]) == {"10.1.1.9": "laptop", "10.1.2.2": "dns-proxy"}
        assert sorted(server.asked) == ["10.1.2.2", "10.9.9.9"]
        assert book.close() == []


def test_dns_is_not_asked_unless_that_is_configured(hosts: Path, tmp_path: Path) -> None:
    with serving(DnsServer(ANSWERS)) as server:
        book = Book(NamesSettings(hosts_file=str(hosts), servers=(server.endpoint,)), tmp_path / "cache", 0)
        assert book.names(["10.1.2.2"]) == {}
        assert server.asked == []
    book.close()
    assert not (tmp_path / "cache").exists()


def test_what_was_answered_once_is_not_asked_again(castro: Cli, tmp_path: Path) -> None:
    with serving(DnsServer(ANSWERS)) as server:
        path = config(tmp_path, reverse_dns=True, servers=[server.endpoint])
        first = castro("--config", path, "clients", "--json").json()
        asked = len(server.asked)
        assert castro("--config", path, "clients", "--json").json() == first
        assert len(server.asked) == asked == 7
    assert first[0]["client_name"] == "dns-laptop"
    assert Path(f"{castro.db}-names").exists()


def test_a_dead_server_costs_a_view_no_more_than_its_limit(castro: Cli, tmp_path: Path) -> None:
    with serving(DnsServer(ANSWERS, silent=True)) as server:
        path = config(tmp_path, reverse_dns=True, servers=[server.endpoint], timeout_s=0.5)
        begin = time.monotonic()
        result = castro("--config", path, "clients", "--json")
        assert time.monotonic() - begin < 3
        assert (result.code, len(result.json())) == (0, 7)
        assert "warning: DNS gave no names for 7 addresses in 0.5 s" in result.err
        assert castro("--config", path, "clients", "--json").err == "", "it is let alone for a minute"


def test_a_dead_server_is_let_alone_for_all_addresses(tmp_path: Path) -> None:
    addresses = [f"10.0.0.{number}" for number in range(20)]
    with serving(DnsServer(ANSWERS, silent=True)) as server:
        settings = NamesSettings(reverse_dns=True, servers=(server.endpoint,), timeout_s=0.3, max_lookups=5)
        first = Book(settings, tmp_path / "cache", 0)
        first.names(addresses)
        first.close()
        asked = len(server.asked)
        second = Book(settings, tmp_path / "cache", 0)
        assert second.names(addresses) == {}
        assert second.close() == []
        assert len(server.asked) == asked


def test_json_keeps_addresses_and_adds_names_on_every_level(castro: Cli, hosts: Path, tmp_path: Path) -> None:
    path = config(tmp_path, hosts_file=str(hosts))
    plain = castro.json("clients", "--depth", "3")
    named = castro("--config", path, "clients", "--depth", "3", "--json").json()
    assert named[0]["client"] == "10.1.1.9"
    assert named[0]["client_name"] == "laptop"
    service = named[0]["children"][0]
    assert service["server_name"] is None
    assert service["children"][0]["client_name"] == "laptop"
    assert named[1]["client_name"] is None
    assert castro("--config", path, "clients", "--depth", "3", "--json", "--no-names").json() == plain
    rows = list(csv.DictReader(io.StringIO(castro("--config", path, "clients", "--csv").out)))
    assert [row["client_name"] for row in rows] == ["laptop", *[""] * 6]


def test_a_table_has_a_column_of_names(castro: Cli, hosts: Path, tmp_path: Path) -> None:
    path = config(tmp_path, hosts_file=str(hosts))
    titles, first, *_ = castro("--config", path, "clients").out.splitlines()
    assert titles.split()[:2] == ["client", "name"]
    assert first.split()[:2] == ["10.1.1.9", "laptop"]
    assert "laptop -> 10.1.2.2" in castro("--config", path, "top", "channels").out
    assert "laptop -> 10.1.2.57" in castro("--config", path, "flows").out
    assert "name" not in castro("--config", path, "periods").out.splitlines()[0].split()
    assert "name" not in castro("clients").out.splitlines()[0].split()


def test_flows_for_programs_stay_what_import_reads(castro: Cli, hosts: Path, tmp_path: Path) -> None:
    path = config(tmp_path, hosts_file=str(hosts))
    assert castro("--config", path, "flows", "--csv").out == castro("flows", "--csv").out
    assert castro("--config", path, "flows", "--ndjson").out == castro("flows", "--ndjson").out


def test_a_hostile_name_commands_no_terminal(castro: Cli, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("10.1.1.9 a\x1b[2Jb\u202e" + "x" * 500 + "\n")
    result = castro("--config", config(tmp_path, hosts_file=str(tmp_path / "hosts")), "clients")
    assert "\x1b" not in result.out
    assert "\u202e" not in result.out
    assert max(map(len, result.out.splitlines())) < 200


def test_asking_for_names_without_any_configured_is_a_usage_error(castro: Cli) -> None:
    result = castro("clients", "--names")
    assert result.code == 2
    assert "no names are configured: give a --config with hosts_file or reverse_dns in [names]" in result.err


def test_lines_that_are_no_names_are_said_once(castro: Cli, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("10.1.1.9 laptop\nnonsense\n")
    result = castro("--config", config(tmp_path, hosts_file=str(tmp_path / "hosts")), "clients")
    assert result.code == 0
    assert result.err.endswith("lines that are no address and name: 1, the first is line 2; mend them\n")
