"""What every table of the benchmark measures with: captures, costs of commands, medians, verdicts."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
TMP = HERE / "tmp"
SHAPES = ("mixed", "spoken", "small", "large", "minimum", "syn")
PATIENCE_S = 20


class Plan(NamedTuple):
    """What one run of the benchmark was asked for."""

    packets: int
    rounds: int
    flood: int
    """SYNs in the flood of the memory table."""
    scratch: Path
    flows: int
    """In the large store."""
    store: Path | None
    """A large store to ask, instead of a new one."""
    clients: int
    """Of the day that detection looks at."""


class Cost(NamedTuple):
    """What one run of a command took."""

    wall_s: float
    cpu_s: float
    peak_kib: int


def capture(shape: str, packets: int) -> Path:
    """Return the capture of a shape, made on first use."""
    path = TMP / f"{shape}-{packets}.pcap"
    if not path.exists():
        TMP.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        say(f"making {path.name}")
        subprocess.run([sys.executable, HERE / "generate.py", shape, partial, "--packets", str(packets)], check=True)
        partial.rename(path)
    return path


def cost(command: Sequence[str]) -> Cost:
    """Run a command once and return what it took."""
    with Path(os.devnull).open("w") as nowhere:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {' '.join(command)}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def rounds(commands: Mapping[str, Sequence[str]], count: int, patience_s: float = PATIENCE_S) -> dict[str, list[Cost]]:
    """Run all commands in turn, ``count`` times after one warm-up.

    A command that takes longer than ``patience_s`` to warm up has run once for all: that is its figure.
    """
    costs: dict[str, list[Cost]] = {}
    impatient = set()
    for number in range(count + 1):
        for name, command in commands.items():
            if name in impatient:
                continue
            taken = cost(command)
            if number:
                costs[name].append(taken)
            elif taken.wall_s > patience_s:
                impatient.add(name)
                costs[name] = [taken]
            else:
                costs[name] = []
    return costs


def environment(name: str, lock_name: str) -> Path | None:
    """Return the Python of a peer's own environment, made on first use; None where it cannot be installed."""
    directory = TMP / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    lock = HERE.parent / "requirements" / lock_name
    python, installed = directory / "bin/python", directory / "installed.txt"
    if not installed.exists() or installed.read_text() != lock.read_text():
        say(f"installing {lock.name} in {directory}")
        TMP.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        # Wheels alone: what would have to be compiled counts as not available.
        if subprocess.run([*pip, "--only-binary", ":all:", "-r", lock], check=False).returncode:
            return None
        installed.write_text(lock.read_text())
    return python


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def ratio(others: Sequence[float], own: Sequence[float]) -> float:
    """Return the median of the rounds' ratios; of the medians where the rounds are not the same."""
    if len(others) != len(own):
        return median(others) / median(own)
    return median([other / mine for other, mine in zip(others, own, strict=True)])


def verdict(met: bool) -> str:  # noqa: FBT001 - the one thing it is asked
    """Return the word for a budget kept or not."""
    return "met" if met else "**not met**"


def machine() -> str:
    """Say what the figures were measured on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*: (.*)", info)
    return (
        f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, "
        f"Linux {platform.release().split('-')[0]}, CPython {platform.python_version()}"
    )


def say(line: str) -> None:
    """Tell the user what goes on."""
    print(line, file=sys.stderr)
