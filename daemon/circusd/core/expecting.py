"""What is expected of a process that runs, and by when: signs that it is ready, signs of life, looks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from . import health
from .altered import altered
from .effects import (
    ArmTimer,
    CancelTimer,
    Effect,
)
from .process import AWAITED, PID_FILE, Policy, Process, Result

LOOKED_FOR = ("probe", PID_FILE)
"""What has to be looked for again and again."""

SOONEST_PROBE = 0.1
"""Seconds after the start that it is first looked whether a process is ready; each next time twice as long, up to
``ready_interval``."""

FIRST_LOOK = 1.0
"""Seconds after it is ready that it is first looked whether a process is alive, or sooner: somebody may wait for that."""

UNATTENDED: Final = {"awaits": "", "ready_by": None, "beat_by": None, "health": None}
"""The fields of a process of which nothing is expected."""


def awaited_from(policy: Policy) -> str:
    """Where a sign that it is ready is to come from; empty where it is as soon as it runs."""
    return policy.ready if policy.ready in AWAITED else ""


def next_probe(p: Process, now: float, policy: Policy) -> ArmTimer:
    """When it is looked the next time whether it is ready."""
    wait = min(policy.ready_interval, SOONEST_PROBE * 2.0 ** min(p.probes, 30))
    return ArmTimer(p.wid, "probe", now + max(wait, SOONEST_PROBE))


def look_after(p: Process, now: float, policy: Policy) -> Result:
    """It can be counted on: from now on it is noticed when it can't be any more."""
    up, effects = watch_signs(p, now) if p.beat_by is None else (p, ())
    if policy.alive is None or p.health is not None:
        return up, effects
    return replace(up, health=health.begun(now, policy.alive)), (
        *effects,
        next_look(p, now, policy.alive, FIRST_LOOK),
    )


def next_look(p: Process, now: float, rules: health.Rules, longest: float = math.inf) -> ArmTimer:
    """When it is looked the next time whether it is alive, in `longest` seconds at the most."""
    return ArmTimer(p.wid, "alive", now + max(min(rules.interval, longest), SOONEST_PROBE))


def watch_signs(p: Process, now: float) -> Result:
    """From now on signs of life are expected."""
    if p.watchdog <= 0:
        if p.beat_by is None:
            return p, ()
        return replace(p, beat_by=None), (CancelTimer(p.wid, "watchdog"),)
    by = now + p.watchdog
    return replace(p, beat_by=by), (ArmTimer(p.wid, "watchdog", by),)


def nothing_expected(p: Process) -> tuple[Effect, ...]:
    """It ends, or is to: no timer of its life counts any more."""
    calm: tuple[Effect, ...] = (CancelTimer(p.wid, "age"), *no_more_waiting(p))
    if p.beat_by is not None:
        calm = (*calm, CancelTimer(p.wid, "watchdog"))
    return (*calm, CancelTimer(p.wid, "alive")) if p.health is not None else calm


def unattended(p: Process) -> Process:
    """Nothing is expected of it any more."""
    return altered(p, **UNATTENDED)


def no_more_waiting(p: Process) -> tuple[Effect, ...]:
    """What was to tell of its readiness counts no more."""
    start = (CancelTimer(p.wid, "start"),) if p.ready_by is not None else ()
    return (*start, CancelTimer(p.wid, "probe")) if p.awaits in LOOKED_FOR else start


def no_more_judging(p: Process) -> tuple[Effect, ...]:
    """What was to come by a certain time may come later."""
    watched = (CancelTimer(p.wid, "watchdog"),) if p.beat_by is not None else ()
    looked = (CancelTimer(p.wid, "alive"),) if p.health is not None else ()
    return (*no_more_waiting(p), *watched, *looked)


def judged_again(p: Process, now: float, policy: Policy) -> Result:
    """What is expected of it is so again, from where it was left."""
    effects: list[Effect] = []
    if p.is_awaited and p.ready_by is not None:
        effects.append(ArmTimer(p.wid, "start", p.ready_by))
    if p.is_awaited and p.awaits in LOOKED_FOR:
        effects.append(next_probe(p, now, policy))
    if p.beat_by is not None:
        effects.append(ArmTimer(p.wid, "watchdog", p.beat_by))
    if p.health is not None and policy.alive is not None:
        effects.append(next_look(p, now, policy.alive))
    if p.is_awaited:
        return p, tuple(effects)
    p, more = look_after(p, now, policy)
    return p, (*effects, *more)
