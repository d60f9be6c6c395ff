"""Whatever a record says, as far as a record may say it, the tests of flows answer with what is documented."""

from __future__ import annotations

from math import isfinite
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rec_records import flows

from common.records import FlowRecord
from correlator.detect.catalogue import CATALOGUE, of_flow
from correlator.detect.settings import DetectSettings

SETTINGS = DetectSettings()
NAMES = ["tls", "http", "ssh", "random", "unknown", "printable", "unix-shell", "socks5", "http,ssh", "ssl", None]
FACTS = ["inside_out", "inside_in", "http_connect", "http_upgrade", "http_method", "user_agent", "tls"]
WORDS = ["directions-disagree", "client-speaks-server", "server-speaks-client", "odd-port"]
WORDS += ["inside-directions-disagree", "inside-client-speaks-server", "connect-other-name"]

COUNTS = ["data_packets_out", "data_packets_in", "keystroke_packets", "keystroke_pairs", "keystroke_typed_pairs"]
COUNTS += ["echoes", "exchanges", "exchange_gaps"]
names = st.sampled_from(NAMES)
words = st.sampled_from(NAMES[:-1]) | st.integers(0, 999)


@st.composite
def telling_flows(draw: st.DrawFn) -> FlowRecord:
    """Draw records whose words and small numbers are those that the tests look at."""
    small = st.none() | st.integers(0, 400)
    histogram = st.none() | st.tuples(*[st.integers(0, 90)] * 8)
    sizes = st.lists(st.tuples(st.integers(-1460, 1460), st.just(5)), max_size=32)
    values: dict[str, Any] = {
        "protocol": 6,
        "server_port": draw(st.sampled_from([21, 22, 23, 25, 80, 443, 2222, 3128, 6667, 8080])),
        "app_out": draw(names),
        "app_in": draw(names),
        "facts": draw(st.none() | st.dictionaries(st.sampled_from(FACTS), words)),
        "anomalies": draw(st.none() | st.lists(st.sampled_from(WORDS)).map(tuple)),
        "splt": draw(st.none() | sizes.map(tuple)),
        "payload_sizes_out": draw(histogram),
        "gaps_out": draw(histogram),
        **{name: draw(small) for name in COUNTS},
    }
    return draw(flows())._replace(**values)


@settings(max_examples=300)
@given(flows() | telling_flows())
def test_answers_are_documented_and_finite(record: FlowRecord) -> None:
    answers = list(of_flow(record, SETTINGS))
    for sight in answers:
        assert sight.symptom in CATALOGUE.symptoms
        assert isfinite(sight.value)
        assert isfinite(sight.threshold)
        assert bool(sight.explanation) == sight.found
        assert sight.log10_lr is None or -3 <= sight.log10_lr <= 5
    told = [sight.symptom for sight in answers]
    assert len(told) == len(set(told))


@given(telling_flows())
def test_an_answer_depends_on_nothing_but_the_record(record: FlowRecord) -> None:
    assert list(of_flow(record, SETTINGS)) == list(of_flow(record, SETTINGS))
