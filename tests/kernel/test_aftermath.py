"""What is found after a death: the core's place by the kernel's own pattern, files that are others, counters."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from circusd.kernel import aftermath, pidfd
from circusd.kernel.aftermath import Died
from tests.kernel.conftest import Run
from tests.waiting import eventually


def died(cwd: Path, **more: object) -> Died:
    return Died(123, "/usr/bin/averylongprogramname", str(cwd), 7, 8, 11, 1000.9)._replace(**more)


@pytest.mark.parametrize(
    ("pattern", "uses_pid", "name"),
    [
        ("core", False, "core"),
        ("core", True, "core.123"),
        ("core.%p", True, "core.123"),
        ("c-%e-%u-%g-%s-%%", False, "c-averylongprogra-7-8-11-%"),
        ("%E.%t", False, "!usr!bin!averylongprogramname.1000"),
        ("x%", False, "x"),
        ("%c.%q", False, "*.*"),
    ],
)
def test_core_is_looked_for_where_the_pattern_says(
    tmp_path: Path, pattern: str, uses_pid: bool, name: str
) -> None:
    """In the folder of the process; it is said whether it is there."""
    found = aftermath.core_dump(died(tmp_path), pattern, uses_pid)
    assert found == {"path": str(tmp_path / name), "size": None, "handler": "", "hint": ""}
    (tmp_path / name).write_bytes(b"x" * 10)
    assert aftermath.core_dump(died(tmp_path), pattern, uses_pid)["size"] == 10


def test_core_is_found_though_a_second_has_passed(tmp_path: Path) -> None:
    """The kernel wrote the time into its name when it began, and the end was seen later."""
    (tmp_path / "core.999").write_bytes(b"x")
    assert aftermath.core_dump(died(tmp_path), "core.%t", False)["path"] == str(tmp_path / "core.999")


def test_program_that_takes_cores_is_named() -> None:
    """With the command that asks it, where that is known."""
    pipe = "|/usr/lib/systemd/systemd-coredump %P %u"
    told = aftermath.core_dump(died(Path("/")), pipe)
    assert (told["handler"], told["hint"]) == ("systemd-coredump", "coredumpctl info 123")
    assert aftermath.core_dump(died(Path("/")), "|/opt/own %p")["handler"] == "own"
    assert aftermath.core_dump(died(Path("/")), "|")["handler"] == ""
    assert aftermath.core_dump(died(Path("/")), "")["path"] == ""


def test_files_that_are_others_are_told(tmp_path: Path) -> None:
    """Written, replaced, gone; what is no regular file is none."""
    names = [tmp_path / name for name in ("same", "written", "replaced", "gone")]
    for path in names:
        path.write_text("one")
    os.mkfifo(tmp_path / "pipe")
    files = [(str(path), "argument") for path in (*names, tmp_path / "pipe", tmp_path, tmp_path / "none")]
    before = aftermath.marks([*files, ("x\0y", "argument"), ("x" * 9000, "argument")])
    assert [Path(mark.path).name for mark in before] == ["same", "written", "replaced", "gone"]
    names[1].write_text("longer")
    other = tmp_path / "other"
    other.write_text("one")
    os.utime(other, (before[2].modified, before[2].modified))
    other.replace(names[2])
    names[3].unlink()
    found = {Path(one["file"]).name: one for one in aftermath.changed(before)}
    assert set(found) == {"written", "replaced", "gone"}
    assert (found["written"]["was"]["size"], found["written"]["now"]["size"]) == (3, 6)
    assert found["gone"]["now"] is None


def test_counters_of_kills_are_numbers_or_unknown() -> None:
    """Whatever this machine lets us read."""
    assert all(one is None or one >= 0 for one in aftermath.kills())


def test_end_comes_with_what_was_used(run: Run) -> None:
    """Status, core and usage, once; the process is no zombie afterwards."""
    child = run.start("/bin/sh", "-c", "while true; do :; done")
    assert pidfd.reap_counted(child.pidfd) is None
    stat = Path(f"/proc/{child.pid}/stat")
    eventually(lambda: int(stat.read_text().split()[13]) > 0, within=10, what="it has used the processor")
    pidfd.send(child.pidfd, signal.SIGSEGV)
    ended = eventually(lambda: pidfd.reap_counted(child.pidfd), within=10)
    assert ended.status.signal == signal.SIGSEGV
    assert ended.usage is not None
    assert ended.usage.ru_utime > 0
    assert not Path(f"/proc/{child.pid}").exists()
    assert pidfd.reap_counted(child.pidfd) == (pidfd.UNKNOWN, None)
    del run.children[child.pid]
    os.close(child.pidfd)
