"""Giving up root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import UserError
from sensor.capture.privileges import drop_privileges
from sensor.ship.spool import Spool


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_root_is_given_up_for_good_with_its_groups() -> None:
    script = (
        "import os\nfrom sensor.capture.privileges import drop_privileges\ndrop_privileges('nobody')\n"
        "print(os.getresuid(), os.getgroups())\n"
        "try:\n    os.setuid(0)\nexcept PermissionError:\n    print('for good')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "(65534, 65534, 65534) []\nfor good\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_what_is_linked_into_the_spool_from_elsewhere_stays_roots(tmp_path: Path) -> None:
    precious, mine = tmp_path / "precious", tmp_path / "mine"
    hard, soft = tmp_path / "hard", tmp_path / "soft"
    precious.touch()
    mine.touch()
    hard.hardlink_to(precious)
    soft.symlink_to(precious)
    script = (
        "from pathlib import Path\nfrom sensor.capture.privileges import Reach, drop_privileges\n"
        f"drop_privileges('nobody', Reach([Path(name) for name in {[str(hard), str(soft), str(mine)]!r}]))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)
    assert (precious.stat().st_uid, mine.stat().st_uid) == (0, 65534)


def test_a_lock_that_leads_elsewhere_is_one_line_and_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="spool"):
        Spool(tmp_path / "spool", 1, b"", 1 << 20, 1 << 16)
    assert not (tmp_path / "elsewhere").exists()


def test_an_unknown_user_is_one_line() -> None:
    with pytest.raises(UserError, match="no user 'no-such-user'"):
        drop_privileges("no-such-user")


def test_a_spool_among_other_files_is_handed_over_without_them(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    spool = Spool(tmp_path, 1, b"", 1 << 20, 1 << 16)
    assert spool.own_paths() == [tmp_path / "lock"]
    (tmp_path / "mine.txt").unlink()
    assert spool.own_paths() == [tmp_path, tmp_path / "lock"]
    spool.close()
