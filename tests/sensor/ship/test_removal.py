from __future__ import annotations

from sensor.ship.removal import Removal


def test_a_file_is_deleted_and_the_directory_to_be_synced(tmp_path):
    removal = Removal(tmp_path)
    (tmp_path / "a").touch()
    unsynced = []
    for name in ("none", "a"):
        removal.delete(tmp_path / name)
        unsynced.append(removal.unsynced)
    assert unsynced == [False, True]
    assert not (tmp_path / "a").exists()


def test_what_cannot_be_deleted_is_said_and_deleted_when_it_can(tmp_path):
    removal = Removal(tmp_path)
    path = tmp_path / "a"
    path.mkdir()
    removal.delete(path)
    assert removal.trouble.startswith(f"cannot delete {path}: ")
    path.rmdir()
    path.touch()
    removal.again()
    assert (removal.trouble, path.exists()) == ("", False)


def test_a_file_that_left_with_its_directory_is_deleted_when_both_are_back(tmp_path):
    spool, away = tmp_path / "spool", tmp_path / "away"
    spool.mkdir()
    (spool / "a").touch()
    removal = Removal(spool)
    spool.rename(away)
    removal.delete(spool / "a")
    removal.again()
    away.rename(spool)
    removal.again()
    assert list(spool.iterdir()) == []
