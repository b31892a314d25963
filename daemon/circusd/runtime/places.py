"""Where output goes: files (by a thread), pipes, terminals and sockets (by the hub, without waiting), code of a user."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol

import gevent

from circusd import original

from . import clock
from .appendfile import AppendFile, NotAFileError
from .backlog import Backlog, Piece, Tally
from .fileindex import FileIndex
from .rotation import Rotation
from .timers import Timers
from .writer import LATER, SOON, Once, Thread, Writers

WRITE: Final = 2
TURN_BYTES: Final = 64 << 10
"""What the hub writes to one place in a turn, about."""
LAST_WAIT: Final = 1.0
"""Seconds that a closed place has for what it did not take before."""

NO_FILE: Final = "it is a FIFO or a device"

Closed = Callable[[], None]


class Place(Protocol):
    """Somewhere to write to; made with a backlog, which it empties until that has ended."""

    backlog: Backlog

    @property
    def name(self) -> str:
        """What a person calls it."""

    def close(self) -> None:
        """What waits is written, as far as it can be within a second or by one attempt; then it is closed."""

    def reopen(self) -> bool:
        """It is as if it had not been closed; False if it is too late."""


def failure(error: OSError) -> str:
    """The reason in words."""
    return error.strerror or str(error) or type(error).__name__


class FilePlace:
    """A file, written by the thread of its file system; if the name is that of a FIFO or a device, by the hub."""

    def __init__(
        self,
        backlog: Backlog,
        file: AppendFile,
        writers: Writers,
        device: int,
        closed: Closed,
        rotated: Callable[[str], None],
        index: FileIndex | None = None,
    ) -> None:
        """`closed` is called in the hub when the backlog has ended and the file is closed; `rotated` after each rotation,
        with an empty text, or with what prevents it. The index is told of what was written."""
        self.backlog = backlog
        self.device = device
        self.file = file
        self._writers = writers
        self._closed = closed
        self._rotated = rotated
        self._index = index
        self._failing = False
        self._rotations = 0
        self._rotation_error = ""
        self._stream: StreamPlace | None = None
        self._woken = self._hurried = 0.0
        backlog.wake = self._wake
        backlog.hurry = self._hurry

    @property
    def name(self) -> str:
        """See `Place`."""
        return self.file.path or "a temporary file"

    def _wake(self) -> None:
        # The first line after a silence is written at once.
        now = clock.now()
        if now - self._hurried < 2 * SOON:
            self._writers.begin_soon(self)
        elif now - self._woken < LATER:
            self._writers.begin_later(self)
        else:
            self._writers.begin(self)
        self._woken = now

    def _hurry(self) -> None:
        self._hurried = clock.now()
        self._writers.hurry(self)

    def work(self) -> bool:
        """See `Work`."""
        batch = self.backlog.take()
        if self.backlog.ended:
            self.file.close()
            self._writers.tell(self._closed)
            return False
        try:
            if batch:
                if self._index is not None and not self._index.has_begun:
                    self.file.open()
                    self._index.begins(*self.file.state)
                written = self.file.write([piece.data for piece in batch])
            else:
                written = 0
                self.file.open()
        except NotAFileError as found:
            self.backlog.finish(batch, 0)
            self._writers.tell(partial(self._to_hub, found.fd))
            return False
        except OSError as error:
            closing = self.backlog.is_closing
            self.backlog.finish(batch, 0, stop=not closing)
            self._failing = True
            self.file.let_go()
            self._writers.tell(self._give_up if closing else partial(self.backlog.fail, failure(error)))
            return False
        if self._index is not None and batch and written == sum(map(_size, batch)):
            self._index.wrote(*self.file.state, batch)
        tell, more = self.backlog.finish(batch, written)
        if tell:
            self._writers.tell(self.backlog.room)
        if self._failing:
            self._failing = False
            self._writers.tell(self.backlog.worked)
        self._look_at_rotations()
        if (device := self.file.device) not in (None, self.device):
            # A link led elsewhere; from here on the other file system's thread writes.
            assert device is not None
            self.device = device
            if more:
                self._writers.tell(partial(self._writers.begin, self))
            return False
        return more

    def _look_at_rotations(self) -> None:
        if (self.file.rotations, self.file.rotation_error) != (self._rotations, self._rotation_error):
            self._rotations, self._rotation_error = self.file.rotations, self.file.rotation_error
            self._writers.tell(partial(self._rotated, self._rotation_error))

    def prepare(self) -> None:
        """The file is made now and not with the first line, so that what is wrong with it is told now."""
        self.backlog.nudge()

    def rotate(self, done: Callable[[str | None], None]) -> None:
        """The file is put aside; `done` is called in the hub with an empty text, with why that can't be, or with None when it
        waits for the end of a line."""
        self._do(lambda: "" if self.file.rotate() else None, done, NO_FILE)

    def open_again(self, done: Callable[[str | None], None]) -> None:
        """The file that has the name now is the one that is written; `done` is called in the hub as by `rotate`."""

        def run() -> str:
            self.file.reopen()
            return ""

        def told(problem: str | None) -> None:
            if not problem and self.backlog.failing:
                self.backlog.nudge()
            done(problem)

        # A FIFO has no old file that could go on being written.
        self._do(run, told, "")

    def _do(self, what: Callable[[], str | None], done: Callable[[str | None], None], no_file: str) -> None:
        """By the thread that writes it, which does one thing after the other; of a FIFO or a device, it is only said so."""
        if self._stream is not None:
            done(no_file)
            return

        def run() -> None:
            try:
                problem = what()
            except NotAFileError as found:
                os.close(found.fd)
                problem = no_file
            except OSError as error:
                problem = failure(error)
            self._look_at_rotations()
            self._writers.tell(partial(done, problem))

        self._writers.begin(Once(run, self.device))

    def configure(self, rotation: Rotation | None, *, watched: bool) -> None:
        """The file is rotated by another rule from the next write on."""
        self.file.configure(rotation, watched=watched)

    def close(self) -> None:
        """See `Place`."""
        if self._stream is not None:
            self._stream.close()
        else:
            self.backlog.close()
            self._hurry()

    def reopen(self) -> bool:
        """See `Place`."""
        return self.backlog.reopen()

    def _give_up(self) -> None:
        """It is closed and can't be written."""
        self.backlog.abandon()
        self._writers.begin(self)

    def _to_hub(self, fd: int) -> None:
        if self._stream is not None:
            # It was looked at twice before the hub came to know.
            os.close(fd)
            self._stream.pump()
            return

        def broken(reason: str) -> None:
            self._stream = None
            self.backlog.wake = self._wake
            self._failing = True
            self.backlog.fail(reason)

        def closed() -> None:
            self._stream = None
            self._closed()

        self._stream = StreamPlace(self.backlog, fd, self.name, closed, broken)
        if self._failing:
            self._failing = False
            self.backlog.worked()
        if self.backlog.is_closing:
            self._stream.close()
        self._stream.pump()


