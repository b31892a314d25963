"""Plugin: a watcher whose program has changed on disk is restarted."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from circusd.schema.errors import CircusError

from . import CircusPlugin
from .period import PeriodicCallback
from .settings import settings

log = logging.getLogger("circusd.plugin")

Seen = tuple[str, int, int, int]
"""Where a program lies, after links, and its inode, size and time of change (ns)."""

INTERPRETERS = re.compile(r"(python|pypy|ruby|perl|node|php|lua|bash|dash|zsh|sh)[\d.]*")


@dataclass(slots=True)
class Program:
    """What a watcher runs."""

    path: str
    seen: Seen | None
    """As it was when the watcher was last known to run it."""
    changed: Seen | None = None
    """As it was when a change was noticed: it is acted on when it has stayed so."""


class CommandReloader(CircusPlugin):
    """Asks circusd for command lines when they change, and otherwise looks at the files only."""

    name = "command_reloader"
    topics = ("event.",)

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.loop_rate: float = settings("command_reloader", config)["loop_rate"]
        self.programs: dict[str, Program] = {}
        self.period = PeriodicCallback(self.look_after, self.loop_rate * 1000, self.loop)

    def handle_init(self) -> None:
        """It begins."""
        self.period.start()

    def handle_stop(self) -> None:
        """It ends."""
        self.period.stop()

    def handle_subscribed(self) -> None:
        """All watchers are asked for, as they may have changed."""
        names = self.call("list").get("watchers", [])
        for name in self.programs.keys() - names:
            del self.programs[name]
        for name in names:
            self.ask(name)

    def handle_recv(self, data: tuple[bytes, bytes]) -> None:
        """A command line that may have changed is asked for."""
        event = self.load_message(data[1])
        name = event.get("watcher", "")
        if event["event"] in ("watcher.added", "watcher.updated"):
            self.ask(name)
        elif event["event"] == "watcher.removed":
            self.programs.pop(name, None)
        elif event["event"] == "watcher.started" and name in self.programs:
            # What is started now is what lies there now.
            self.programs[name].seen = look(self.programs[name].path)

    def ask(self, name: str) -> None:
        """What that watcher runs is known."""
        if name.startswith("plugin:"):
            return
        options = self.call("options", name=name).get("options")
        path = program_of(options) if options else ""
        if not path:
            self.programs.pop(name, None)
        elif name not in self.programs or self.programs[name].path != path:
            self.programs[name] = Program(path, look(path))

    def look_after(self) -> None:
        """Watchers whose programs have changed, and stayed so for one round, are restarted."""
        for name, program in list(self.programs.items()):
            now = look(program.path)
            if now is None or now == program.seen:
                program.changed = None
            elif now != program.changed:
                program.changed = now
            else:
                program.seen, program.changed = now, None
                try:
                    self._restart(name, program)
                except CircusError as problem:
                    log.warning("%s could not be restarted: %s", name, problem)

    def _restart(self, name: str, program: Program) -> None:
        if self.call("status", name=name).get("status") == "active":
            log.warning("%s is restarted: %s has changed", name, program.path)
            self.cast("restart", name=name, match="simple")


def look(path: str) -> Seen | None:
    """The file as it is now; None while there is none."""
    try:
        real = os.path.realpath(path)
        found = os.stat(real)
    except (OSError, ValueError):
        return None
    return real, found.st_ino, found.st_size, found.st_mtime_ns


def program_of(options: Mapping[str, Any]) -> str:
    """Path of the file that a watcher with these options runs: its script where the program is an interpreter."""
    args = options.get("args") or []
    try:
        words = shlex.split(options.get("cmd") or "") + (
            shlex.split(args) if isinstance(args, str) else list(args)
        )
    except ValueError:
        return ""
    folder = options.get("working_dir") or os.getcwd()
    if not words or "$(" in words[0] or "((" in words[0]:
        return ""
    program = _found(words[0], folder, options)
    if INTERPRETERS.fullmatch(os.path.basename(words[0])):
        script = next((word for word in words[1:] if not word.startswith("-")), "")
        path = os.path.join(folder, script)
        # After -c or -m there is no script, and the word is no file.
        if script and os.path.isfile(path):
            return path
    return program


def _found(word: str, folder: str, options: Mapping[str, Any]) -> str:
    if "/" in word:
        return os.path.join(folder, word)
    env = options.get("env") or {}
    path = os.environ.get("PATH") if options.get("copy_env") else None
    path = env.get("PATH") if isinstance(env, dict) and "/" in str(env.get("PATH")) else path
    if options.get("virtualenv"):
        path = f"{options['virtualenv']}/bin:{path or ''}"
    return shutil.which(word, path=path or "/bin:/usr/bin") or ""
