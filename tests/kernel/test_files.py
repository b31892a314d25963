"""The runtime and state folders, the lock, pidfiles, logs, and writing whole files."""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from circusd.kernel import files
from circusd.kernel.files import Lock, open_log
from circusd.schema.errors import ConfigError, Conflict
from tests.kernel.conftest import NOBODY, AsNobody, Run
from tests.waiting import eventually

SOURCES = str(Path(files.__file__).parents[2])


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of /run/circus."""
    folder = tmp_path / "run"
    monkeypatch.setenv(files.OVERRIDE, str(folder))
    return folder


@pytest.fixture
def held(base: Path) -> Iterator[Lock]:
    """The lock of a daemon called one."""
    lock = Lock.acquire(files.runtime_folder("one"))
    yield lock
    lock.release()


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def fill(fd: int) -> int:
    """Write until nothing more is taken, and tell how many bytes were."""
    written = 0
    try:
        while True:
            written += os.write(fd, b"x" * 4096)
    except BlockingIOError:
        return written


# --- runtime folder ------------------------------------------------------------------------------------------------


def test_runtime_folder_is_private(base: Path) -> None:
    """It is made with its inner folder, closed to others whatever the umask, and found again."""
    before = os.umask(0)
    try:
        folder = files.runtime_folder("main")
    finally:
        os.umask(before)
    assert folder == str(base / "main") == files.runtime_folder("main")
    assert files.inner_folder(folder) == str(base / "main" / "inner")
    assert mode(base) == mode(folder) == mode(files.inner_folder(folder)) == 0o700


def test_place_depends_on_who_runs_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's is below /run; others' in their session's folder, or in one of their own below /tmp."""
    monkeypatch.delenv(files.OVERRIDE, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert files.runtime_bases() == ["/run/circus"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert files.runtime_bases() == ["/run/user/1000/circus", "/tmp/circus-1000"]
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert files.runtime_bases() == ["/tmp/circus-1000", "/run/user/1000/circus"]


def test_folder_below_tmp_that_is_not_safe_is_refused(root: None, as_nobody: AsNobody) -> None:
    """One that another made, that others may look into, or that is a link is never used."""
    base = Path(f"/tmp/circus-{NOBODY}")
    if base.exists():
        pytest.skip(f"{base} is in use")

    def attempt() -> str:
        os.environ.pop(files.OVERRIDE, None)
        os.environ.pop("XDG_RUNTIME_DIR", None)
        try:
            return files.runtime_folder("main")
        except ConfigError as error:
            return str(error)

    try:
        base.mkdir(mode=0o700)
        assert "belongs to user 0" in as_nobody(attempt)
        os.chown(base, NOBODY, NOBODY)
        base.chmod(0o755)
        assert "others have access to it (mode 0755)" in as_nobody(attempt)
        base.chmod(0o700)
        assert as_nobody(attempt) == str(base / "main")
        for folder in ("main/inner", "main"):
            (base / folder).rmdir()
        base.rmdir()
        base.symlink_to("/var/tmp")
        assert "it is not a folder" in as_nobody(attempt)
    finally:
        if base.is_symlink():
            base.unlink()
        else:
            import shutil

            shutil.rmtree(base)


def test_own_folder_that_others_may_enter_is_refused(base: Path) -> None:
    """Somebody opened it: that is told, not silently changed."""
    os.chmod(files.runtime_folder("main"), 0o711)
    with pytest.raises(ConfigError, match=r"mode 0711.*chmod 700"):
        files.runtime_folder("main")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "-x", "a b", "x" * 65, "a\0b", "ü"])
def test_name_that_is_no_file_name_is_refused(base: Path, name: str) -> None:
    """A daemon's name never leads out of the folder."""
    with pytest.raises(ConfigError, match="can't be a daemon's"):
        files.runtime_folder(name)


def test_folder_that_can_t_be_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason, and how to choose another."""
    monkeypatch.setenv(files.OVERRIDE, "/proc/nowhere")
    with pytest.raises(ConfigError, match=r"could not make the runtime folder.*CIRCUS_RUNTIME_DIR"):
        files.runtime_folder("main")


# --- state folder --------------------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of /var/lib/circus."""
    folder = tmp_path / "lib" / "state"
    monkeypatch.setenv(files.STATE_OVERRIDE, str(folder))
    return folder


