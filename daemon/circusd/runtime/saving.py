"""The command ``save``: what was changed at run time goes into the files of the configuration."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent

from circusd.config.drift import Drift, same, socket_drift, watcher_drift
from circusd.config.editing import Text, text_of
from circusd.config.ini import load
from circusd.config.problems import Unwritable
from circusd.config.records import Configuration, SocketConfig, WatcherConfig
from circusd.schema.errors import CircusError, ConfigError, Conflict

from . import clock
from . import undo as previous
from .console import file_sockets
from .undo import BOM

if TYPE_CHECKING:
    from .daemon import Daemon

Forced = tuple[dict[str, WatcherConfig], dict[str, SocketConfig]]
"""Watchers and sockets that are in force, by lower-case name."""


@dataclass(slots=True)
class Saving:
    """What a save does, before it is done."""

    drifts: list[Drift] = field(default_factory=list)
    old: dict[str, bytes] = field(default_factory=dict)
    """The files that change, as they are on disk,"""
    new: dict[str, bytes] = field(default_factory=dict)
    """and as they will be."""
    diff: str = ""
    left: list[str] = field(default_factory=list)
    """What is not saved, or is not the same as now, in words."""
    configuration: Configuration = field(default_factory=Configuration)
    """What was read, with the changes as they will be read,"""
    on_disk: Configuration = field(default_factory=Configuration)
    """and what the files say then, which is not the same where something else in them has changed."""

    @property
    def digest(self) -> str:
        """Tells whether two savings would write the same."""
        known = hashlib.sha256()
        for path in sorted(self.new):
            for part in (os.fsencode(path), self.old[path], self.new[path]):
                known.update(len(part).to_bytes(8, "big") + part)
        return known.hexdigest()[:32]

    def as_dict(self) -> dict[str, Any]:
        """The reply."""
        return {
            "changes": [str(drift) for drift in self.drifts],
            "files": sorted(self.new),
            "diff": self.diff,
            "left": self.left,
            "digest": self.digest,
        }


def save(daemon: Daemon, target: str, *, dry_run: bool, force: bool, digest: str) -> dict[str, Any]:
    """The files hold what is in force, or what they would hold is told. To be called in a greenlet.

    New sections go to ``target``, the main file when it is empty. Raises Conflict when a file has changed on disk since it
    was read (unless by force), or when the changes are others than those of ``digest``; ConfigError when something can't be
    written in such a file. Nothing is changed then.
    """
    saving = _planned(daemon, os.path.join(os.getcwd(), target) if target else daemon.settings.path, force)
    reply = saving.as_dict()
    if dry_run:
        return {**reply, "dry_run": True}
    if digest and digest != saving.digest:
        raise Conflict("the changes are no longer those that were shown", hint="look at them again")
    if saving.new:
        problem = _aside(_written, daemon.settings.name, saving)
        if problem:
            reply["left"] = [*reply["left"], f"there will be no way back: {problem}"]
        daemon.unsaved = (saving.configuration, daemon.configuration, daemon.saved)
    daemon.configuration = saving.configuration
    daemon.saved = (saving.configuration, saving.on_disk)
    return reply


def undo(daemon: Daemon, *, dry_run: bool, digest: str) -> dict[str, Any]:
    """The files say what they said before the last save, or what that would change is told. To be called in a greenlet.

    What is in force stays so, and can be saved again. Raises as `circusd.runtime.undo.undo`.
    """
    reply: dict[str, Any] = _aside(
        partial(previous.undo, daemon.settings.name, dry_run=dry_run, digest=digest)
    )
    if daemon.unsaved is None or daemon.unsaved[0] is not daemon.configuration:
        # It has read the files since: what they say from now on is not what it knows of them.
        reply["left"] = ["what the files say then counts with the next reloadconfig"]
    elif not dry_run:
        _, daemon.configuration, daemon.saved = daemon.unsaved
    if not dry_run:
        daemon.unsaved = None
    return reply


def drift(daemon: Daemon) -> dict[str, Any]:
    """What differs between the files, as they were read and as they are, and what is in force. To be called in a greenlet."""
    saving = Saving()
    _find(daemon, saving)
    problems: list[str] = []
    changed = False
    try:
        in_force, on_disk = daemon.saved or (None, daemon.configuration)
        known = on_disk if in_force is daemon.configuration else daemon.configuration
        disk = _loaded(daemon.settings.path)
        changed = _content(disk) != _content(known)
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
    return {
        "path": daemon.settings.path,
        "files": list(daemon.configuration.files),
        "changes": [str(drift) for drift in saving.drifts],
        "left": saving.left,
        "on_disk": changed or bool(problems),
        "problems": problems,
        "last_save": _aside(previous.view, daemon.settings.name),
    }


def _written(name: str, saving: Saving) -> str:
    """The files hold what is new; why there is no way back from that, if there is none. Raises Conflict."""
    problem = ""
    try:
        previous.keep(name, clock.wall(), saving.old, saving.new)
    except (OSError, CircusError) as error:
        problem = (error.strerror or "") if isinstance(error, OSError) else str(error)
    previous.write_all({path: saving.old[path] for path in saving.new}, saving.new)
    return problem


def _planned(daemon: Daemon, target: str, force: bool) -> Saving:
    path, before = daemon.settings.path, daemon.configuration
    disk = _loaded(path)
    in_force, on_disk = daemon.saved or (None, before)
    known = on_disk if in_force is before else before
    if not force and _content(disk) != _content(known):
        raise Conflict(
            "the configuration has changed on disk since it was read",
            hint="circusctl reloadconfig first; with force the changes are put into the files as they are now",
        )
    saving = Saving()
    running = _find(daemon, saving)
    if not saving.drifts:
        saving.configuration, saving.on_disk = before, disk
        return saving
    edited = _aside(_edited, saving, disk, target)
    texts = {name: text.text for name, text in edited.items()}
    after = _loaded(path, texts, "can't be saved, the file would be wrong then: ")
    _check(saving, (disk, after), before, running)
    for name, text in edited.items():
        _aside(_add, saving, name, text)
    there = {w.name.lower() for w in disk.watchers}
    for watcher in after.watchers:
        current = running[0].get(watcher.name.lower(), watcher)
        more = sorted(set(watcher.env) - set(current.env))
        if watcher.name.lower() not in there and more:
            saving.left.append(f"{watcher.name} gets {', '.join(more)} of [env] with the next reloadconfig")
    saving.configuration, saving.on_disk = _merged(before, after, running), after
    return saving


def _loaded(path: str, texts: Mapping[str, str] | None = None, why: str = "") -> Configuration:
    loaded = _aside(load, path, os.environ, texts or {})
    if loaded.configuration is None:
        raise ConfigError([f"{why}{p}" for p in loaded.problems if p.severity == "error"])
    found: Configuration = loaded.configuration
    return found


def _aside(act: Callable[..., Any], *args: Any) -> Any:
    """What the function gives or raises, from a thread: gevent's pool would print what is raised in it."""

    def attempt() -> tuple[Any, Exception | None]:
        try:
            return act(*args), None
        except Exception as error:  # noqa: BLE001 (raised again in the greenlet)
            return None, error

    value, error = gevent.get_hub().threadpool.apply(attempt)
    if error is not None:
        raise error
    return value


