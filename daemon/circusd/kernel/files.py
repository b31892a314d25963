"""Files of the daemon: its private folders, the lock, the pidfile, logs, and writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
from typing import Final, NamedTuple

from circusd.kernel.diagnosis import in_words
from circusd.schema.errors import CircusError, ConfigError, Conflict

# sun_path has 108 bytes and ends in a zero.
LONGEST_SOCKET_PATH: Final = 107

OVERRIDE: Final = "CIRCUS_RUNTIME_DIR"
STATE_OVERRIDE: Final = "CIRCUS_STATE_DIR"
INNER: Final = "inner"
LOCK: Final = "lock"
KEYS: Final = "keys.json"
"""The file of keys in a state folder."""

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")

# Somebody who only looks whether a daemon runs holds its lock for a moment.
LOCK_PATIENCE: Final = 0.25
LOCK_PAUSE: Final = 0.01


class Daemon(NamedTuple):
    """A daemon that runs: its name, its runtime folder, its pid (0 if it has not written it yet)."""

    name: str
    folder: str
    pid: int


class LogFile(NamedTuple):
    """A log that is open for appending; `waits` tells that writing may fail with EAGAIN: a FIFO, a terminal, a device."""

    fd: int
    waits: bool


def runtime_folder(name: str) -> str:
    """The daemon's private folder, made if it was not there, with a subfolder for inner endpoints (`inner_folder`).

    Root: /run/circus/NAME; else XDG_RUNTIME_DIR/circus/NAME; else /tmp/circus-UID/NAME; the environment variable
    CIRCUS_RUNTIME_DIR replaces all before NAME. Raises ConfigError unless all are real folders of ours, and the last
    one is closed to everybody else.
    """
    _check_name(name)
    base = runtime_bases()[0]
    # /tmp is everybody's: a folder made there by somebody else must not be taken for ours.
    _private_folder(base, _RUNTIME, strict=base == _temporary_base())
    folder = os.path.join(base, name)
    _private_folder(folder, _RUNTIME, strict=True)
    # The longest name that anything in it will have: better told now than in the middle of the start.
    check_socket_path(os.path.join(inner_folder(folder), "commands.99999"))
    _private_folder(inner_folder(folder), _RUNTIME, strict=True)
    return folder


def state_path(name: str) -> str:
    """Where the daemon keeps what outlives it: the path of its state folder, which need not be there.

    Root: /var/lib/circus/NAME; else XDG_STATE_HOME/circus/NAME; else ~/.local/state/circus/NAME; the environment variable
    CIRCUS_STATE_DIR replaces all before NAME. Empty if the environment names no place.
    """
    _check_name(name)
    if override := os.environ.get(STATE_OVERRIDE):
        return os.path.join(override, name)
    if os.geteuid() == 0:
        return os.path.join("/var/lib/circus", name)
    home = os.environ.get("HOME", "")
    base = os.environ.get("XDG_STATE_HOME", "")
    # A relative path counts as none: so the specification has it.
    if not os.path.isabs(base):
        base = os.path.join(home, ".local", "state")
    return os.path.join(base, "circus", name) if os.path.isabs(base) else ""


def state_folder(name: str) -> str:
    """The daemon's state folder (`state_path`), made if it was not there.

    Raises ConfigError unless it and the one above it are real folders of ours, and it is closed to everybody else.
    """
    folder = state_path(name)
    if not folder:
        problem = "there is no place for the state folder: HOME is not set"
        raise ConfigError([f"{problem}; choose one by {STATE_OVERRIDE}"])
    _private_folder(os.path.dirname(folder), _STATE, strict=False)
    _private_folder(folder, _STATE, strict=True)
    return folder


def inner_folder(folder: str) -> str:
    """The subfolder of a runtime folder for endpoints that only the daemon itself connects to."""
    return os.path.join(folder, INNER)


def runtime_bases() -> list[str]:
    """Where runtime folders of this user may be: the first is where a new one is made."""
    if override := os.environ.get(OVERRIDE):
        return [override]
    if os.geteuid() == 0:
        return ["/run/circus"]
    bases = [f"/run/user/{os.geteuid()}/circus", _temporary_base()]
    if session := os.environ.get("XDG_RUNTIME_DIR"):
        bases.insert(0, os.path.join(session, "circus"))
    else:
        # Where a daemon started within a session would be; from here on none is made there.
        bases.reverse()
    return list(dict.fromkeys(bases))


def daemons() -> list[Daemon]:
    """The daemons of this user that run now, by name."""
    found: list[Daemon] = []
    for base in runtime_bases():
        try:
            names = sorted(os.listdir(base))
        except OSError:
            continue
        for name in names:
            folder = os.path.join(base, name)
            holder = _lock_holder(os.path.join(folder, LOCK))
            if holder is not None:
                found.append(Daemon(name, folder, holder))
    return found


def check_socket_path(path: str) -> None:
    """Raises ConfigError if a unix socket can't have that path because it is too long, or empty."""
    length = len(os.fsencode(path))
    if not length:
        raise ConfigError(["a unix socket needs a path"])
    if length > LONGEST_SOCKET_PATH:
        problem = f"the path {path} has {length} bytes, and a unix socket's can have {LONGEST_SOCKET_PATH}"
        raise ConfigError([f"{problem}; choose a shorter one (for the runtime folder by {OVERRIDE})"])


