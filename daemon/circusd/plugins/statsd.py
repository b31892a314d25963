"""Plugins that send to statsd: `StatsdEmitter` counts events, `FullStats` sends what the watchers take.

`BaseObserver` is the base of plugins that look after something again and again and count what they find.
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from circusd.schema.errors import CircusError

from . import CircusPlugin
from .compat import human2bytes
from .period import PeriodicCallback
from .settings import settings

log = logging.getLogger("circusd.plugin")

LOOK_UP_AGAIN = 60.0
"""Seconds after which a host that could not be found is looked up again."""

WATCHER = "{}."
"""In a name, the place of the watcher that a value is of."""

_UNFIT = re.compile(r"[^\w-]+", re.ASCII)
_UNFIT_TAG = re.compile(r"[^\w:./-]+")
_TAG_LETTERS = 200
"""What is longer is cut by Datadog."""


class StatsdClient:
    """Sends to statsd by UDP; what can't be sent is lost, and said once until it can be sent again."""

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        prefix: str | None = None,
        sample_rate: float = 1,
        tags: Sequence[str] | None = None,
    ) -> None:
        """With ``tags``, be there none, messages have the form of DogStatsD."""
        self.host = host or "localhost"
        self.port = port or 8125
        self.prefix = prefix
        self.sample_rate = sample_rate
        self._tags = None if tags is None else [tag_of(tag) for tag in tags]
        self._socket: socket.socket | None = None
        self._address: Any = None
        self._look_up = 0.0
        self._failing = False

    def send(
        self, bucket: str, value: str, sample_rate: float | None = None, *, watcher: str | None = None
    ) -> None:
        """One value for that name; of those with a sample rate, only so many of them go out.

        Where it is of a watcher, `WATCHER` in the name stands for that; with tags it is one.
        """
        rate = self.sample_rate if sample_rate is None else sample_rate
        if rate < 1:
            if random.random() >= rate:
                return
            value += f"|@{rate:g}"
        if watcher is not None:
            bucket = bucket.replace(WATCHER, f"{bucket_of(watcher)}." if self._tags is None else "")
        if self.prefix:
            bucket = f"{self.prefix}.{bucket}"
        own = [] if watcher is None else [tag_of(f"watcher:{watcher}")]
        tags = [*own, *self._tags] if self._tags is not None else []
        self._put((f"{bucket}:{value}" + (f"|#{','.join(tags)}" if tags else "")).encode("utf-8", "replace"))

    def increment(self, bucket: str, delta: int = 1, *, watcher: str | None = None) -> None:
        """A counter grows."""
        self.send(bucket, f"{delta}|c", watcher=watcher)

    def decrement(self, bucket: str, delta: int = 1) -> None:
        """A counter shrinks."""
        self.increment(bucket, -abs(delta))

    def gauge(self, bucket: str, value: float | str, *, watcher: str | None = None) -> None:
        """A value as it is now."""
        # A gauge is no sample of many.
        self.send(bucket, f"{value}|g", 1, watcher=watcher)

    def timed(self, bucket: str, value: float) -> None:
        """How many milliseconds something took."""
        self.send(bucket, f"{value}|ms")

    def stop(self) -> None:
        """Nothing is sent any more."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._look_up = None, float("inf")

    def _put(self, datagram: bytes) -> None:
        try:
            if self._socket is None:
                if time.monotonic() < self._look_up:
                    return
                self._look_up = time.monotonic() + LOOK_UP_AGAIN
                family, kind, protocol, _, self._address = socket.getaddrinfo(
                    self.host, self.port, type=socket.SOCK_DGRAM
                )[0]
                self._socket = socket.socket(family, kind, protocol)
                self._socket.setblocking(False)
            self._socket.sendto(datagram, self._address)
            self._failing = False
        except (OSError, UnicodeError) as problem:
            if not self._failing:
                log.warning("nothing reaches statsd at %s:%s: %s", self.host, self.port, problem)
            self._failing = True


def bucket_of(name: str) -> str:
    """The name of a watcher as one part of statsd's names, whatever is in it."""
    return _UNFIT.sub("_", name) or "_"


def tag_of(text: str) -> str:
    """One tag, whatever is in the text."""
    return _UNFIT_TAG.sub("_", text)[:_TAG_LETTERS]


class StatsdEmitter(CircusPlugin):
    """Counts each event of a watcher. Derived classes send by `statsd`; their ``table`` names their options."""

    name = "statsd"
    table = "statsd"
    default_app_name = ""

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.settings = settings(self.table, config)
        given = config.get("application_name") or self.default_app_name
        self.app = given or self.settings["application_name"]
        self.prefix = f"circus.{self.app}.watcher"
        tags = self.settings["dogstatsd_tags"]
        self.statsd = StatsdClient(
            self.settings["host"],
            self.settings["port"],
            self.prefix,
            self.settings["sample_rate"],
            tags if tags or self.settings["dogstatsd"] else None,
        )

    def handle_recv(self, data: tuple[bytes, bytes]) -> None:
        """The event is counted."""
        watcher, action, _ = self.split_data(data)
        self.statsd.increment(f"{WATCHER}{bucket_of(action)}", watcher=watcher)

    def stop(self) -> None:
        """The plugin's loop ends, and nothing is sent any more."""
        super().stop()
        self.statsd.stop()


class BaseObserver(StatsdEmitter, ABC):
    """Calls `look_after`, a function or a coroutine, each ``loop_rate`` seconds."""

    table = "full_stats"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.loop_rate: float = self.settings["loop_rate"]
        self.period = PeriodicCallback(self._turn, self.loop_rate * 1000, self.loop)

    def handle_init(self) -> None:
        """It begins."""
        self.period.start()

    def handle_stop(self) -> None:
        """It ends."""
        self.period.stop()

    def handle_recv(self, data: tuple[bytes, bytes]) -> None:
        """Events are not looked at."""

    @abstractmethod
    def look_after(self) -> Any:
        """One look; what it returns is awaited where it can be."""

    def _turn(self) -> Any:
        try:
            return self.look_after()
        except CircusError as problem:
            # The daemon may be busy or on its way out; there is a next time.
            log.warning("%s: %s", self.name, problem)
            return None


class FullStats(BaseObserver):
    """Gauges of each watcher: processes, processor use and memory."""

    name = "full_stats"
    table = "full_stats"

    def look_after(self) -> None:
        """One round."""
        reply = self.call("stats")
        if reply.get("status") == "error":
            self.statsd.increment("_stats.error")
            return
        for name, infos in reply["infos"].items():
            if not name.startswith("plugin:"):
                self._send(name, infos)

    def _send(self, name: str, infos: dict[str, Any]) -> None:
        processes = [info for info in infos.values() if isinstance(info, dict)]
        if "spawn_count" in infos:
            self.statsd.gauge(f"_stats.{WATCHER}spawn_count", infos["spawn_count"], watcher=name)
        self.statsd.gauge(f"_stats.{WATCHER}watchers_num", len(processes), watcher=name)
        for key, bucket, read in (
            ("cpu", "cpu", float),
            ("mem", "mem_pct", float),
            ("mem_info1", "mem", human2bytes),
        ):
            values = []
            for info in processes:
                # A process that ended while it was looked at has "N/A".
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    values.append(read(info[key]))
            if values:
                most, total = max(values), sum(values)
                self.statsd.gauge(f"_stats.{WATCHER}{bucket}_max", round(most, 6), watcher=name)
                self.statsd.gauge(f"_stats.{WATCHER}{bucket}_sum", round(total, 6), watcher=name)
