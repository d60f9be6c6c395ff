"""The link with keys: real sockets, real CURVE, a real correlator."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq
from corr_cli import Cli
from corr_link import serving
from rec_records import RUN, frame, header
from rec_router import Router, until

from common.errors import UserError
from common.flowlog import decode_frame
from common.keys import KeyPair, make_key_pair, write_key_file
from common.link import pack_hello
from sensor.batching import NumberedFrame
from sensor.config import ShipConfig
from sensor.ship.dealer import Dealer, link_keys
from sensor.ship.link import Shipper
from sensor.ship.spool import Spool

S = 1_000_000_000
NAME = decode_frame(header()).sensor


class Site:
    """A sensor with its key, and a correlator with its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.db = tmp_path / "a.db"
        self.correlator_file = tmp_path / "correlator.key"
        self.correlator: KeyPair = write_key_file(self.correlator_file)
        self.sensor: KeyPair = write_key_file(tmp_path / "sensor.key")
        self.now_ns = S
        self.said: list[str] = []
        self.shipper: Shipper | None = None

    def ship(self, endpoint: str, correlator_key: str = "", *, plaintext: bool = False) -> Shipper:
        """Give a shipper with one frame to ship."""
        config = ShipConfig(
            endpoint=endpoint,
            key=str(self.tmp_path / "sensor.key"),
            correlator_key=correlator_key or self.correlator.public,
            plaintext=plaintext,
        )
        spool = Spool(self.tmp_path / "spool", RUN, header(), config.spool_max_bytes, config.segment_bytes)
        self.shipper = Shipper(config, spool)
        self.shipper.take([NumberedFrame(1, frame(1))])
        return self.shipper

    def turn(self) -> None:
        """Let a tenth of a second pass, for the shipper's clock."""
        assert self.shipper is not None
        self.now_ns += S // 10
        self.shipper.turn(self.now_ns, 50)
        self.said += self.shipper.news
        self.shipper.news.clear()

    def until_said(self, words: str) -> str:
        """Turn until a line holds these words."""
        until(lambda: any(words in line for line in self.said), self.turn, f"never: {words}; {self.said}")
        return next(line for line in self.said if words in line)

    def until_shipped(self) -> None:
        shipper = self.shipper
        assert shipper is not None
        until(lambda: not shipper.waiting, self.turn, f"never shipped; {self.said}")


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    if made.shipper is not None:
        made.shipper.close()


def test_frames_arrive_under_curve_and_a_good_link_is_no_news(site):
    Cli(site.db)("sensors", "add", NAME, site.sensor.public)
    with serving(site.db, key=site.correlator_file) as correlator:
        site.ship(correlator.endpoint)
        site.until_shipped()
    assert site.said == []


def test_an_unknown_own_key_is_told_with_the_command_and_once_added_everything_goes_on_by_itself(site):
    with serving(site.db, key=site.correlator_file) as correlator:
        site.ship(correlator.endpoint)
        line = site.until_said("does not know this sensor's key")
        assert "tunnelwatch sensors add" in line
        assert site.sensor.public in line
        Cli(site.db)("sensors", "add", NAME, site.sensor.public)
        site.until_shipped()
        site.until_said("answers")
    assert len([line for line in site.said if "does not know" in line]) == 1


def test_a_wrong_correlator_key_is_told(site):
    Cli(site.db)("sensors", "add", NAME, site.sensor.public)
    with serving(site.db, key=site.correlator_file) as correlator:
        shipper = site.ship(correlator.endpoint, make_key_pair().public)
        assert "correlator_key is not its key" in site.until_said("ends the connection before it is encrypted")
        assert shipper.waiting == 1


def test_a_correlator_on_plain_text_gets_nothing_from_a_sensor_with_keys(site):
    with serving(site.db) as correlator:
        shipper = site.ship(correlator.endpoint)
        site.until_said("speaks plain text")
        assert shipper.waiting == 1


def test_a_sensor_on_plain_text_is_told_that_keys_are_wanted(site):
    with serving(site.db, key=site.correlator_file) as correlator:
        site.ship(correlator.endpoint, plaintext=True)
        site.until_said("speaks plain text")


def test_nobody_there_is_told_and_then_that_somebody_is(site):
    endpoint = f"ipc://{site.tmp_path}/link"
    site.ship(endpoint)
    site.until_said("nobody takes connections")
    Cli(site.db)("sensors", "add", NAME, site.sensor.public)
    with serving(site.db, bind=endpoint, key=site.correlator_file):
        site.until_shipped()
    assert len([line for line in site.said if line.startswith("nobody")]) == 1


def test_a_key_of_another_sensor_is_told_and_no_frame_is_lost(site):
    Cli(site.db)("sensors", "add", "roof", site.sensor.public)
    with serving(site.db, key=site.correlator_file) as correlator:
        shipper = site.ship(correlator.endpoint)
        assert "'roof'" in site.until_said("takes no records of this sensor")
        assert (shipper.waiting, shipper.refused) == (1, 0)


@pytest.mark.parametrize(("size", "taken"), [(60_000, True), (70_000, False)])
def test_an_answer_beyond_64_kib_ends_the_connection_and_a_smaller_one_is_taken(site, size, taken):
    router = Router(f"ipc://{site.tmp_path}/s")
    dealer = Dealer(ShipConfig(endpoint=router.endpoint, plaintext=True), None, 10)
    seen: list[int] = []
    heard: list[list[bytes]] = []

    def turn() -> None:
        router.turn()
        seen.extend(event.kind for event in dealer.events())
        if dealer.socket.poll(5):
            heard.append(dealer.socket.recv_multipart())

    try:
        dealer.socket.send_multipart(pack_hello(header()))
        until(lambda: heard, turn)
        heard.clear()
        router.send_all([bytes(size)])
        until(lambda: heard or zmq.EVENT_DISCONNECTED in seen, turn)
        assert [list(map(len, parts)) for parts in heard] == ([[size]] if taken else [])
        assert (zmq.EVENT_DISCONNECTED in seen) is not taken
    finally:
        dealer.close()
        router.close()


class TestKeys:
    def test_plain_text_needs_none(self):
        assert link_keys(ShipConfig(endpoint="ipc:///x", plaintext=True)) is None

    def test_both_are_read_from_where_the_settings_say(self, tmp_path):
        own, correlator = write_key_file(tmp_path / "a.key"), make_key_pair().public
        (tmp_path / "c.pub").write_text(correlator)
        config = ShipConfig(
            endpoint="tcp://192.0.2.1:1", key=str(tmp_path / "a.key"), correlator_key=str(tmp_path / "c.pub")
        )
        assert link_keys(config) == (own, correlator)

    @pytest.mark.parametrize(
        ("key", "correlator_key", "fact"),
        [
            ("no.key", "", "'tunnelwatch keygen' prints it there"),
            ("no.key", "yFa3", "'tunnelwatch keygen' prints it"),
            ("no.key", "yFa3" * 10, "make one with 'tunnelwatch-sensor keygen "),
        ],
    )
    def test_a_missing_one_names_the_command(self, tmp_path, key, correlator_key, fact):
        config = ShipConfig(endpoint="tcp://192.0.2.1:1", key=str(tmp_path / key), correlator_key=correlator_key)
        with pytest.raises(UserError) as caught:
            link_keys(config)
        assert fact in str(caught.value)
        assert "\n" not in str(caught.value)
