"""What the symptoms of channels say of real tools and their benign twins, in laboratory captures of some minutes."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab_channels import LabChannel, lab_channels

from correlator.detect.judge import severity_of
from correlator.detect.symptoms.reconnect import RECONNECTING
from correlator.detect.symptoms.timing import INSIDE, INTERVAL, INTERVAL_AND_SIZE
from correlator.detect.symptoms.volume import OUTBOUND, SLOW, UPLOAD_AT_ONCE

pytestmark = pytest.mark.shared

LEAST_GAPS = 20
# Twins that no timing tells from a beacon, or from a tunnel that reconnects: they do the same.
TWINS = {
    "b07_sse_longpoll": {RECONNECTING},
    "b12_updates": {INTERVAL},
    "b16_periodic_polls": {INTERVAL, INTERVAL_AND_SIZE, INSIDE},
}


def tunnels(shared_dir: Path, capture: str) -> list[LabChannel]:
    return [one for one in lab_channels(shared_dir / "data" / "lab", capture) if not one.benign]


@pytest.mark.parametrize(
    ("capture", "channels", "symptoms"),
    [
        ("m07a_http_beacon", 3, {INTERVAL, INTERVAL_AND_SIZE}),
        ("m07b_https_beacon", 3, {INTERVAL, INTERVAL_AND_SIZE}),
        ("m08_slow_exfil", 2, {SLOW, OUTBOUND}),
        ("m09_big_post", 1, {UPLOAD_AT_ONCE, OUTBOUND}),
        ("m13_reconnecting_tunnel", 1, {RECONNECTING}),
    ],
)
def test_tools_show_their_symptoms(shared_dir: Path, capture: str, channels: int, symptoms: set[str]) -> None:
    found = tunnels(shared_dir, capture)
    assert len(found) == channels
    for one in found:
        assert symptoms <= one.symptoms.keys(), one
        assert capture[:3] != "m07" or one.flows > LEAST_GAPS


@pytest.mark.parametrize(("capture", "symptoms"), TWINS.items(), ids=TWINS.keys())
def test_twins_show_what_they_share_with_tunnels(shared_dir: Path, capture: str, symptoms: set[str]) -> None:
    told = lab_channels(shared_dir / "data" / "lab", capture)
    assert symptoms <= {name for one in told for name in one.symptoms}


def test_no_benign_channel_is_worth_more_than_a_low_alarm(shared_dir: Path) -> None:
    lab = shared_dir / "data" / "lab"
    told = [one for path in sorted(lab.glob("b??_*.pcap")) for one in lab_channels(lab, path.stem)]
    assert len(told) >= 50
    assert all(one.benign for one in told)
    severities = [severity_of(one.probability) for one in told]
    assert not {"high", "critical"} & set(severities)
    assert severities.count("medium") <= 0.02 * len(told)  # type: ignore[arg-type] # equal to the text
