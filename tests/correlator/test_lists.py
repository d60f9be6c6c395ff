"""The lists: which entries match and which decides, what they hide, kept in the store and changed by command."""

from __future__ import annotations

import time
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, flow_log
from hypothesis import given
from hypothesis import strategies as st
from programs import SENSOR, run

from correlator.detect.alarm import Evidence, Severity
from correlator.detect.lists import Entry, Limits, ListKind, Lists, Subject, hiding_entry, subject_text
from correlator.store.database import Store
from correlator.store.lists import ListBook, add_entries, entries, remove_entries

WHITE, RED, BLACK = ListKind.WHITE, ListKind.RED, ListKind.BLACK
LIMIT = Evidence("channel-bytes", "bytes", None, 1300, 1000, "1300 bytes, limit 1000")
FOREIGN = Evidence("foreign-protocol", "protocol", 5.0, 1, 0, "ssh on 443")

addresses = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.1.0.1", "192.0.2.1", "fd00::1", "fd00::2", "2001:db8::1"])
networks = st.sampled_from(
    ["0.0.0.0/0", "::/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/31", "192.0.2.0/24", "fd00::/8", "fd00::1", "10.0.0.1"]
)
names = st.sampled_from(["example.com", "a.example.com", "b.a.example.com", "com", "example.org", "ample.com"])
patterns = names | names.map("*.{}".format)
ports = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda pair: (min(pair), max(pair)))
made = st.builds(
    Entry,
    kind=st.sampled_from(ListKind),
    client=st.none() | networks,
    server=st.none() | networks,
    ports=st.none() | ports,
    host=st.none() | patterns,
    expires_ns=st.sampled_from([None, 5, 15]),
)
subjects = st.builds(
    Subject,
    client=st.none() | addresses,
    server=st.none() | addresses,
    port=st.none() | st.integers(0, 3),
    host=st.none() | names | names.map(str.upper),
)


def holds(entry: Entry, subject: Subject, now_ns: int) -> bool:
    """What matching means, said in the longest way."""

    def inside(network: str | None, address: str | None) -> bool:
        return network is None or (address is not None and ip_address(address) in ip_network(network))

    def named(pattern: str | None, host: str | None) -> bool:
        if pattern is None or host is None:
            return pattern is None
        return host.lower().endswith(pattern[1:]) if pattern.startswith("*") else host.lower() == pattern

    return (
        inside(entry.client, subject.client)
        and inside(entry.server, subject.server)
        and (entry.ports is None or (subject.port is not None and entry.ports[0] <= subject.port <= entry.ports[1]))
        and named(entry.host, subject.host)
        and (entry.expires_ns is None or now_ns < entry.expires_ns)
    )


@given(st.lists(made, max_size=12), subjects)
def test_exactly_the_entries_that_match_are_found(some: list[Entry], subject: Subject) -> None:
    found = Lists(some).find(subject, 10)
    assert sorted(map(repr, found)) == sorted(repr(entry) for entry in some if holds(entry, subject, 10))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Entry(WHITE, server="192.0.2.1"), Entry(BLACK, server="192.0.2.0/24")),
        (Entry(WHITE, server="192.0.2.0/25"), Entry(BLACK, server="192.0.2.0/24")),
        (Entry(BLACK, server="192.0.2.1"), Entry(WHITE, server="192.0.2.1")),
        (Entry(BLACK, server="192.0.2.1"), Entry(RED, server="192.0.2.1", over_percent=5)),
        (Entry(RED, server="192.0.2.1", over_percent=5), Entry(WHITE, server="192.0.2.1")),
        (Entry(WHITE, host="www.example.com"), Entry(BLACK, host="*.example.com")),
        (Entry(WHITE, host="*.example.com"), Entry(BLACK, host="*.com")),
        (Entry(WHITE, client="10.0.0.0/8", host="*.com"), Entry(BLACK, host="www.example.com")),
        (Entry(WHITE, server="192.0.2.0/24", ports=(443, 443)), Entry(BLACK, server="192.0.2.1")),
        (Entry(WHITE, ports=(443, 443)), Entry(BLACK, ports=(400, 500))),
    ],
)
def test_the_more_specific_entry_comes_first_and_black_before_white(first: Entry, second: Entry) -> None:
    subject = Subject("10.0.0.1", "192.0.2.1", 443, "www.example.com")
    assert Lists([first, second]).find(subject, 0) == [first, second]
    assert Lists([second, first]).find(subject, 0) == [first, second]


def test_a_sensors_own_alarm_is_about_no_channel_and_matches_nothing() -> None:
    every = [Entry(WHITE, server="0.0.0.0/0"), Entry(WHITE, ports=(0, 65535)), Entry(WHITE, client="0.0.0.0/0")]
    assert Lists(every).find(Subject(None, None, None, None), 0) == []


