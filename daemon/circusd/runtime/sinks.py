"""Sinks: where the output of each stream of a watcher goes, by its configuration.

Streams that name the same file share it: one writer, whole lines, one rotation. A sink never makes the reading of a pipe
wait for a disk; see `backlog`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import gevent

from circusd.config.records import StreamConfig
from circusd.schema.stream_options import stream_class

from . import clock
from .appendfile import AppendFile
from .backlog import Backlog, Mark, OnEvent, Tally
from .fileindex import FileIndexes
from .lines import LONGEST_LINE, FancyHeading, Form, Heading, Strand, Weaver
from .packing import Packer
from .places import CallPlace, FilePlace, Place, StreamPlace, own_output
from .rotation import Kept, Rotation, SizeRotation, TimedRotation
from .writer import Writers, device_of

PASSED_ON_BYTES: Final = 1 << 20
"""What waits at most for circusd's own standard output and error, each."""
_TELL_ROTATION: Final = 5.0
"""Seconds between two events of the same file."""

_OWN: Final = {
    "/dev/stdout": 1,
    "/dev/fd/1": 1,
    "/proc/self/fd/1": 1,
    "/dev/stderr": 2,
    "/dev/fd/2": 2,
    "/proc/self/fd/2": 2,
}
"""Files that are the daemon's own output, and can't be opened when that is a socket."""
_OURS: Final = ("class", "queue_bytes", "overflow", "refresh_time")
"""Options of a stream that are not passed to a class of the user's."""


class Shared:
    """A place with all that its users share."""

    __slots__ = ("place", "told", "users", "weaver")

    def __init__(self, place: Place, *, weaves: bool) -> None:
        self.place = place
        self.weaver = Weaver() if weaves else None
        self.users = 0
        self.told = 0.0


class Source:
    """What one process writes to a sink."""

    def __init__(
        self,
        shared: Shared,
        tally: Tally,
        pid: int,
        form: Form | None,
        wid: int = 0,
        line: Callable[[], int] | None = None,
        limit: int = LONGEST_LINE,
    ) -> None:
        self._backlog = shared.place.backlog
        self._weaver = shared.weaver
        self._tally = tally
        self._pid = pid
        self._strand = Strand(pid, form, wid, limit)
        self._wid = wid
        self._line = line
        if self._weaver is not None:
            self._weaver.join(self._strand)

    @property
    def parts(self) -> list[Source]:
        """As a `FanSource` has several."""
        return [self]

    def inherit(self, other: Source) -> bool:
        """The line that the process has begun in the same place goes on here, and the other source is closed; False if it is
        another place, or lines are written in another way."""
        mine, its = self._strand, other._strand
        if (
            self._weaver is None
            or other._weaver is not self._weaver
            or (mine.form is None) != (its.form is None)
        ):
            return False
        self._weaver.leave(mine)
        its.form, its.limit = mine.form, mine.limit
        self._strand, other._weaver = its, None
        return True

    def write(self, data: bytes, wall: float) -> bool:
        """The bytes, which came at `wall`, are on their way; False when the pipe should be left unread until `wait` says."""
        if self._weaver is not None:
            data = self._weaver.feed(self._strand, wall, data)
        return not data or self._backlog.put(self._tally, self._pid, data, self._mark(wall))

    def _mark(self, wall: float) -> Mark | None:
        """None while lines wait that are not written in their turn."""
        if self._line is None or (self._weaver is not None and self._weaver.is_behind):
            return None
        return self._wid, self._line(), wall

    def wait(self, resume: Callable[[], None]) -> None:
        """`resume` is called in the hub, once, when the pipe should be read again."""
        self._backlog.wait(self._tally, resume)

    def forget(self, resume: Callable[[], None]) -> None:
        """It is not called any more."""
        self._backlog.forget(resume)

    def flush(self) -> None:
        """The process has ended: nothing of it is kept back."""
        now = clock.wall()
        if self._weaver is not None and (data := self._weaver.flush(self._strand, now)):
            self._backlog.put(self._tally, self._pid, data, self._mark(now))

    def close(self) -> None:
        """Nothing is written any more."""
        now = clock.wall()
        if self._weaver is not None and (data := self._weaver.leave(self._strand, now)):
            self._backlog.put(self._tally, self._pid, data, self._mark(now))


