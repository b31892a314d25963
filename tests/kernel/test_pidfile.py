"""A pid file names a process, and only one that comes from the program that was started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from circusd.kernel import pidfile, proc
from circusd.kernel.proc import Identity
from tests.waiting import eventually


def me() -> Identity:
    return Identity(os.getpid(), proc.start_time(os.getpid()) or 0)


@pytest.mark.parametrize("text", ["", "\n", "1\n", "0", "-5", "12 34", "9" * 60, "x", "٣٣", "12\0", "0x12"])
def test_what_is_no_pid_is_told_and_not_shown(tmp_path: Path, text: str) -> None:
    """It may be any file, so nothing of it is repeated."""
    file = tmp_path / "x.pid"
    file.write_text(text)
    with pytest.raises(pidfile.NotYet) as told:
        pidfile.find(str(file), me(), "m")
    assert str(told.value) == f"{file} holds no pid"


def test_what_is_no_file_is_told_and_never_waited_for(tmp_path: Path) -> None:
    """Not there, a folder, a pipe that nobody writes into, a path that is none."""
    os.mkfifo(tmp_path / "pipe")
    for name, why in (
        ("no", "is not there"),
        ("", "is no file"),
        ("pipe", "is no file"),
        ("a\0b", "can't be read"),
    ):
        with pytest.raises(pidfile.NotYet, match=why):
            pidfile.find(f"{tmp_path}/{name}", me(), "m")


def test_a_descendant_counts_and_an_older_process_does_not(tmp_path: Path) -> None:
    """What is below the program is its own whatever its environment says; what was there before it is nobody's."""
    file = tmp_path / "x.pid"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], env={}) as child:
        try:
            file.write_text(f" {child.pid} \nmore\n")
            found = pidfile.find(str(file), me(), "m")
            assert found == Identity(child.pid, proc.start_time(child.pid) or 0)
            later = me()._replace(start=found.start + 1)
            with pytest.raises(pidfile.NotYet, match="older than the program"):
                pidfile.find(str(file), later, "m")
        finally:
            child.kill()


def test_an_orphan_counts_by_its_mark(tmp_path: Path) -> None:
    """A child of ours that is not below the program: with the program's mark, or with an environment that was written over."""
    file = tmp_path / "x.pid"
    nobody = Identity(4_000_000, 0)
    for env, is_ours in (
        ({"CIRCUS_START": "m"}, True),
        ({}, True),
        ({"CIRCUS_START": "n"}, False),
        ({"A": "b"}, False),
    ):
        # A program that adds nothing to its environment.
        with subprocess.Popen(["/bin/sleep", "1000"], env=env) as child:
            try:
                # Linux has it run the program a moment before it shows with which arguments and environment.
                eventually(Path(f"/proc/{child.pid}/cmdline").read_bytes)
                file.write_text(str(child.pid))
                if is_ours:
                    assert pidfile.find(str(file), nobody, "m").pid == child.pid
                else:
                    with pytest.raises(pidfile.NotYet, match="another program has left behind"):
                        pidfile.find(str(file), nobody, "m")
                marked = pidfile.left_behind("m", ())
                assert [one.pid for one in marked] == ([child.pid] if env.get("CIRCUS_START") == "m" else [])
                assert pidfile.left_behind("m", {child.pid}) == []
            finally:
                child.kill()
