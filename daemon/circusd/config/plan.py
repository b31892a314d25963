"""What a reload is going to do, in words: one step for each thing that changes, and what stays though the file differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from circusd.schema.options import CIRCUS, WATCHER, find

from .difference import Difference, WatcherChange, applies_live
from .records import SocketConfig, WatcherConfig

ACTIONS: Final = ("add", "change", "restart", "remove", "open", "reopen", "adjust", "close", "later", "keep")
"""``restart``: its processes are replaced; ``later``: counts after a restart of circusd; ``keep``: differs, and stays."""

_SHOWN: Final = (bool, int, float)


@dataclass(frozen=True, slots=True)
class Running:
    """A watcher as it is at this moment."""

    config: WatcherConfig
    processes: int
    """How many live ones it has."""
    wanted: bool
    """It is meant to run."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a reload does, or leaves as it is."""

    subject: str
    """``watcher``, ``socket`` or ``circus``."""
    name: str
    action: str
    """One of `ACTIONS`."""
    text: str
    """The whole of it in words; names of options, and never a value that could be secret."""
    keys: tuple[str, ...] = ()
    processes: int = 0
    """How many are stopped or replaced for it."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {f.name: list(v) if isinstance(v := getattr(self, f.name), tuple) else v for f in fields(self)}


def steps(plan: Difference, running: Mapping[str, Running]) -> tuple[Step, ...]:
    """What is going to be done, in its order; ``running`` by lower-case name."""
    return (
        *_removals(plan, running),
        *_sockets(plan),
        *_changes(plan, running),
        *_additions(plan),
        *_daemon(plan),
    )


def kept(
    plan: Difference, file: Mapping[str, WatcherConfig], running: Mapping[str, Running]
) -> tuple[Step, ...]:
    """What differs from the file and stays so, as it was changed at run time; both by lower-case name."""
    return tuple(_kept(plan, file, running))


def summary(done: tuple[Step, ...]) -> str:
    """The steps in one line."""
    return "; ".join(step.text for step in done) or "nothing changed"


def _removals(plan: Difference, running: Mapping[str, Running]) -> Iterator[Step]:
    for config in plan.removed:
        there = running.get(config.name.lower())
        if there is not None:
            stopped = f", {_count(there.processes)} stopped" if there.processes else ""
            yield Step(
                "watcher",
                config.name,
                "remove",
                f"{config.name} is removed{stopped}",
                processes=there.processes,
            )


def _sockets(plan: Difference) -> Iterator[Step]:
    opened = {s.name: s for s in plan.sockets_opened}
    for name in plan.sockets_closed:
        if name not in opened:
            yield Step("socket", name, "close", f"socket {name} is closed")
    for name, config in opened.items():
        if name in plan.sockets_closed:
            yield Step("socket", name, "reopen", f"socket {name} is opened anew at {_address(config)}")
        else:
            yield Step("socket", name, "open", f"socket {name} is opened at {_address(config)}")
    for config in plan.sockets_adjusted:
        yield Step(
            "socket", config.name, "adjust", f"socket {config.name} is changed while it goes on listening"
        )


def _changes(plan: Difference, running: Mapping[str, Running]) -> Iterator[Step]:
    for change in plan.changed:
        there = running.get(change.new.name.lower())
        if there is not None:
            yield _change(change, there)
    for name in plan.restarted:
        there = running.get(name.lower())
        if there is not None and there.wanted:
            text = f"{name}: its socket is another, {_count(there.processes)} replaced"
            yield Step("watcher", name, "restart", text, processes=there.processes)


def _change(change: WatcherChange, there: Running) -> Step:
    name, keys = change.new.name, ", ".join(_said(change, key) for key in change.keys)
    if change.restart and there.wanted:
        replaced = f"{_count(there.processes)} replaced" if there.processes else "it is started anew"
        return Step("watcher", name, "restart", f"{name}: {keys}; {replaced}", change.keys, there.processes)
    text = f"{name}: {keys}; nothing is restarted" if there.wanted else f"{name}: {keys}; it stays stopped"
    stopped = 0
    if "numprocesses" in change.keys and there.wanted:
        more = change.new.numprocesses - there.processes
        stopped = max(0, -more)
        what = f"{_count(more)} started" if more > 0 else f"{_count(-more)} stopped" if more else ""
        text = f"{name}: {keys}" + (f"; {what}" if what else "")
    return Step("watcher", name, "change", text, change.keys, stopped)


def _said(change: WatcherChange, key: str) -> str:
    """The option, with its values where they are numbers and so no secrets."""
    old, new = getattr(change.old, key), getattr(change.new, key)
    row = find(WATCHER, key)
    if row is not None and not row.secret and isinstance(old, _SHOWN) and isinstance(new, _SHOWN):
        return f"{key} {_value(old)} → {_value(new)}"
    return key


def _value(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _additions(plan: Difference) -> Iterator[Step]:
    for config in plan.added:
        if config.autostart:
            text = f"{config.name} is added, {_count(config.numprocesses)} started"
        else:
            text = f"{config.name} is added and stays stopped (autostart is off)"
        yield Step("watcher", config.name, "add", text)


def _daemon(plan: Difference) -> Iterator[Step]:
    for key in plan.daemon_keys:
        row = find(CIRCUS, key)
        if row is not None and not row.effective:
            yield Step("circus", key, "change", f"[circus] {key}: {row.told}", (key,))
        elif applies_live(key):
            yield Step("circus", key, "change", f"[circus] {key} counts at once", (key,))
        else:
            yield Step("circus", key, "later", f"[circus] {key}: needs a restart of the daemon", (key,))


def _kept(
    plan: Difference, file: Mapping[str, WatcherConfig], running: Mapping[str, Running]
) -> Iterator[Step]:
    changed = {c.new.name.lower(): c.keys for c in plan.changed}
    for name, there in running.items():
        written = file.get(name)
        if written is None:
            text = f"{there.config.name} was added at run time and is in no file"
            yield Step("watcher", there.config.name, "keep", text)
            continue
        drifted = tuple(
            f.name
            for f in fields(WatcherConfig)
            if f.name not in changed.get(name, ())
            and getattr(there.config, f.name) != getattr(written, f.name)
        )
        if drifted:
            said = ", ".join(_said(WatcherChange(written, there.config, drifted, False), k) for k in drifted)
            text = f"{there.config.name} keeps what was set at run time: {said}"
            yield Step("watcher", there.config.name, "keep", text, drifted)
    for name in file.keys() - running.keys() - {w.name.lower() for w in plan.added}:
        text = f"{file[name].name} was removed at run time and is still in the file"
        yield Step("watcher", file[name].name, "keep", text)


def _count(number: int) -> str:
    return f"{number} process is" if number == 1 else f"{number} processes are"


def _address(config: SocketConfig) -> str:
    return config.path or f"{f'[{config.host}]' if ':' in config.host else config.host}:{config.port}"
