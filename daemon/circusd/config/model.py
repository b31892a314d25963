"""From options to watchers and back: what a file's section, ``add``, ``set`` and ``options`` have in common."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from circusd.schema.options import HOOKS, WATCHER, Option, find, near_miss, watcher_option
from circusd.schema.values import NO, RLIMITS

from .problems import Place, Problem, Report, did_you_mean, quoted
from .records import (
    CircusConfig,
    Configuration,
    HookConfig,
    PluginConfig,
    SocketConfig,
    StreamConfig,
    WatcherConfig,
)
from .streams import build_stream, describe_stream
from .values import MISSING, Raw, as_json, read

__all__ = [
    "CircusConfig",
    "Configuration",
    "HookConfig",
    "PluginConfig",
    "Problem",
    "SocketConfig",
    "StreamConfig",
    "WatcherConfig",
    "build_watcher",
    "describe",
    "plugin_watcher",
    "watcher_from_options",
    "with_options",
]

STREAMS = ("stdout_stream", "stderr_stream")
_TAG = re.compile(r"[\w.-]+")
_FAMILIES = ("rlimits", "hooks", *STREAMS)
"""Attributes that hold the keys of a pattern."""


def _flat(raw: Mapping[str, Raw], report: Report) -> list[tuple[str, Raw]]:
    """The keys with families written as one object (``"hooks": {…}``) taken apart."""
    flat: list[tuple[str, Raw]] = []
    for key, given in raw.items():
        if key not in _FAMILIES or given.from_file:
            flat.append((key, given))
            continue
        value = given.value
        if key == "hooks" and isinstance(value, str):
            # the original's command line: name:dotted,name2:dotted2
            value = dict(pair.partition(":")[::2] for pair in value.split(",") if pair)
        prefix = "rlimit_" if key == "rlimits" else f"{key}."
        if isinstance(value, Mapping):
            if key in STREAMS:
                # a whole stream takes the place of the one before
                flat.append((key, replace(given, value=None)))
            flat += [
                (f"{prefix}{name}", Raw(item, replace(given.place, option=f"{prefix}{name}")))
                for name, item in value.items()
            ]
        elif value is None:
            flat.append((key, given))
        else:
            report.error(given.place, "is not an object", "an object of options")
    return flat


class _Parts:
    """What a watcher is made of while its keys are read one by one."""

    def __init__(self, before: WatcherConfig | None) -> None:
        self.before = before
        self.fields: dict[str, Any] = {}
        self.places: dict[str, Place] = {}
        self.wrong: set[str] = set()
        self.rlimits: dict[str, int | None] = dict(before.rlimits) if before else {}
        self.hooks: dict[str, HookConfig] = dict(before.hooks) if before else {}
        self.streams: dict[str, StreamConfig | None] = {
            name: getattr(before, name) if before else None for name in STREAMS
        }
        self.given_streams: dict[str, dict[str, Raw]] = {name: {} for name in STREAMS}
        self.extras: dict[str, str] = dict(before.extras) if before else {}


def _unknown(parts: _Parts, key: str, raw: Raw, report: Report) -> None:
    near = near_miss(WATCHER, key)
    if not raw.from_file:
        report.error(raw.place, f"unknown key {key!r}", hint=f"did you mean {near}?" if near else "")
        return
    parts.extras[key] = str(raw.value)
    if near:
        report.warning(
            raw.place, "is no option of a watcher and has no effect by itself", hint=f"did you mean {near}?"
        )


def _pattern(parts: _Parts, option: Option, key: str, raw: Raw, report: Report) -> None:
    name = key.removeprefix(option.prefix)
    family = option.prefix[:-1]
    if family in STREAMS:
        parts.given_streams[family][name] = raw
    elif family == "rlimit":
        name = name.lower()
        if name not in RLIMITS:
            report.error(
                raw.place,
                f"{quoted(name)} is no resource limit",
                "one of " + ", ".join(RLIMITS),
                did_you_mean(name, RLIMITS),
            )
            return
        value = read(option, raw, report)
        if value is not MISSING:
            parts.rlimits[name] = value
    elif name not in HOOKS:
        add = report.warning if raw.from_file else report.error
        add(raw.place, f"{quoted(name)} is no hook", "one of " + ", ".join(HOOKS), did_you_mean(name, HOOKS))
    elif raw.value is None or raw.value == "":
        parts.hooks.pop(name, None)
    else:
        value = read(option, raw, report)
        if value is not MISSING:
            parts.hooks[name] = HookConfig(*value)


def _take(parts: _Parts, key: str, raw: Raw, report: Report) -> None:
    parts.places[key] = raw.place
    option = find(WATCHER, key)
    if key in _FAMILIES and raw.value is None:
        if key in STREAMS:
            parts.streams[key] = None
        elif key == "hooks":
            parts.hooks.clear()
        else:
            parts.rlimits.clear()
    elif option is None:
        _unknown(parts, key, raw, report)
    elif option.pattern:
        _pattern(parts, option, key, raw, report)
    elif option.legacy:
        report.note(raw.place, option.told)
        if raw.from_file:
            parts.extras[key] = str(raw.value)
    elif key == "env" and raw.from_file:
        report.warning(
            raw.place,
            "has no effect here",
            hint=f"write the variables in a section [env:{_short(raw.place.section)}]",
        )
    else:
        value = read(option, raw, report)
        if value is MISSING:
            parts.wrong.add(key)
        elif option.file_only and not raw.from_file and value != _current(parts, option):
            report.error(raw.place, "can't be changed by a command", "a change of the configuration file")
        else:
            parts.fields[key] = value
        if option.told and value:
            report.note(raw.place, option.told)


def _current(parts: _Parts, option: Option) -> Any:
    return getattr(parts.before, option.name) if parts.before else option.default


def _short(section: str) -> str:
    return section.partition(":")[2] or section


def build_watcher(
    name: str,
    raw: Mapping[str, Raw],
    report: Report,
    *,
    place: Place,
    before: WatcherConfig | None = None,
    env: Mapping[str, str] | None = None,
) -> WatcherConfig:
    """The watcher of these values on top of what was before.

    Problems go to the report; a value that was wrong is as it was before.
    """
    parts = _Parts(before)
    for key, given in _flat(raw, report):
        _take(parts, key, given, report)
    for stream, given_options in parts.given_streams.items():
        parts.streams[stream] = build_stream(stream, given_options, parts.streams[stream], report)
    if env is not None:
        parts.fields["env"] = dict(env)
    changes: dict[str, Any] = {
        **parts.fields,
        **parts.streams,
        "rlimits": parts.rlimits,
        "hooks": parts.hooks,
        "extras": parts.extras,
    }
    changes["cmd"] = parts.fields.get("cmd", before.cmd if before else None) or ""
    watcher = replace(before or WatcherConfig(name=name, cmd=""), **changes)
    _check(watcher, parts, place, report)
    return watcher


def _check(watcher: WatcherConfig, parts: _Parts, place: Place, report: Report) -> None:
    """What no single option can know."""

    def at(key: str) -> Place:
        return parts.places.get(key, replace(place, option=key))

    if not watcher.name.strip():
        report.error(place, "the watcher has no name")
    elif any(ord(letter) < 32 for letter in watcher.name):
        report.error(place, f"{watcher.name!r} holds a control character")
    if not watcher.cmd and "cmd" not in parts.wrong:
        report.error(at("cmd"), "is missing", "the command to run")
    if watcher.singleton and watcher.numprocesses > 1:
        report.error(
            at("numprocesses"),
            f"{watcher.numprocesses} processes of a singleton",
            "0 or 1, or singleton off",
        )
    for tag in watcher.tags:
        if not _TAG.fullmatch(tag):
            report.error(at("tags"), f"{quoted(tag)} is no tag", "letters, digits, _, . and -")
    if watcher.schedule:
        # Loaded with the first schedule: most daemons have none.
        from . import cron

        cron.check(
            watcher.schedule, watcher.schedule_timezone or "", at("schedule"), at("schedule_timezone"), report
        )
        if watcher.on_demand:
            report.error(at("on_demand"), "it has a schedule, too", "one of schedule and on_demand")
    if watcher.shell_args and not watcher.shell:
        report.warning(at("shell_args"), "has no effect without shell", hint="set shell = true")
    if watcher.pid_file and watcher.numprocesses > 1 and not names_wid(watcher.pid_file):
        report.error(
            at("pid_file"),
            f"{watcher.numprocesses} processes have one pid file",
            "a file for each, by $(circus.wid) in its name",
        )
    if watcher.pid_file and watcher.ready.startswith(("log:", "fd:")):
        told = "the program goes into the background, and its sign would be of the process before"
        report.error(at("ready"), told, "notify, or where to look, beside a pid_file")
    if watcher.stdin_pipe and watcher.stdin_socket:
        report.error(
            at("stdin_pipe"), "standard input is a pipe and a socket", "one of stdin_pipe and stdin_socket"
        )
    if watcher.stdin_pipe and not watcher.close_child_stdin:
        told = "standard input is a pipe, and circusd's own by close_child_stdin = false"
        report.error(at("stdin_pipe"), told, "one of the two")
    for key in ("cmd", "args", "shell_args"):
        text = getattr(watcher, key)
        if isinstance(text, str):
            try:
                shlex.split(text)
            except ValueError:
                report.error(
                    at(key),
                    "has a quote that is not closed",
                    hint="\\' stands for one",
                )


def names_wid(text: str) -> bool:
    """Whether the number of the process stands in a text, once names are replaced in it."""
    return "circus.wid" in text.lower()


def _from_json(name: str, options: Mapping[str, object]) -> dict[str, Raw]:
    section = f"watcher:{name}"
    return {key: Raw(value, Place(section=section, option=key)) for key, value in options.items()}


def watcher_from_options(name: str, options: Mapping[str, object]) -> WatcherConfig:
    """The watcher of that name with these options (``cmd`` among them), as the ``add`` command gives them.

    Values are JSON data or their text. Raises ConfigError with all problems.
    """
    report = Report()
    watcher = build_watcher(name, _from_json(name, options), report, place=Place(section=f"watcher:{name}"))
    report.raise_errors()
    return watcher


def with_options(watcher: WatcherConfig, changes: Mapping[str, object]) -> WatcherConfig:
    """The watcher with these options changed, as the ``set`` command gives them; raises ConfigError with all problems.

    Keys are those of a file (``rlimit_nofile``, ``hooks.before_start``, ``stdout_stream.filename``, ``env``) or whole
    families (``hooks``, ``stdout_stream``); null takes a hook or a stream away.
    """
    report = Report()
    changed = build_watcher(
        watcher.name,
        _from_json(watcher.name, changes),
        report,
        place=Place(section=f"watcher:{watcher.name}"),
        before=watcher,
    )
    report.raise_errors()
    return changed


def describe(watcher: WatcherConfig) -> dict[str, Any]:
    """What the ``options`` command shows: every option as JSON data, and free-form keys. Nothing is masked here."""
    shown: dict[str, Any] = dict(watcher.extras)
    for attribute in fields(watcher):
        option = find(WATCHER, attribute.name)
        if option is not None:
            shown[attribute.name] = as_json(option, getattr(watcher, attribute.name))
    for name, limit in watcher.rlimits.items():
        shown[f"rlimit_{name}"] = limit
    for name, hook in watcher.hooks.items():
        option = watcher_option(f"hooks.{name}")
        assert option is not None
        shown[f"hooks.{name}"] = option.type.format((hook.path, hook.ignore_failure))
    for stream in STREAMS:
        described = describe_stream(getattr(watcher, stream))
        shown[f"{stream}_conf"] = described
        shown.update((f"{stream}.{key}", value) for key, value in described.items())
    return shown


def plugin_watcher(
    plugin: PluginConfig, cmd: str, args: Sequence[str] = (), *, debug: bool = False
) -> WatcherConfig:
    """The watcher that runs a plugin by this command; raises ConfigError with all problems.

    Its options are the plugin's own on top of the original's for a plugin: one process, started before others, with
    the daemon's environment and module search path, its standard output shown only with ``debug``.
    """
    raw: dict[str, Raw] = _from_json(
        plugin.watcher_name,
        {
            "cmd": cmd,
            "args": list(args),
            "priority": 1,
            "singleton": True,
            "copy_env": True,
            "copy_path": True,
            # Unlike the original's, what it reports as an error is kept: without it nobody learns why it does not run.
            "close_child_stdout": not debug,
            # Its start alone may take longer than a watcher's processes need to be taken for well.
            "settle_time": 10,
            "env": dict(plugin.env),
        },
    )
    section = f"plugin:{plugin.name}"
    if plugin.options.get("active", "").strip().lower() in NO:
        raw["autostart"] = Raw(False, Place(section=section, option="active"))
    for key, text in plugin.watcher_options.items():
        raw[key] = Raw(text, Place(section=section, option=key), from_file=True)
    report = Report()
    watcher = build_watcher(plugin.watcher_name, raw, report, place=Place(section=section))
    report.raise_errors()
    return watcher
