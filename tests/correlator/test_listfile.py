"""List files: what a line means, and that nothing in one harms another."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.cli.listfile import entry_cells, entry_line, read_lines
from correlator.detect.alarm import Severity
from correlator.detect.lists import Entry, Limits, ListKind
from correlator.ingest.formats.lines import BadLine, numbered_lines

WHITE, RED, BLACK = ListKind.WHITE, ListKind.RED, ListKind.BLACK


def read(text: str | bytes, kind: ListKind | None = None) -> list[Entry | BadLine]:
    raw = text.encode() if isinstance(text, str) else text
    found = read_lines(numbered_lines(BytesIO(raw)), kind)
    return [one if isinstance(one, BadLine) else one.entry for one in found]


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("192.0.2.1", Entry(BLACK, server="192.0.2.1")),
        ("192.0.2.0/24", Entry(BLACK, server="192.0.2.0/24")),
        ("192.0.2.1:443", Entry(BLACK, server="192.0.2.1", ports=(443, 443))),
        ("[2001:db8::1]:443", Entry(BLACK, server="2001:db8::1", ports=(443, 443))),
        ("2001:DB8::/32", Entry(BLACK, server="2001:db8::/32")),
        ("Evil.Example.", Entry(BLACK, host="evil.example")),
        ("*.evil.example", Entry(BLACK, host="*.evil.example")),
        ("cafe.de", Entry(BLACK, host="cafe.de")),
        ("white client=10.0.0.1", Entry(WHITE, client="10.0.0.1")),
        ("WHITE 192.0.2.1 all # x", Entry(WHITE, server="192.0.2.1", everything=True, comment="x")),
        ("red port=20-21 over=30", Entry(RED, ports=(20, 21), over_percent=30)),
        ("red client=10.0.0.1 bytes=5 packets=6 tcp_uptime_s=7", Entry(RED, "10.0.0.1", limits=Limits(5, 6, 7))),
        ("host=a.example severity=critical", Entry(BLACK, host="a.example", severity=Severity.CRITICAL)),
        ("host=a.example until=1970-01-02", Entry(BLACK, host="a.example", expires_ns=86_400 * 10**9)),
    ],
)
def test_a_line_and_what_it_means(line: str, entry: Entry) -> None:
    assert read(line, BLACK) == [entry]


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("server=192.0.2.1", "no kind"),
        ("white", "an entry names"),
        ("white 192.0.2.1 192.0.2.2", "server is there twice"),
        ("white 192.0.2.300", "not an IP address"),
        ("white 1.2.3.4/40", "its length goes from 0 to 32"),
        ("white server=192.0.2.1:80 port=80", "leave one of them out"),
        ("white port=70000", "not a port"),
        ("white port=9-1", "not a port"),
        ("white colour=green", "no field 'colour'"),
        ("black client=10.0.0.1 bytes=-1", "not a limit"),
        ("black client=10.0.0.1 severity=dire", "no severity 'dire'"),
        ("red client=10.0.0.1 over=nan", "not a percentage"),
        ("white client=10.0.0.1 until=soon", "not a time"),
        ("white host=*", "not a host name"),
        ("white host=a.*.example", "not a host name"),
        ("white host=" + "x" * 5000, "longer than 4096"),
    ],
)
def test_a_bad_line_is_named_and_the_next_one_read(line: str, fact: str) -> None:
    bad, good = read(f"{line}\nblack a.example\n")
    assert isinstance(bad, BadLine)
    assert bad.number == 1
    assert fact in bad.reason
    assert good == Entry(BLACK, host="a.example")


def test_csv_has_the_names_of_its_columns_first() -> None:
    text = 'comment,server,kind,port\n"a, b",192.0.2.0/24,white,443\n,192.0.2.1:80,,\nx\n'
    one, two, three = read(text, BLACK)
    assert one == Entry(WHITE, server="192.0.2.0/24", ports=(443, 443), comment="a, b")
    assert two == Entry(BLACK, server="192.0.2.1", ports=(80, 80))
    assert isinstance(three, BadLine)
    assert three.reason == "1 cells, and the first line has 4"


def test_a_comment_commands_no_terminal() -> None:
    (entry,) = read("black a.example # red\x1b[31m\x00 \u202egreen\n")
    assert isinstance(entry, Entry)
    assert entry.comment.isprintable()


entries = st.builds(
    Entry,
    kind=st.just(BLACK),
    client=st.sampled_from([None, "10.0.0.0/8", "fd00::/8"]),
    server=st.sampled_from([None, "192.0.2.1", "2001:db8::1"]),
    ports=st.sampled_from([None, (0, 0), (80, 443)]),
    host=st.sampled_from(["example.com", "*.a.example", "xn--caf-dma.example"]),
    limits=st.builds(
        Limits,
        bytes=st.none() | st.integers(0, 10**17),
        packets=st.none(),
        tcp_uptime_s=st.none() | st.integers(0, 10**9),
    ),
    severity=st.none() | st.sampled_from(Severity),
    expires_ns=st.none() | st.integers(0, 4 * 10**18),
    everything=st.just(False),
    over_percent=st.none(),
    source=st.just(""),
    entry_id=st.just(0),
    comment=st.text("ab #=,\"'é", max_size=20).map(lambda text: " ".join(text.split())),
)


@given(st.lists(entries, max_size=5))
def test_a_written_line_reads_as_the_same_entry(some: list[Entry]) -> None:
    assert read("".join(f"{entry_line(entry)}\n" for entry in some)) == some
    assert [entry_cells(entry)["host"] for entry in some] == [entry.host for entry in some]


@given(st.binary(max_size=300))
def test_any_bytes_give_entries_or_bad_lines_and_nothing_else(raw: bytes) -> None:
    for one in read(raw, BLACK):
        assert isinstance(one, Entry | BadLine)
