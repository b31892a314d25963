"""Reads what processes write, and hands it to the history and to the sinks.

A pipe is read when there is something in it, one read a turn. A process that has just written a little gets a moment to
write more before it is read again, which makes twenty chatty processes cost what one does: 40 ms while nobody follows its
output and 20 while somebody does, or 2 ms where it would fill a quarter of its pipe in that, or 1 ms where it would in 2, or
nothing where it would nearly fill it in 1, since it must never wait for us. The first line after a silence is not kept waiting.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import starmap
from typing import Any, Final, NamedTuple

import gevent

from circusd.config.records import WatcherConfig
from circusd.kernel.memory import keep_freed

from . import clock
from .backlog import OnEvent
from .fan import Fan, FanSource
from .fileindex import FileIndexes, Mark
from .history import LONGEST_LINE, History, StreamKey
from .newlines import soon_make_fast
from .sinks import Sink, Sinks, Source
from .timers import LoopTimer

READ: Final = 1
STREAMS: Final = ("stdout", "stderr")
READ_BYTES: Final = 64 << 10
LOUD_BYTES: Final = 512 << 10
"""A read from a pipe that was made larger."""
FORM_BYTES: Final = 16 << 10
"""A read of what gets another form line by line, in the hub: it may be nothing but line ends."""
PIPE_BYTES: Final = 1 << 20
"""The pipe of a process that fills the usual one; where that is not allowed, the usual one stays."""
GATHER: Final = ((0.040, 1 / 4), (0.020, 1 / 4), (0.002, 1 / 4), (0.001, 3 / 4))
"""Seconds for which a process may write more before it is read again, and the part of its pipe that it may fill in them. The
first one is for those whose output nobody follows."""
RECENT: Final = 0.020
"""Seconds within which what came tells what will."""
TURN: Final = 0.004
"""Seconds of reading after which other things have their turn."""


Look = Callable[[bytes], bool]
"""Sees what a process writes to one stream; true when it wants no more."""


class ChildEnds(NamedTuple):
    """The write ends for a process; None for the null device."""

    stdout: int | None
    stderr: int | None


class Gather:
    """Pipes that are left alone for a moment, all on one timer."""

    def __init__(self, period: float, part: float) -> None:
        self._period = period
        self._part = part
        self._loop = gevent.get_hub().loop
        self._readers: dict[Reader, None] = {}
        self._left: list[Reader] = []
        self._timer = LoopTimer()

    def suits(self, level: float, capacity: int) -> bool:
        """Whether a pipe of `capacity` bytes has room in the meantime if `level` bytes come in `RECENT` seconds."""
        return level * self._period < capacity * self._part * RECENT

    def add(self, reader: Reader) -> None:
        """The pipe is read at the next tick, and at each one after it until `discard`."""
        self._readers[reader] = None
        if not self._timer.is_set:
            self._timer.every(self._period, self._tick)

    def discard(self, reader: Reader) -> None:
        """The pipe is not read here any more."""
        self._readers.pop(reader, None)

    def _tick(self) -> None:
        if not self._readers:
            self._timer.stop()
            return
        if not self._left:
            self._left = list(self._readers)
            self._read_on()

    def _read_on(self) -> None:
        end = clock.now() + TURN
        left = self._left
        while left:
            reader = left.pop()
            if reader in self._readers:
                reader.tick()
            if clock.now() > end:
                if left:
                    self._loop.run_callback(self._read_on)
                return


@dataclass
class OutputServices:
    """What the outputs of all watchers share."""

    history: History
    sinks: Sinks
    gathers: tuple[Gather, ...] = field(default_factory=lambda: tuple(starmap(Gather, GATHER)))

    @classmethod
    def make(
        cls,
        history: History,
        on_event: OnEvent,
        own_fds: tuple[int, int] = (1, 2),
        *,
        epoch: str = "",
        state_folder: Callable[[], str] | None = None,
    ) -> OutputServices:
        """`on_event` is called in the hub with an event's name, the watcher's and the other fields, and must not wait.

        With the state folder (see `FileIndexes`), what is where in log files is written there under the name `epoch`.
        """
        sinks = Sinks(on_event, own_fds=own_fds)
        if state_folder is not None:
            sinks.indexes = FileIndexes(epoch, state_folder, sinks.writers)
        return cls(history, sinks)

    def pending_marks(self, path: str) -> list[Mark]:
        """What the index of that log file does not have on the disk yet."""
        return [] if self.sinks.indexes is None else self.sinks.indexes.pending(path)

    def close(self, timeout: float = 2.0) -> bool:
        """See `Sinks.close`; to be called when all outputs are closed."""
        return self.sinks.close(timeout)


class Reader:
    """One pipe of one process."""

    def __init__(
        self,
        services: OutputServices,
        key: StreamKey,
        pid: int,
        fd: int,
        sink: Fan,
        closed: Callable[[Reader], None],
        look: Look | None = None,
    ) -> None:
        """Reads from `fd`, which it owns, until its end; `closed` is called then, unless it was closed by `close`. `look` sees
        what is read until it has seen enough."""
        self._look = look
        self.key = key
        self.pid = pid
        self.read_bytes = 0
        self._services = services
        self._fd = fd
        self._source: Source | FanSource | None = self._source_of(sink)
        self._closed = closed
        self._capacity = 0
        """Bytes that the pipe holds, once something has come."""
        self._grown = False
        self._most = self._most_of(sink)
        self._held = False
        """The sink has no room."""
        self._gather: Gather | None = None
        """Where it waits to be read again."""
        self._last = 0.0
        self._level = 0.0
        """About how many bytes came in the `RECENT` seconds."""
        self._ended = False
        self._carry = b""
        """What a process that came after another's end wrote of a line; the line belongs to somebody else now."""
        self._io = gevent.get_hub().loop.io(fd, READ)
        self._io.start(self._readable)

    def _source_of(self, sink: Fan) -> Source | FanSource | None:
        return sink.source(self.pid, self.key.wid, self._line)

    def _most_of(self, sink: Fan) -> int:
        return FORM_BYTES if sink.has_form else LOUD_BYTES if self._grown else READ_BYTES

    def _line(self) -> int:
        return self._services.history.line_at(self.key)

    def _readable(self) -> None:
        last = self._last
        full = self._read()
        if full is None or self._held:
            return
        if not full and self._last - last < RECENT:
            self._pause()

    def tick(self) -> None:
        """The moment to read again has come."""
        full = self._read()
        if self._fd < 0 or self._held:
            return
        if full is None or full:
            # Silence, after which the next line is to be seen at once; or more than one read.
            self._listen()
        else:
            self._pause()

    def _listen(self) -> None:
        if self._gather is not None:
            self._gather.discard(self)
            self._gather = None
        self._io.start(self._readable)

    def _unlisten(self) -> None:
        self._io.stop()
        if self._gather is not None:
            self._gather.discard(self)
            self._gather = None

    def _pause(self) -> None:
        """It has written a little: let it write more, but not so much that it would have to wait."""
        first = 1 if self._services.history.is_followed(self.key) else 0
        for wanted in self._services.gathers[first:]:
            if wanted.suits(self._level, self._capacity):
                break
        else:
            wanted = None
        if wanted is self._gather:
            return
        if wanted is None:
            self._listen()
            return
        if self._gather is not None:
            self._gather.discard(self)
        else:
            self._io.stop()
        self._gather = wanted
        wanted.add(self)

    def _read(self, most: int = 0) -> bool | None:
        """Whether a read came back full; None when there was nothing, or nothing more will ever come."""
        most = most or self._most
        try:
            data = os.read(self._fd, most)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self._finish()
            return None
        if not self._capacity:
            self._capacity = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)
        now = clock.now()
        self._level = self._level * math.exp((self._last - now) / RECENT) + len(data)
        self._last = now
        if not self._grown and self._most == READ_BYTES and self._level > self._capacity / 2:
            self._grow()
        self._take(data)
        return len(data) == most

    def _take(self, data: bytes) -> None:
        self.read_bytes += len(data)
        if self._look is not None and self._look(data):
            self._look = None
        wall = clock.wall()
        # The history first: then it is known how many lines there are.
        self._services.history.append(self.key, self.pid, wall, self._whole(data) if self._ended else data)
        if self._source is not None and not self._source.write(data, wall) and not self._held:
            self._hold()

    def _whole(self, data: bytes) -> bytes:
        """What there is of whole lines; the rest waits."""
        data = self._carry + data
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > LONGEST_LINE:
            cut = len(data)
        self._carry = data[cut:]
        return data[:cut]

    def _grow(self) -> None:
        self._grown = True
        # Over what one user may have in pipes it is refused, and works without.
        with suppress(OSError):
            self._capacity = fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self._most = LOUD_BYTES
            keep_freed()
        soon_make_fast()

    def _hold(self) -> None:
        assert self._source is not None
        self._held = True
        self._unlisten()
        self._source.wait(self._go_on)

    def _go_on(self) -> None:
        self._held = False
        if self._fd >= 0:
            self._listen()

    def ended(self) -> None:
        """The process is gone: what it wrote is read now, and what its children write until they have closed the pipe."""
        if self._fd < 0:
            return
        left = struct.unpack("i", fcntl.ioctl(self._fd, termios.FIONREAD, b"\0\0\0\0"))[0]
        while left > 0 and self._fd >= 0:
            before = self.read_bytes
            if self._read(min(left, READ_BYTES, self._most)) is None:
                break
            left -= self.read_bytes - before
        if self._fd >= 0:
            self._ended = True
            self._services.history.end(self.key)
            if self._source is not None:
                self._source.flush()

    def turn_to(self, sink: Fan) -> None:
        """From now on another sink gets what is read."""
        before, self._source = self._source, self._source_of(sink)
        if before is not None:
            before.forget(self._go_on)
            after = [] if self._source is None else self._source.parts
            for part in before.parts:
                if not any(other.inherit(part) for other in after):
                    part.close()
        self._most = self._most_of(sink)
        if self._held:
            self._go_on()

    def _finish(self) -> None:
        self.close()
        self._closed(self)

    def close(self) -> None:
        """The pipe is closed; nothing is kept back of what was read."""
        if self._fd < 0:
            return
        self._unlisten()
        self._io.close()
        os.close(self._fd)
        self._fd = -1
        if self._carry:
            self._services.history.append(self.key, self.pid, clock.wall(), self._carry)
            self._carry = b""
            self._services.history.end(self.key)
        elif not self._ended:
            self._services.history.end(self.key)
        if self._source is not None:
            self._source.forget(self._go_on)
            self._source.close()
            self._source = None


