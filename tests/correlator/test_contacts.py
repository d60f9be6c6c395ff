"""Who spoke, and since when without a pause."""

from __future__ import annotations

from correlator.ingest.contacts import Contacts

S = 1_000_000_000


def test_a_link_is_steady_after_a_minute_without_a_pause() -> None:
    contacts = Contacts()
    for second in range(0, 61, 10):
        contacts.heard(["tap"], second * S)
        assert contacts.steady(["tap", "other"], second * S) == ({"tap"} if second == 60 else set())


def test_a_pause_begins_the_minute_again() -> None:
    contacts = Contacts()
    for second in (0, 20, 40, 60, 91):
        contacts.heard(["tap"], second * S)
    assert contacts.steady(["tap"], 91 * S) == set()
    for second in (120, 150, 151):
        contacts.heard(["tap"], second * S)
    assert contacts.steady(["tap"], 151 * S) == {"tap"}


def test_a_contact_is_told_once() -> None:
    contacts = Contacts()
    contacts.heard(["tap", "other"], 1 * S)
    contacts.heard(["tap"], 2 * S)
    assert contacts.untold() == {"tap": 2 * S, "other": 1 * S}
    contacts.told(3 * S)
    assert contacts.untold() == {}


def test_who_is_silent_is_forgotten() -> None:
    contacts = Contacts()
    contacts.heard(["tap"], 0)
    contacts.told(31 * S)
    assert not contacts._first_ns
    assert not contacts._last_ns


def test_after_a_restart_nobody_is_steady_and_nothing_untold_is_lost() -> None:
    contacts = Contacts()
    for second in range(0, 70, 10):
        contacts.heard(["tap"], second * S)
    contacts.restart()
    assert contacts.steady(["tap"], 60 * S) == set()
    assert contacts.untold() == {"tap": 60 * S}
