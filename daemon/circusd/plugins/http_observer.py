"""Plugin: asks for a page, sends to statsd how long that took, and may restart a watcher when it fails."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from . import webpage
from .statsd import BaseObserver

log = logging.getLogger("circusd.plugin")

NO_ANSWER = 599
"""The status of a page that did not come, as in the original."""


class HttpObserver(BaseObserver):
    """See its options."""

    name = "http_observer"
    table = "http_observer"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.check_url: str = self.settings["check_url"]
        self.timeout: float = self.settings["timeout"]
        self.restart_on_error: str | None = self.settings["restart_on_error"]
        self._failing = ""

    async def look_after(self) -> None:
        """One round."""
        begun = time.monotonic()
        status, problem = NO_ANSWER, ""
        try:
            status = await asyncio.wait_for(webpage.status_of(self.check_url), self.timeout)
        except TimeoutError:
            problem = f"no answer within {self.timeout:g} s"
        except (OSError, EOFError, ValueError) as error:
            problem = str(error) or type(error).__name__
        if status < 400:
            if self._failing:
                log.warning("%s is fine again", self.check_url)
            self._failing = ""
            self.statsd.timed("http_stats.request_time", int((time.monotonic() - begun) * 1000))
            return
        self._failed(status, problem or f"status {status}")

    def _failed(self, status: int, why: str) -> None:
        self.statsd.increment("http_stats.error")
        self.statsd.increment(f"http_stats.error.{status}")
        if why != self._failing:
            log.warning("%s: %s", self.check_url, why)
        self._failing = why
        if self.restart_on_error:
            log.warning("%s is restarted: %s fails", self.restart_on_error, self.check_url)
            self.cast("restart", name=self.restart_on_error, match="simple")
            self.statsd.increment("http_stats.restart_on_error")
