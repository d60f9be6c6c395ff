"""The sensor's extensions and the harness, compiled with AddressSanitizer and UndefinedBehaviorSanitizer.

Each build has its own directory in fuzz/tmp, named after all that it is made of, so an unchanged source is
compiled once.  It holds the sensor's package: Cython's sources copied and compiled, Python's as links.  The
tree's own compiled files are neither used nor touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SCRATCH = HERE / "tmp"
HARNESS = ("_mutate", "_rounds")
FLAGS = [
    "-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
]  # fmt: skip
_KEPT_BUILDS = 3
_COMPILE = """
import json, sys
from Cython.Build import cythonize
from setuptools import Extension, setup
extensions = [Extension(**facts) for facts in json.loads(sys.argv.pop())]
setup(name="fuzz", packages=[], ext_modules=cythonize(extensions, emit_linenums=True))
"""


class CannotBuildError(Exception):
    """This machine has no compiler with both sanitizers."""


def compiler() -> str:
    """Return the C compiler that setuptools will call."""
    return os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc").split()[0]


def preloaded() -> str:
    """Return the sanitizers' library, which has to come before the interpreter's own; CannotBuildError without."""
    name = compiler()
    if shutil.which(name) is None:
        raise CannotBuildError(f"there is no C compiler {name}: install gcc")
    found = subprocess.run([name, "-print-file-name=libasan.so"], capture_output=True, text=True, check=False)
    path = Path(found.stdout.strip())
    if found.returncode or not path.is_absolute() or not path.exists():
        raise CannotBuildError(f"{name} has no libasan.so: install gcc with its sanitizer libraries (libasan)")
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        source = Path(scratch) / "try.c"
        source.write_text("int main(void) { return 0; }\n")
        tried = subprocess.run([name, *FLAGS, source, "-o", source.with_suffix("")], capture_output=True, check=False)
    if tried.returncode:
        raise CannotBuildError(f"{name} does not link with -fsanitize=address,undefined: install its libubsan")
    return str(path)


def build() -> Path:
    """Return the directory of the sanitized build of today's sources, made when it is not there yet."""
    SCRATCH.mkdir(exist_ok=True)
    target = SCRATCH / f"build-{_digest()}"
    with (SCRATCH / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "done").exists():
            print(f"fuzz: compiling with the sanitizers into {target.relative_to(ROOT)}", file=sys.stderr)
            shutil.rmtree(target, ignore_errors=True)
            _lay_out(target)
            _compile(target)
            (target / "done").touch()
        os.utime(target)
        _forget_old_builds()
    return target


def _sources() -> Iterator[Path]:
    for suffix in ("pyx", "pxd"):
        yield from sorted((ROOT / "sensor").rglob(f"*.{suffix}"))
        yield from sorted(HERE.glob(f"*.{suffix}"))  # not below: others come and go in SCRATCH


def _digest() -> str:
    """Return a name for what the build is made of; Python's files count by their names, they are linked."""
    parts = [sys.version, sysconfig.get_config_var("EXT_SUFFIX"), compiler(), *FLAGS, repr(_extensions())]
    parts += [str(path) for path in _python_files()]
    parts += [path.read_text() for path in (*_sources(), Path(__file__), ROOT / "requirements/build.txt")]
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def _python_files() -> list[Path]:
    return sorted(path for path in (ROOT / "sensor").rglob("*") if path.suffix in (".py", ".toml"))


def _extensions() -> list[dict[str, object]]:
    """Return the sensor's extensions with these flags instead of their own, and the harness's."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    extensions = [{key.replace("-", "_"): value for key, value in facts.items()} for facts in settings["ext-modules"]]
    extensions = [facts for facts in extensions if str(facts["name"]).startswith("sensor.")]
    extensions += [{"name": f"fuzz.{name}", "sources": [f"fuzz/{name}.pyx"]} for name in HARNESS]
    return [facts | {"extra_compile_args": FLAGS, "extra_link_args": FLAGS} for facts in extensions]


def _lay_out(target: Path) -> None:
    for path in _python_files():
        link = target / path.relative_to(ROOT)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    for path in _sources():
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def _compile(target: Path) -> None:
    log = SCRATCH / "build.log"
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-c", _COMPILE, "build_ext", "--inplace", "-j2", json.dumps(_extensions())],
            cwd=target, stdout=output, stderr=output, check=False, env={**os.environ, "CFLAGS": "", "LDFLAGS": ""},
        )  # fmt: skip
    if done.returncode:
        sys.stderr.writelines(log.read_text().splitlines(keepends=True)[-20:])
        raise SystemExit(f"fuzz: error: the sanitized build failed (all of it: {log.relative_to(ROOT)})")


def _forget_old_builds() -> None:
    builds = sorted(SCRATCH.glob("build-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in builds[_KEPT_BUILDS:]:
        shutil.rmtree(path, ignore_errors=True)