class Output:
    """The output of one watcher's processes."""

    def __init__(self, watcher: WatcherConfig, services: OutputServices) -> None:
        """Nothing is opened but what the configuration names."""
        self._services = services
        self._config = watcher
        self._sinks = {stream: self._sink(watcher, stream) for stream in STREAMS}
        self._attached: dict[int, dict[str, tuple[int, int]]] = {}
        self._readers: dict[Reader, None] = {}
        self._read_before = dict.fromkeys(STREAMS, 0)

    def _sink(self, config: WatcherConfig, stream: str, before: Fan | None = None) -> Fan:
        known = None if before is None else before.sinks
        return Fan(
            self._services.sinks.sinks(config.name, stream, getattr(config, f"{stream}_stream"), known)
        )

    def attach(self, wid: int) -> ChildEnds:
        """Pipes for the next process of that slot; their ends for it stay open until `spawned` or `abandon`.

        Raises OSError when there are no descriptors, and then nothing is open.
        """
        self.abandon(wid)
        pipes = self._attached[wid] = {}
        try:
            for stream in STREAMS:
                if not getattr(self._config, f"close_child_{stream}"):
                    pipes[stream] = os.pipe2(os.O_CLOEXEC)
                    # Only our end: the process would get EAGAIN from its own.
                    os.set_blocking(pipes[stream][0], False)
        except OSError:
            self.abandon(wid)
            raise
        ends = {stream: pipe[1] for stream, pipe in pipes.items()}
        return ChildEnds(ends.get("stdout"), ends.get("stderr"))

    def spawned(self, wid: int, pid: int, look: Callable[[], Look] | None = None) -> None:
        """The process of that slot runs: its ends are closed here, and what it writes is read. `look` makes what sees it, for
        each stream one."""
        for stream, (ours, its) in self._attached.pop(wid, {}).items():
            os.close(its)
            key = StreamKey(self._config.name, wid, stream)
            seen = None if look is None else look()
            reader = Reader(self._services, key, pid, ours, self._sinks[stream], self._gone, seen)
            self._readers[reader] = None

    def abandon(self, wid: int) -> None:
        """The process of that slot could not be started: its pipes are closed."""
        for pipe in self._attached.pop(wid, {}).values():
            for fd in pipe:
                os.close(fd)

    def beside(self, wid: int, start: Callable[[int | None], int]) -> None:
        """What another process writes, which ``start`` starts with its end of a pipe, is standard error of that slot too.

        ``start`` gives its pid. Raises what that raises, and OSError; then nothing is open.
        """
        if self._config.close_child_stderr:
            start(None)
            return
        ours, its = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours, False)
        try:
            pid = start(its)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(its)
        key = StreamKey(self._config.name, wid, "stderr")
        self._readers[Reader(self._services, key, pid, ours, self._sinks["stderr"], self._gone)] = None

    def ended(self, wid: int, pid: int) -> None:
        """The process is gone: all that it wrote is in the history, and its unfinished lines are lines.

        What processes that it left behind write is read on, until they are gone too.
        """
        for reader in list(self._readers):
            if reader.pid == pid and reader.key.wid == wid:
                reader.ended()

    def lines_after(self, wid: int) -> dict[str, int]:
        """By stream, the number of the line that the next byte of that slot belongs to."""
        keys = {stream: StreamKey(self._config.name, wid, stream) for stream in STREAMS}
        return {stream: self._services.history.line_at(key) for stream, key in keys.items()}

    def reconfigure(self, config: WatcherConfig) -> None:
        """Sinks are those of the new configuration, at once; whether a stream is closed is for the next process."""
        before, self._config = self._config, config
        for stream in STREAMS:
            if getattr(before, f"{stream}_stream") == getattr(config, f"{stream}_stream"):
                continue
            old = self._sinks[stream]
            self._sinks[stream] = self._sink(config, stream, old)
            for reader in self._readers:
                if reader.key.stream == stream:
                    reader.turn_to(self._sinks[stream])
            old.close(self._sinks[stream])

    def _gone(self, reader: Reader) -> None:
        del self._readers[reader]
        self._read_before[reader.key.stream] += reader.read_bytes

    def files(self) -> dict[str, str]:
        """By stream, the path of the file that it goes to, where it goes to one."""
        return {stream: sink.file for stream, sink in self._sinks.items() if sink.file}

    def counters(self) -> dict[str, dict[str, Any]]:
        """For each stream the bytes that were read, and what became of them; see `Fan.counters`."""
        return {
            stream: {"read_bytes": self.read_bytes(stream), **self._sinks[stream].counters()}
            for stream in STREAMS
        }

    def read_bytes(self, stream: str) -> int:
        """What all its processes have written to that stream, as far as it was read."""
        open_ = sum(reader.read_bytes for reader in self._readers if reader.key.stream == stream)
        return self._read_before[stream] + open_

    def sinks(self) -> list[tuple[str, str, Sink]]:
        """All sinks: the stream, the name of a further one, the sink."""
        return [
            (stream, name, sink) for stream, fan in self._sinks.items() for name, sink in fan.sinks.items()
        ]

    def close(self) -> None:
        """No pipe is open, and what was read is on its way; processes that still run can't write any more."""
        for wid in list(self._attached):
            self.abandon(wid)
        for reader in list(self._readers):
            self._gone(reader)
            reader.close()
        for sink in self._sinks.values():
            sink.close()
        self._sinks = {stream: Fan({}) for stream in STREAMS}
