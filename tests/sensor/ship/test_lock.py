from __future__ import annotations

import pytest

from common.errors import UserError
from sensor.ship.lock import DirectoryLock


def test_a_directory_is_one_sensors_until_it_is_closed(tmp_path):
    lock = DirectoryLock(tmp_path)
    with pytest.raises(UserError, match="in use by another sensor; give each sensor a spool of its own"):
        DirectoryLock(tmp_path)
    lock.close()
    DirectoryLock(tmp_path).close()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_the_lock_is_taken_again_where_its_file_is_another(tmp_path, how):
    lock = DirectoryLock(tmp_path)
    (tmp_path / "lock").unlink()
    if how == "replaced":
        (tmp_path / "lock").touch()
    lock.keep()
    lock.keep()
    with pytest.raises(UserError, match="in use"):
        DirectoryLock(tmp_path)
    lock.close()


def test_a_lock_of_another_in_its_place_is_left_alone(tmp_path):
    lock = DirectoryLock(tmp_path)
    (tmp_path / "lock").unlink()
    other = DirectoryLock(tmp_path)
    with pytest.raises(UserError, match="in use"):
        lock.keep()
    other.close()
    lock.keep()
    lock.close()
