"""Programs run for notices: what they are given, and how those end that do not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from threading import Thread

import pytest
from notices import notice

from correlator.notify.hook import HookOutput
from correlator.notify.output import OutputError


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "hook"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path), str(tmp_path)]


def is_gone(number: int) -> bool:
    """Whether a process has ended; one that nobody has reaped has ended too."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_gone(number: int) -> None:
    deadline = time.monotonic() + 20
    while not is_gone(number):
        assert time.monotonic() < deadline, f"{number} still runs"
        time.sleep(0.01)


def test_a_program_gets_the_alarm_on_standard_input_and_nothing_of_strangers_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    told = notice(host="$(touch /tmp/pwned)")
    command = script(tmp_path, 'cat > "$1/given"; env > "$1/env"; pwd > "$1/pwd"')
    HookOutput(command, 20).deliver(told)
    assert json.loads((tmp_path / "given").read_text()) == {**told.alarm, "event": "new"}
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert environment["TUNNELWATCH_ID"] == told.alarm["id"]
    assert environment["TUNNELWATCH_SEVERITY"] == "medium"
    assert "SECRET" not in environment
    assert not any("pwned" in value for value in environment.values())
    assert (tmp_path / "pwd").read_text() == "/\n"


def test_a_program_that_reads_nothing_is_no_trouble(tmp_path: Path) -> None:
    HookOutput(script(tmp_path, "exit 0"), 20).deliver(notice(message="x" * 1_000_000))


def test_a_program_that_fails_is_named_with_its_code_and_not_run_again(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="hook ended with 3") as caught:
        HookOutput(script(tmp_path, "exit 3"), 20).deliver(notice())
    assert caught.value.lasting


def test_a_program_that_is_not_there_is_one_line() -> None:
    with pytest.raises(OutputError, match="cannot run /no/such/program: No such file"):
        HookOutput(["/no/such/program"], 20).deliver(notice())


def test_a_program_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    command = script(tmp_path, 'trap "" TERM INT HUP; sleep 600 & echo "$$ $!" > "$1/pids"; wait')
    with pytest.raises(OutputError, match=r"was killed after 0\.5 s"):
        HookOutput(command, 0.5).deliver(notice())
    for number in map(int, (tmp_path / "pids").read_text().split()):
        wait_gone(number)


def test_what_a_program_leaves_running_ends_with_it(tmp_path: Path) -> None:
    command = script(tmp_path, 'sleep 600 & echo "$!" > "$1/pids"; exit 0')
    HookOutput(command, 20).deliver(notice())
    wait_gone(int((tmp_path / "pids").read_text()))


def test_what_runs_is_killed_when_it_is_given_up(tmp_path: Path) -> None:
    command = script(tmp_path, 'echo "$$" > "$1/new"; mv "$1/new" "$1/pids"; exec sleep 600')
    output = HookOutput(command, 600)
    failed: list[OutputError] = []

    def deliver() -> None:
        try:
            output.deliver(notice())
        except OutputError as error:
            failed.append(error)

    thread = Thread(target=deliver)
    thread.start()
    while thread.is_alive():
        if (tmp_path / "pids").exists():
            output.abort()
        thread.join(0.01)
    assert [str(error).rsplit(" ", 1)[1] for error in failed] == ["-9"]
    assert is_gone(int((tmp_path / "pids").read_text()))


def test_no_child_is_left_unreaped(tmp_path: Path) -> None:
    HookOutput(script(tmp_path, "exit 0"), 20).deliver(notice())
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
