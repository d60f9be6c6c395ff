"""Give up root before the first packet is parsed: what was opened before stays open, nothing else can be reached.

Capture keeps one privilege, CAP_NET_RAW, without which an interface that vanished could not be opened again.
It lets the process listen and send on interfaces, as the sockets that it holds anyway do; it opens no file.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.errors import UserError

DEFAULT_USER = "nobody"
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_NET_RAW = 13
_CAPABILITIES = 64
_REMEDY = "name another user with -u, or stay root with -u root"


class Reach(NamedTuple):
    """What has to be reached by its path after root is given up."""

    own: Sequence[Path] = ()  # handed to the user
    spool: Path | None = None
    endpoint: str = ""


NOTHING = Reach()


def check_user(user: str) -> pwd.struct_passwd:
    """Return the account of a user that this process is or can become; UserError when it cannot."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise UserError(f"no user {user!r} to run as; create it or name another with -u") from None
    if os.geteuid() not in (0, account.pw_uid):
        raise UserError(f"only root can become {user}; leave -u out or start as root")
    return account


def user_to_become(asked: str | None) -> str | None:
    """Return the user to run as: root becomes nobody unless asked otherwise; None when nobody changes."""
    if asked is None:
        asked = DEFAULT_USER if os.geteuid() == 0 else None
    if asked is None or check_user(asked).pw_uid == os.geteuid():
        return None
    return asked


def renounce_privileges() -> None:
    """Nothing that this process or a later thread of it starts gains a privilege. Call it before there are threads."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for capability in range(_CAPABILITIES):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            break  # beyond the kernel's last one, or not allowed to this root


def drop_privileges(user: str, reach: Reach = NOTHING, *, keep_capturing: bool = False) -> None:
    """Become ``user`` for good, groups included; UserError when that or what it has to reach is not possible."""
    account = check_user(user)
    if os.geteuid() == 0:
        try:
            _become(user, account, reach.own, keep_capturing=keep_capturing)
        except OSError as error:
            raise UserError(f"cannot become {user} ({error.strerror}); {_REMEDY}") from None
    _check_reach(user, reach)


def _become(user: str, account: pwd.struct_passwd, own: Sequence[Path], *, keep_capturing: bool) -> None:
    for path in own:
        _hand_over(path, account)
    if keep_capturing:
        ctypes.CDLL(None).prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([group for group in os.getgrouplist(user, account.pw_gid) if group != account.pw_gid])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    _keep_only(1 << _CAP_NET_RAW if keep_capturing else 0)


def _hand_over(path: Path, account: pwd.struct_passwd) -> None:
    """Make a file or directory the user's. What has another name too may be somebody else's, linked there."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return
        raise
    try:
        found = os.fstat(opened)
        if stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
            os.fchown(opened, account.pw_uid, account.pw_gid)
    finally:
        os.close(opened)


def _keep_only(capabilities: int) -> None:
    """Make these the calling thread's permitted and effective capabilities. Others have lost theirs with the user."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable; the lower half and the upper
    sets = (ctypes.c_uint32 * 6)(capabilities, capabilities, 0, 0, 0, 0)
    if libc.capset(header, sets):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _check_reach(user: str, reach: Reach) -> None:
    if reach.spool is not None and not os.access(reach.spool, os.W_OK | os.X_OK):
        _check_way(user, reach.spool, f"the spool {reach.spool}", "move it with --spool")
        raise UserError(
            f"{user} may not write to the spool {reach.spool}, which holds other files too; "
            f"run chown {user} {reach.spool}, or give another directory with --spool"
        )
    scheme, _, name = reach.endpoint.partition("://")
    if scheme != "ipc" or name.startswith("@"):
        return
    path = Path(name)
    _check_way(user, path, f"the endpoint {reach.endpoint}", "use tcp://127.0.0.1:PORT")
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError(
            f"{user} may not connect to {reach.endpoint}; allow it with chown or chmod, "
            f"use tcp://127.0.0.1:PORT, {_REMEDY}"
        )


def _check_way(user: str, path: Path, what: str, remedy: str) -> None:
    """Raise UserError for the first directory on the way to a path that this process may not enter."""
    for parent in reversed(path.absolute().parents):
        if not os.access(parent, os.X_OK):
            raise UserError(f"{user} may not enter {parent}, where {what} is; {remedy}, {_REMEDY}")