class Lock:
    """The lock of a runtime or state folder, held until `release` or the end of the process; its file has the holder's pid."""

    def __init__(self, path: str, fd: int) -> None:
        """From a descriptor that holds it already: the one that was kept while this process executed itself anew."""
        self.path = path
        self.fd = fd
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)

    @classmethod
    def acquire(cls, folder: str) -> Lock:
        """The folder is this process's; Conflict, with the pid of the holder, if it is another daemon's."""
        path = os.path.join(folder, LOCK)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_PATIENCE
        while not _flock(fd, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                pid = _pid_in(fd)
                os.close(fd)
                raise Conflict(
                    f"another daemon runs already (pid {pid or 'unknown'}): it holds {path}",
                    hint="stop that one, or start this one under another --name",
                )
            time.sleep(LOCK_PAUSE)
        return cls(path, fd)

    def release(self) -> None:
        """Another daemon may have the folder. The file stays: unlinking it would let two have it at once."""
        os.ftruncate(self.fd, 0)
        os.close(self.fd)


def write_pidfile(path: str) -> None:
    """The file holds this process's pid and a line end, readable by all.

    One that a dead process left is overwritten, and one whose pid now belongs to a program that is no circusd. Raises
    Conflict if it names a circusd that runs, ConfigError if it can't be written.
    """
    try:
        with open(path, "rb") as file:
            pid = _first_number(file.read(32))
    except FileNotFoundError:
        pid = 0
    except OSError as error:
        raise ConfigError([f"could not read the pidfile {path}: {in_words(error.errno)}"]) from error
    if pid and pid != os.getpid() and _is_circusd(pid):
        raise Conflict(
            f"the pidfile {path} names a daemon that runs already (pid {pid})",
            hint="stop that one, or give this one another pidfile",
        )
    try:
        atomic_write(path, b"%d\n" % os.getpid(), mode=0o644)
    except OSError as error:
        why = in_words(error.errno)
        if error.errno == errno.ENOENT:
            why = f"there is no folder {os.path.dirname(path)}"
        raise ConfigError([f"could not write the pidfile {path}: {why}"]) from error


def remove_pidfile(path: str) -> None:
    """The pidfile is gone, if it is there and this process's own."""
    try:
        with open(path, "rb") as file:
            own = _first_number(file.read(32)) == os.getpid()
        if own:
            os.unlink(path)
    except OSError:
        return


def atomic_write(path: str, data: bytes, mode: int | None = None, *, private: bool = False) -> None:
    """The file holds exactly `data`, and did hold exactly its old content until then, also if the power fails.

    A symbolic link stays one and its target is replaced. Mode and owner stay as they were unless `mode` is given; a new
    file has mode 0600 without it. When `private`, it is a new file of ours with mode 0600 in any case, whatever had its
    name: a link is replaced and not followed. Raises OSError, and then nothing has changed.
    """
    target = path if private else os.path.realpath(path)
    folder, name = os.path.split(target)
    owner: tuple[int, int] | None = None
    if not private:
        try:
            before = os.stat(target)
            mode = stat.S_IMODE(before.st_mode) if mode is None else mode
            owner = before.st_uid, before.st_gid
        except FileNotFoundError:
            pass
    draft = os.path.join(folder, f"{_draft_prefix(name)}{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(data)
            ours = os.fstat(fd)
            if owner is not None and owner != (ours.st_uid, ours.st_gid):
                os.fchown(fd, *owner)
            os.fchmod(fd, 0o600 if mode is None else mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(draft, target)
    except BaseException:
        os.unlink(draft)
        raise
    _sync_folder(folder)


def private_read(path: str, limit_bytes: int, *, secret: bool = False) -> bytes | None:
    """What `atomic_write` with `private` has written; None if there is no such file.

    Raises OSError for anything else that has that name: a link, no regular file, one that is not ours or that others may
    write to (or read, if it is `secret`), one of more than `limit_bytes`. Never waits for anybody but the disk.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        if status.st_uid != os.geteuid():
            raise OSError(errno.EPERM, f"it belongs to user {status.st_uid}", path)
        if status.st_mode & 0o022:
            problem = f"others may write to it (mode {stat.S_IMODE(status.st_mode):04o})"
            raise OSError(errno.EPERM, problem, path)
        if secret and status.st_mode & 0o077:
            problem = f"others may read it (mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 {path}"
            raise OSError(errno.EPERM, problem, path)
        with open(fd, "rb", closefd=False) as file:
            data = file.read(limit_bytes + 1)
    finally:
        os.close(fd)
    if len(data) > limit_bytes:
        raise OSError(errno.EFBIG, f"it has more than {limit_bytes} bytes", path)
    return data


def private_remove(path: str) -> None:
    """There is no such file any more, also if the power fails. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    _sync_folder(os.path.dirname(path))


def why(path: str, error: Exception) -> str:
    """Why a file could not be read or written, in words of our own, of the system, or of who has read what is in it."""
    if isinstance(error, OSError):
        # Not the name in it, which may be a draft's.
        words = error.strerror or in_words(error.errno)
        return f"{path}: {words[:1].lower()}{words[1:]}"
    return str(error) if isinstance(error, CircusError) else f"{path}: {error}"


def remove_drafts(path: str) -> None:
    """What a writer of that file that was killed in the middle has left beside it is gone; nobody may write it now."""
    folder, name = os.path.split(path)
    for entry in os.listdir(folder):
        if entry.startswith(_draft_prefix(name)):
            # One that can't be removed does no harm.
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, entry))


def open_log(path: str) -> LogFile:
    """The file is open for appending, made if it was not there, with the umask's mode; the open itself never waits.

    Links are followed, but as root none that another user made: he could point it at any file. A FIFO is opened for both
    directions, so that it needs no reader yet. Raises OSError.
    """
    flags = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    _refuse_foreign_link(path)
    access = os.O_RDWR if _is_fifo(path) else os.O_WRONLY
    try:
        fd = os.open(path, flags | access, 0o666)
    except PermissionError:
        # A FIFO that may be written and not read.
        if access == os.O_WRONLY:
            raise
        fd = os.open(path, flags | os.O_WRONLY, 0o666)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return LogFile(fd, waits=False)
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return LogFile(fd, waits=True)
    os.close(fd)
    raise OSError(errno.EINVAL, "not a file, a FIFO or a character device", path)


def open_private_log(path: str) -> int:
    """A regular file of ours with mode 0600, open for appending, made if it was not there; the open never waits.

    No link is followed. Raises OSError, also for a file that is not ours.
    """
    flags = (
        os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    )
    fd = os.open(path, flags, 0o600)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        if status.st_uid != os.geteuid():
            raise OSError(errno.EPERM, f"it belongs to user {status.st_uid}", path)
        if stat.S_IMODE(status.st_mode) != 0o600:
            os.fchmod(fd, 0o600)
    except BaseException:
        os.close(fd)
        raise
    return fd


class _Kind(NamedTuple):
    """What a folder is for, in words, and the variable that chooses another."""

    words: str
    override: str


_RUNTIME: Final = _Kind("runtime folder", OVERRIDE)
_STATE: Final = _Kind("state folder", STATE_OVERRIDE)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(
            [
                f"the name \"{name}\" can't be a daemon's: up to 64 letters, digits, dots, dashes and underscores"
            ]
        )


def _private_folder(path: str, kind: _Kind, *, strict: bool) -> None:
    """The folder is there and ours; nobody else may write in it or, if `strict`, look into it."""
    try:
        if not os.path.isdir(path):
            _make_parents(os.path.dirname(path))
            os.mkdir(path, 0o700)
    except FileExistsError:
        # Made by somebody else at this moment, or a file: the check below tells.
        pass
    except OSError as error:
        problem = f"could not make the {kind.words} {path}: {in_words(error.errno)}"
        raise ConfigError([f"{problem}; choose another by {kind.override}"]) from error
    try:
        status = os.lstat(path)
    except OSError as error:
        raise ConfigError([f"could not look at the {kind.words} {path}: {in_words(error.errno)}"]) from error
    if not stat.S_ISDIR(status.st_mode):
        problem = "it is not a folder (symbolic links are not followed here)"
    elif status.st_uid != os.geteuid():
        problem = f"it belongs to user {status.st_uid}"
    elif status.st_mode & (0o077 if strict else 0o022):
        problem = (
            f"others have access to it (mode {stat.S_IMODE(status.st_mode):04o}); chmod 700 would end that"
        )
    else:
        return
    raise ConfigError([f"the {kind.words} {path} is not safe: {problem}"])


def _make_parents(path: str) -> None:
    """The folder and those above it are there; the ones that were not are closed to others, whatever the umask."""
    if path and not os.path.isdir(path):
        _make_parents(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)


def _draft_prefix(name: str) -> str:
    return f".{name}."


def _temporary_base() -> str:
    return f"/tmp/circus-{os.geteuid()}"  # noqa: S108 - its owner and mode are checked


def _lock_holder(path: str) -> int | None:
    """The pid in a lock file that somebody holds; None if nobody does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _flock(fd, fcntl.LOCK_SH) else _pid_in(fd)
    finally:
        os.close(fd)


def _flock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid_in(fd: int) -> int:
    return _first_number(os.pread(fd, 32, 0))


def _first_number(data: bytes) -> int:
    """The number that a pidfile holds; 0 for anything else that may be in it."""
    word = data.split(b"\n", 1)[0].strip()
    return int(word) if word.isdigit() and len(word) < 10 else 0


def _is_circusd(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).split(b"\0")
    except OSError:
        return False
    names = [word.rsplit(b"/", 1)[-1] for word in words]
    # Under its interpreter it comes second, or after options: python -I /usr/bin/circusd, python -m circusd.cli.circusd.
    under = names[1:6] if b"py" in names[0] else []
    return names[0] == b"circusd" or any(name in (b"circusd", b"circusd.cli.circusd") for name in under)


def _refuse_foreign_link(path: str) -> None:
    try:
        status = os.lstat(path)
    except OSError:
        return
    if stat.S_ISLNK(status.st_mode) and os.geteuid() == 0 and status.st_uid != 0:
        raise OSError(errno.ELOOP, f"a symbolic link made by user {status.st_uid} is not followed", path)


def _is_fifo(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some file systems can't; the file itself is safe.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)