def test_an_ipv6_address_that_begins_as_an_ipv4_one_is_another_address() -> None:
    lists = Lists([Entry(BLACK, server="10.0.0.0/8")])
    assert not lists.find(Subject(None, "a00:0:0:1::", 80), 0)
    assert not Lists([Entry(BLACK, server="::/0")]).find(Subject(None, "10.0.0.1", 80), 0)


@pytest.mark.parametrize(
    ("entry", "evidence", "hidden"),
    [
        (Entry(WHITE, server="192.0.2.1"), [LIMIT], True),
        (Entry(WHITE, server="192.0.2.1"), [], True),
        (Entry(WHITE, server="192.0.2.1"), [LIMIT, FOREIGN], False),
        (Entry(WHITE, server="192.0.2.1", everything=True), [LIMIT, FOREIGN], True),
        (Entry(BLACK, server="192.0.2.1"), [LIMIT], False),
        (Entry(RED, server="192.0.2.1", over_percent=30), [LIMIT], True),
        (Entry(RED, server="192.0.2.1", over_percent=29), [LIMIT], False),
        (Entry(RED, server="192.0.2.1", over_percent=30), [LIMIT, FOREIGN], False),
        (Entry(RED, server="192.0.2.1", over_percent=30), [LIMIT, LIMIT._replace(value=1301)], False),
        (Entry(RED, server="192.0.2.1", over_percent=30), [LIMIT._replace(threshold=0)], False),
        (Entry(RED, server="192.0.2.1", over_percent=30), [], False),
        (Entry(RED, server="192.0.2.1", limits=Limits(bytes=1300)), [LIMIT], True),
        (Entry(RED, server="192.0.2.1", limits=Limits(bytes=1299)), [LIMIT], False),
        (Entry(RED, server="192.0.2.1", limits=Limits(packets=5000)), [LIMIT], False),
    ],
)
def test_what_an_entry_hides(entry: Entry, evidence: list[Evidence], hidden: bool) -> None:
    assert (hiding_entry([entry], evidence) is entry) == hidden


def test_the_most_specific_entry_decides_alone() -> None:
    black, white = Entry(BLACK, server="192.0.2.1"), Entry(WHITE, server="192.0.2.0/24")
    assert hiding_entry([black, white], [LIMIT]) is None
    assert hiding_entry([white, black], [LIMIT]) is white
    assert hiding_entry([], [LIMIT]) is None


def test_what_an_entry_speaks_of_as_a_line_says_it() -> None:
    entry = Entry(RED, "10.0.0.0/8", "fd00::1", (80, 443), "*.example.com")
    assert subject_text(entry) == "client=10.0.0.0/8 server=fd00::1 port=80-443 host=*.example.com"
    assert subject_text(entry._replace(ports=(80, 80), client=None)) == "server=fd00::1 port=80 host=*.example.com"


