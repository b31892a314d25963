"""The channel of live output: what processes write, as messages to whoever subscribes to it, and read for nobody else."""

from __future__ import annotations

from typing import Final

from circusd.schema import wire

from .feeds import OUTPUT_SECONDS
from .history import History, StreamKey
from .outputreader import OutputReader
from .publisher import Publisher
from .timers import LoopTimer

MESSAGE_BYTES: Final = 64 << 10

CHANNEL: Final = "output"

_MESSAGES_PER_TURN = 8


class OutputChannel:
    """Publishes topics ``output.NAME.`` (NAME escaped) in the form of the followed ones, as long as somebody subscribes."""

    def __init__(self, publisher: Publisher, history: History) -> None:
        self._publisher = publisher
        self._history = history
        self._reader: OutputReader | None = None
        self._timer = LoopTimer()
        self._cancel = publisher.on_demand(self._demand)

    def close(self) -> None:
        """Nothing is read any more."""
        self._cancel()
        self._stop()

    def _demand(self) -> None:
        if not self._publisher.wanted_below(CHANNEL, "output."):
            self._stop()
        elif self._reader is None:
            self._reader = OutputReader(self._history, self._is_wanted)
            self._reader.wake = self._came
        else:
            self._reader.rematch()

    def _is_wanted(self, key: StreamKey) -> bool:
        return self._publisher.wanted(CHANNEL, _topic(key))

    def _stop(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._timer.stop()

    def _came(self) -> None:
        if not self._timer.is_set:
            self._arm(OUTPUT_SECONDS)

    def _arm(self, seconds: float) -> None:
        self._timer.once(seconds, self._run)

    def _run(self) -> None:
        for _ in range(_MESSAGES_PER_TURN):
            found = None if self._reader is None else self._reader.next(MESSAGE_BYTES)
            if found is None:
                return
            key, message = found
            self._publisher.publish(CHANNEL, _topic(key), message)
        if self._reader is not None and self._reader.pending:
            self._arm(0.0)


def _topic(key: StreamKey) -> str:
    return f"output.{wire.escape_name(key.watcher)}."
