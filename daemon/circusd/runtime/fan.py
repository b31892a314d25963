"""One stream into several sinks: each gets all of it, and one that is slow holds up the others no longer than it may itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .sinks import Sink, Source


class FanSource:
    """What one process writes to all of them; as `Source`."""

    def __init__(self, sources: list[Source]) -> None:
        self.parts = sources
        self._full: list[Source] = []
        """Those that the pipe is left unread for."""
        self._resume: Callable[[], None] | None = None
        self._waits: dict[Source, Callable[[], None]] = {}

    def write(self, data: bytes, wall: float) -> bool:
        """As that of each; False when one of them says so."""
        self._full = [source for source in self.parts if not source.write(data, wall)]
        return not self._full

    def wait(self, resume: Callable[[], None]) -> None:
        """`resume` is called when the last of them has room."""
        self._resume = resume
        for source in self._full:
            self._waits[source] = self._callback(source)
        for source, callback in list(self._waits.items()):
            source.wait(callback)

    def _callback(self, source: Source) -> Callable[[], None]:
        def has_room() -> None:
            self._full.remove(source)
            del self._waits[source]
            if not self._full and self._resume is not None:
                resume, self._resume = self._resume, None
                resume()

        return has_room

    def forget(self, resume: Callable[[], None]) -> None:
        """It is not called any more."""
        self._resume = None
        for source, callback in self._waits.items():
            source.forget(callback)
        self._waits.clear()

    def flush(self) -> None:
        """See `Source`."""
        for source in self.parts:
            source.flush()

    def close(self) -> None:
        """See `Source`."""
        for source in self.parts:
            source.close()


class Fan:
    """All sinks of one stream, the first one without a name."""

    def __init__(self, sinks: Mapping[str, Sink]) -> None:
        self.sinks = dict(sinks)

    def source(
        self, pid: int, wid: int = 0, line: Callable[[], int] | None = None
    ) -> Source | FanSource | None:
        """See `Sink.source`; None when it goes nowhere."""
        sources = [sink.source(pid, wid, line) for sink in self.sinks.values()]
        if len(sources) > 1:
            return FanSource(sources)
        return sources[0] if sources else None

    @property
    def has_form(self) -> bool:
        """Whether one of them makes something else of lines than they are."""
        return any(sink.has_form for sink in self.sinks.values())

    @property
    def file(self) -> str:
        """The first file that it goes to, in which its lines can be found; empty if there is none."""
        return next((sink.file for sink in self.sinks.values() if sink.file), "")

    def counters(self) -> dict[str, Any]:
        """Those of the first sink, and of each further one under ``more``, by name."""
        found = {name: sink.counters() for name, sink in self.sinks.items()}
        first = found.pop("", {})
        return {**first, "more": found} if found else first

    def close(self, kept: Fan | None = None) -> None:
        """See `Sink.close`; those that the other one has too go on."""
        for sink in self.sinks.values():
            if kept is None or sink not in kept.sinks.values():
                sink.close()