def test_a_hundred_thousand_entries_are_ready_in_a_second_and_asked_in_microseconds() -> None:
    hexes = [f"{number:05x}" for number in range(25_000)]
    some = [Entry(BLACK, server=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(25_000)]
    some += [Entry(BLACK, server=f"172.{n >> 8}.{n & 255}.0/24") for n in range(25_000)]
    some += [Entry(BLACK, host=f"{name}.example") for name in hexes]
    some += [Entry(BLACK, host=f"*.{name}.example.org") for name in hexes]
    began = time.process_time()
    lists = Lists(some)
    loaded = time.process_time() - began
    asked = [
        Subject("10.9.9.9", f"172.{n >> 6 & 63}.{n & 255}.9", 443, f"www.{n:05x}.example.org") for n in range(5000)
    ]
    began = time.process_time()
    found = [lists.find(subject, 0) for subject in asked]
    each = (time.process_time() - began) / len(asked)
    assert lists.count == 100_000
    assert all(found)
    assert loaded < 3, "three times and more what it takes, for a busy machine"
    assert each < 100e-6


class TestStore:
    def test_what_is_stored_comes_back_as_it_was(self, store: Store) -> None:
        full = Entry(
            RED, "10.0.0.0/8", "192.0.2.1", (80, 443), "*.example.com", False, 12.5, Limits(1, 2, 3), Severity.LOW, 7,
            "why", "file",
        )  # fmt: skip
        assert add_entries(store.conn, [full, Entry(WHITE, host="example.com", everything=True)], 1) == (2, 0, 0)
        one, other = entries(store.conn)
        assert one._replace(entry_id=0) == full
        assert other == Entry(WHITE, host="example.com", everything=True, entry_id=2)

    def test_the_same_names_again_replace_the_rest_and_keep_the_number(self, store: Store) -> None:
        add_entries(store.conn, [Entry(WHITE, server="192.0.2.1", comment="old", expires_ns=5)], 1)
        assert add_entries(store.conn, [Entry(WHITE, server="192.0.2.1", comment="new")], 2) == (0, 1, 0)
        assert add_entries(store.conn, [Entry(BLACK, server="192.0.2.1")], 3) == (1, 0, 0)
        assert [(entry.entry_id, entry.comment, entry.expires_ns) for entry in entries(store.conn)] == [
            (1, "new", None),
            (2, "", None),
        ]

    def test_a_source_that_comes_again_takes_what_it_left_out_with_it(self, store: Store) -> None:
        first = [Entry(BLACK, host=name, source="feed") for name in ("a.example", "b.example")]
        add_entries(store.conn, [*first, Entry(BLACK, host="mine.example")], 1)
        again = [Entry(BLACK, host=name, source="feed") for name in ("b.example", "c.example")]
        assert add_entries(store.conn, again, 2, instead_of="feed") == (1, 1, 1)
        assert [entry.host for entry in entries(store.conn)] == ["b.example", "mine.example", "c.example"]

    def test_whoever_holds_the_lists_sees_every_change(self, store: Store) -> None:
        book = ListBook(store)
        assert book.now().count == 0
        add_entries(store.conn, [Entry(WHITE, server="192.0.2.1")], 1)
        held = book.now()
        assert (held.count, book.now() is held) == (1, True)
        remove_entries(store.conn, [1])
        assert book.now().count == 0


def raised(cli: Cli, tmp_path: Path, *changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Import flows that are all over a limit; return the alarms."""
    config = tmp_path / "c.toml"
    config.write_text("[thresholds.flow]\nbytes = 1000\n")
    log = tmp_path / "a.flowlog"
    log.write_bytes(flow_log([batch([flow(n, **change) for n, change in enumerate(changes, 1)], 1)]))
    cli.imported("--config", config, log)
    found: list[dict[str, Any]] = cli.json("alarms")
    return found


class TestCommands:
    def test_a_white_entry_hides_at_once_what_is_stored_and_deletes_nothing(self, cli: Cli, tmp_path: Path) -> None:
        before = raised(cli, tmp_path, {}, {"server_ip": "192.0.2.9"})
        assert len(before) == 2
        assert cli("lists", "add", "white", "--server", "192.0.2.8/30").err == "added: white server=192.0.2.8/30\n"
        (shown,) = cli.json("alarms")
        assert (shown["server"], shown["hidden_by"]) == ("192.0.2.1:443", None)
        hidden_by = {row["server"]: row["hidden_by"] for row in cli.json("alarms", "--all")}
        assert hidden_by == {"192.0.2.9:443": "white server=192.0.2.8/30", "192.0.2.1:443": None}
        assert "1 more are hidden by the lists: --all shows them" in cli("alarms").err
        assert "white server=192.0.2.8/30" in cli("alarms", "--all").out
        cli("lists", "remove", "1")
        assert cli.json("alarms") == before

    def test_a_hidden_alarm_fails_nobody(self, cli: Cli, tmp_path: Path) -> None:
        raised(cli, tmp_path, {})
        assert cli("alarms", "--fail-on", "low").code == 3
        cli("lists", "add", "white", "--client", "10.0.0.0/8", "--port", "443")
        assert cli("alarms", "--fail-on", "low").code == 0
        assert cli("alarms", "--all", "--fail-on", "low").code == 0

    def test_a_red_entry_shows_only_what_is_over_its_own_rate(self, cli: Cli, tmp_path: Path) -> None:
        raised(cli, tmp_path, {"payload_bytes_out": 600})  # 1340 bytes, 34 % over
        cli("lists", "add", "red", "--client", "10.0.0.1", "--over", "35")
        assert cli.json("alarms") == []
        cli("lists", "add", "red", "--client", "10.0.0.1", "--over", "33")
        assert len(cli.json("alarms")) == 1

    def test_an_entry_whose_time_is_over_hides_nothing(self, cli: Cli, tmp_path: Path) -> None:
        raised(cli, tmp_path, {})
        cli("lists", "add", "white", "--client", "10.0.0.1", "--until", "2020-01-01")
        assert len(cli.json("alarms")) == 1
        assert cli.json("lists")[0]["expired"] is True
        cli("lists", "add", "white", "--client", "10.0.0.1", "--for", "2h")
        assert cli.json("alarms") == []
        assert cli("lists", "remove", "--expired").err == "removed 0\n"

    def test_import_names_bad_lines_and_takes_the_rest(self, cli: Cli, tmp_path: Path) -> None:
        file = tmp_path / "feed.txt"
        file.write_text("# a feed\n\n203.0.113.7\nevil.example # seen 2026\n203.0.113.0/33\n203.0.113.8:443\n")
        result = cli("lists", "import", "--kind", "black", file)
        assert result.code == 1
        assert f"warning: {file}:5: not a network: '203.0.113.0/33'" in result.err
        assert "3 added, 0 replaced, 1 bad" in result.err
        assert [(row["server"], row["port"], row["host"], row["comment"]) for row in cli.json("lists")] == [
            ("203.0.113.7", None, None, None),
            (None, None, "evil.example", "seen 2026"),
            ("203.0.113.8", "443", None, None),
        ]

    def test_what_export_prints_is_what_import_reads(self, cli: Cli, tmp_path: Path) -> None:
        lines = [
            "white client=10.0.0.0/8 host=*.example.com until=2027-01-01T00:00:00Z all # ours",
            "red server=192.0.2.1 port=80-443 over=12.5 bytes=5 severity=low",
            "black host=evil.example # a, b",
        ]
        for form in ((), ("--csv",)):
            cli.db = tmp_path / f"{len(form)}.db"
            assert cli("lists", "import", "-", stdin="\n".join(lines)).code == 0
            text = cli("lists", "export", *form).out
            cli.db = tmp_path / f"{len(form)}-again.db"
            assert cli("lists", "import", "-", stdin=text).code == 0
            assert cli("lists", "export").out.splitlines() == lines

    def test_import_with_replace_mirrors_the_file(self, cli: Cli) -> None:
        cli("lists", "add", "black", "--host", "mine.example")
        options = ("lists", "import", "--kind", "black", "--source", "feed", "--replace", "-")
        cli(*options, stdin="a.example\nb.example\n")
        assert "1 added, 1 replaced, 1 removed, 0 bad" in cli(*options, stdin="b.example\nc.example\n").err
        assert [row["host"] for row in cli.json("lists")] == ["mine.example", "b.example", "c.example"]
        assert cli("lists", "remove", "--source", "feed").err == "removed 2\n"

    def test_show_of_a_channel_says_which_entry_decides(self, cli: Cli) -> None:
        cli("lists", "add", "black", "--server", "192.0.2.0/24")
        cli("lists", "add", "white", "--host", "*.example.com", "--client", "10.0.0.1")
        cli("lists", "add", "white", "--port", "80")
        found = cli.json("lists", "show", "--of", "10.0.0.1,192.0.2.1:443,www.example.com")
        assert [row["id"] for row in found] == [2, 1]

    @pytest.mark.parametrize(
        ("arguments", "fact"),
        [
            (("add", "white"), "an entry names a client, a server, a port or a host"),
            (("add", "red", "--host", "a.example"), "a red entry has a limit"),
            (("add", "black", "--host", "a.example", "--over", "3"), "'over' is for red entries"),
            (("add", "white", "--host", "a.example", "--bytes", "3"), "limits and severity are for red and black"),
            (("add", "white", "--host", "a b"), "not a host name"),
            (("add", "white", "--client", "10.0.0.1/8"), "write 10.0.0.0/8"),
            (("add", "white", "--client", "10.0.0.1", "--for", "soon"), "not a length of time"),
            (("add", "white", "--client", "10.0.0.1", "--for", "1d", "--until", "2027-01-01"), "leave one of them out"),
            (("remove",), "name entries by their numbers"),
            (("remove", "99"), "no entry has the number 99"),
            (("import", "/no/such/file"), "cannot read /no/such/file"),
            (("show", "--of", "10.0.0.300"), "not an IP address"),
        ],
    )
    def test_what_cannot_be_is_one_line(self, castro: Cli, arguments: tuple[str, ...], fact: str) -> None:
        result = castro("lists", *arguments)
        assert result.code in (1, 2)
        assert fact in result.err
        assert "Traceback" not in result.err

    def test_empty_lists_say_how_to_fill_them(self, castro: Cli) -> None:
        assert "tunnelwatch lists add" in castro("lists").err


@pytest.mark.shared
def test_on_a_real_tunnel_white_hides_what_only_behaviour_tells_and_all_hides_the_rest(
    cli: Cli, tmp_path: Path, shared_dir: Path
) -> None:
    """ssh inside a WebSocket, which was read, in a capture of a real tool."""
    log, capture = tmp_path / "a.flowlog", shared_dir / "data" / "lab" / "m14_wstunnel.pcap"
    assert run(SENSOR, "read", str(capture), "-w", str(log))[0] == 0
    cli.imported(log)
    tunnel = {row["id"] for row in cli.json("alarms", "--severity", "critical")}
    assert len(tunnel) == 1
    assert cli.json("alarms")[0]["host"] == "host.duneline.test"
    cli("lists", "add", "white", "--host", "*.duneline.test")
    assert {row["id"] for row in cli.json("alarms")} == tunnel
    cli("lists", "add", "white", "--host", "*.duneline.test", "--all")
    assert cli.json("alarms") == []
    cli("lists", "add", "black", "--host", "host.duneline.test")
    assert {row["kind"] for row in cli.json("alarms")} == {"channel", "black-list"}
