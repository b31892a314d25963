"""From the sections of a file to the typed model: one function for each kind."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from circusd.schema.options import (
    CIRCUS,
    PLUGIN,
    SOCKET,
    WATCHER,
    Option,
    find,
    near_miss,
    plugin_class,
    plugin_options,
)
from circusd.schema.values import format_words

from .document import Section, Value
from .interpolate import Lookup, expand, references
from .model import build_watcher
from .pluginoptions import check_plugin
from .problems import Place, Report, quoted
from .records import CircusConfig, PluginConfig, SocketConfig, WatcherConfig
from .references import COMMAND_KEYS, LOOKS, check_references
from .values import MISSING, Raw, read


def _raw(section: Section, lookup: Lookup, report: Report, later: Collection[str] = ()) -> dict[str, Raw]:
    """The section's values with the variables of the environment replaced.

    What is left in them goes to the report, but for the options in which more is replaced later.
    """
    raw: dict[str, Raw] = {}
    for name, entry in section.entries.items():
        value = _expanded(entry.value, lookup)
        place = section.place(name)
        for text in () if name in later else (value,) if isinstance(value, str) else value:
            for _, written in references(text):
                report.warning(
                    place, f"{written} is left as it stands: only variables of the environment are known here"
                )
        raw[name] = Raw(value, place, from_file=True)
    return raw


def _expanded(value: Value, lookup: Lookup) -> Value:
    if isinstance(value, str):
        return expand(value, lookup)
    return tuple(expand(word, lookup) for word in value)


def _fields(table: tuple[Option, ...], raw: Mapping[str, Raw], what: str, report: Report) -> dict[str, Any]:
    """The values of a section whose every key must be an option."""
    values: dict[str, Any] = {}
    for name, given in raw.items():
        option = find(table, name)
        if option is None:
            near = near_miss(table, name)
            hint = f"did you mean {near}?" if near else ""
            report.warning(given.place, f"is no option of {what}, and has no effect", hint=hint)
        elif option.legacy:
            report.note(given.place, option.told)
        else:
            value = read(option, given, report)
            if value is not MISSING:
                values[name] = value
            if option.told and value:
                report.note(given.place, option.told)
    return values


def read_circus(section: Section, lookup: Lookup, report: Report) -> CircusConfig:
    """The daemon's own options; wrong ones have their default and are in the report."""
    circus = CircusConfig(**_fields(CIRCUS, _raw(section, lookup, report), "the daemon", report))
    if circus.multicast_endpoint:
        _check_discovery(circus, section, report)
    return circus


def _check_discovery(circus: CircusConfig, section: Section, report: Report) -> None:
    place = section.place("multicast_endpoint")
    scheme, _, rest = str(circus.multicast_endpoint).partition("://")
    host, _, port = rest.rpartition(":")
    try:
        is_group = scheme == "udp" and port.isdigit() and ipaddress.IPv4Address(host).is_multicast
    except ValueError:
        is_group = False
    if not is_group:
        told = f"{quoted(circus.multicast_endpoint)} is no multicast group"
        report.error(place, told, "udp://GROUP:PORT, such as udp://237.219.251.97:12027")
    elif not circus.endpoint:
        report.note(
            place,
            "has no effect: without an endpoint in the file there is nothing to tell",
            hint="set endpoint as well",
        )


def read_socket(section: Section, lookup: Lookup, report: Report) -> SocketConfig:
    """One socket, its name in lower case; wrong options have their default and are in the report."""
    name = section.title.lower()
    if not _can_be_named(name):
        report.warning(
            section.place(), f"$(circus.sockets.{name}) can't name it", "letters, digits, _, . and -"
        )
    return _socket(name, _raw(section, lookup, report), section.place(), report)


def socket_from_options(name: str, options: Mapping[str, object]) -> SocketConfig:
    """The socket of that name with these options, as a command gives them; raises ConfigError with all problems."""
    report = Report()
    place = Place(section=f"socket:{name}")
    raw = {key: Raw(value, replace(place, option=key)) for key, value in options.items()}
    for key in raw:
        if find(SOCKET, key) is None:
            near = near_miss(SOCKET, key)
            report.error(place, f"unknown key {key!r}", hint=f"did you mean {near}?" if near else "")
    if not name.strip() or not _can_be_named(name):
        report.error(place, f"{quoted(name)} can't be a socket's name", "letters, digits, _, . and -")
    socket = _socket(name.lower(), raw, place, report)
    report.raise_errors()
    return socket


def _can_be_named(name: str) -> bool:
    return all(letter.isalnum() or letter in "_.-" for letter in name)


def _socket(name: str, raw: Mapping[str, Raw], place: Place, report: Report) -> SocketConfig:
    def at(key: str) -> Place:
        return raw[key].place if key in raw else replace(place, option=key)

    values = _fields(SOCKET, raw, "a socket", report)
    if values.get("path"):
        if values.get("family", "AF_UNIX") != "AF_UNIX":
            report.warning(at("family"), "has no effect: a path makes it AF_UNIX")
        values["family"] = "AF_UNIX"
        for key in ("host", "port"):
            if key in values:
                report.note(at(key), "has no effect: the socket has a path")
    elif values.get("family") == "AF_UNIX":
        report.error(at("family"), "AF_UNIX without a path", "path, the file of the socket")
    return SocketConfig(name=name, **values)


def read_watcher(
    section: Section,
    lookup: Lookup,
    env: Mapping[str, str],
    environ: Mapping[str, str],
    sockets: Collection[str],
    report: Report,
) -> WatcherConfig:
    """One watcher; its problems are in the report."""
    raw = _raw(section, lookup, report, (*COMMAND_KEYS, *LOOKS))
    name = section.title
    watcher = build_watcher(name, raw, report, place=section.place(), env=env)
    places = {key: given.place for key, given in raw.items()}
    check_references(watcher, sockets, environ, places, section.place(), report)
    return watcher


def read_plugin(section: Section, lookup: Lookup, env: Mapping[str, str], report: Report) -> PluginConfig:
    """One plugin; its problems are in the report."""
    raw = _raw(section, lookup, report)
    use = find(PLUGIN, "use")
    assert use is not None
    given = raw.pop("use", None)
    path = ""
    if given is not None and given.value:
        path = str(read(use, given, report))
    else:
        hints = [f"{name} is no option of a plugin" for name in raw if name in use.aka]
        report.error(
            section.place("use"), "is missing", "the dotted path of the plugin's class", "".join(hints)
        )
    if (known := plugin_class(path)) is not None:
        check_plugin(known, raw, section.place(), report)
    options = {name: _text(item.value) for name, item in raw.items()}
    # what a shipped plugin's own table has is the plugin's alone: its max_retry is not that of its watcher
    own = plugin_options(path)
    watcher_options = {
        name: text for name, text in options.items() if _is_watchers(name) and not find(own, name)
    }
    plugin = PluginConfig(section.title, path, options, watcher_options, env)
    # those options go through a watcher's reading now, so that wrong ones are told with the rest
    shared = {name: raw[name] for name in watcher_options}
    cmd = {"cmd": Raw("circus-plugin", section.place())}
    build_watcher(plugin.watcher_name, {**cmd, **shared}, report, place=section.place())
    return plugin


def _text(value: object) -> str:
    """What a plugin is passed for the value: of a list its words."""
    return format_words(value) if isinstance(value, tuple) else str(value)


def _is_watchers(name: str) -> bool:
    option = find(WATCHER, name)
    return option is not None and not option.legacy and name not in ("cmd", "args", "env")
