"""The developer's commands, run as they are; failures say what to do in one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = ("bench", "chaos", "demo", "fuzz", "install-pypcap", "interop", "lint", "lock", "setup", "test")
ENVIRONMENT = {**os.environ, "VENV": sys.prefix, "TERM": "dumb"}
ENVIRONMENT.pop("PYTHON", None)


def run(
    command: list[str | Path], root: Path, environment: dict[str, str] | None = None, seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout, with no standard input."""
    return subprocess.run(
        command,
        cwd=root,
        env=ENVIRONMENT if environment is None else environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.fixture(scope="session")
def set_up(repo_root: Path) -> None:
    """Skip where the tests do not run in an environment of scripts/setup."""
    if not Path(sys.prefix, ".done", "all").is_file():
        pytest.skip(f"{sys.prefix} was not made by scripts/setup")
    if str(repo_root) not in Path(sys.prefix, ".done", "environment").read_text(encoding="utf-8").split():
        pytest.skip(f"{sys.prefix} was made for another checkout, which would have to make it anew")
    # A source that was edited since is built here, so that the tests below find nothing to do.
    assert run([repo_root / "scripts/setup"], repo_root, seconds=600).returncode == 0


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A directory of commands, for PATH: no Python, no compiler, and nobody is root."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in (
        "basename",
        "cat",
        "cut",
        "dirname",
        "flock",
        "grep",
        "ls",
        "mkdir",
        "mktemp",
        "rm",
        "sed",
        "sha256sum",
        "sh",
    ):
        found = shutil.which(name)
        if found:
            (directory / name).symlink_to(found)
    for name, text in (("id", "echo 1000"), ("apt-get", "exit 100")):
        (directory / name).write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        (directory / name).chmod(0o755)
    return directory


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_plain_sh_that_stops_at_errors(repo_root: Path, name: str) -> None:
    path = repo_root / "scripts" / name
    assert os.access(path, os.X_OK)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/bin/sh\n# ")
    assert "\nset -eu\n" in text
    assert run(["sh", "-n", path], repo_root).returncode == 0


def test_every_script_is_checked_here(repo_root: Path) -> None:
    assert {path.name for path in (repo_root / "scripts").iterdir() if not path.suffix} == set(SCRIPTS)