@dataclass(frozen=True, slots=True)
class Label:
    """Whose output a sink takes, and how it is written."""

    watcher: str
    stream: str
    classname: str
    form: Form | None = None
    longest: int = LONGEST_LINE
    """With a form, longer lines are divided; bytes."""
    overflow: str = "drop_oldest"


class Sink:
    """Where one stream of a watcher goes."""

    def __init__(self, shared: Shared, label: Label, release: Callable[[Shared], None]) -> None:
        self._shared = shared
        self._label = label
        self._release = release
        self.config: StreamConfig | None = None
        """What it was made from."""
        self.tally = Tally(label.watcher, label.stream, label.overflow)
        shared.users += 1
        shared.place.backlog.members.append(self.tally)

    def source(self, pid: int, wid: int = 0, line: Callable[[], int] | None = None) -> Source:
        """For what process `pid` writes; `line` tells the number of the line that it is in, for the index of the file."""
        label = self._label
        return Source(self._shared, self.tally, pid, label.form, wid, line, label.longest)

    @property
    def has_form(self) -> bool:
        """Whether lines are written in another form than they came in."""
        return self._label.form is not None

    @property
    def file(self) -> str:
        """The path of the file that it goes to; empty if it is none, or none that has a name."""
        place = self._shared.place
        path = place.file.path if isinstance(place, FilePlace) else None
        return path if path and os.path.isabs(path) else ""

    @property
    def place(self) -> Place:
        """Where it writes, perhaps with others."""
        return self._shared.place

    def counters(self) -> dict[str, Any]:
        """Where it goes, how it does, and bytes since it was made; times are epoch seconds."""
        place = self._shared.place
        backlog = place.backlog
        file = place.file if isinstance(place, FilePlace) else None
        return {
            "class": self._label.classname,
            "place": place.name,
            "state": backlog.state,
            "failing": backlog.failing or backlog.complaint,
            "since": backlog.since or None,
            "taken_bytes": self.tally.taken,
            "written_bytes": self.tally.written,
            "dropped_bytes": self.tally.dropped,
            "dropped_lines": self.tally.dropped_lines,
            "waiting_bytes": backlog.held,
            "queue_bytes": backlog.limit,
            "overflow": self.tally.policy,
            "rotations": file.rotations if file is not None else 0,
            "reopenings": file.reopenings if file is not None else 0,
        }

    def close(self) -> None:
        """Its sources are closed, and no new ones are made; what waits is still written."""
        self._shared.place.backlog.members.remove(self.tally)
        self._shared.users -= 1
        self._release(self._shared)


