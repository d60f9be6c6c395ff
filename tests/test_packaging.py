"""What is built and shipped: the wheel's contents, its metadata, the compiled modules, the lock files."""

from __future__ import annotations

import fcntl
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

import common

PACKAGES = {"sensor", "correlator", "common"}
LOCKS = (
    "bench", "build", "correlator", "dev", "duckdb", "http", "interop", "lock", "metrics", "plot", "pypcap", "sensor",
)  # fmt: skip


@pytest.fixture(scope="session")
def settings(repo_root: Path) -> dict[str, Any]:
    """The project's pyproject.toml."""
    return tomllib.loads((repo_root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def extensions(settings: dict[str, Any]) -> list[str]:
    """The names of the compiled modules."""
    return [extension["name"] for extension in settings["tool"]["setuptools"]["ext-modules"]]


@pytest.fixture(scope="session")
def wheel(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy of the tree without anything that was built in it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all who run tests at the same time
    with (shared / "wheel.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "wheel").exists():
            _build_wheel(repo_root, tmp_path_factory.mktemp("wheel"), shared / "wheel")
    (path,) = (shared / "wheel").glob("*.whl")
    return path


def _build_wheel(repo_root: Path, scratch: Path, target: Path) -> None:
    source = scratch / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repo_root / name, source)
    for package in PACKAGES:
        shutil.copytree(
            repo_root / package, source / package, ignore=shutil.ignore_patterns("*.so", "*.c", "*.html", "__pycache__")
        )
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
        "-w",
        scratch / "made",
        ".",
    ]
    result = subprocess.run(
        command, cwd=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=os.environ
    )
    assert result.returncode == 0, result.stdout
    (scratch / "made").rename(target)


@pytest.fixture(scope="session")
def wheel_files(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="session")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


_BUILD = [pytest.mark.slow, pytest.mark.timeout(600)]


class TestWheel:
    """The wheel holds the three packages, compiled, and nothing else."""

    pytestmark = _BUILD

    def test_the_top_levels_are_the_three_packages(self, wheel_files: list[str]) -> None:
        top_levels = {name.split("/")[0] for name in wheel_files}
        assert {name for name in top_levels if not name.endswith(".dist-info")} == PACKAGES

    def test_every_compiled_module_is_in_it(self, wheel_files: list[str], extensions: list[str]) -> None:
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        assert {name for name in wheel_files if name.endswith(".so")} == {
            extension.replace(".", "/") + suffix for extension in extensions
        }

    def test_no_generated_code_is_in_it(self, wheel_files: list[str]) -> None:
        assert not [name for name in wheel_files if name.endswith((".c", ".h", ".html", ".pyc"))]

    def test_types_and_examples_are_in_it(self, wheel_files: list[str], extensions: list[str]) -> None:
        wanted = {f"{package}/py.typed" for package in PACKAGES}
        wanted |= {extension.replace(".", "/") + ".pyi" for extension in extensions}
        wanted |= {"sensor/example.toml", "correlator/example.toml"}
        assert wanted <= set(wheel_files)

    def test_every_module_of_the_tree_is_in_it(self, wheel_files: list[str], repo_root: Path) -> None:
        in_tree = {
            str(path.relative_to(repo_root)) for package in PACKAGES for path in (repo_root / package).rglob("*.py")
        }
        assert in_tree == {name for name in wheel_files if name.endswith(".py")}

    def test_the_version_is_the_one_that_the_programs_print(self, metadata: Message) -> None:
        assert metadata["Version"] == common.__version__

    def test_it_cannot_be_uploaded_by_mistake(self, metadata: Message) -> None:
        assert "Private :: Do Not Upload" in metadata.get_all("Classifier", [])

    def test_each_part_asks_only_for_what_it_needs(self, metadata: Message) -> None:
        needs: dict[str, set[str]] = {
            "": set(),
            "sensor": set(),
            "correlator": set(),
            "http": set(),
            "metrics": set(),
            "plot": set(),
            "parquet": set(),
        }
        for requirement in metadata.get_all("Requires-Dist", []):
            name = re.split(r"[ ;<>=!~\[]", requirement)[0]
            extra = re.search(r"extra == ['\"](\w+)['\"]", requirement)
            needs[extra[1] if extra else ""].add(name)
        assert "pypcap" in needs["sensor"]
        assert "sqlite-utils" in needs["correlator"]
        assert not needs[""] & {"pypcap", "sqlite-utils", "rich", "dpkt"}
        assert not needs["sensor"] & needs["correlator"]
        assert needs["http"] == {"brotli", "httptools"}
        assert needs["metrics"] == {"prometheus-client"}
        assert needs["plot"] == {"matplotlib"}
        assert needs["parquet"] == {"pyarrow"}
        assert not needs["metrics"] & (needs[""] | needs["sensor"] | needs["correlator"])

    def test_it_runs_where_it_is_installed(self, wheel: Path, tmp_path: Path, extensions: list[str]) -> None:
        site = tmp_path / "site"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        modules = ["sensor.cli", "correlator.cli", *extensions]
        code = "; ".join(f"import {module}; print({module}.__file__)" for module in modules)
        environment = os.environ | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert [line for line in run.stdout.splitlines() if not line.startswith(str(site))] == []


def test_the_compiled_modules_of_this_tree_are_loaded(extensions: list[str], repo_root: Path) -> None:
    for name in extensions:
        path = Path(str(importlib.import_module(name).__file__))
        assert path.suffix == ".so"
        assert path.is_relative_to(repo_root), f"{name} comes from {path}, another installation"


def test_both_commands_are_installed(settings: dict[str, Any]) -> None:
    for name, target in settings["project"]["scripts"].items():
        (entry,) = importlib.metadata.entry_points(group="console_scripts", name=name)
        assert entry.value == target
        assert callable(entry.load())


def test_pypcap_reads_a_capture(data_dir: Path) -> None:
    # It is built here from its own .pyx: the C in its source distribution is for older Pythons.
    pcap = importlib.import_module("pcap")
    source = pcap.pcap(name=str(data_dir / "demo.pcap"), timestamp_in_ns=True)
    source.setfilter("tcp")
    time_ns, packet = next(iter(source))
    assert isinstance(time_ns, int)
    assert isinstance(packet, bytes)
    source.close()


def test_pypcap_hands_on_what_the_callback_raises(data_dir: Path) -> None:
    pcap = importlib.import_module("pcap")

    def fail(_time: float, _packet: bytes) -> None:
        raise LookupError("from the callback")

    source = pcap.pcap(name=str(data_dir / "demo.pcap"))
    with pytest.raises(LookupError, match="from the callback"):
        source.dispatch(1, fail)
    source.close()


def test_no_generated_c_is_in_git(repo_root: Path) -> None:
    git = shutil.which("git")
    if git is None or not (repo_root / ".git").exists():
        pytest.skip("needs git and a clone")
    listed = subprocess.run(
        [git, "-c", "safe.directory=*", "ls-files", "--", "sensor/*.c", "*.so", "*.html"],
        cwd=repo_root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert listed.stdout == ""


def _pins(repo_root: Path, name: str) -> dict[str, str]:
    text = (repo_root / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes_and_no_address(repo_root: Path, name: str) -> None:
    text = (repo_root / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    joined = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.lstrip().startswith("#")]
    assert joined
    for line in joined:
        assert re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


@pytest.mark.parametrize("name", ["build", "correlator", "http", "metrics", "plot", "sensor"])
def test_the_parts_are_pinned_to_what_is_tested(repo_root: Path, name: str) -> None:
    assert _pins(repo_root, name).items() <= _pins(repo_root, "dev").items()


def test_the_pins_cover_what_the_project_asks_for(repo_root: Path, settings: dict[str, Any]) -> None:
    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[ ;<>=!~\[]", requirement)[0] for requirement in requirements}

    project = settings["project"]
    for part in ("sensor", "correlator"):
        wanted = names(project["dependencies"]) | names(project["optional-dependencies"][part])
        assert wanted - {"pypcap"} <= _pins(repo_root, part).keys(), "run scripts/lock"
    assert set(project["optional-dependencies"]["sensor"]) & {f"pypcap=={_pins(repo_root, 'pypcap')['pypcap']}"}


def test_the_lock_of_a_part_holds_nothing_of_the_other(repo_root: Path) -> None:
    assert not _pins(repo_root, "sensor").keys() & {"sqlite-utils", "rich"}
    assert not _pins(repo_root, "correlator").keys() & {"pypcap", "dpkt"}
