"""Files as the original's documentation describes them mean the same to us: each option, and each process that is started.

The original's own parser and classes are asked (see `driver.py`); what differs on purpose is a row of `INTENDED`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from circusd.config import launch
from circusd.config.ini import load
from circusd.config.model import describe
from circusd.config.records import Configuration, PluginConfig, SocketConfig, StreamConfig, WatcherConfig
from tests.compat.original import FILES, PREFIX, Driver

NAMES = sorted(path.name for path in (FILES / "ini").glob("*.ini"))
DESCRIPTORS = {"web": 10, "webapp": 11, "plain": 12, "local": 13, "udp": 14, "six": 15, "second": 16}
MISSING = object()
OURS_ALONE = {"CIRCUS_WATCHER", "CIRCUS_WID", "VIRTUAL_ENV"}


@dataclass(frozen=True)
class Difference:
    """A pair of values that is meant to differ, and why."""

    holds: Callable[[Any, Any], bool]
    why: str


def _same_environment(theirs: Mapping[str, str], ours: Mapping[str, str]) -> bool:
    def kept(env: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in env.items() if name not in OURS_ALONE and name != "__name__"}

    told, own = kept(theirs), kept(ours)
    return set(told) == set(own) and all(
        told[n] == own[n] or told[n].startswith("$(circus.env.") for n in told
    )


def _same_stream(theirs: Mapping[str, str], ours: StreamConfig | None) -> bool:
    if ours is None:
        return not theirs
    given = dict(theirs)
    given.pop("refresh_time", None)
    classname = given.pop("class", "FileStream").removeprefix("circus.stream.")
    return classname == ours.classname and all(str(ours.options[key]) == text for key, text in given.items())


def _only_default(default: Any) -> Callable[[Any, Any], bool]:
    """The original's default, where we have none."""
    return lambda theirs, ours: theirs == default and ours is None


STREAM = Difference(
    _same_stream, "classes by their short names, numbers as numbers; refresh_time means nothing"
)
NUMBER = Difference(lambda theirs, ours: theirs == str(ours), "a number is a number")
TYPED = Difference(
    lambda theirs, ours: str(theirs) == ours, "what is passed on, or means nothing, is kept as text"
)

