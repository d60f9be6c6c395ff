"""Give up root once the interface is open: packets are parsed as somebody who may do nothing."""

from __future__ import annotations

import grp
import os
import pwd

from common.errors import UserError


def drop_privileges(user: str) -> None:
    """Become ``user`` for good, groups included; UserError when that is not possible."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise UserError(f"no user {user!r} to run as; create it or name another with -u") from None
    if os.geteuid() != 0:
        if account.pw_uid == os.geteuid():
            return
        raise UserError(f"only root can become {user}; leave -u out or start as root")
    os.setgroups([entry.gr_gid for entry in grp.getgrall() if user in entry.gr_mem])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
