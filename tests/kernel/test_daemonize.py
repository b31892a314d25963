"""Going into the background: the caller waits for what becomes of the start, and keeps nothing of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import eventually

HEAD = "import os, sys, time, signal; from circusd.kernel.daemonize import daemonize\n"
STAYS = "\nsignal.pause()"


class Background:
    """Runs a program that goes into the background; what stays there is killed at the end."""

    def __init__(self, folder: Path) -> None:
        self.note = folder / "pid"

    def run(self, body: str, *, patience: float = 30, **how: object) -> subprocess.CompletedProcess[str]:
        note = f"open({str(self.note)!r}, 'w').write(str(os.getpid()))\n"
        script = f"{HEAD}report = daemonize({patience})\n{note}{body}"
        return subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            **how,  # type: ignore[call-overload]
        )

    @property
    def pid(self) -> int:
        return int(eventually(self.note.read_text))

    def is_there(self) -> bool:
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        # Dead, and whoever inherited it has not noticed yet.
        return state not in "ZX"


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    """See `Background`."""
    found = Background(tmp_path)
    yield found
    if found.note.exists() and found.is_there():
        os.kill(found.pid, signal.SIGKILL)
        eventually(lambda: not found.is_there())


def test_success_is_told_when_it_runs_and_not_before(background: Background, tmp_path: Path) -> None:
    """The caller's exit code is 0, and what was to be done before is done."""
    done = background.run(
        f"time.sleep(0.2); open({str(tmp_path / 'made')!r}, 'w'); report.runs('told')" + STAYS
    )
    assert (tmp_path / "made").exists()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "told\n")
    assert os.getsid(background.pid) not in (os.getsid(0), background.pid)


def test_failure_is_told_with_its_message(background: Background) -> None:
    """On the caller's standard error, with exit code 1."""
    done = background.run("report.failed('the port 80 is taken\\nand the port 81')")
    assert (done.returncode, done.stderr) == (1, "the port 80 is taken\nand the port 81\n")


@pytest.mark.parametrize("end", ["os._exit(0)", "os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_an_end_without_a_word_is_a_failure(background: Background, end: str) -> None:
    """Whatever the exit code was: it does not run."""
    done = background.run(end)
    assert done.returncode == 1
    assert "has ended before it ran" in done.stderr


def test_a_start_that_takes_too_long_is_ended(background: Background) -> None:
    """The caller gets a clear text, and nothing is left half started."""
    done = background.run("signal.pause()", patience=0.5)
    assert done.returncode == 1
    assert "after 0.5 s it has not opened" in done.stderr
    assert str(background.pid) in done.stderr
    eventually(lambda: not background.is_there())


def test_nothing_that_the_caller_has_open_is_kept(background: Background, tmp_path: Path) -> None:
    """Neither its pipes nor its files: whoever waits for their end would wait as long as the daemon runs."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        done = background.run("report.runs()" + STAYS, pass_fds=[writer], stdin=subprocess.DEVNULL)
    finally:
        os.close(writer)
    assert done.returncode == 0
    with open(reader, "rb") as pipe:
        # Ends only when nobody has the other side.
        assert pipe.read() == b""
    fds = Path(f"/proc/{background.pid}/fd")
    eventually(lambda: {os.readlink(fd) for fd in fds.iterdir()} == {"/dev/null"})


def test_standard_error_stays_if_it_is_a_file(background: Background, tmp_path: Path) -> None:
    """A log that was made by redirection goes on."""
    log = tmp_path / "log"
    script = HEAD + "daemonize().runs(); os.write(2, b'from the background')"
    with log.open("wb") as file:
        done = subprocess.run([sys.executable, "-c", script], stderr=file, timeout=30, check=False)
    assert done.returncode == 0
    eventually(lambda: "from the background" in log.read_text())


def test_who_interrupts_the_wait_ends_the_start(background: Background) -> None:
    """Ctrl-C before it runs: nothing goes on behind one's back."""
    note = f"open({str(background.note)!r}, 'w').write(str(os.getpid()))"
    script = f"{HEAD}daemonize(30)\n{note}{STAYS}"
    caller = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    assert background.is_there()
    caller.send_signal(signal.SIGINT)
    _, told = caller.communicate(timeout=30)
    assert caller.returncode == 1
    assert "interrupted" in told
    eventually(lambda: not background.is_there())
