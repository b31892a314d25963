"""Faults of ours: the log has all that is known of one, and whom it happened to is told an id under which it is there."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any

from circusd.schema.errors import CircusError

log = logging.getLogger("circushttpd.faults")


def fault(problem: Exception, what: str) -> CircusError:
    """What is told of the exception, whose traceback is in the log."""
    id_ = secrets.token_hex(4)
    log.error("unexpected error %s id=%s", what, id_, exc_info=problem)
    return CircusError(f"a fault of the console itself; its log has more under {id_}")


def alone(what: str, call: Callable[..., object], *arguments: Any) -> CircusError | None:
    """The call, for one of many who share the caller's greenlet: a fault in it is returned, and the others are spared."""
    try:
        call(*arguments)
    except Exception as problem:  # noqa: BLE001 (logged)
        return fault(problem, what)
    return None
