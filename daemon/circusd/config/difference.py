"""What changed between two readings of the configuration, and what has to be done about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from circusd.schema.options import CIRCUS, WATCHER, find

from .records import CircusConfig, SocketConfig, WatcherConfig
from .references import inherited_sockets

_ADJUSTABLE = ("backlog", "blocking", "replace")
"""Options of a socket that can change while it listens."""


@dataclass(frozen=True, slots=True)
class WatcherChange:
    """A watcher that stands in both files with other values."""

    old: WatcherConfig
    new: WatcherConfig
    keys: tuple[str, ...]
    restart: bool
    """Its processes have to be replaced for it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The way from one configuration to another."""

    added: tuple[WatcherConfig, ...] = ()
    removed: tuple[WatcherConfig, ...] = ()
    changed: tuple[WatcherChange, ...] = ()
    sockets_opened: tuple[SocketConfig, ...] = ()
    sockets_closed: tuple[str, ...] = ()
    sockets_adjusted: tuple[SocketConfig, ...] = ()
    """Those that change while they listen: no connection is refused."""
    daemon_keys: tuple[str, ...] = ()
    """Options of ``[circus]`` that changed."""
    restarted: tuple[str, ...] = field(default=())
    """Watchers whose sockets change below them."""


def applies_live(key: str) -> bool:
    """Whether a changed option of ``[circus]`` counts without a restart of the daemon."""
    row = find(CIRCUS, key)
    return row is not None and row.apply == "live"


def _keys(old: object, new: object, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n for n in names if getattr(old, n) != getattr(new, n))


def _is_adjusted(old: SocketConfig, new: SocketConfig) -> bool:
    # What the umask would be without the option was that of the moment of opening.
    keys = (*_ADJUSTABLE, "umask") if new.path and new.umask is not None else _ADJUSTABLE
    return old != new and replace(old, **{key: getattr(new, key) for key in keys}) == new


def _change(old: WatcherConfig, new: WatcherConfig) -> WatcherChange | None:
    if old == new:
        return None
    keys = _keys(old, new, tuple(f.name for f in fields(WatcherConfig)))
    rows = [find(WATCHER, k) for k in keys]
    restart = any(row is not None and row.apply in ("process", "watcher") for row in rows)
    return WatcherChange(old, new, keys, restart or "rlimits" in keys)


def difference(
    old: CircusConfig,
    new: CircusConfig,
    watchers: tuple[Mapping[str, WatcherConfig], Mapping[str, WatcherConfig]],
    sockets: tuple[Iterable[SocketConfig], Iterable[SocketConfig]],
) -> Difference:
    """What is to be done so that the new configuration counts: of everything, what was and what will be.

    Watchers by lower-case name; those of plugins and of the console are among them, as its socket is among the sockets.
    One whose name differs only in the case of letters is removed and added.
    """
    old_watchers, new_watchers = ({w.name: w for w in some.values()} for some in watchers)
    old_sockets, new_sockets = ({s.name: s for s in some} for some in sockets)
    adjusted = {n: s for n, s in new_sockets.items() if n in old_sockets and _is_adjusted(old_sockets[n], s)}
    closed = tuple(n for n, s in old_sockets.items() if new_sockets.get(n) != s and n not in adjusted)
    opened = tuple(s for n, s in new_sockets.items() if old_sockets.get(n) != s and n not in adjusted)
    changed = [
        c
        for n, w in new_watchers.items()
        if n in old_watchers and (c := _change(old_watchers[n], w)) is not None
    ]
    moved = set(closed) | {s.name for s in opened}
    known = {c.new.name.lower() for c in changed if c.restart}
    restarted = tuple(
        w.name
        for n, w in new_watchers.items()
        if n in old_watchers and n not in known and (moved & set(inherited_sockets(w, moved)))
    )
    return Difference(
        added=tuple(w for n, w in new_watchers.items() if n not in old_watchers),
        removed=tuple(w for n, w in old_watchers.items() if n not in new_watchers),
        changed=tuple(changed),
        sockets_opened=opened,
        sockets_closed=closed,
        sockets_adjusted=tuple(adjusted.values()),
        daemon_keys=_keys(old, new, tuple(f.name for f in fields(CircusConfig))),
        restarted=restarted,
    )
