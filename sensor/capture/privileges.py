"""Give up root once the interface is open: packets are parsed as somebody who may do nothing."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from common.errors import UserError


def check_user(user: str) -> pwd.struct_passwd:
    """Return the account of a user that this process is or can become; UserError when it cannot."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise UserError(f"no user {user!r} to run as; create it or name another with -u") from None
    if os.geteuid() not in (0, account.pw_uid):
        raise UserError(f"only root can become {user}; leave -u out or start as root")
    return account


def drop_privileges(user: str, own: Sequence[Path] = ()) -> None:
    """Become ``user`` for good, groups included; UserError when that is not possible.

    The paths ``own`` are handed to the user first, because they are written later.
    """
    account = check_user(user)
    if os.geteuid() != 0:
        return
    for path in own:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    os.setgroups([entry.gr_gid for entry in grp.getgrall() if user in entry.gr_mem])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
