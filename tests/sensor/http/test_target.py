"""Where a request goes, and that nothing secret of a URI is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.http.target import NOWHERE, Destination, authority, destination, kept_uri


@pytest.mark.parametrize(
    ("method", "target", "found"),
    [
        (b"GET", b"/path?http://other/", NOWHERE),
        (b"GET", b"http://A.example/x", Destination("a.example", 80, good=True)),
        (b"GET", b"https://a.example", Destination("a.example", 443, good=True)),
        (b"GET", b"http://user:pw@a.example:8080?x", Destination("a.example", 8080, good=True)),
        (b"GET", b"http://[2001:DB8::1]:81/", Destination("2001:db8::1", 81, good=True)),
        (b"CONNECT", b"a.example:22", Destination("a.example", 22, good=True)),
        (b"CONNECT", b"a.example", Destination("a.example", None, good=True)),
        (b"CONNECT", b"a.example:99999", Destination("a.example", None, good=False)),
        (b"OPTIONS", b"*", NOWHERE),
        (b"GET", b"http://\xff/", Destination("\\xff", 80, good=False)),
    ],
)
def test_the_target_says_where_it_goes(method: bytes, target: bytes, found: Destination) -> None:
    assert destination(method, target) == found


@given(st.binary(max_size=600))
def test_any_bytes_make_a_host_that_records_take(value: bytes) -> None:
    for found in (authority(value), destination(b"GET", b"http://" + value), destination(b"CONNECT", value)):
        assert len(found.host) <= 255
        assert found.host.isprintable()
        assert found.port is None or 0 < found.port < 65536


@pytest.mark.parametrize(
    ("target", "most", "kept"),
    [
        (b"/a?b=c", 0, None),
        (b"/a?b=c", 100, "/a?b=c"),
        (b"/a?b=c", 4, "/a?b"),
        (b"/in?user=me&Password=secret&x=1", 100, "/in?user=*&Password=*&x=1"),
        (b"/in?access_token=abc#top", 100, "/in?access_token=*#top"),
        (b"http://me:secret@a.example/x", 100, "http://a.example/x"),
        (b"/\x1b[2J", 100, "/\\x1b[2J"),
    ],
)
def test_what_looks_secret_is_not_kept(target: bytes, most: int, kept: str | None) -> None:
    assert kept_uri(target, most) == kept


@given(st.binary(max_size=300), st.integers(1, 50))
def test_a_kept_uri_is_bounded_printable_text(target: bytes, most: int) -> None:
    kept = kept_uri(target, most)
    assert kept is not None
    assert len(kept) <= most
    assert kept.isprintable()
