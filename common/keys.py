"""Key pairs of the link in files: made once, refused when anybody else may have read or changed them.

A key file is TOML with mode 0600, ``public_key`` and ``secret_key``: CURVE keys of 32 bytes as 40 characters of Z85
(ZeroMQ RFC 32).  A public key travels as these 40 characters, in an option, a setting, or alone in a file.
"""

from __future__ import annotations

import os
import shlex
import stat
import struct
import tomllib
from pathlib import Path
from typing import Final, NamedTuple

import zmq
from zmq.utils import z85

from common.errors import UserError

KEY_CHARACTERS: Final = 40
_KEY_BYTES: Final = 32
_MAX_FILE_BYTES: Final = 4096
_KEY_FILE: Final = """\
# A key pair of tunnelwatch. Whoever has the secret key can pose as its owner: it stays on this host.
public_key = "{public}"
secret_key = "{secret}"
"""


class KeyPair(NamedTuple):
    """A public key and its secret, as Z85 text."""

    public: str
    secret: str


def default_key_path(name: str) -> Path:
    """Return where a program's key file is when nothing else is said: /etc for root, the user's own settings else."""
    if os.geteuid() == 0:
        return Path("/etc/tunnelwatch") / name
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "tunnelwatch" / name


def is_key(text: str) -> bool:
    """Tell whether a text is a key: 40 characters of Z85 that stand for 32 bytes and no more."""
    if len(text) != KEY_CHARACTERS or not text.isascii():
        return False
    try:
        raw = z85.decode(text)
        # Five characters can say more than four bytes hold, and one key must have one spelling.
        return len(raw) == _KEY_BYTES and z85.encode(raw).decode() == text
    except (KeyError, ValueError, struct.error):  # as the library happens to notice
        return False


def quoted(text: str) -> str:
    """Return a key or path as a shell takes it."""
    return shlex.quote(text)


def make_key_pair() -> KeyPair:
    """Return a new pair whose public key cannot be taken for an option or a path."""
    while True:
        public, secret = (key.decode() for key in zmq.curve_keypair())
        if public[0].isalnum():
            return KeyPair(public, secret)


def write_key_file(path: Path) -> KeyPair:
    """Make a pair and its file, which must not exist; UserError in one line."""
    pair = make_key_pair()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the directory {path.parent}: {error.strerror}; give another path") from None
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UserError(_existing(path)) from None
    except OSError as error:
        raise UserError(f"cannot make the key file {path}: {error.strerror}; give another path") from None
    try:
        with os.fdopen(opened, "w", encoding="ascii") as file:
            os.fchmod(opened, 0o600)  # whatever the umask and the directory's default rights say
            file.write(_KEY_FILE.format(public=pair.public, secret=pair.secret))
            file.flush()
            os.fsync(opened)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UserError(f"cannot write the key file {path}: {error.strerror}; make room or give another path") from None
    return pair


def read_key_file(path: Path, keygen: str) -> KeyPair:
    """Return the pair of a file that only its owner can read; UserError in one line that names ``keygen``."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UserError(f"no key file {path}: make one with '{keygen} {quoted(str(path))}'") from None
    except OSError as error:
        raise UserError(f"cannot read the key file {path}: {error.strerror}; check the path and its owner") from None
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path} is not a file: make a key file with '{keygen} PATH'")
        _check_owner(path, found)
        content = os.read(opened, _MAX_FILE_BYTES + 1)
    finally:
        os.close(opened)
    return _pair_in(content, path, keygen)


def read_public_key(text: str, keygen: str) -> str:
    """Return the public key that a text is, or that the file of this name holds; UserError in one line.

    A text that begins like a path (with / or .) is one.
    """
    if is_key(text) and text[0] not in "/.":
        return text
    path = Path(text)
    try:
        content = path.read_bytes() if path.is_file() else None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"cannot read {text!r:.300} for a public key: {reason}; check the path") from None
    if content is None:
        raise UserError(
            f"{text!r:.300} is no public key ({KEY_CHARACTERS} characters) and no file with one: '{keygen}' prints it"
        )
    key = content[:_MAX_FILE_BYTES].decode("ascii", errors="replace").strip()
    if not is_key(key):
        raise UserError(
            f"{path} holds no public key: write into it the {KEY_CHARACTERS} characters that '{keygen}' prints"
        )
    return key


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise UserError(
            f"the key file {path} belongs to user {found.st_uid}, who can read and change it: "
            f"run chown {os.geteuid()} {quoted(str(path))}"
        )
    if found.st_mode & 0o077:
        raise UserError(
            f"the key file {path} is open to others (mode {stat.S_IMODE(found.st_mode):04o}): "
            f"run chmod 600 {quoted(str(path))}"
        )


def _pair_in(content: bytes, path: Path, keygen: str) -> KeyPair:
    remedy = f"make another with '{keygen} PATH'"
    try:
        values = tomllib.loads(content.decode("utf-8")) if len(content) <= _MAX_FILE_BYTES else {}
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not a key file; {remedy}") from None
    keys = [values.get(name) for name in ("public_key", "secret_key")]
    if not all(isinstance(key, str) and is_key(key) for key in keys):
        raise UserError(f"{path} holds no public_key and secret_key of {KEY_CHARACTERS} characters; {remedy}")
    pair = KeyPair(str(keys[0]), str(keys[1]))
    if zmq.curve_public(pair.secret.encode()).decode() != pair.public:
        raise UserError(f"the two keys in {path} do not belong together; {remedy}")
    return pair


def _existing(path: Path) -> str:
    try:
        public = read_key_file(path, "keygen").public
    except UserError:
        return f"{path} exists and is not written over: give another path"
    return f"{path} exists and is not written over; its public key is {public}; give another path for a new pair"
