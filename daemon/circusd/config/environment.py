"""The environment that files give to processes: ``[env]`` for all, ``[env:NAME,PATTERN*]`` for some watchers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from .inifile import Section
from .interpolate import expand, expand_dollars, from_env
from .problems import Report


class Layers:
    """The environment sections of the files, in their order; later ones win."""

    def __init__(self, sections: Iterable[Section], environ: Mapping[str, str], report: Report) -> None:
        self._environ = environ
        self._report = report
        self._layers = [
            (_patterns(section.name), section)
            for section in sections
            if section.name == "env" or section.name.startswith("env:")
        ]
        # [env] is for all, and so below each [env:…] wherever it stands
        self._layers.sort(key=lambda layer: layer[0] is not None)

    def common(self) -> dict[str, str]:
        """The variables of ``[env]``."""
        return self._merge(section for patterns, section in self._layers if patterns is None)

    def of(self, watcher: str) -> dict[str, str]:
        """The variables for the watcher of that name; patterns are held against it with the case of its letters."""
        return self._merge(
            section
            for patterns, section in self._layers
            if patterns is None or any(fnmatchcase(watcher, pattern) for pattern in patterns)
        )

    def check(self, watchers: Iterable[str]) -> None:
        """Sections that are for no watcher go to the report."""
        names = tuple(watchers)
        for patterns, section in self._layers:
            for pattern in patterns or ():
                if not any(fnmatchcase(name, pattern) for name in names):
                    self._report.warning(section.place(), f"no watcher is named {pattern}")

    def _merge(self, sections: Iterable[Section]) -> dict[str, str]:
        env: dict[str, str] = {}
        for section in sections:
            lookup = from_env({**self._environ, **env})
            layer: dict[str, str] = {}
            for name, entry in section.entries.items():
                value = expand_dollars(expand(entry.value, lookup), self._environ).strip()
                if "\0" in value or "\0" in name:
                    self._report.error(section.place(name), "holds a NUL byte")
                layer[name] = value
            env.update(layer)
        return env


def _patterns(name: str) -> tuple[str, ...] | None:
    """The patterns of an ``[env:…]`` section, None for ``[env]``."""
    if name == "env":
        return None
    return tuple(pattern.strip() for pattern in name.removeprefix("env:").split(",") if pattern.strip())


def python_path(envs: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """The folders of their ``PYTHONPATH``, each once, in order."""
    folders: dict[str, None] = {}
    for env in envs:
        folders.update((folder, None) for folder in env.get("PYTHONPATH", "").split(":") if folder)
    return tuple(folders)