def _content(configuration: Configuration) -> tuple[object, ...]:
    return configuration.circus, configuration.watchers, configuration.sockets, configuration.plugins


def _find(daemon: Daemon, saving: Saving) -> Forced:
    """The watchers and sockets in force that stand in files; what differs from these is put down."""
    read = {w.name.lower(): w for w in daemon.configuration.watchers}
    made = {w.name.lower(): w for w, kind in daemon.file_watchers(daemon.configuration) if kind != "watcher"}
    running = {n: w.config for n, w in daemon.arbiter.watchers.items() if w.kind == "watcher"}
    found = [watcher_drift(read.get(name), running.get(name)) for name in sorted({*read, *running})]
    for name, watcher in daemon.arbiter.watchers.items():
        if name in made and (drift := watcher_drift(made[name], watcher.config)) is not None:
            keys = ", ".join([*drift.options, *(["env"] if drift.env else [])])
            saving.left.append(
                f"{watcher.name}: {keys} is not saved, as it stands in no section of a watcher"
            )
    own = {s.name for s in file_sockets(daemon.configuration)} - {
        s.name for s in daemon.configuration.sockets
    }
    listed = {s.name: s for s in daemon.configuration.sockets}
    opened = {e.name: e.config for e in daemon.sockets.entries() if e.name not in own}
    found += [socket_drift(listed.get(name), opened.get(name)) for name in sorted({*listed, *opened})]
    saving.drifts = [drift for drift in found if drift is not None]
    return running, opened


def _edited(saving: Saving, disk: Configuration, target: str) -> dict[str, Text]:
    """The texts of the files with the changes in them; only those that change. Touches the disk."""
    texts: dict[str, Text] = {}
    for name in disk.files:
        data = saving.old[name] = _bytes(name)
        texts[name] = text_of(name, data.removeprefix(BOM).decode("utf-8", "replace"))
    where = next((name for name in disk.files if os.path.realpath(name) == os.path.realpath(target)), None)
    if where is None:
        raise ConfigError([f"{target} is not read by {disk.files[0]}: it would not be found there again"])
    before = {name: text.text for name, text in texts.items()}
    for drift in saving.drifts:
        try:
            _put(drift, texts.values(), texts[where])
        except Unwritable as problem:
            raise ConfigError([f"{drift.section.replace(':', ' ', 1)} can't be saved: {problem}"]) from None
    return {name: text for name, text in texts.items() if text.text != before[name]}