INTENDED: dict[str, Difference] = {
    "circus.endpoint": Difference(_only_default("tcp://127.0.0.1:5555"), "closed by default: unix sockets of one's own"),
    "circus.pubsub_endpoint": Difference(_only_default("tcp://127.0.0.1:5556"), "closed by default"),
    "circus.stats_endpoint": Difference(_only_default("tcp://127.0.0.1:5557"), "closed by default"),
    "circus.multicast_endpoint": Difference(_only_default("udp://237.219.251.97:12027"), "nothing is bound"),
    "circus.statsd": Difference(lambda theirs, ours: theirs and not ours, "stats_endpoint switches nothing on"),
    "watcher.__name__": Difference(lambda _, ours: ours is MISSING, "the parser's own key is nobody's option"),
    "watcher.args": Difference(lambda theirs, ours: theirs == "" and ours is None, "none is none"),
    "watcher.env": Difference(_same_environment, "without __name__; a process knows its watcher and virtualenv; variables are "
                              "replaced in [env:NAME] too"),
    "watcher.retry_in": NUMBER,
    "watcher.uid": NUMBER,
    "watcher.gid": NUMBER,
    "watcher.executable": Difference(lambda theirs, ours: theirs is None, "the original reads it and throws it away"),
    "watcher.stdout_stream": STREAM,
    "watcher.stderr_stream": STREAM,
    "watcher.check_flapping": TYPED,
    "socket.host": Difference(lambda theirs, ours: (theirs, ours) in ((None, "localhost"), ("127.0.0.1", "localhost")),
                              "a name is looked up when the socket is opened; a path needs none"),
    "socket.port": Difference(lambda theirs, ours: theirs is None, "a path needs none"),
    "socket.umask": Difference(_only_default(8), "circusd's own; the original's default opens the socket for writing by anybody"),
    "plugin.__name__": Difference(lambda _, ours: ours is MISSING, "the parser's own key is nobody's option"),
    "plugin.priority": TYPED,
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The folder that all files are in, the environment that they are read in, and the original."""

    folder: Path
    environ: dict[str, str]
    driver: Driver

    def theirs(self, name: str) -> dict[str, Any]:
        said = self.driver.ask(
            "model",
            file=str(self.folder / name),
            folder=str(self.folder),
            environ=self.environ,
            descriptors=DESCRIPTORS,
        )
        assert said.code == 0, said.err
        found: dict[str, Any] = json.loads(said.out)
        return found

    def ours(self, name: str) -> Configuration:
        loaded = load(str(self.folder / name), self.environ)
        assert loaded.configuration is not None, [str(problem) for problem in loaded.problems]
        return loaded.configuration

    def options(self, watcher: WatcherConfig, sys_path: list[str]) -> dict[str, Any]:
        """The watcher as the original's model has it."""
        built = launch.build(
            watcher,
            1,
            DESCRIPTORS,
            base_env=self.environ,
            base_dir=str(self.folder),
            is_program=lambda path: True,
            sys_path=sys_path,
        )
        return {
            **describe(watcher),
            "working_dir": built.cwd,
            "env": built.env,
            "argv": list(built.argv),
            "rlimits": dict(watcher.rlimits),
            "hooks": {name: [hook.path, hook.ignore_failure] for name, hook in watcher.hooks.items()},
            "stdout_stream": watcher.stdout_stream,
            "stderr_stream": watcher.stderr_stream,
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("ini")
    shutil.copytree(FILES / "ini", folder, dirs_exist_ok=True)
    for module in ("tour_hooks.py", "recorder.py"):
        shutil.copy(FILES / module, folder)
    environ = {
        "here": str(folder),
        "VAR": "var",
        "NUMBER": "2",
        "HOME": "/my/home",
        "PATH": "/usr/bin:/bin",
        "venv": str(PREFIX),
    }
    with Driver([], dict(os.environ), folder) as driver:
        yield Place(folder, environ, driver)


def differences(
    kind: str, name: str, theirs: Mapping[str, Any], ours: Mapping[str, Any], met: set[str]
) -> list[str]:
    """Each option that means something else to us, and not on purpose."""
    found = []
    for key, value in theirs.items():
        own = ours.get(key, MISSING)
        if own == value:
            continue
        row = INTENDED.get(f"{kind}.{key}")
        if row is not None and row.holds(value, own):
            met.add(f"{kind}.{key}")
        else:
            found.append(
                f"[{kind}:{name}] {key}: {value!r} is here {'not there' if own is MISSING else repr(own)}"
            )
    return found


def compared(place: Place, name: str, met: set[str]) -> list[str]:
    """All differences of one file that are not intended; those that are go to `met`."""
    theirs, ours = place.theirs(name), place.ours(name)
    found = differences("circus", "", theirs["circus"], attributes(ours.circus), met)
    parts: dict[str, dict[str, dict[str, Any]]] = {
        "watcher": {watcher.name: place.options(watcher, theirs["sys_path"]) for watcher in ours.watchers},
        "socket": {socket.name: attributes(socket) for socket in ours.sockets},
        "plugin": {plugin.watcher_name: passed_to(plugin) for plugin in ours.plugins},
    }
    for kind, sections in parts.items():
        assert set(sections) == set(theirs[f"{kind}s"])
        for section, options in sections.items():
            found += differences(kind, section, theirs[f"{kind}s"][section], options, met)
    return found


def attributes(record: Any) -> dict[str, Any]:
    """A record as names and values."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def passed_to(plugin: PluginConfig) -> dict[str, Any]:
    """What the plugin is made of, as in the original's section."""
    return {**plugin.options, "use": plugin.use, "name": plugin.watcher_name}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_means_the_same_to_both(place: Place, name: str) -> None:
    """Each option of each section, and the words and the environment of the first process."""
    found = compared(place, name, set())
    assert not found, "\n".join(found)


def test_the_intended_differences_are_met(place: Place) -> None:
    """No row of the table is a memory of what once differed."""
    met: set[str] = set()
    for name in NAMES:
        compared(place, name, met)
    assert set(INTENDED) == met


def test_the_files_have_every_option_of_the_original(place: Place) -> None:
    """What its table of defaults has for a watcher, and what a socket and the daemon have, stands in one of the files."""
    text = "\n".join(path.read_text() for path in (FILES / "ini").rglob("*.*") if path.is_file())
    theirs = place.theirs("example.ini")
    watcher_keys = {*next(iter(theirs["watchers"].values())), "rlimit_", "hooks."} - {
        "argv", "env", "rlimits", "hooks", "stdout_stream", "stderr_stream", "__name__",
    }  # fmt: skip
    unsaid = {"stats_endpoint_", "loggerconfig", "debug_gc", "httpd"}
    wanted = (
        watcher_keys
        | set(theirs["circus"]) - unsaid
        | {
            field
            for field in SocketConfig.__dataclass_fields__
            if field not in ("name", "interface", "proto")
        }
    )
    assert not {key for key in wanted if f"\n{key}" not in text}