class StreamPlace:
    """A pipe, terminal, device or socket, written by the hub as far as it takes something."""

    def __init__(
        self,
        backlog: Backlog,
        fd: int,
        name: str,
        closed: Closed,
        broken: Callable[[str], None] | None = None,
    ) -> None:
        """Owns `fd`, which is not blocking or a socket. When it can't be written it is closed and `broken` called, or,
        without that, kept and tried again."""
        self.backlog = backlog
        self.name = name
        self._fd = fd
        self._closed = closed
        self._broken = broken
        self._failing = False
        self._loop = gevent.get_hub().loop
        self._io: Any = None
        self._timers = Timers()
        self._socket = socket.socket(fileno=fd) if stat.S_ISSOCK(os.fstat(fd).st_mode) else None
        backlog.wake = self.pump

    def pump(self) -> None:
        """As much is written as is taken without waiting, within one turn's bound."""
        budget = TURN_BYTES
        while budget > 0 and self._fd >= 0:
            batch = self.backlog.take(TURN_BYTES)
            if not batch:
                self._stop()
                if self.backlog.ended:
                    self._close()
                    self._closed()
                elif self._failing:
                    self._failing = False
                    self.backlog.worked()
                return
            data = b"".join([piece.data for piece in batch]) if len(batch) > 1 else batch[0].data
            try:
                written = self._send(data)
            except BlockingIOError:
                self.backlog.finish(batch, 0)
                if self._io is None:
                    self._io = self._loop.io(self._fd, WRITE)
                    self._io.start(self.pump)
                return
            except OSError as error:
                self._fail(error, batch)
                return
            budget -= written
            tell, more = self.backlog.finish(batch, written)
            if tell:
                self.backlog.room()
            if self._failing:
                self._failing = False
                self.backlog.worked()
            if not more:
                self._stop()
                return
        if self._io is None and self._fd >= 0:
            self._loop.run_callback(self.pump)

    def close(self) -> None:
        """See `Place`."""
        # Whoever reads there may never do so again.
        self._timers.arm("end", clock.now() + LAST_WAIT, self._give_up)
        self.backlog.close()

    def reopen(self) -> bool:
        """See `Place`."""
        self._timers.cancel("end")
        return self.backlog.reopen()

    def _give_up(self) -> None:
        if self.backlog.is_closing:
            self.backlog.abandon()
            self._stop()
            self.pump()

    def _send(self, data: bytes) -> int:
        if self._socket is not None:
            # Not a property of the socket, which others hold too, but of this call.
            return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return os.write(self._fd, data)

    def _fail(self, error: OSError, batch: list[Piece]) -> None:
        self._stop()
        if self.backlog.is_closing:
            self.backlog.finish(batch, 0)
            self._loop.run_callback(self._give_up)
            return
        self.backlog.finish(batch, 0, stop=True)
        if self._broken is not None:
            self._close()
            self._broken(failure(error))
        else:
            self._failing = True
            self.backlog.fail(failure(error))

    def _stop(self) -> None:
        if self._io is not None:
            self._io.stop()
            self._io.close()
            self._io = None

    def _close(self) -> None:
        self._stop()
        self._timers.close()
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._fd)
        self._fd = -1