@dataclass
class Sinks:
    """All places that are written to, by what they are."""

    on_event: OnEvent
    writers: Writers = field(default_factory=Writers)
    own_fds: tuple[int, int] = (1, 2)
    """The daemon's standard output and error."""
    indexes: FileIndexes | None = None
    """What is where in the log files; none is kept without."""
    _shared: dict[object, Shared] = field(default_factory=dict)
    _closing: list[Shared] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._packer = Packer(self.writers)

    def sinks(
        self, watcher: str, stream: str, config: StreamConfig | None, before: Mapping[str, Sink] | None = None
    ) -> dict[str, Sink]:
        """The sinks of a watcher's stream, the first under an empty name; circusd's own output without a configuration.

        Of the ones from before, those whose configuration is the same are the same.
        """
        parts = {"": config if config is None else replace(config, more={})}
        parts.update(config.more if config is not None else {})
        found: dict[str, Sink] = {}
        for name, part in parts.items():
            known = (before or {}).get(name)
            sink = known if known is not None and known.config == part else self.sink(watcher, stream, part)
            if sink is not None:
                sink.config = part
                found[name] = sink
        return found

    def sink(self, watcher: str, stream: str, config: StreamConfig | None) -> Sink | None:
        """The sink of one place; without a configuration circusd's own output. None if it goes nowhere."""
        if config is None:
            return self._own(Label(watcher, stream, ""), 1 if stream == "stdout" else 2)
        row = stream_class(config.classname)
        options = config.options
        label = Label(
            watcher,
            stream,
            config.classname,
            longest=_number(options, "line_bytes", LONGEST_LINE),
            overflow=_text(options, "overflow") or "drop_oldest",
        )
        if row is None:
            return self._made(self._call(config), label) if config.classname else None
        match row.name:
            case "StdoutStream":
                return self._own(label, 1)
            case "FancyStdoutStream":
                time_format = _text(options, "time_format") or "%Y-%m-%d %H:%M:%S"
                return self._own(
                    replace(label, form=FancyHeading(watcher, _text(options, "color"), time_format)), 1
                )
            case "SyslogStream" | "JournalStream":
                return self._message(config, label)
            case "QueueStream":
                # In memory only: that is the history.
                return None
            case _:
                return self._in_file(config, label)

    def _made(self, shared: Shared, label: Label) -> Sink:
        return Sink(shared, label, self._release)

    def _in_file(self, config: StreamConfig, label: Label) -> Sink | None:
        options = config.options
        utc = bool(options.get("utc"))
        form: Form | None = None
        if label.classname == "JsonFileStream":
            # Rarely used, like all that is imported where it is first needed.
            from .messages import JsonLines

            form = JsonLines(label.watcher, label.stream, utc=utc)
        elif time_format := _text(options, "time_format"):
            form = Heading(time_format, utc=utc)
        label = replace(label, form=form)
        filename = _text(options, "filename")
        if filename in _OWN:
            return self._own(label, _OWN[filename])
        return self._made(self._file(config, filename, f"circus-{label.watcher}-{label.stream}-"), label)

    # -- places ----------------------------------------------------------------------------------------------------

    def _own(self, label: Label, number: int) -> Sink | None:
        fd = self.own_fds[number - 1]
        try:
            status = os.fstat(fd)
        except OSError:
            return None
        # Both may be the same pipe or terminal.
        key = ("own", status.st_dev, status.st_ino)
        shared = self._known(key)
        if shared is None:
            try:
                found = own_output(fd)
            except OSError:
                return None
            if found is None:
                return None
            name = "circusd's own " + ("standard output", "standard error")[number - 1]
            backlog = Backlog(name, PASSED_ON_BYTES, self.on_event)
            closed = partial(self._closed, key)
            copy, by_thread = found
            place: Place
            if by_thread:
                file = AppendFile.of(copy, name)
                place = FilePlace(backlog, file, self.writers, status.st_dev, closed, lambda _: None)
            else:
                place = StreamPlace(backlog, copy, name, closed)
            shared = self._shared[key] = Shared(place, weaves=True)
        return self._made(shared, label)

    def _file(self, config: StreamConfig, filename: str | None, prefix: str) -> Shared:
        path = os.path.abspath(filename) if filename else None
        key: object = ("file", path) if path else object()
        limit = _number(config.options, "queue_bytes", 1 << 20)
        rotation = _rotation(config)
        watched = config.classname == "WatchedFileStream"
        shared = self._known(key)
        if shared is not None and isinstance(shared.place, FilePlace):
            # The last configuration counts: a changed option of one stream is a changed option of the file.
            shared.place.configure(rotation, watched=watched)
            shared.place.backlog.limit = max(limit, shared.place.backlog.limit)
            self._pack(shared)
            return shared
        file = AppendFile(path, rotation, watched=watched, prefix=prefix)
        backlog = Backlog(path or "a temporary file", limit, self.on_event)
        device = device_of(path) if path else 0
        index = self.indexes.of(path) if self.indexes is not None and path else None
        place = FilePlace(
            backlog,
            file,
            self.writers,
            device,
            partial(self._closed, key),
            partial(self._rotated, key),
            index,
        )
        shared = self._shared[key] = Shared(place, weaves=True)
        place.prepare()
        self._pack(shared)
        return shared

    def _message(self, config: StreamConfig, label: Label) -> Sink:
        from .messagesinks import form_of, place_of, target_of

        target = target_of(config)
        key = ("message", target)
        limit = _number(config.options, "queue_bytes", 1 << 20)
        shared = self._known(key)
        if shared is None:
            backlog = Backlog(target.name, limit, self.on_event)
            place = place_of(target, backlog, self.writers, partial(self._closed, key))
            shared = self._shared[key] = Shared(place, weaves=True)
        shared.place.backlog.limit = max(limit, shared.place.backlog.limit)
        return self._made(shared, replace(label, form=form_of(config, label.watcher, label.stream, target)))

    def _call(self, config: StreamConfig) -> Shared:
        options = {name: value for name, value in config.options.items() if name not in _OURS}
        key = object()
        backlog = Backlog(config.classname, _number(config.options, "queue_bytes", 1 << 20), self.on_event)
        place = CallPlace(backlog, config.classname, options, self.writers, partial(self._closed, key))
        shared = self._shared[key] = Shared(place, weaves=False)
        return shared

    def _known(self, key: object) -> Shared | None:
        shared = self._shared.get(key)
        if shared is not None and not shared.users and not shared.place.reopen():
            return None
        return shared

    def _release(self, shared: Shared) -> None:
        if not shared.users:
            shared.place.close()

    def _closed(self, key: object) -> None:
        shared = self._shared.get(key)
        if shared is not None and shared.place.backlog.ended:
            del self._shared[key]

    def _rotated(self, key: object, problem: str) -> None:
        shared = self._shared.get(key)
        if shared is None:
            return
        backlog = shared.place.backlog
        if problem:
            backlog.complain("rotation", f"the file can't be rotated: {problem}")
            return
        backlog.complain("rotation", "")
        self._pack(shared)
        if clock.now() >= shared.told + _TELL_ROTATION:
            shared.told = clock.now()
            for tally in backlog.members:
                self.on_event(
                    "output.rotated", tally.watcher, {"stream": tally.stream, "file": shared.place.name}
                )

    def _pack(self, shared: Shared) -> None:
        """Old files are compressed, if that is wanted."""
        place = shared.place
        rotation = place.file.rotation if isinstance(place, FilePlace) else None
        if rotation is None or not rotation.kept.compress:
            return
        assert isinstance(place, FilePlace)

        def done(problem: str) -> None:
            place.backlog.complain("packing", f"old files can't be compressed: {problem}" if problem else "")

        self._packer.begin(place.file, done)

    def reopen(self) -> None:
        """Every file is opened again under its name, so that what another program has moved away is not written any more."""
        for shared in self._shared.values():
            if isinstance(shared.place, FilePlace):
                shared.place.open_again(lambda _: None)

    def drained(self) -> bool:
        """Nothing waits to be written."""
        return not any(shared.place.backlog.held for shared in self._shared.values())

    def close(self, timeout: float = 2.0) -> bool:
        """All is written and closed, as far as that was possible within `timeout` seconds, in which other greenlets run;
        False if a thread is stuck."""
        self._packer.close()
        for shared in list(self._shared.values()):
            if not shared.users:
                continue
            shared.users = 0
            shared.place.close()
        deadline = time.monotonic() + timeout
        while self._shared and time.monotonic() < deadline:
            gevent.sleep(0.002)
        return self.writers.close(max(0.1, deadline - time.monotonic()))


def _rotation(config: StreamConfig) -> Rotation | None:
    """The rule of a file; None where another program rotates it."""
    options = config.options
    kept = Kept(
        _number(options, "backup_count", 0),
        _number(options, "total_bytes", 0),
        compress=options.get("compress") == "gz",
    )
    if config.classname == "WatchedFileStream":
        return None
    if config.classname == "TimedRotatingFileStream":
        when = _text(options, "rotate_when") or "H"
        return TimedRotation(when, _number(options, "rotate_interval", 1), kept, utc=bool(options.get("utc")))
    # Where nobody has said what is kept, to rotate would fill the disk with files: the file grows, as in the original.
    is_limited = kept.count or kept.total_bytes
    return SizeRotation(_number(options, "max_bytes", 0) if is_limited else 0, kept)


def _text(options: Mapping[str, object], name: str) -> str | None:
    value = options.get(name)
    return str(value) if value else None


def _number(options: Mapping[str, object], name: str, default: int) -> int:
    value = options.get(name)
    return value if isinstance(value, int) else default