def test_place_of_state_depends_on_who_runs_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's is below /var/lib; others' where their environment says, else below their home; without one there is none."""
    for name in (files.STATE_OVERRIDE, "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/srv/ada")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert files.state_path("main") == "/var/lib/circus/main"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert files.state_path("main") == "/srv/ada/.local/state/circus/main"
    monkeypatch.setenv("XDG_STATE_HOME", "/srv/state")
    assert files.state_path("main") == "/srv/state/circus/main"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert files.state_path("main") == "/srv/ada/.local/state/circus/main"
    for home in ("", "relative"):
        monkeypatch.setenv("HOME", home)
        assert files.state_path("main") == ""
        with pytest.raises(ConfigError, match="HOME is not set; choose one by CIRCUS_STATE_DIR"):
            files.state_folder("main")
    monkeypatch.setenv(files.STATE_OVERRIDE, "/srv/circus")
    assert files.state_path("main") == "/srv/circus/main"


def test_state_folder_is_private(state: Path) -> None:
    """It is made with all above it that were not there, closed to others whatever the umask, and found again."""
    before = os.umask(0)
    try:
        assert files.state_folder("main") == str(state / "main") == files.state_folder("main")
    finally:
        os.umask(before)
    assert mode(state.parent) == mode(state) == mode(state / "main") == 0o700
    assert os.listdir(state / "main") == []


def test_state_folder_may_lie_where_others_look_and_not_where_they_write(state: Path) -> None:
    """The folder above it has names of daemons only; whoever could write there could put another in its place."""
    files.state_folder("main")
    state.chmod(0o755)
    assert files.state_folder("main") == str(state / "main")
    state.chmod(0o770)
    with pytest.raises(ConfigError, match=r"the state folder .*/state is not safe: others have access.*0770"):
        files.state_folder("main")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.chmod(0o710), "mode 0710"),
        (lambda path: (path.rename(path.with_name("x")), path.symlink_to("x")), "symbolic links are not followed"),
        (lambda path: (path.rmdir(), path.symlink_to("nowhere")), "symbolic links are not followed"),
        (lambda path: (path.rmdir(), path.touch()), "it is not a folder"),
    ],
    ids=["open", "link", "link to nowhere", "file"],
)  # fmt: skip
def test_state_folder_that_is_not_safe_is_refused(
    state: Path, spoil: Callable[[Path], object], why: str
) -> None:
    """It is told, and nothing is changed or followed."""
    spoil(Path(files.state_folder("main")))
    with pytest.raises(ConfigError, match=why):
        files.state_folder("main")


def test_link_in_place_of_the_folder_above_is_refused(state: Path) -> None:
    """Whoever made it could make it point elsewhere."""
    files.state_folder("main")
    state.rename(state.with_name("x"))
    state.symlink_to("x")
    with pytest.raises(
        ConfigError, match=r"state folder .*/state is not safe.*symbolic links are not followed"
    ):
        files.state_folder("main")


def test_state_folder_of_another_user_is_refused(root: None, state: Path) -> None:
    """Root trusts no folder that somebody else can change."""
    os.chown(files.state_folder("main"), NOBODY, NOBODY)
    with pytest.raises(ConfigError, match=f"belongs to user {NOBODY}"):
        files.state_folder("main")


def test_state_folder_that_can_t_be_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason, and how to choose another."""
    monkeypatch.setenv(files.STATE_OVERRIDE, "/proc/nowhere")
    with pytest.raises(ConfigError, match=r"could not make the state folder.*CIRCUS_STATE_DIR"):
        files.state_folder("main")


# --- lock ----------------------------------------------------------------------------------------------------------

HOLDER = """
import subprocess, sys
sys.path.insert(0, {sources!r})
from circusd.kernel.files import Lock
lock = Lock.acquire({folder!r})
print(subprocess.Popen(["/bin/sleep", "1000"]).pid, flush=True)
sys.stdin.read()
"""


def test_second_daemon_is_refused_with_the_pid_of_the_first(held: Lock) -> None:
    """Within a second, and the first keeps its lock."""
    started = time.monotonic()
    with pytest.raises(Conflict, match=f"pid {os.getpid()}") as caught:
        Lock.acquire(os.path.dirname(held.path))
    assert time.monotonic() - started < 1
    assert "--name" in caught.value.hint
    assert files._lock_holder(held.path) == os.getpid()


def test_lock_ends_with_its_process(base: Path, run: Run) -> None:
    """After a SIGKILL the folder is free at once, also while children of the dead one run on."""
    folder = files.runtime_folder("main")
    (told, tell), (hold, held_by) = os.pipe(), os.pipe()
    source = HOLDER.format(sources=SOURCES, folder=folder)
    child = run.start(sys.executable, "-I", "-c", source, stdin=hold, stdout=tell)
    os.close(hold)
    os.close(tell)
    with open(told) as lines, open(held_by, "wb"):
        sleeper = int(lines.readline())
        assert files.daemons() == [("main", folder, child.pid)]
        os.kill(child.pid, signal.SIGKILL)
        run.wait(child)
        assert files.daemons() == []
        assert Path(f"/proc/{sleeper}").exists()
        Lock.acquire(folder).release()
        os.kill(sleeper, signal.SIGKILL)


