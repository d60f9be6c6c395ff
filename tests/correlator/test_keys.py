"""The keys in the store, and the commands that change them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from corr_cli import Cli

from common.errors import UserError
from common.keys import make_key_pair
from correlator.store.database import Built, Store, writing
from correlator.store.keys import KeyRing, add_key, keys, revoke_keys

ONE = make_key_pair().public
TWO = make_key_pair().public
DAY_NS = 86_400 * 10**9


def test_a_key_is_one_sensors_and_a_sensor_may_have_several(store: Store) -> None:
    assert add_key(store.conn, "tap", ONE, 1)
    assert add_key(store.conn, "tap", TWO, 2)
    assert not add_key(store.conn, "tap", ONE, 3)
    with pytest.raises(UserError, match="this key is that of 'tap'"):
        add_key(store.conn, "roof", ONE, 4)
    assert [(row.public_key, row.sensor, row.added_ns) for row in keys(store.conn)] == [
        (ONE, "tap", 1),
        (TWO, "tap", 2),
    ]


def test_revoking_a_sensor_revokes_all_its_keys_and_nobody_elses(store: Store) -> None:
    add_key(store.conn, "tap", ONE, 1)
    add_key(store.conn, "roof", TWO, 1)
    assert [row.public_key for row in revoke_keys(store.conn, "tap", 5)] == [ONE]
    assert revoke_keys(store.conn, "tap", 6) == []
    assert {row.sensor: row.revoked_ns for row in keys(store.conn)} == {"tap": 5, "roof": None}
    assert [row.public_key for row in revoke_keys(store.conn, TWO, 7)] == [TWO]


def test_a_revoked_key_can_be_added_again_for_whomever(store: Store) -> None:
    add_key(store.conn, "tap", ONE, 1)
    revoke_keys(store.conn, ONE, 2)
    assert add_key(store.conn, "roof", ONE, 3)
    assert [(row.sensor, row.revoked_ns) for row in keys(store.conn)] == [("roof", None)]


def test_the_ring_of_a_running_program_sees_what_another_one_changes(store: Store, db: Path) -> None:
    ring = KeyRing(store)
    ring.refresh()
    assert (len(ring), ring.sensor(ONE)) == (0, None)
    with writing(db, Built(3600, 300)) as other:
        add_key(other.conn, "tap", ONE, 1)
        ring.refresh()
        assert (len(ring), ring.sensor(ONE), ring.was_revoked(ONE)) == (1, "tap", False)
        revoke_keys(other.conn, "tap", 2)
    ring.refresh()
    assert (ring.sensor(ONE), ring.was_revoked(ONE)) == (None, True)


def test_a_ring_whose_database_is_locked_keeps_what_it_knows(store: Store, db: Path) -> None:
    ring = KeyRing(store)
    ring.refresh()
    store.conn.execute("PRAGMA busy_timeout = 10")
    with writing(db, Built(3600, 300)) as other, closing(other.conn.cursor()) as cursor:
        cursor.execute("BEGIN EXCLUSIVE")
        ring.refresh()
        cursor.execute("ROLLBACK")
    assert ring.sensor(ONE) is None


class TestCommands:
    def test_added_listed_and_revoked(self, cli: Cli) -> None:
        assert cli("sensors", "add", "tap", ONE).err == f"tap may speak with {ONE}\n"
        assert cli("sensors", "add", "tap", ONE).err == f"tap may speak with {ONE} already\n"
        (row,) = cli.json("sensors", "list")
        assert (row["sensor"], row["public_key"], row["revoked"]) == ("tap", ONE, None)
        assert cli("sensors", "revoke", "tap").err == f"tap may not speak with {ONE} any more\n"
        (row,) = cli.json("sensors", "list")
        assert row["revoked"] >= row["added"]
        assert ONE in cli("sensors", "list").out

    def test_a_key_file_will_do_for_the_key(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "tap.pub").write_text(f"{ONE}\n")
        assert cli("sensors", "add", "tap", tmp_path / "tap.pub").code == 0
        assert cli.json("sensors", "list")[0]["public_key"] == ONE

    def test_sensors_alone_shows_the_sensors_as_before(self, castro: Cli) -> None:
        castro("sensors", "add", "tap", ONE)
        assert [row["sensor"] for row in castro.json("sensors")] == ["import"]
        assert castro("sensors", "--json", "list").code == 2

    @pytest.mark.parametrize(
        ("arguments", "fact"),
        [
            (("add", "tap", "yFa3"), "is no public key"),
            (("revoke", "roof"), "'roof' is no key that may speak"),
            (("revoke", ONE), "'tunnelwatch sensors list' shows all"),
        ],
    )
    def test_what_cannot_be_is_one_line(self, cli: Cli, arguments: tuple[str, ...], fact: str) -> None:
        result = cli("sensors", *arguments)
        assert result.code == 1
        assert fact in result.err
        assert len(result.err.splitlines()) == 1

    @pytest.mark.parametrize("name", ["", "a\nb", "x" * 256])
    def test_a_name_that_no_sensor_can_have_is_refused(self, cli: Cli, name: str) -> None:
        assert cli("sensors", "add", name, ONE).code == 2

    def test_no_keys_says_how_to_add_one(self, castro: Cli) -> None:
        assert "tunnelwatch sensors add NAME PUBLICKEY" in castro("sensors", "list").err
