"""Reading a configuration and what it includes: everything is read and checked, and all problems are told at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import dependencies
from .access import check_access
from .document import KINDS, Document, Section
from .envfile import EnvFiles, words
from .environment import Layers, python_path
from .forms import ENDINGS, form_of
from .interpolate import from_env
from .problems import Place, Problem, Report, did_you_mean
from .reading import NOTHING, read_file
from .records import CircusConfig, Configuration, WatcherConfig
from .sections import read_circus, read_plugin, read_socket, read_watcher

FOLDER_VARIABLE = "CIRCUS_CONFIG_DIR"
"""The main file's folder, for the values of files: ``$(circus.env.circus_config_dir)``."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came out of reading files."""

    configuration: Configuration | None
    """None when one of the problems is an error."""
    problems: tuple[Problem, ...]
    """Everything that was found, in the order of files and lines."""


def load(path: str, environ: Mapping[str, str], texts: Mapping[str, str] = NOTHING) -> Loaded:
    """The configuration of that file and its includes, with all problems; it never raises for what a file says.

    `environ` is circusd's own environment: variables are replaced from it, and `FOLDER_VARIABLE` beside them. Files in
    `texts` are taken to hold these.
    """
    environ = {**environ, FOLDER_VARIABLE: os.path.dirname(os.path.abspath(path))}
    report = Report()
    document = Document(report)
    files: list[str] = []
    if read_file(document, path, Place(path), texts):
        files.append(path)
        files += _read_includes(document, path, environ, texts)
    document.with_defaults()
    configuration = _build(document, path, tuple(files), environ)
    order = {name: number for number, name in enumerate((path, *files[1:]))}
    # files of variables come last
    problems = sorted(
        report.problems, key=lambda problem: (order.setdefault(problem.file, len(order)), problem.line)
    )
    return Loaded(None if report.errors else configuration, tuple(problems))


def validate(path: str, environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """All problems of that file and its includes, notes included."""
    return load(path, environ).problems


def _read_includes(
    document: Document, path: str, environ: Mapping[str, str], texts: Mapping[str, str]
) -> list[str]:
    """Read the files that the main file includes; their own includes are not followed."""
    circus = document.sections.get("circus")
    if circus is None:
        return []
    lookup = from_env(environ)
    folder = os.path.dirname(path)
    read: list[str] = []
    seen = {os.path.realpath(path)}
    for key, tails in (("include", ("",)), ("include_dir", ENDINGS[form_of(path)])):
        entry = circus.entries.get(key)
        for word in words(entry.value, lookup) if entry else ():
            start = os.path.join(folder, word)
            patterns = [os.path.join(start, f"*{tail}") if tail else start for tail in tails]
            found = [name for pattern in patterns for name in sorted(glob.glob(pattern))]
            if not found:
                document.report.warning(
                    circus.place(key),
                    f"{' or '.join(patterns)} leads to no file",
                    "paths relative to the main file's folder",
                )
            for name in found:
                if os.path.realpath(name) in seen:
                    continue
                seen.add(os.path.realpath(name))
                included = Document(document.report)
                if read_file(included, name, circus.place(key), texts):
                    read.append(name)
                    document.take(included)
    return read


def _build(
    document: Document, path: str, files: tuple[str, ...], environ: Mapping[str, str]
) -> Configuration:
    report = document.report
    sections = [section for section in document.sections.values() if _is_known(section, report)]
    circus = document.sections.get("circus")
    env_files = EnvFiles(os.path.dirname(path), report)
    base = env_files.of(circus, from_env(environ))
    layers = Layers(sections, document.variables, base, environ, report)
    common = layers.common()
    lookup = from_env({**environ, **common})
    sockets = [read_socket(section, lookup, report) for section in _of_kind(sections, "socket", report)]
    names = tuple(socket.name for socket in sockets)
    watchers: list[WatcherConfig] = []
    watcher_sections = _of_kind(sections, "watcher", report)
    for section in watcher_sections:
        env = layers.of(section, env_files.of(section, lookup))
        watchers.append(read_watcher(section, from_env({**environ, **env}), env, environ, names, report))
    plugins = [
        read_plugin(section, lookup, layers.of(section, env_files.of(section, lookup)), report)
        for section in _of_kind(sections, "plugin", report)
    ]
    layers.check(
        [*(section.title for section in watcher_sections), *(plugin.watcher_name for plugin in plugins)]
    )
    places = {name: circus.place(name) for name in circus.entries} if circus else {}
    configuration = Configuration(
        circus=read_circus(circus, lookup, report) if circus else CircusConfig(),
        watchers=tuple(sorted(watchers, key=lambda watcher: watcher.name)),
        plugins=tuple(sorted(plugins, key=lambda plugin: plugin.name)),
        sockets=tuple(sorted(sockets, key=lambda socket: socket.name)),
        env=common,
        python_path=python_path(
            [common, *(watcher.env for watcher in watchers), *(plugin.env for plugin in plugins)]
        ),
        places=places,
        files=files,
    )
    check_access(configuration.circus, places, report)
    dependencies.check(
        configuration.watchers,
        {plugin.watcher_name: bool(plugin.watcher_options.get("alive")) for plugin in plugins},
        {section.title: section.place("depends_on") for section in watcher_sections},
        report,
    )
    if configuration.circus.httpd:
        for section in watcher_sections:
            if section.title.lower() == "circushttpd":
                report.error(
                    section.place(), "the name is that of the console, which httpd = 1 makes a watcher"
                )
    return configuration


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
        first = chosen.setdefault(section.title.lower(), section)
        if first is not section:
            report.error(
                section.place(),
                f"[{first.name}] at {first.file}:{first.line} has the same name",
                "names that differ in more than the case of letters",
            )
    return list(chosen.values())