def test_shellcheck_finds_nothing(repo_root: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck")
    result = run(["shellcheck", *(repo_root / "scripts" / name for name in SCRIPTS), ".ci/run"], repo_root)
    assert result.returncode == 0, result.stdout


@pytest.mark.timeout(660)
@pytest.mark.usefixtures("set_up")
def test_a_second_setup_does_nothing_and_is_quick(repo_root: Path) -> None:
    start = time.monotonic()
    result = run([repo_root / "scripts/setup"], repo_root)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert time.monotonic() - start < 2


@pytest.mark.timeout(660)
@pytest.mark.usefixtures("set_up")
def test_an_environment_keeps_its_interpreter_when_none_is_asked_for(repo_root: Path) -> None:
    shown = run([Path(sys.prefix, "bin", "python"), "-c", "import sys; print(sys.version)"], repo_root)
    assert shown.stdout == f"{sys.version}\n"


def test_setup_refuses_an_interpreter_that_is_not_there(repo_root: Path, tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "PYTHON": "python3.99", "VENV": str(tmp_path / "venv")}
    result = run([repo_root / "scripts/setup"], repo_root, environment)
    assert result.returncode == 1
    assert (
        result.stderr == "setup: error: PYTHON=python3.99 is not there: give the name or path of Python 3.11 or later\n"
    )


def test_setup_leaves_a_directory_alone_that_is_no_environment(repo_root: Path, tmp_path: Path) -> None:
    precious = tmp_path / "venv" / "precious"
    precious.parent.mkdir()
    precious.touch()
    environment = {**ENVIRONMENT, "PYTHON": sys.executable, "VENV": str(tmp_path / "venv")}
    result = run([repo_root / "scripts/setup"], repo_root, environment)
    assert result.returncode == 1
    assert "is no virtual environment: move it away" in result.stderr
    assert precious.exists()


def test_without_root_setup_prints_the_command_to_run(repo_root: Path, tmp_path: Path, bare_path: Path) -> None:
    environment = {"PATH": str(bare_path), "VENV": str(tmp_path / "venv"), "HOME": str(tmp_path)}
    result = run([repo_root / "scripts/setup"], repo_root, environment)
    assert result.returncode == 1
    *reasons, last = result.stderr.splitlines()
    assert all(reason.startswith("setup: missing: ") for reason in reasons)
    wanted = "python3 python3-venv python3-dev gcc libc6-dev libpcap-dev"
    assert re.fullmatch(
        rf"setup: error: .* sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends {wanted}[ a-z-]*'",
        last,
    )
    assert not (tmp_path / "venv").exists()


def test_setup_waits_for_another_one(repo_root: Path, tmp_path: Path) -> None:
    if shutil.which("flock") is None:
        pytest.skip("needs flock")
    venv = tmp_path / "venv"
    environment = {**ENVIRONMENT, "PYTHON": "python3.99", "VENV": str(venv)}
    with subprocess.Popen(
        ["flock", f"{venv}.lock", "sh", "-c", "echo; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin
        assert other.stdout
        other.stdout.readline()
        with subprocess.Popen(
            [repo_root / "scripts/setup"], cwd=repo_root, env=environment, stderr=subprocess.PIPE, text=True
        ) as waiting:
            assert waiting.stderr
            assert "another setup is at work" in waiting.stderr.readline()
            other.stdin.close()
            assert "PYTHON=python3.99 is not there" in waiting.stderr.read()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("set_up")
def test_the_demo_shows_the_views_and_the_tunnels(repo_root: Path, tmp_path: Path) -> None:
    result = run([repo_root / "scripts/demo"], repo_root, {**ENVIRONMENT, "TMPDIR": str(tmp_path)})
    assert result.returncode == 0, result.stdout + result.stderr
    shown = result.stdout
    for command in ("tunnelwatch clients", "tunnelwatch top servers --by outbound", "tunnelwatch alarms"):
        assert f"$ {command}\n" in shown
    alarms, why = shown.split("$ tunnelwatch alarms\n")[1].split("$ tunnelwatch alarms show")
    assert "10.1.1.46" in alarms, "the SSH session inside CONNECT"
    assert "10.1.1.166" in alarms, "the WebSocket tunnel"
    assert alarms.count("critical") == 2
    assert "ssh inside" in why
    assert "What to try next" in why
    assert not list(tmp_path.iterdir()), "the demo left files"


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("set_up")
def test_the_demo_cleans_up_when_the_capture_is_none(repo_root: Path, tmp_path: Path) -> None:
    capture = tmp_path / "note.txt"
    capture.write_text("not a capture", encoding="ascii")
    work = tmp_path / "work"
    work.mkdir()
    result = run([repo_root / "scripts/demo", capture], repo_root, {**ENVIRONMENT, "TMPDIR": str(work)})
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("demo: error: ")
    assert not list(work.iterdir()), "the demo left files"


def test_the_demo_says_which_capture_cannot_be_read(repo_root: Path) -> None:
    result = run([repo_root / "scripts/demo", "/nonexistent.pcap"], repo_root)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "demo: error: /nonexistent.pcap cannot be read: give the path of a capture file\n"


@pytest.mark.parametrize("name", ["setup", "demo", "test", "lint", "bench", "fuzz"])
def test_make_calls_the_script_of_the_same_name(repo_root: Path, name: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    result = run(["make", "--no-print-directory", "-n", name], repo_root)
    assert result.stdout == f"scripts/{name}\n"


def test_the_compose_file_is_valid(repo_root: Path) -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("needs docker-compose")
    result = run([compose, "--profile", "demo", "config", "--quiet"], repo_root)
    assert result.returncode == 0, result.stderr


def services(repo_root: Path) -> dict[str, str]:
    """What docker-compose makes of each service, as text."""
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("needs docker-compose")
    result = run([compose, "--profile", "demo", "config"], repo_root)
    assert result.returncode == 0, result.stderr
    listed = re.search(r"^services:\n((?:  .*\n)+)", result.stdout, re.MULTILINE)
    assert listed is not None
    names_and_texts = re.split(r"^  (\w+):\n", listed[1], flags=re.MULTILINE)[1:]
    return dict(zip(names_and_texts[::2], names_and_texts[1::2], strict=True))


def test_a_container_may_do_no_more_than_its_part_needs(repo_root: Path) -> None:
    found = services(repo_root)
    assert set(found) == {"correlator", "sensor", "demo"}
    added = {name: re.findall(r"^    cap_add:\n((?:    - .*\n)+)", text, re.MULTILINE) for name, text in found.items()}
    assert added == {"correlator": [], "sensor": ["    - NET_RAW\n"], "demo": ["    - NET_RAW\n"]}
    for name, text in found.items():
        assert "    cap_drop:\n    - ALL\n" in text, name
        assert "    read_only: true\n" in text, name
        for word in ("privileged", "pid:", "devices:", "docker.sock", "    user:", "ports:"):
            assert word not in text, name
    assert "no-new-privileges:true" in found["correlator"]
    networks = {name: re.findall(r"^    network_mode: (\w+)$", text, re.MULTILINE) for name, text in found.items()}
    assert networks == {"correlator": ["none"], "sensor": ["host"], "demo": ["none"]}


def stages(repo_root: Path) -> dict[str, str]:
    """The Dockerfile's lines of each stage."""
    parts = re.split(r"^FROM .* AS (\S+)\n", (repo_root / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("part", ["sensor", "correlator"])
def test_an_image_runs_as_somebody_without_rights(repo_root: Path, part: str) -> None:
    lines = stages(repo_root)[part].splitlines()
    (user,) = [number for number, line in enumerate(lines) if line.startswith("USER ")]
    assert lines[user] == "USER tunnelwatch"
    assert not [line for line in lines[user:] if line.startswith("RUN")]


@pytest.mark.parametrize("part", ["sensor", "correlator"])
def test_an_image_holds_what_its_part_asks_for_and_what_its_metrics_need(repo_root: Path, part: str) -> None:
    stage = stages(repo_root)[f"{part}-environment"]
    assert re.findall(r"-r (\S+)", stage) == [f"requirements/{part}.txt", "requirements/metrics.txt"]
    assert "--require-hashes" in stage


def test_the_image_build_is_given_every_file_that_it_copies(repo_root: Path) -> None:
    allowed = {
        line[1:]
        for line in (repo_root / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    for line in re.findall(
        r"^COPY (?!--from)(.+)$", (repo_root / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    ):
        for source in line.split()[:-1]:
            assert (repo_root / source).exists(), source
            assert any(source == name or source.startswith(f"{name}/") for name in allowed), source
