"""Plugin: asks a redis server how it is, sends that to statsd, and may restart a watcher when there is no answer."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .statsd import BaseObserver

log = logging.getLogger("circusd.plugin")


class RedisObserver(BaseObserver):
    """See its options. A server that loads its data or refuses the password answers, and nothing is restarted for it."""

    name = "redis_observer"
    table = "redis_observer"

    OBSERVE = (
        "pubsub_channels connected_slaves lru_clock connected_clients keyspace_misses used_memory used_memory_peak "
        "total_commands_processed used_memory_rss total_connections_received pubsub_patterns used_cpu_sys "
        "used_cpu_sys_children blocked_clients used_cpu_user client_biggest_input_buf mem_fragmentation_ratio expired_keys "
        "evicted_keys client_longest_output_list uptime_in_seconds keyspace_hits"
    ).split()
    """Of what the server tells, what is sent on; versions of redis know more or fewer of them."""

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        try:
            import redis
        except ImportError as problem:
            raise ValueError(
                f"the library redis is missing: pip install 'circusweb[redis]' ({problem})"
            ) from problem
        self.timeout: float = self.settings["timeout"]
        self.restart_on_timeout: str | None = self.settings["restart_on_timeout"]
        self.redis = redis.from_url(
            self.settings["redis_url"], socket_timeout=self.timeout, socket_connect_timeout=self.timeout
        )
        self._answers = (redis.exceptions.AuthenticationError, redis.exceptions.BusyLoadingError)
        self._errors = redis.exceptions.RedisError
        self._silent = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)
        self._failing = ""
        # Looking up a host and waiting for an answer must not keep the plugin from being stopped.
        self._thread = ThreadPoolExecutor(1, "redis")

    async def look_after(self) -> None:
        """One round."""
        try:
            info = await asyncio.get_running_loop().run_in_executor(self._thread, self.redis.info)
        except self._errors as problem:
            self._failed(problem)
            return
        if self._failing:
            log.warning("redis answers again")
        self._failing = ""
        for key in self.OBSERVE:
            if key in info:
                self.statsd.gauge(f"redis_stats.{key}", info[key])

    def handle_stop(self) -> None:
        """It ends, without waiting for an answer."""
        super().handle_stop()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _failed(self, problem: Exception) -> None:
        self.statsd.increment("redis_stats.error")
        if type(problem).__name__ != self._failing:
            log.warning("redis: %s", problem)
        self._failing = type(problem).__name__
        is_silent = isinstance(problem, self._silent) and not isinstance(problem, self._answers)
        if self.restart_on_timeout and is_silent:
            log.warning("%s is restarted: redis does not answer", self.restart_on_timeout)
            self.cast("restart", name=self.restart_on_timeout, match="simple")
            self.statsd.increment("redis_stats.restart_on_error")