def test_released_lock_can_be_taken(base: Path) -> None:
    """One after the other, as often as wanted."""
    folder = files.runtime_folder("main")
    for _ in range(3):
        Lock.acquire(folder).release()


def test_looking_for_daemons_keeps_none_from_starting(held: Lock) -> None:
    """A look takes the lock for a moment; a start waits for that long."""
    import fcntl
    import threading

    folder = files.runtime_folder("two")
    fd = os.open(os.path.join(folder, files.LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    timer = threading.Timer(0.05, os.close, [fd])
    timer.start()
    Lock.acquire(folder).release()
    timer.join()


def test_lock_is_kept_through_an_exec(base: Path) -> None:
    """The descriptor holds the lock, and a lock made from it writes the pid again."""
    folder = files.runtime_folder("main")
    first = Lock.acquire(folder)
    os.truncate(first.path, 0)
    again = Lock(first.path, first.fd)
    assert files.daemons() == [("main", folder, os.getpid())]
    again.release()


def test_running_daemons_are_listed_by_name(held: Lock, base: Path) -> None:
    """Folders without a held lock are not among them, nor is what else lies there."""
    files.runtime_folder("stale")
    (base / "file").touch()
    (base / "broken").mkdir()
    (base / "broken" / "lock").symlink_to("/etc/passwd")
    assert files.daemons() == [("one", str(base / "one"), os.getpid())]


def test_no_folder_means_no_daemons(base: Path) -> None:
    """Nothing is made by looking."""
    assert files.daemons() == []
    assert not base.exists()


def test_lock_does_not_follow_a_link(base: Path) -> None:
    """A lock file that is a link is not opened."""
    folder = files.runtime_folder("main")
    target = base / "target"
    target.write_text("precious")
    os.symlink(target, os.path.join(folder, files.LOCK))
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        Lock.acquire(folder)
    assert target.read_text() == "precious"


# --- pidfile -------------------------------------------------------------------------------------------------------


def test_pidfile_has_the_original_s_form(tmp_path: Path) -> None:
    """The pid and a line end, readable by all whatever the umask; it goes at the end."""
    path = tmp_path / "circusd.pid"
    before = os.umask(0o077)
    try:
        files.write_pidfile(str(path))
    finally:
        os.umask(before)
    assert path.read_text() == f"{os.getpid()}\n"
    assert mode(path) == 0o644
    files.remove_pidfile(str(path))
    assert not path.exists()
    files.remove_pidfile(str(path))


@pytest.mark.parametrize("content", ["4194303\n", "", "rubbish", "-1", "0\n", "9" * 40, "1\n"])
def test_stale_pidfile_is_overwritten(tmp_path: Path, content: str) -> None:
    """A dead pid, one that belongs to another program by now, and what is no pid."""
    path = tmp_path / "circusd.pid"
    path.write_text(content)
    files.write_pidfile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"


def test_pidfile_of_a_live_circusd_is_refused(tmp_path: Path, run: Run) -> None:
    """However it was started; and one of another program that lives is not."""
    path = tmp_path / "circusd.pid"
    program = tmp_path / "circusd"
    program.write_text("import time; time.sleep(1000)")
    as_script = run.start(sys.executable, "-I", str(program), "circus.ini")
    as_program = run.start("/usr/local/bin/circusd", "1000", executable="/bin/sleep")
    for child in (as_script, as_program):
        # Right after an exec the command line is empty for a moment.
        eventually(Path(f"/proc/{child.pid}/cmdline").read_bytes)
        path.write_text(f"{child.pid}\n")
        with pytest.raises(Conflict, match=f"pid {child.pid}"):
            files.write_pidfile(str(path))
        assert path.read_text() == f"{child.pid}\n"
    other = run.start("sleep", "1000", executable="/bin/sleep")
    path.write_text(f"{other.pid}\n")
    files.write_pidfile(str(path))


def test_pidfile_of_another_is_not_removed(tmp_path: Path) -> None:
    """A daemon that was replaced leaves its successor's file."""
    path = tmp_path / "circusd.pid"
    path.write_text("1\n")
    files.remove_pidfile(str(path))
    assert path.read_text() == "1\n"


def test_pidfile_that_can_t_be_written_is_told(tmp_path: Path) -> None:
    """A missing folder is named."""
    with pytest.raises(ConfigError, match=f"there is no folder {tmp_path}/missing"):
        files.write_pidfile(str(tmp_path / "missing" / "pid"))
    with pytest.raises(ConfigError, match="could not read the pidfile"):
        files.write_pidfile(str(tmp_path))


# --- whole files ---------------------------------------------------------------------------------------------------


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    """New content, the same mode; a reader that has the old one open sees the old one to its end."""
    path = tmp_path / "circus.ini"
    path.write_text("old")
    path.chmod(0o640)
    with path.open() as reader:
        files.atomic_write(str(path), b"new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert mode(path) == 0o640
    assert os.listdir(tmp_path) == ["circus.ini"]


def test_new_file_is_private_unless_asked_otherwise(tmp_path: Path) -> None:
    """Mode 0600, or the one given, whatever the umask."""
    before = os.umask(0)
    try:
        files.atomic_write(str(tmp_path / "state"), b"secret")
        files.atomic_write(str(tmp_path / "open"), b"", mode=0o644)
    finally:
        os.umask(before)
    assert (mode(tmp_path / "state"), mode(tmp_path / "open")) == (0o600, 0o644)


def test_owner_is_kept(root: None, tmp_path: Path) -> None:
    """A file that root edits still belongs to whom it belonged."""
    path = tmp_path / "circus.ini"
    path.touch(mode=0o600)
    os.chown(path, NOBODY, NOBODY)
    files.atomic_write(str(path), b"x")
    assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (NOBODY, NOBODY, 0o600)


def test_link_stays_a_link(tmp_path: Path) -> None:
    """Its target gets the content."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    files.atomic_write(str(tmp_path / "link"), b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_failure_changes_nothing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle: the old content, and no draft beside it."""
    path = tmp_path / "state"
    path.write_text("old")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.atomic_write(str(path), b"new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["state"]


WRITER = """
import sys
sys.path.insert(0, {sources!r})
from circusd.kernel.files import atomic_write
print("writes", flush=True)
while True:
    for letter in (b"a", b"b"):
        atomic_write({path!r}, letter * 100_000)
"""


def test_writer_that_is_killed_leaves_the_old_or_the_new(tmp_path: Path, run: Run) -> None:
    """Never half of a file, whenever it dies."""
    path = tmp_path / "state"
    for _ in range(5):
        reader, writer = os.pipe()
        child = run.start(
            sys.executable, "-I", "-c", WRITER.format(sources=SOURCES, path=str(path)), stdout=writer
        )
        os.close(writer)
        with open(reader) as told:
            told.readline()
        eventually(path.exists)
        time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        run.wait(child)
        data = path.read_bytes()
        assert len(data) == 100_000
        assert len(set(data)) == 1


# --- private files -------------------------------------------------------------------------------------------------


def test_private_file_is_ours_whatever_was_there(root: None, tmp_path: Path) -> None:
    """Another's file is replaced by one of ours with mode 0600; a link is replaced, and its target left alone."""
    foreign, link, precious = tmp_path / "foreign", tmp_path / "link", tmp_path / "precious"
    for path in (foreign, precious):
        path.write_text("old")
        path.chmod(0o666)
        os.chown(path, NOBODY, NOBODY)
    link.symlink_to("precious")
    for path in (foreign, link):
        files.atomic_write(str(path), b"new", private=True)
        status = path.lstat()
        assert (stat.S_ISREG(status.st_mode), status.st_uid, mode(path)) == (True, os.geteuid(), 0o600)
        assert files.private_read(str(path), 100) == b"new"
    assert precious.read_text() == "old"


def test_private_file_is_read_to_its_limit(tmp_path: Path) -> None:
    """One that is not there is none; one that is longer is refused and not half read."""
    path = tmp_path / "state"
    assert files.private_read(str(path), 10) is None
    files.atomic_write(str(path), b"0123456789", private=True)
    assert files.private_read(str(path), 10) == b"0123456789"
    with pytest.raises(OSError, match="more than 9 bytes"):
        files.private_read(str(path), 9)


def test_what_others_could_have_written_is_not_read(tmp_path: Path) -> None:
    """A link, a FIFO without a writer, a folder, a device, a file that others may write to: refused at once."""
    path = tmp_path / "state"
    files.atomic_write(str(path), b"x", private=True)
    (tmp_path / "link").symlink_to("state")
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "folder").mkdir()
    for place, why in (
        (tmp_path / "link", "symbolic link"),
        (tmp_path / "fifo", "no regular file"),
        (tmp_path / "folder", "no regular file"),
        (Path("/dev/null"), "no regular file"),
    ):
        with pytest.raises(OSError, match=why):
            files.private_read(str(place), 10)
    for wrong in (0o620, 0o602):
        path.chmod(wrong)
        with pytest.raises(OSError, match=f"others may write to it \\(mode {wrong:04o}\\)"):
            files.private_read(str(path), 10)


def test_private_file_of_another_is_not_read(root: None, tmp_path: Path) -> None:
    """Also where its mode says that only its owner writes."""
    path = tmp_path / "state"
    files.atomic_write(str(path), b"x", private=True)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(OSError, match=f"belongs to user {NOBODY}"):
        files.private_read(str(path), 10)


def test_removed_file_is_gone_and_removing_it_again_is_nothing(tmp_path: Path) -> None:
    """Both leave no such file."""
    path = tmp_path / "state"
    files.atomic_write(str(path), b"x", private=True)
    for _ in range(2):
        files.private_remove(str(path))
        assert os.listdir(tmp_path) == []


def test_drafts_are_told_from_other_files(tmp_path: Path) -> None:
    """What a killed writer left goes; the file itself and everything else stay."""
    path = tmp_path / "state"
    files.atomic_write(str(path), b"x", private=True)
    names = {".state.77.deadbeef", ".state.1.0", ".stately", "state.old", ".other.1.ab"}
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / ".state.folder").mkdir()
    files.remove_drafts(str(path))
    left = {"state", ".stately", "state.old", ".other.1.ab", ".state.folder"}
    assert set(os.listdir(tmp_path)) == left


# --- logs ----------------------------------------------------------------------------------------------------------


def test_log_is_appended_to_and_made_with_the_umask(tmp_path: Path) -> None:
    """What was there stays; nothing of it reaches children; writing to it never waits."""
    path = tmp_path / "web.log"
    before = os.umask(0o027)
    try:
        for text in (b"one\n", b"two\n"):
            log = open_log(str(path))
            assert not log.waits
            assert not os.get_inheritable(log.fd)
            os.write(log.fd, text)
            os.close(log.fd)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"one\ntwo\n"
    assert mode(path) == 0o640


def test_fifo_without_a_reader_is_opened_at_once(tmp_path: Path) -> None:
    """It takes what fits, then refuses instead of waiting; a reader gets it all."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    log = open_log(str(path))
    assert log.waits
    written = fill(log.fd)
    with path.open("rb") as reader:
        os.close(log.fd)
        assert len(reader.read()) == written


def test_fifo_that_may_only_be_written_needs_its_reader(
    root: None, as_nobody: AsNobody, shared_folder: Path
) -> None:
    """Without the right to read it, it is opened for writing, and refused without a reader instead of waiting."""
    path = shared_folder / "fifo"
    os.mkfifo(path)
    path.chmod(0o622)

    def attempt() -> object:
        try:
            return open_log(str(path)).waits
        except OSError as error:
            return error.errno

    assert as_nobody(attempt) == errno.ENXIO
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert as_nobody(attempt) is True
    finally:
        os.close(reader)


def test_device_and_terminal_are_not_waited_for(tmp_path: Path) -> None:
    """A full terminal refuses; the null device takes all; no terminal becomes ours."""
    log = open_log("/dev/null")
    assert log.waits
    assert os.write(log.fd, b"x") == 1
    os.close(log.fd)
    master, slave = os.openpty()
    try:
        log = open_log(os.ttyname(slave))
        assert log.waits
        termios.tcflow(slave, termios.TCOOFF)
        fill(log.fd)
        os.close(log.fd)
    finally:
        os.close(master)
        os.close(slave)


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    """A folder, a socket, a file in a folder that is not there."""
    import socket

    with pytest.raises(IsADirectoryError):
        open_log(str(tmp_path))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        with pytest.raises(OSError, match="No such device"):
            open_log(str(tmp_path / "s"))
    with pytest.raises(FileNotFoundError):
        open_log(str(tmp_path / "missing" / "log"))


def test_link_to_a_log_is_followed(tmp_path: Path) -> None:
    """As people set them up."""
    (tmp_path / "current.log").symlink_to("today.log")
    log = open_log(str(tmp_path / "current.log"))
    os.write(log.fd, b"x")
    os.close(log.fd)
    assert (tmp_path / "today.log").read_bytes() == b"x"


def test_root_follows_no_link_of_another_user(root: None, tmp_path: Path) -> None:
    """Who may write to the folder of a log can't make root append to any file."""
    link = tmp_path / "web.log"
    link.symlink_to(tmp_path / "precious")
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(OSError, match=f"link made by user {NOBODY} is not followed"):
        open_log(str(link))
    assert not (tmp_path / "precious").exists()
