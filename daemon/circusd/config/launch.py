"""How one process of a watcher is started: its words, program file, environment and folder, worked out at its start."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from circusd.schema.errors import SpawnError
from circusd.schema.options import WATCHER
from circusd.schema.values import quote

from .interpolate import Lookup, expand, from_env
from .records import WatcherConfig
from .references import SPAWN_OPTIONS
from .values import as_json
from .virtualenv import DEFAULT_PATH, enter

SHELL = "/bin/sh"

_SPECIAL = frozenset("'\"\\")
_WORD = re.compile(r"[^ \t\r\n]+")
"""A word of a text in which nothing is special: what `shlex.split` finds there too, in ten times the time."""

_OPTIONS = {option.name: option for option in WATCHER if option.name in SPAWN_OPTIONS}


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything about a start that the configuration decides."""

    argv: tuple[str, ...]
    executable: str
    """Path of the program file."""
    env: dict[str, str]
    cwd: str
    """Absolute."""
    ready: str
    """The option ``ready``, with names replaced,"""
    alive: str
    """and ``alive``,"""
    pid_file: str
    """and ``pid_file``."""


def base_folder(environ: Mapping[str, str]) -> str:
    """The daemon's folder: ``$PWD`` when it is that (it may go through links that a person knows), else as the system says."""
    pwd = environ.get("PWD", "")
    try:
        if os.path.isabs(pwd) and os.path.samefile(pwd, os.curdir):
            return pwd
    except OSError:
        pass
    return os.getcwd()


def build(
    watcher: WatcherConfig,
    wid: int,
    sockets: Mapping[str, int],
    *,
    base_env: Mapping[str, str],
    base_dir: str,
    is_program: Callable[[str], bool],
    sys_path: Sequence[str] = (),
    uid: int | None = None,
    gid: int | None = None,
) -> Launch:
    """The start of the watcher's process number `wid`.

    `sockets` are descriptors by lower-case name, `base_env`, `base_dir` and `sys_path` those of the daemon, `uid` and
    `gid` what the names in the watcher stand for. Raises SpawnError when there are no words, a quote is not closed, or
    no file of the program's name is on the PATH.
    """
    cwd = os.path.join(base_dir, watcher.working_dir) if watcher.working_dir else base_dir
    env = environment(watcher, wid, base_env, base_dir, sys_path)
    lookup = _lookup(watcher, wid, sockets, env, cwd, {"uid": uid, "gid": gid})
    words = [*_words(watcher, watcher.cmd, lookup), *_words(watcher, watcher.args, lookup)]
    if not words:
        raise SpawnError("command", errno.EINVAL, watcher.cmd, f"the command of {watcher.name} is empty")
    program = watcher.executable or words[0]
    if watcher.shell:
        words = [SHELL, "-c", " ".join(map(quote, words)), *_words(watcher, watcher.shell_args, lookup)]
        program = watcher.executable or SHELL
    # Only what the watcher itself says: a variable of the daemon's is nobody's text to replace names in.
    named = {name: expand(value, lookup) for name, value in watcher.env.items() if env.get(name) == value}
    found = find_program(program, cwd, env, is_program)
    ready, alive = expand(watcher.ready, lookup), expand(watcher.alive, lookup)
    pid_file = expand(watcher.pid_file or "", lookup)
    return Launch(tuple(words), found, {**env, **named}, cwd, ready, alive, pid_file)


def build_stop(
    watcher: WatcherConfig,
    wid: int,
    pid: int,
    *,
    base_env: Mapping[str, str],
    base_dir: str,
    is_program: Callable[[str], bool],
    sys_path: Sequence[str] = (),
    uid: int | None = None,
    gid: int | None = None,
) -> Launch:
    """The start of ``stop_command`` for the process of that pid, as `build` would start the process. Raises SpawnError."""
    cwd = os.path.join(base_dir, watcher.working_dir) if watcher.working_dir else base_dir
    env = environment(watcher, wid, base_env, base_dir, sys_path)
    lookup = _lookup(watcher, wid, {}, env, cwd, {"uid": uid, "gid": gid, "pid": pid})
    words = _words(watcher, watcher.stop_command, lookup)
    if not words:
        raise SpawnError("command", errno.EINVAL, str(watcher.stop_command), "the command is empty")
    named = {name: expand(value, lookup) for name, value in watcher.env.items() if env.get(name) == value}
    found = find_program(words[0], cwd, env, is_program)
    return Launch(tuple(words), found, {**env, **named, "PID": str(pid)}, cwd, "", "", "")


def environment(
    watcher: WatcherConfig, wid: int, base_env: Mapping[str, str], base_dir: str, sys_path: Sequence[str] = ()
) -> dict[str, str]:
    """The environment of the watcher's process number `wid`: nothing of the daemon's own without ``copy_env``."""
    env = dict(base_env) if watcher.copy_env else {}
    if watcher.copy_path:
        env["PYTHONPATH"] = ":".join(folder for folder in sys_path if folder)
    env.update(watcher.env)
    if watcher.virtualenv:
        env = enter(env, os.path.join(base_dir, watcher.virtualenv), watcher.virtualenv_py_ver)
    env["CIRCUS_WATCHER"] = watcher.name
    env["CIRCUS_WID"] = str(wid)
    return env


def _lookup(
    watcher: WatcherConfig,
    wid: int,
    sockets: Mapping[str, int],
    env: Mapping[str, str],
    cwd: str,
    ids: Mapping[str, int | None],
) -> Lookup:
    variables = from_env(env)

    def lookup(name: str) -> str | None:
        family, dot, rest = name.partition(".")
        if family == "sockets" and dot:
            return str(sockets[rest]) if rest in sockets else None
        if family == "rlimits" and dot:
            return str(watcher.rlimits[rest]) if rest in watcher.rlimits else None
        if dot:
            return variables(name)
        if name == "wid":
            return str(wid)
        if name == "working_dir":
            return cwd
        if name == "use_fds":
            return str(watcher.use_sockets)
        if ids.get(name) is not None:
            return str(ids[name])
        option = _OPTIONS.get(name)
        return str(as_json(option, getattr(watcher, name))) if option else None

    return lookup


def _words(watcher: WatcherConfig, value: str | tuple[str, ...] | None, lookup: Lookup) -> list[str]:
    """The words of a command or of arguments, split after names are replaced; a list is split already."""
    if value is None:
        return []
    if not isinstance(value, str):
        return [expand(word, lookup) for word in value]
    text = expand(value, lookup)
    if _SPECIAL.isdisjoint(text):
        return _WORD.findall(text)
    try:
        return shlex.split(text)
    except ValueError as problem:
        raise SpawnError(
            "command", errno.EINVAL, value, f"{watcher.name}: a quote is not closed in {value}"
        ) from problem


def find_program(program: str, cwd: str, env: Mapping[str, str], is_program: Callable[[str], bool]) -> str:
    """The program's file: a path stands for itself, a bare name is looked for on the process's own PATH."""
    if "/" in program:
        return os.path.join(cwd, program)
    # an empty PATH is one without folders, which the C library takes as the current one; no PATH is another thing
    path = env.get("PATH", DEFAULT_PATH)
    for folder in path.split(":"):
        candidate = os.path.join(cwd, folder, program)
        if is_program(candidate):
            return candidate
    raise SpawnError(
        "lookup",
        errno.ENOENT,
        program,
        f"there is no program {program} on its PATH, {path or 'which is empty'}",
    )
