"""Which ``$(circus.NAME)`` of a watcher can be replaced when a process is started, and which never will be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from circusd.schema.options import WATCHER

from .interpolate import references
from .problems import Place, Report, did_you_mean
from .records import WatcherConfig

SPAWN_OPTIONS = tuple(
    option.name for option in WATCHER if not option.pattern and not option.legacy and option.name != "env"
)
"""Options of a watcher whose value a command can name."""

SPAWN_NAMES = ("wid", "use_fds", *SPAWN_OPTIONS)
"""Everything of one part that a command can name; beside it ``env.NAME``, ``sockets.NAME`` and ``rlimits.NAME``."""

COMMAND_KEYS = ("cmd", "args", "shell_args")
"""The options of its command, in which names are replaced when a process is started."""

LOOKS = ("ready", "alive")
"""Those of where to look, in which they are too."""

LATER_KEYS = (*COMMAND_KEYS, *LOOKS, "stop_command")
"""All options in which names are replaced later than when the files are read."""

CONSOLE = "circushttpd"
"""The socket of the console: who asks for all does not mean this one."""


def start_texts(watcher: WatcherConfig) -> Iterator[tuple[str, str]]:
    """Each text in which names are replaced at the start, with its option: the command, what tells readiness, and values of
    the environment."""
    yield from command_texts(watcher)
    for key in LOOKS:
        yield key, getattr(watcher, key)
    yield "pid_file", watcher.pid_file or ""
    for value in watcher.env.values():
        yield "env", value


def command_texts(watcher: WatcherConfig) -> Iterator[tuple[str, str]]:
    """Those of the command."""
    for key in COMMAND_KEYS:
        value = getattr(watcher, key)
        if isinstance(value, str):
            yield key, value
        elif value is not None:
            for word in value:
                yield key, word


def inherited_sockets(watcher: WatcherConfig, known: Collection[str]) -> tuple[str, ...]:
    """Which of the known sockets the watcher's processes inherit: those that it names; if it only says ``use_sockets``, all
    but the console's."""
    if not known:
        return ()
    names: dict[str, None] = {}
    for _, text in start_texts(watcher):
        for name, _ in references(text):
            if name.startswith("sockets."):
                names[name.removeprefix("sockets.")] = None
    if watcher.use_sockets and not names:
        names = dict.fromkeys(name for name in known if name != CONSOLE)
    if watcher.stdin_socket:
        names[watcher.stdin_socket.lower()] = None
    return tuple(name for name in names if name in known)


def check_references(
    watcher: WatcherConfig,
    sockets: Collection[str],
    environ: Mapping[str, str],
    places: Mapping[str, Place],
    place: Place,
    report: Report,
) -> None:
    """What no start of a process can replace goes to the report: an unknown socket as an error, others as warnings."""
    for key, text in start_texts(watcher):
        at = places.get(key, place)
        for name, written in references(text):
            _check(watcher, name, written, sockets, environ, at, report)
        if "$WID" in text:
            report.warning(at, "$WID is not replaced", hint="write $(circus.wid)")
    for name, written in references(watcher.stop_command or ""):
        at = places.get("stop_command", place)
        if name.startswith("sockets."):
            report.warning(at, f"{written} is left as it stands: what stops a process is given no socket")
        elif name != "pid":
            _check(watcher, name, written, sockets, environ, at, report)
    if watcher.stdin_socket and watcher.stdin_socket.lower() not in sockets:
        report.error(
            places.get("stdin_socket", place),
            f"there is no socket named {watcher.stdin_socket}",
            _socket_words(sockets),
            did_you_mean(watcher.stdin_socket.lower(), tuple(sockets)),
        )
    if watcher.on_demand and not inherited_sockets(watcher, sockets):
        report.warning(
            places.get("on_demand", place),
            "no connection can start it, as it uses no socket",
            hint="name one by $(circus.sockets.NAME) in cmd, args or env, or set use_sockets",
        )


def _socket_words(sockets: Collection[str]) -> str:
    return "one of " + ", ".join(sockets) if sockets else "a section [socket:NAME], of which there is none"


def _check(
    watcher: WatcherConfig,
    name: str,
    written: str,
    sockets: Collection[str],
    environ: Mapping[str, str],
    at: Place,
    report: Report,
) -> None:
    family, _, rest = name.partition(".")
    if family == "sockets":
        if rest not in sockets:
            report.error(
                at,
                f"{written} names a socket that there is not",
                _socket_words(sockets),
                did_you_mean(rest, tuple(sockets)),
            )
    elif family == "env" and rest:
        known = {key.lower() for key in watcher.env} | {"circus_watcher", "circus_wid"}
        if watcher.copy_env:
            known.update(key.lower() for key in environ)
        if watcher.virtualenv:
            known.update(("virtual_env", "path", "pythonpath"))
        if watcher.copy_path:
            known.add("pythonpath")
        if rest not in known:
            report.warning(at, f"{written} is left as it stands: no such variable")
    elif family == "rlimits" and rest:
        if rest not in watcher.rlimits:
            report.warning(at, f"{written} is left as it stands: no such limit is set")
    elif name not in SPAWN_NAMES:
        hint = did_you_mean(name, (*SPAWN_NAMES, "env", "sockets"))
        if name in (key.lower() for key in watcher.extras):
            hint = "options of one's own are not replaced"
        report.warning(at, f"{written} is left as it stands: nothing has that name", hint=hint)
