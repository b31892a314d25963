"""Reading a circus.ini and what it includes: everything is read and checked, and all problems are told at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .environment import Layers, python_path
from .inifile import Document, Section
from .interpolate import expand, from_env
from .problems import Place, Problem, Report, did_you_mean
from .records import CircusConfig, Configuration, WatcherConfig
from .sections import read_circus, read_plugin, read_socket, read_watcher

KINDS = ("circus", "watcher", "plugin", "socket", "env")

FOLDER_VARIABLE = "CIRCUS_CONFIG_DIR"
"""The main file's folder, for the values of files: ``$(circus.env.circus_config_dir)``."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came out of reading files."""

    configuration: Configuration | None
    """None when one of the problems is an error."""
    problems: tuple[Problem, ...]
    """Everything that was found, in the order of files and lines."""


def load(path: str, environ: Mapping[str, str]) -> Loaded:
    """The configuration of that file and its includes, with all problems; it never raises for what a file says.

    `environ` is circusd's own environment: variables are replaced from it, and `FOLDER_VARIABLE` beside them.
    """
    environ = {**environ, FOLDER_VARIABLE: os.path.dirname(os.path.abspath(path))}
    report = Report()
    document = Document(report)
    files: list[str] = []
    if _read_file(document, path, Place(path), report):
        files.append(path)
        files += _read_includes(document, path, environ, report)
    document.with_defaults()
    configuration = _build(document, tuple(files), environ, report)
    order = {name: number for number, name in enumerate(files)}
    problems = sorted(report.problems, key=lambda problem: (order.get(problem.file, 0), problem.line))
    return Loaded(None if report.errors else configuration, tuple(problems))


def validate(path: str, environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """All problems of that file and its includes, notes included."""
    return load(path, environ).problems


def _read_file(document: Document, path: str, place: Place, report: Report) -> bool:
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        told = f"can't be read: {reason}"
        report.error(place, told if place.file == path else f"{path} {told}")
        return False
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        report.error(Place(path, line), f"the byte 0x{data[problem.start]:02x} is not UTF-8", "text in UTF-8")
        text = data.decode("utf-8-sig", "replace")
    document.read(path, text)
    return True


def _read_includes(document: Document, path: str, environ: Mapping[str, str], report: Report) -> list[str]:
    """Read the files that the main file includes; their own includes are not followed."""
    circus = document.sections.get("circus")
    if circus is None:
        return []
    lookup = from_env(environ)
    folder = os.path.dirname(path)
    read: list[str] = []
    seen = {os.path.realpath(path)}
    wanted: list[tuple[str, str]] = []
    for key, tail in (("include", ""), ("include_dir", "*.ini")):
        entry = circus.entries.get(key)
        words = expand(entry.value, lookup).split() if entry else []
        wanted += [
            (key, os.path.join(folder, word, tail) if tail else os.path.join(folder, word)) for word in words
        ]
    for key, pattern in wanted:
        found = sorted(glob.glob(pattern))
        if not found:
            report.warning(
                circus.place(key), f"{pattern} leads to no file", "paths relative to the main file's folder"
            )
        for name in found:
            if os.path.realpath(name) in seen:
                continue
            seen.add(os.path.realpath(name))
            included = Document(report)
            if _read_file(included, name, circus.place(key), report):
                read.append(name)
                _take(document, included, report)
    return read


def _take(document: Document, included: Document, report: Report) -> None:
    """Put an included file's sections under those that are there: the first value wins."""
    for section in included.sections.values():
        mine = document.sections.setdefault(section.name, Section(section.name, section.file, section.line))
        for name, entry in section.entries.items():
            if section.name == "circus" and name in ("include", "include_dir"):
                report.warning(section.place(name), "is not followed in an included file")
            elif name in mine.entries:
                first = mine.entries[name]
                report.note(
                    section.place(name),
                    f"is given again; the first value, at {first.file}:{first.line}, is kept",
                )
            else:
                mine.entries[name] = entry


def _build(
    document: Document, files: tuple[str, ...], environ: Mapping[str, str], report: Report
) -> Configuration:
    sections = [section for section in document.sections.values() if _is_known(section, report)]
    layers = Layers(sections, environ, report)
    common = layers.common()
    lookup = from_env({**environ, **common})
    circus = document.sections.get("circus")
    sockets = [read_socket(section, lookup, report) for section in _of_kind(sections, "socket", report)]
    names = tuple(socket.name for socket in sockets)
    watchers: list[WatcherConfig] = []
    watcher_sections = _of_kind(sections, "watcher", report)
    for section in watcher_sections:
        env = layers.of(_name(section))
        watchers.append(read_watcher(section, from_env({**environ, **env}), env, environ, names, report))
    plugins = [
        read_plugin(section, lookup, layers.of(f"plugin:{_name(section)}"), report)
        for section in _of_kind(sections, "plugin", report)
    ]
    layers.check(
        [*(_name(section) for section in watcher_sections), *(plugin.watcher_name for plugin in plugins)]
    )
    configuration = Configuration(
        circus=read_circus(circus, lookup, report) if circus else CircusConfig(),
        watchers=tuple(sorted(watchers, key=lambda watcher: watcher.name)),
        plugins=tuple(sorted(plugins, key=lambda plugin: plugin.name)),
        sockets=tuple(sorted(sockets, key=lambda socket: socket.name)),
        env=common,
        python_path=python_path(
            [common, *(watcher.env for watcher in watchers), *(plugin.env for plugin in plugins)]
        ),
        files=files,
    )
    if configuration.circus.httpd:
        for section in watcher_sections:
            if _name(section).lower() == "circushttpd":
                report.error(
                    section.place(), "the name is that of the console, which httpd = 1 makes a watcher"
                )
    return configuration


def _name(section: Section) -> str:
    return section.name.partition(":")[2].strip()


def _is_known(section: Section, report: Report) -> bool:
    kind, colon, name = section.name.partition(":")
    if section.name in ("circus", "env") or (kind in KINDS[1:] and colon and name.strip()):
        return True
    if kind in KINDS[1:]:
        report.error(section.place(), "the section has no name", f"[{kind}:NAME]")
        return False
    hint = did_you_mean(kind, KINDS)
    report.warning(section.place(), "is no section that is known, and has no effect", hint=hint)
    return False


def _of_kind(sections: Iterable[Section], kind: str, report: Report) -> list[Section]:
    """The sections ``[kind:…]`` that are not empty, with names that differ in more than the case of letters."""
    chosen: dict[str, Section] = {}
    for section in sections:
        if not section.name.startswith(f"{kind}:"):
            continue
        if not section.entries:
            report.note(section.place(), "is empty, and skipped")
            continue
        first = chosen.setdefault(_name(section).lower(), section)
        if first is not section:
            report.error(
                section.place(),
                f"[{first.name}] at {first.file}:{first.line} has the same name",
                "names that differ in more than the case of letters",
            )
    return list(chosen.values())
