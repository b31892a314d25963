"""What the core needs of a watcher's configuration."""

from __future__ import annotations

from circusd.config.model import WatcherConfig, names_wid
from circusd.core.health import Rules
from circusd.core.process import FAILURE, Policy
from circusd.schema.probe_values import WORDS, sign_of


def policy_of(config: WatcherConfig) -> Policy:
    """By which rules the processes of that configuration are started, judged and stopped."""
    return Policy(
        numprocesses=config.numprocesses,
        respawn=config.respawn and (not config.schedule or config.respawn_on == FAILURE),
        respawn_on=config.respawn_on,
        success=frozenset(config.success_exit_codes),
        max_retry=0 if config.schedule and config.respawn_on != FAILURE else config.max_retry,
        graceful_timeout=config.graceful_timeout,
        stop_signal=config.stop_signal,
        stop_ladder=config.stop_ladder,
        stop_command=bool(config.stop_command),
        stop_command_timeout=config.stop_command_timeout,
        stop_children=config.stop_children,
        send_hup=config.send_hup,
        warmup_delay=config.warmup_delay,
        max_age=config.max_age,
        max_age_variance=config.max_age_variance,
        backoff=config.backoff,
        backoff_max=config.backoff_max,
        settle_time=config.settle_time,
        restart_delay=config.restart_delay,
        start_limit_burst=config.start_limit_burst,
        start_limit_interval=config.start_limit_interval,
        retry_in=config.retry_in,
        # Two of them beside each other would write over the file of one another.
        singleton=config.singleton or bool(config.pid_file and not names_wid(config.pid_file)),
        ready=_ready_of(config.ready),
        ready_interval=config.ready_interval,
        start_timeout=config.start_timeout,
        watchdog=config.watchdog,
        watchdog_signal=config.watchdog_signal,
        alive=_rules_of(config) if config.alive else None,
        hooks=frozenset(config.hooks),
        on_demand=config.on_demand,
        scheduled=bool(config.schedule),
        pid_file=bool(config.pid_file),
    )


def _ready_of(text: str) -> str:
    """What the core knows of an option ``ready``."""
    sign = None if text in WORDS else sign_of(text)
    return sign[0] if sign is not None else text if text in WORDS else "probe"


def _rules_of(config: WatcherConfig) -> Rules:
    return Rules(
        interval=config.alive_interval,
        failures=config.alive_failures,
        successes=config.alive_successes,
        start_period=config.alive_start_period,
        at_once=config.alive_replace,
    )