class CallPlace:
    """An instance of a user's class, called with each piece in a thread of its own."""

    def __init__(
        self,
        backlog: Backlog,
        path: str,
        options: Mapping[str, object],
        writers: Writers,
        closed: Closed,
    ) -> None:
        """`path` is dotted; the class is imported and made in the thread, with the options as keywords."""
        self.backlog = backlog
        self.name = path
        self.device = 0
        self._options = dict(options)
        self._writers = writers
        self._closed = closed
        self._thread: Thread | None = None
        self._called: Any = None
        backlog.wake = self._wake

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = self._writers.own(f"stream {self.name}"[:32])
        self._thread.put(self)

    def work(self) -> bool:
        """See `Work`."""
        batch = self.backlog.take(1)
        if not batch:
            if self.backlog.ended:
                self._method("close")
                assert self._thread is not None
                self._thread.end()
                self._writers.tell(self._closed)
            return False
        ((tally, pid, data, _),) = batch
        try:
            if self._called is None:
                # It may derive from one of the original's.
                original.install()
                module, _, name = self.name.rpartition(".")
                self._called = getattr(import_module(module), name)(**self._options)
                self._method("open")
            self._called({"data": data, "pid": pid, "name": tally.stream})
        except BaseException as error:  # noqa: BLE001  # it is not our code, and must not end our thread
            self._lost(tally, data, error)
        tell, more = self.backlog.finish(batch, len(data))
        if tell:
            self._writers.tell(self.backlog.room)
        return more

    def _method(self, name: str) -> None:
        found = getattr(self._called, name, None)
        if callable(found):
            try:
                found()
            except BaseException as error:  # noqa: BLE001
                for tally in self.backlog.members:
                    self._lost(tally, b"", error)

    def _lost(self, tally: Tally, data: bytes, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"
        self._writers.tell(partial(self.backlog.lose, tally, data, reason))

    def close(self) -> None:
        """See `Place`."""
        self.backlog.close()

    def reopen(self) -> bool:
        """See `Place`."""
        return self.backlog.reopen()


def _size(piece: Piece) -> int:
    return len(piece.data)


def own_output(fd: int) -> tuple[int, bool] | None:
    """A new descriptor for what the daemon's `fd` is open for, and whether a thread has to write to it; None for nowhere.

    A pipe or terminal is opened anew, because to make the description itself not blocking would be seen by everybody who
    shares it, such as the shell that started the daemon. Raises OSError when that is refused.
    """
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    mode = status.st_mode
    if stat.S_ISCHR(mode) and status.st_rdev == os.makedev(1, 3):
        return None
    if stat.S_ISREG(mode) or stat.S_ISSOCK(mode):
        return _duplicate(fd), stat.S_ISREG(mode)
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        return os.open(f"/proc/self/fd/{fd}", flags), False
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENXIO):
            raise
    # A terminal of another user: a thread may wait there.
    return _duplicate(fd), True


def _duplicate(fd: int) -> int:
    copy = os.dup(fd)
    os.set_inheritable(copy, False)
    return copy