def _put(drift: Drift, texts: Collection[Text], where: Text) -> None:
    """Each option goes where it stands; what is new to where the section stands, or to the text for what is new."""
    holders = [text for text in texts if text.has(drift.section)]
    if drift.removed:
        for text in texts:
            text.remove(drift.section)
        return
    home = holders[0] if holders else where
    for option, value in drift.options.items():
        if value is None:
            for text in holders:
                text.take_away(drift.section, option)
        else:
            there = next((text for text in holders if text.has(drift.section, option)), home)
            there.set(drift.section, option, value)
    watcher = drift.section.partition(":")[2]
    holders = [text for text in texts if text.has_variables(watcher)]
    for name, value in drift.env.items():
        if value is None:
            for text in holders:
                text.take_variable(watcher, name)
        else:
            (holders[0] if holders else home).set_variable(watcher, name, value)


def _check(
    saving: Saving, loaded: tuple[Configuration, Configuration], read: Configuration, running: Forced
) -> None:
    """What will be read from the files is what is in force, and nothing else changes; raises ConfigError."""
    disk, after = loaded
    problems: list[str] = []
    changed = {drift.section.lower() for drift in saving.drifts}
    rows: tuple[tuple[str, Any, Any, Any, Mapping[str, Any]], ...] = (
        ("watcher", disk.watchers, after.watchers, read.watchers, running[0]),
        ("socket", disk.sockets, after.sockets, read.sockets, running[1]),
    )
    for kind, *records, in_force in rows:
        before, now, known = ({r.name.lower(): r for r in given} for given in records)
        for name in sorted({*before, *now}):
            aim = before.get(name)
            if f"{kind}:{name}" in changed:
                aim = _aim(aim, known.get(name), in_force.get(name))
            keys = _differing(now.get(name), aim, is_new=name not in before)
            problems += [f"{kind} {name}: {key} can't be saved: the file would say otherwise" for key in keys]
    if (disk.circus, disk.plugins) != (after.circus, after.plugins):
        problems.append("options of [circus] or of plugins would change with it")
    if problems:
        raise ConfigError(problems)


def _aim(disk: Any, read: Any, running: Any) -> Any:
    """The record as the file should have it: what was changed at run time, on top of what it says."""
    if disk is None or read is None or running is None:
        return running
    keys = [f.name for f in fields(read) if not same(getattr(read, f.name), getattr(running, f.name))]
    return replace(disk, **{key: getattr(running, key) for key in keys if key != "name"})


def _differing(found: Any, aim: Any, *, is_new: bool) -> list[str]:
    """The options in which what is found is not what was aimed at."""
    if found is None or aim is None:
        return [] if found is aim else ["it"]
    keys = [f.name for f in fields(found) if not same(getattr(found, f.name), getattr(aim, f.name))]
    if is_new and "env" in keys and found.env.items() >= aim.env.items():
        keys.remove("env")  # what is in [env] is for it too from now on
    return [key for key in keys if key not in ("name", "extras")]


def _add(saving: Saving, name: str, text: Text) -> None:
    old = saving.old[name]
    bom = BOM if old.startswith(BOM) else b""
    saving.new[name] = bom + text.text.encode()
    saving.diff += previous.difference(name, old, saving.new[name])


def _merged(before: Configuration, after: Configuration, running: Forced) -> Configuration:
    """What was read, with what is saved as it will be read; what else has changed on disk is not in force yet."""

    def merge(old: tuple[Any, ...], new: tuple[Any, ...], in_force: Mapping[str, Any]) -> tuple[Any, ...]:
        known = {record.name.lower(): record for record in old}
        found = {record.name.lower(): record for record in new}
        merged = []
        for name, current in in_force.items():
            was, is_now = known.get(name), found.get(name)
            if was is not None and is_now is not None:
                keys = [
                    f.name for f in fields(was) if not same(getattr(was, f.name), getattr(current, f.name))
                ]
                merged.append(replace(was, **{key: getattr(is_now, key) for key in keys}))
            elif isinstance(is_now, WatcherConfig):
                # What [env] adds to it comes with the next reload: its processes do not have it yet.
                merged.append(replace(is_now, env=current.env))
            elif is_now is not None:
                merged.append(is_now)
        return tuple(sorted(merged, key=lambda record: str(record.name)))

    return replace(
        before,
        watchers=merge(before.watchers, after.watchers, running[0]),
        sockets=merge(before.sockets, after.sockets, running[1]),
    )


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
