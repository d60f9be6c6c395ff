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


def drop_privileges(user: str, own: Sequence[Path] = (), spool: Path | None = None) -> None:
    """Become ``user`` for good, groups included; UserError when that is not possible.

    The paths ``own`` are handed to the user first, because they are written later.  The directory
    ``spool`` has to be one that the user may write to.
    """
    account = check_user(user)
    if os.geteuid() == 0:
        _become(user, account, own)
    if spool is not None and not os.access(spool, os.W_OK | os.X_OK):
        raise UserError(
            f"{user} may not write to the spool {spool}, which holds other files too; "
            f"run chown {user} {spool}, or give another directory with --spool"
        )


def _become(user: str, account: pwd.struct_passwd, own: Sequence[Path]) -> None:
    for path in own:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    os.setgroups([entry.gr_gid for entry in grp.getgrall() if user in entry.gr_mem])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
